package keyring

import (
	"net/url"
	"path"
	"strings"
)

// hubHost is the pattern that the kubelet takes for Docker Hub when no other
// matches.
const hubHost = "index.docker.io"

// pattern is a key as the kubelet compares it with images.
type pattern struct {
	text   string   // host, port and path, as sorted and as told
	labels []string // of the host; nil: it never matches
	port   string
	path   string
	plain  bool // no label is a glob
	lost   bool // of the key: a query, fragment or user was dropped
}

// compile makes a key ready. False: the key is no URL, and the kubelet drops
// the entry. It parses twice, because the kubelet does: a key whose path has
// %3F loses what follows it in the second turn.
func compile(key string) (pattern, bool) {
	value := key
	if !strings.HasPrefix(value, "https://") && !strings.HasPrefix(value, "http://") {
		value = "https://" + value
	}
	u, err := url.Parse(value)
	if err != nil {
		return pattern{}, false
	}
	at := u.Path
	if strings.HasPrefix(at, "/v1/") || strings.HasPrefix(at, "/v2/") {
		at = at[len("/v1"):]
	}
	if at == "/" {
		at = ""
	}
	p := pattern{text: u.Host + at, lost: u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != ""}
	u, err = url.Parse("https://" + p.text)
	if err != nil {
		return p, true // it is sorted among the others and matches nothing
	}
	host, port := splitHostPort(u.Host)
	p.labels, p.port, p.path = strings.Split(host, "."), port, u.Path
	p.plain = !strings.ContainsAny(host, `*?[\`)
	return p, true
}

// target is what an image is looked up by.
type target struct {
	host   string
	labels []string
	port   string
	path   string // with its leading slash
	hub    bool   // the kubelet takes it for an image of Docker Hub
}

// matches is the kubelet's rule: the same port, as many labels, the path a
// prefix in bytes, each label a match.
func (p *pattern) matches(t target) bool {
	return p.labels != nil && p.port == t.port && len(p.labels) == len(t.labels) &&
		strings.HasPrefix(t.path, p.path) && p.hostMatches(t)
}

// hostMatches compares label by label. A broken glob matches nothing.
func (p *pattern) hostMatches(t target) bool {
	if len(p.labels) != len(t.labels) {
		return false
	}
	for i, l := range p.labels {
		if p.plain {
			if l != t.labels[i] {
				return false
			}
			continue
		}
		if ok, err := path.Match(l, t.labels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// splitHostPort is net.SplitHostPort for what net/url leaves in Host; a host
// without a port comes back whole, brackets included.
func splitHostPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 != i || strings.ContainsAny(s[1:end], "[") || strings.ContainsAny(s[end+1:], "[]") {
			return s, ""
		}
		return s[1:end], s[i+1:]
	}
	if strings.IndexByte(s, ':') != i || strings.ContainsAny(s, "[]") {
		return s, ""
	}
	return s[:i], s[i+1:]
}
