package keyring

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// hub is the domain of an image that names none.
const hub = "docker.io"

// maxPath is the longest path of an image's name, in bytes.
const maxPath = 255

// Image is an image's name as the kubelet reads it. ParseImage makes it.
type Image struct {
	Name   string // as given
	Domain string // "docker.io" if none was given; with its port
	Path   string // "library/nginx"
	Tag    string // "latest" if neither tag nor digest was given
	Digest string // "sha256:…" or empty
}

// Repository is what credentials are looked up for: "docker.io/library/nginx".
func (i Image) Repository() string { return i.Domain + "/" + i.Path }

// ImageError says why the kubelet refuses a name: the pod's reason is then
// InvalidImageName.
type ImageError struct {
	Name string
	Text string // the kubelet's own
	Hint string // what to do
}

// Error is the kubelet's text and what to do.
func (e *ImageError) Error() string { return e.Text + ": " + e.Hint }

// The grammar of names (distribution/reference).
var (
	identifier = regexp.MustCompile(`^[0-9a-f]{64}$`)
	reference  = func() *regexp.Regexp {
		const (
			label  = `(?:[0-9A-Za-z]|[0-9A-Za-z][0-9A-Za-z-]*[0-9A-Za-z])`
			host   = `(?:` + label + `(?:\.` + label + `)*|\[[0-9A-Fa-f:]+\])`
			domain = host + `(?::[0-9]+)?`
			word   = `[0-9a-z]+`
			part   = word + `(?:(?:[._]|__|-+)` + word + `)*`
			name   = `(?:(` + domain + `)/)?(` + part + `(?:/` + part + `)*)`
			tag    = `[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}`
			piece  = `[A-Za-z][0-9A-Za-z]*`
			digest = piece + `(?:[-_+.]` + piece + `)*:[0-9A-Fa-f]{32,}`
		)
		return regexp.MustCompile(`^` + name + `(?::(` + tag + `))?(?:@(` + digest + `))?$`)
	}()
	algorithm = regexp.MustCompile(`^[0-9a-z]+(?:[.+_-][0-9a-z]+)*:`)
)

// digestLengths are the digests that are known, with their length in hex.
var digestLengths = map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}

// ParseImage reads an image's name as the kubelet does: "nginx" becomes
// docker.io/library/nginx with the tag latest. Error: *ImageError.
func ParseImage(name string) (Image, error) {
	refuse := func(text, hint string) (Image, error) {
		return Image{}, &ImageError{name, fmt.Sprintf("couldn't parse image name %q: %s", name, text), hint}
	}
	if identifier.MatchString(name) {
		return refuse("invalid repository name ("+name+"), cannot specify 64-byte hexadecimal strings",
			"an image's id is no name; write REGISTRY/NAME@sha256:ID")
	}
	domain, rest := splitDomain(name)
	remote, _, _ := strings.Cut(rest, ":")
	if strings.ToLower(remote) != remote {
		return refuse("invalid reference format: repository name ("+remote+") must be lowercase", "write the name in lower case")
	}
	m := reference.FindStringSubmatch(domain + "/" + rest)
	if m == nil {
		if reference.MatchString(strings.ToLower(domain + "/" + rest)) {
			return refuse("repository name must be lowercase", "write the name in lower case")
		}
		return refuse("invalid reference format", formatHint(name))
	}
	named, repository := m[1], m[2]
	if len(repository) > maxPath {
		return refuse(fmt.Sprintf("repository name must not be more than %d characters", maxPath), "shorten the name")
	}
	if m[4] != "" {
		if text := digestText(m[4]); text != "" {
			return refuse(text, "a digest is sha256: and 64 digits 0-9a-f")
		}
	}
	if named == "" { // a first element such as a_b.c is no domain, but is looked up as one
		named, repository, _ = strings.Cut(repository, "/")
	}
	image := Image{Name: name, Domain: named, Path: repository, Tag: m[3], Digest: m[4]}
	if image.Tag == "" && image.Digest == "" {
		image.Tag = "latest"
	}
	return image, nil
}

// splitDomain tells a registry from the first part of a name of Docker Hub:
// by a dot, a colon, upper case, or "localhost".
func splitDomain(name string) (domain, rest string) {
	first, rest, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return hub, "library/" + name
	case first == hubHost || first == hub:
		domain = hub
	case first == "localhost" || strings.ContainsAny(first, ".:") || strings.ToLower(first) != first:
		return first, rest
	default:
		return hub, name
	}
	if !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return domain, rest
}

// digestText says what is wrong with a digest that has the right form.
func digestText(digest string) string {
	name, hex, _ := strings.Cut(digest, ":")
	size, known := digestLengths[name]
	switch {
	case !known && !algorithm.MatchString(digest):
		return "invalid checksum digest format"
	case !known:
		return "unsupported digest algorithm"
	case len(hex) != size:
		return "invalid checksum digest length"
	case strings.ToLower(hex) != hex:
		return "invalid checksum digest format"
	}
	return ""
}

// formatHint says what is likely wrong with a name.
func formatHint(name string) string {
	host, _, _ := strings.Cut(name, "/")
	bare, _, _ := strings.Cut(host, ":")
	switch {
	case name == "":
		return "the name is empty"
	case strings.Contains(name, "://"):
		return "leave the scheme out: an image's name is no URL"
	case strings.ContainsAny(name, " \t\r\n"):
		return "there is white space in the name"
	case strings.HasSuffix(bare, "."):
		return "leave the dot at the end of the host out: images cannot have it"
	case strings.ContainsFunc(bare, func(r rune) bool { return r > unicode.MaxASCII }):
		return "write the host in ASCII: an internationalised name begins with xn--"
	case strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"), strings.Contains(name, "//"):
		return "there is a slash too much"
	}
	return "write REGISTRY/NAME:TAG, the name in a-z, 0-9 and single . _ - between them"
}

// target is what the image is looked up by. False: the kubelet cannot look
// it up, as with [1:2]/app, which names an image and no host.
func (i Image) target() (target, bool) {
	if strings.HasPrefix(i.Domain, "[") {
		if _, err := url.Parse("https://" + i.Domain); err != nil {
			return target{}, false
		}
	}
	host, port := splitHostPort(i.Domain)
	return target{
		host: host, labels: strings.Split(host, "."), port: port, path: "/" + i.Path,
		// A registry without dot and port is taken for Docker Hub, too: localhost.
		hub: i.Domain == hub || i.Domain != "" && !strings.ContainsAny(i.Domain, ".:"),
	}, true
}
