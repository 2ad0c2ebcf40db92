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

// splitHostPort is net.SplitHostPort for what net/url leaves in Host. Where
// that has an error, for a host without a port above all, the host comes back
// whole, brackets included.
func splitHostPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	host, port = s[:i], s[i+1:]
	bracketed := len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		host = host[1 : len(host)-1]
	}
	if !bracketed && strings.Contains(host, ":") || strings.ContainsAny(host, "[]") || strings.ContainsAny(port, "[]") {
		return s, ""
	}
	return host, port
}
