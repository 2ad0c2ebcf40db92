package wire

import (
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

// Challenge is a WWW-Authenticate header of the Bearer scheme.
// Source: Docker token authentication specification; RFC 6750 3.
type Challenge struct {
	Realm   string
	Service string
	// Scope holds scopes separated by spaces; "" asks for signing in only.
	Scope string
	// Error is RFC 6750's code, such as invalid_token or insufficient_scope.
	Error string
}

// String is the header's value.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString("Bearer ")
	sep := ""
	for _, p := range [][2]string{{"realm", c.Realm}, {"service", c.Service}, {"scope", c.Scope}, {"error", c.Error}} {
		if p[1] == "" {
			continue
		}
		b.WriteString(sep + p[0] + `="`)
		for i := range len(p[1]) {
			if ch := p[1][i]; ch == '"' || ch == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p[1][i])
		}
		b.WriteByte('"')
		sep = ","
	}
	return b.String()
}

// ParseChallenge reads a Bearer challenge; parameters it does not know are
// skipped. Error: REQUEST_INVALID, when it is another scheme, is malformed,
// longer than 8 KiB, or names no realm.
func ParseChallenge(header string) (Challenge, error) {
	bad := oci.Errorf(oci.CodeRequestInvalid, "the challenge %q is not a Bearer challenge with a realm", oci.Clip(header))
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") || len(header) > 8<<10 {
		return Challenge{}, bad
	}
	var c Challenge
	fields := map[string]*string{"realm": &c.Realm, "service": &c.Service, "scope": &c.Scope, "error": &c.Error}
	seen := map[string]bool{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		name, after, ok := strings.Cut(rest, "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if !ok || name == "" || seen[name] {
			return Challenge{}, bad
		}
		seen[name] = true
		value, tail, ok := challengeValue(strings.TrimLeft(after, " \t"))
		if !ok {
			return Challenge{}, bad
		}
		if f := fields[name]; f != nil {
			*f = value
		}
		rest = tail
	}
	if c.Realm == "" {
		return Challenge{}, bad
	}
	return c, nil
}

// challengeValue reads a token or a quoted string from the front of s.
func challengeValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
