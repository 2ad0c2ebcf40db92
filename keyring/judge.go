package keyring

import (
	"fmt"
	"strings"
)

// judge says why an entry is tried or not. direct: some key of its chain
// matches without Docker Hub's turn. The kubelet compares port, labels, path
// and host in this order; here the host comes first, since no other
// difference counts beside another host.
func (e *entry) judge(t target, domain string, direct bool) (Reason, string) {
	switch {
	case e.matches(t):
		return ReasonMatch, e.matchDetail(t)
	case e.text == hubHost && t.hub && direct:
		return ReasonHubHidden, "this is Docker Hub's key, which has its turn only if no other key matches"
	case e.text == hubHost && t.hub && domain == hub:
		return ReasonHub, "no other key matches, and this one is Docker Hub's"
	case e.text == hubHost && t.hub:
		return ReasonHub, fmt.Sprintf("no other key matches, and a registry without a dot and a port, as %s, is taken for Docker Hub: it is sent this credential", domain)
	case e.labels == nil:
		return ReasonBadKey, fmt.Sprintf("the kubelet reads the key as %q, which is no host with a path", e.text)
	case domain == hub && e.meansHub():
		return ReasonHubKey, "the kubelet does not take this for Docker Hub: the key is https://index.docker.io/v1/, with its last slash"
	case !e.hostMatches(t):
		return e.judgeHost(t)
	case e.port != t.port:
		return ReasonPort, fmt.Sprintf("the key has %s, the image has %s: they must be written alike, even 443", portText(e.port), portText(t.port))
	}
	return e.judgePath(t)
}

// judgeHost says how the hosts differ.
func (e *entry) judgeHost(t target) (Reason, string) {
	host := strings.Join(e.labels, ".")
	glob := strings.Contains(host, "*")
	switch {
	case strings.HasPrefix(t.host, "[") && strings.EqualFold(host, t.host):
		return ReasonAddress, "an address in brackets is read as a glob unless it has a port: such a key never matches"
	case strings.EqualFold(host, t.host):
		return ReasonCase, fmt.Sprintf("the key has the host %s, the image has %s: upper and lower case count", host, t.host)
	case strings.HasPrefix(e.path, "//"):
		return ReasonHost, fmt.Sprintf("only https:// and http:// are taken off a key: its host is read as %q", host)
	case len(e.labels) != len(t.labels) && (glob || strings.HasSuffix(host, "."+t.host) || strings.HasSuffix(t.host, "."+host) || strings.Trim(host, ".") == strings.Trim(t.host, ".")):
		return ReasonLabels, fmt.Sprintf("%s has %d labels, %s has %d: a * is exactly one label, and a host is not its subdomains", host, len(e.labels), t.host, len(t.labels))
	}
	return ReasonHost, fmt.Sprintf("the key is for the host %s, the image is on %s", host, t.host)
}

// judgePath says how the path is no prefix of the image's.
func (e *entry) judgePath(t target) (Reason, string) {
	n := 0
	for n < len(e.path) && n < len(t.path) && e.path[n] == t.path[n] {
		n++
	}
	switch {
	case strings.Contains(e.path, "*"):
		return ReasonGlob, fmt.Sprintf("a * works in the host only; in the path %s it is an ordinary byte", e.path)
	case e.path == t.path+"/":
		return ReasonPath, fmt.Sprintf("the key's path %s ends with a slash, which the repository does not have", e.path)
	case len(e.path) <= len(t.path) && strings.EqualFold(e.path, t.path[:len(e.path)]):
		return ReasonCase, fmt.Sprintf("the key's path %s differs in upper and lower case from byte %d on", e.path, n)
	}
	return ReasonPath, fmt.Sprintf("the key's path %s is no prefix of %s: they differ from byte %d on", e.path, t.path, n)
}

// matchDetail says what a match rests on.
func (e *entry) matchDetail(t target) string {
	s := "host and port match"
	if !e.plain {
		s = fmt.Sprintf("the glob %s matches the host %s", strings.Join(e.labels, "."), t.host)
	}
	switch rest := strings.TrimPrefix(t.path, e.path); {
	case e.path == "":
	case rest == "" || strings.HasPrefix(rest, "/") || strings.HasSuffix(e.path, "/"):
		s += fmt.Sprintf(", and the path begins with %s", e.path)
	default:
		s += fmt.Sprintf(", and the path begins with the bytes %s, though not with the whole element", e.path)
	}
	return s
}

// meansHub tells keys that a person writes for Docker Hub and that do not
// work.
func (e *entry) meansHub() bool {
	host := strings.ToLower(strings.Join(e.labels, "."))
	return strings.HasSuffix(host, "."+hub) || host == "hub.docker.com" || host == "registry.hub.docker.com"
}

// badKey says why a key is dropped.
func badKey(key string) string {
	switch _, port, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://"), ":"); {
	case strings.Contains(port, "*"):
		return "a * works in the host only, not in the port: the kubelet drops this entry and keeps the others"
	case strings.ContainsAny(key, "[]"):
		return "brackets are for IPv6 addresses only: the kubelet drops this entry and keeps the others"
	case strings.ContainsAny(key, " \t\r\n"):
		return "there is white space in the key: the kubelet drops this entry and keeps the others"
	}
	return "the key is no host with a path: the kubelet drops this entry and keeps the others"
}

func portText(port string) string {
	if port == "" {
		return "no port"
	}
	return "port " + port
}
