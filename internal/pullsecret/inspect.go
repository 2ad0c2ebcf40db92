package pullsecret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Password is a password that is not printed: by fmt, log/slog and
// encoding/json it is three stars. Reveal gives it.
type Password struct{ text string }

// Reveal is the password itself.
func (p Password) Reveal() string { return p.text }

// Empty says that there is none.
func (p Password) Empty() bool { return p.text == "" }

// String is three stars.
func (p Password) String() string {
	if p.text == "" {
		return ""
	}
	return "***"
}

// Format is String, whatever the verb.
func (p Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// LogValue is String.
func (p Password) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON is String.
func (p Password) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// Login is one entry as the kubelet reads it.
type Login struct {
	// Key is as written, without a password that a URL may hold; Pattern is
	// what the kubelet makes of it, "" if it drops the key.
	Key, Pattern string
	Username     string
	Password     Password
	Email        string
	// From is the field that the password is taken from: auth or password.
	From string
	// Overrides are fields that say something else and do not count.
	Overrides []string
	// Elsewhere is identitytoken, registrytoken or a helper, where the entry
	// has no password itself.
	Elsewhere string
	// Claims are the password's own, if it is a token that has any.
	Claims *Claims
	// Problem is why the kubelet cannot read the entry.
	Problem string
}

// Logins reads the entries of a secret in their order. A document that nobody
// can read has none, and a finding.
func Logins(s Secret) []Login {
	key, ok := types[s.Type]
	if !ok {
		for _, k := range []string{KeyConfigJSON, KeyLegacy} {
			if len(s.Data[k]) > 0 {
				key = k
				break
			}
		}
	}
	if !json.Valid(s.Data[key]) {
		return nil
	}
	doc := readDocument(s.Data[key], key == KeyLegacy)
	var out []Login
	for _, e := range doc.entries {
		if !e.lost {
			out = append(out, e.inspect(doc))
		}
	}
	return out
}

func (e entry) inspect(doc document) Login {
	l := Login{Key: ShowKey(e.key), Pattern: normal(e.key), Email: e.fields["email"].text}
	username, password, from, err := e.login()
	switch {
	case err != nil:
		l.Problem = "auth cannot be decoded"
	case !e.object && e.node.kind != null:
		l.Problem = "it is " + string(e.node.kind)
	}
	l.Username, l.Password = username, Password{password}
	if password != "" {
		l.From = from
	}
	if err == nil && from == "auth" {
		for _, f := range []struct{ name, used string }{{"username", username}, {"password", password}} {
			if t := e.fields[f.name].text; t != "" && t != f.used {
				l.Overrides = append(l.Overrides, f.name)
			}
		}
	}
	if password == "" && err == nil {
		l.Elsewhere = e.elsewhere(doc)
	}
	if c, ok := ReadClaims(password); ok {
		l.Claims = &c
	}
	return l
}

// elsewhere says where the password of an entry is, if it is not in it.
func (e entry) elsewhere(doc document) string {
	for _, field := range []string{"identitytoken", "registrytoken"} {
		if t, _ := e.other(field); t != "" {
			return field
		}
	}
	for _, h := range doc.helpers {
		if h.name == e.key {
			return "docker-credential-" + h.value.text
		}
	}
	if doc.store != "" {
		return "docker-credential-" + doc.store
	}
	return ""
}
