package oci

import (
	"strings"
)

// Limits of names. A repository name is kept short enough that host, slash
// and name fit the 255 characters many clients allow (dist, pulling-manifests).
const (
	MaxRepoLen = 200
	MaxTagLen  = 128
)

// Repo is a valid repository name, such as "acme/web/api" or "ibmliberty".
type Repo string

// Tag is a valid tag.
type Tag string

// ParseRepo checks a repository name against the specification's grammar:
// path components of lower-case letters and digits, joined inside by one '.',
// one or two '_' or any number of '-', at most MaxRepoLen bytes in all.
// Error: NAME_INVALID, naming the component.
func ParseRepo(s string) (Repo, error) {
	if s == "" {
		return "", Errorf(CodeNameInvalid, "the repository name is empty: write it as namespace/name")
	}
	if len(s) > MaxRepoLen {
		return "", Errorf(CodeNameInvalid, "the repository name has %d characters, %d are allowed: shorten it", len(s), MaxRepoLen)
	}
	rest := s
	for {
		c, after, more := strings.Cut(rest, "/")
		if !validComponent(c) {
			return "", Errorf(CodeNameInvalid, "the repository name %q is not valid at %q: each part is lower-case letters and digits, joined by '.', '_', '__' or '-'", Clip(s), Clip(c))
		}
		if !more {
			return Repo(s), nil
		}
		rest = after
	}
}

// validComponent is [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func validComponent(c string) bool {
	i, n := 0, len(c)
	for {
		start := i
		for i < n && isAlnum(c[i]) {
			i++
		}
		if i == start {
			return false
		}
		if i == n {
			return true
		}
		switch c[i] {
		case '.':
			i++
		case '_':
			i++
			if i < n && c[i] == '_' {
				i++
			}
		case '-':
			for i < n && c[i] == '-' {
				i++
			}
		default:
			return false
		}
	}
}

func isAlnum(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

// Namespace is the first path element; empty for a repository of one element
// (those are the operator's, "provided images").
func (r Repo) Namespace() string {
	ns, _, more := strings.Cut(string(r), "/")
	if !more {
		return ""
	}
	return ns
}

// ParseTag checks a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
// Error: MANIFEST_INVALID.
func ParseTag(s string) (Tag, error) {
	if s == "" {
		return "", Errorf(CodeManifestInvalid, "the tag is empty: name one, such as latest")
	}
	if len(s) > MaxTagLen {
		return "", Errorf(CodeManifestInvalid, "the tag has %d characters, %d are allowed: shorten it", len(s), MaxTagLen)
	}
	for i := range len(s) {
		c := s[i]
		word := isAlnum(c) || c >= 'A' && c <= 'Z' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return "", Errorf(CodeManifestInvalid, "the tag %q is not valid: letters, digits, '_', '.' and '-', the first of them no '.' or '-'", Clip(s))
		}
	}
	return Tag(s), nil
}

// Ref names a manifest inside a repository: by tag or by digest, never both.
type Ref struct {
	Tag    Tag
	Digest Digest
}

// ParseRef reads a tag or a digest. What holds a ':' must be a digest.
// Errors: DIGEST_INVALID, MANIFEST_INVALID.
func ParseRef(s string) (Ref, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Ref{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Ref{Tag: t}, err
}

// String is the form used in URLs.
func (r Ref) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return string(r.Tag)
}

// IsZero tells that the Ref names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// Clip shortens what a stranger sent before it is quoted back.
func Clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
