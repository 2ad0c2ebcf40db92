package account

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// Lengths of names, in bytes.
const (
	minAccountLen, maxAccountLen     = 2, 64
	minNamespaceLen, maxNamespaceLen = 4, 30
	maxTextLen                       = 256 // descriptions, clusters
)

var (
	accountName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)
	namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$`)
)

// reserved are first path elements with a meaning of their own.
var reserved = []string{"v2", "token", "api"}

// CheckAccountName tells what is wrong with a name. Error: NAME_INVALID.
func CheckAccountName(name string) error {
	if len(name) < minAccountLen || len(name) > maxAccountLen || !accountName.MatchString(name) {
		return oci.Errorf(oci.CodeNameInvalid, "the account name %q is not valid: %d to %d lower-case letters, digits, '.', '_' and '-', beginning and ending with a letter or digit", oci.Clip(name), minAccountLen, maxAccountLen)
	}
	return nil
}

// CheckNamespaceName tells what is wrong with a name: it must keep the rules
// of namespaces, and be a path component of the OCI grammar. Error:
// NAME_INVALID.
func CheckNamespaceName(name string) error {
	const rule = "4 to 30 lower-case letters, digits, '_' and '-', beginning and ending with a letter or digit"
	if slices.Contains(reserved, name) {
		return oci.Errorf(oci.CodeNameInvalid, "the namespace name %q is reserved: choose another", name)
	}
	if len(name) < minNamespaceLen || len(name) > maxNamespaceLen || !namespaceName.MatchString(name) {
		return oci.Errorf(oci.CodeNameInvalid, "the namespace name %q is not valid: it has %s", oci.Clip(name), rule)
	}
	if _, err := oci.ParseRepo(name); err != nil {
		return oci.Errorf(oci.CodeNameInvalid, "the namespace name %q is not valid: no more than two '_' may stand together, and none beside a '-'", name)
	}
	return nil
}

// checkText bounds what people write freely.
func checkText(field, text string) error {
	if len(text) > maxTextLen {
		return oci.Errorf(oci.CodeRequestInvalid, "the %s has %d bytes, %d are allowed: shorten it", field, len(text), maxTextLen)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return oci.Errorf(oci.CodeRequestInvalid, "the %s has characters that cannot be printed: leave them out", field)
	}
	return nil
}

// maxLife is the longest that a token may be made to expire after: ten years.
const maxLife = 3660 * 24 * time.Hour

// ParseLife reads a duration such as 90m, 24h, 90d or 2w.
// Error: REQUEST_INVALID, naming the field.
func ParseLife(field, text string) (time.Duration, error) {
	bad := oci.Errorf(oci.CodeRequestInvalid, "%s is %q: write a duration such as 90m, 24h, 90d or 2w, up to ten years", field, oci.Clip(text))
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var life time.Duration
	if text == "" {
		return 0, bad
	}
	if unit, ok := units[text[len(text)-1]]; ok {
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
		if err != nil {
			return 0, bad
		}
		life = time.Duration(n) * unit
	} else {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, bad
		}
		life = d
	}
	if life < 0 || life > maxLife {
		return 0, bad
	}
	return life, nil
}
