package cli

import (
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

// target is what an argument names: a repository, with a tag or a digest if
// one was given.
type target struct {
	repo oci.Repo
	ref  oci.Ref
}

// parseTarget reads REPO, REPO:TAG and REPO@DIGEST, without the registry's
// host.
func parseTarget(text, hint string) (target, error) {
	name, digest, hasDigest := strings.Cut(text, "@")
	tag, hasTag := "", false
	if !hasDigest {
		if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
			name, tag, hasTag = text[:i], text[i+1:], true
		}
	}
	var t target
	var err error
	if t.repo, err = oci.ParseRepo(name); err != nil {
		return t, usagef(hint, "%w", err)
	}
	switch {
	case hasDigest:
		t.ref.Digest, err = oci.ParseDigest(digest)
	case hasTag:
		t.ref.Tag, err = oci.ParseTag(tag)
	}
	if err != nil {
		return t, usagef(hint, "%w", err)
	}
	return t, nil
}

// parseNamespace reads the first part of repositories' names.
func parseNamespace(text, hint string) (string, error) {
	if strings.Contains(text, "/") {
		return "", usagef(hint, "%q is no namespace, which is the first part of a repository's name, without '/'", oci.Clip(text))
	}
	if _, err := oci.ParseRepo(text); err != nil {
		return "", usagef(hint, "%w", err)
	}
	return text, nil
}

// full writes a reference as people do.
func full(repo, name string) string {
	switch {
	case name == "" || name == repo:
		return repo
	case repo == "":
		return name
	case strings.Contains(name, ":"):
		return repo + "@" + name
	}
	return repo + ":" + name
}
