package pullsecret

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// hubKey is the key of Docker Hub that every tool knows.
const hubKey = "https://index.docker.io/v1/"

// KeyFor is the key under which several accounts of one registry stand side
// by side: host/namespace/, which matches what lies in the namespace and
// nothing else, and is considered before the host alone. Without a namespace
// it is the host.
func KeyFor(host, namespace string) string {
	namespace = strings.Trim(namespace, "/")
	if namespace == "" {
		return host
	}
	return strings.TrimSuffix(host, "/") + "/" + namespace + "/"
}

// bareKey is a key without its scheme, as the kubelet takes it off.
func bareKey(key string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(key, scheme); ok {
			return rest
		}
	}
	return key
}

// pattern is what the kubelet makes of a key: host and path, without the
// version of the protocol. False: it drops the key.
func pattern(key string) (u *url.URL, path string, ok bool) {
	u, err := url.Parse("https://" + bareKey(key))
	if err != nil {
		return nil, "", false
	}
	path = u.Path
	if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/") {
		path = path[3:]
	}
	if path == "/" {
		path = ""
	}
	return u, path, true
}

// normal is the key by which the kubelet keeps entries.
func normal(key string) string {
	u, path, ok := pattern(key)
	if !ok {
		return ""
	}
	return u.Host + path
}

// isHub says whether a host means Docker Hub.
func isHub(key string) bool {
	host, _, _ := strings.Cut(bareKey(key), "/")
	return slices.Contains(hubHosts, strings.ToLower(host))
}

// hubHosts are names of Docker Hub, the first two those that the kubelet
// looks up.
var hubHosts = []string{"docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com", "auth.docker.io", "docker.com", "www.docker.com", "*.docker.io", "*.docker.com", "registry.docker.io"}

// key is about which images an entry is for.
func (c *checker) key(key string) {
	u, path, ok := pattern(key)
	switch {
	case !ok:
		c.unparsable(key)
		return
	case bareKey(key) == key && anyScheme.MatchString(key):
		f := c.add(KeySchemeCase, nowhere(key, "key"), "The scheme of %s is in upper case: the kubelet takes it for a host.", quoted(key))
		f.Fix = "Write " + strings.ToLower(anyScheme.FindString(key)) + " in lower case, or leave it out."
		return
	}
	if c.parts(key, u) && c.host(key, u, path) {
		c.path(key, u, path)
	}
}

var anyScheme = regexp.MustCompile(`^(?i:https?://)`)

// unparsable says why a key is no URL.
func (c *checker) unparsable(key string) {
	bare := bareKey(key)
	host, _, _ := strings.Cut(bare, "/")
	switch {
	case strings.ContainsAny(host, "["):
		c.add(KeyGlob, nowhere(key, "key"), "The key %s has a [ in its host, which is no wildcard here: the kubelet drops the entry.", quoted(key))
	case strings.ContainsAny(host[strings.LastIndexByte(host, ':')+1:], "*?") && strings.Contains(host, ":"):
		c.add(KeyGlob, nowhere(key, "key"), "The key %s has a wildcard in its port: the kubelet drops the entry.", quoted(key))
	case strings.TrimSpace(key) != key:
		c.add(KeyUnparsable, nowhere(key, "key"), "The key %s begins or ends with a space.", quoted(key)).Fix = "Take the space out."
	default:
		c.add(KeyUnparsable, nowhere(key, "key"), "The key %s is no host that can be parsed.", quoted(key))
	}
}

// parts is about what a key may have and nobody looks at; false says that no
// image uses the entry, and why is said.
func (c *checker) parts(key string, u *url.URL) bool {
	if strings.Contains(u.RawQuery, ".") || strings.Contains(key, "?") && !strings.Contains(bareKey(key), "/") {
		c.add(KeyGlob, nowhere(key, "key"), "The ? in %s is no wildcard: it begins a query, and the host ends before it.", quoted(key))
		return false
	}
	var parts []string
	if u.User != nil {
		parts = append(parts, "a user")
	}
	if u.RawQuery != "" || u.ForceQuery {
		parts = append(parts, "a query")
	}
	if u.Fragment != "" {
		parts = append(parts, "a fragment")
	}
	if len(parts) > 0 {
		f := c.add(KeyIgnoredParts, nowhere(key, "key"), "The key %s has %s, which the kubelet does not look at.", quoted(key), strings.Join(parts, " and "))
		if u.User != nil {
			f.Fix = "Write the host alone. A password in a key is shown by many tools: change it."
		}
	}
	return true
}

// host is about the host; false says that no image uses the entry, and why is
// said.
func (c *checker) host(key string, u *url.URL, path string) bool {
	host, port := u.Hostname(), u.Port()
	switch labels := strings.Split(host, "."); {
	case host == "":
		c.add(KeyNeverMatches, nowhere(key, "key"), "The key %s names no host.", quoted(key))
	case strings.Contains(host, ":") && port == "":
		c.add(KeyIPv6, nowhere(key, "key"), "The key %s is an IPv6 address without a port.", quoted(key))
	case strings.HasSuffix(host, "."):
		c.add(KeyTrailingDot, nowhere(key, "key"), "The host of %s ends with a dot, which images cannot have.", quoted(key))
	case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
		f := c.add(KeyNotASCII, nowhere(key, "key"), "The host of %s has characters that images cannot have.", quoted(key))
		if ascii := toASCII(host); ascii != "" {
			f.Fix = "Write the host as " + ascii + ", as images do."
		}
	case slices.ContainsFunc(labels, func(l string) bool { return strings.ContainsAny(l, "?[]\\{}") }):
		c.add(KeyGlob, nowhere(key, "key"), "The host of %s has a wildcard that does not work.", quoted(key))
	case slices.Contains(labels, ""):
		c.add(KeyNeverMatches, nowhere(key, "key"), "The host of %s has an empty label.", quoted(key))
	case len(labels) == 1 && port == "" && host != "localhost":
		f := c.add(KeySingleLabel, nowhere(key, "key"), "The host of %s is one label: an image %s/app is docker.io/%s/app.", quoted(key), host, host)
		if strings.Contains(host, "*") {
			f.Rule, f.Message = KeyGlob, "The host of "+quoted(key)+" is one label: a * stands for one label, not for any host."
			f.Fix = "Write each host, or *.example.com for all hosts right below one."
		}
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		c.add(KeyNeverMatches, nowhere(key, "key"), "The key %s ends its host with a colon, and names no port.", quoted(key))
	default:
		return c.hub(key, host, path) && c.spelling(key, host, port)
	}
	return false
}

// hub is about Docker Hub, whose images are looked up as docker.io and then,
// if nothing matched, as index.docker.io alone.
func (c *checker) hub(key, host, path string) bool {
	switch {
	case !slices.Contains(hubHosts, strings.ToLower(host)) || host == "docker.io":
		return true
	case host == "index.docker.io" && (path == "/v1" || path == "/v2"):
		c.add(KeyHub, nowhere(key, "key"), "The key %s lacks its final slash: the kubelet takes %s for a repository.", quoted(key), path)
	case host == "index.docker.io" && path != "":
		f := c.add(KeyHub, nowhere(key, "key"), "The key %s has a path, and index.docker.io is looked up without one only.", quoted(key))
		f.Fix = "Write docker.io" + path + ", or https://index.docker.io/v1/ for all of Docker Hub."
	case host == "index.docker.io":
		return true
	case host == "registry-1.docker.io" || host == "registry.hub.docker.com":
		c.add(KeyHub, nowhere(key, "key"), "The key %s is used by images that are written with %s only; images of Docker Hub are looked up as docker.io.", quoted(key), host)
	default:
		c.add(KeyHub, nowhere(key, "key"), "The key %s is none that images of Docker Hub are looked up by.", quoted(key))
	}
	return false
}

// spelling is about hosts that match, if images are written so.
func (c *checker) spelling(key, host, port string) bool {
	if lower := strings.ToLower(host); lower != host {
		c.add(KeyUpperCase, nowhere(key, "key"), "The host of %s has upper case letters.", quoted(key)).Fix = "Write " + Quote(lower) + "."
	}
	if !hostGrammar.MatchString(host) {
		c.add(KeyNeverMatches, nowhere(key, "key"), "The host of %s has characters that images cannot have.", quoted(key))
		return false
	}
	if port == "443" || port == "80" {
		c.add(KeyDefaultPort, nowhere(key, "key"), "The key %s names the port %s, and only images that do, too, use it.", quoted(key), port)
	}
	return true
}

// hostGrammar is what the host of an image may be, with wildcards.
var hostGrammar = regexp.MustCompile(`^([A-Za-z0-9*]([A-Za-z0-9*_-]*[A-Za-z0-9*])?(\.[A-Za-z0-9*]([A-Za-z0-9*_-]*[A-Za-z0-9*])?)*|[0-9a-fA-F:]+)$`)

// path is about the path: a beginning of repositories' names, byte by byte.
func (c *checker) path(key string, u *url.URL, path string) {
	name := strings.Trim(path, "/")
	host := u.Host
	switch {
	case path == "":
	case path == "/v1" || path == "/v2":
		c.add(KeyAPIPath, nowhere(key, "key"), "The key %s lacks its final slash: the kubelet takes %s for a part of the repository's name.", quoted(key), path).Fix = "Write " + host + "."
	case strings.Contains(name, "@") || strings.Contains(name, ":"):
		c.add(KeyTag, nowhere(key, "key"), "The key %s has a tag or a digest.", quoted(key)).Fix = "Write " + host + "/" + cutTag(name) + "."
	case strings.ContainsAny(name, "*?[]"):
		c.add(KeyGlob, nowhere(key, "key"), "The path of %s has a wildcard, and paths have none.", quoted(key)).Fix = "Write the path up to the wildcard: it is a beginning of names."
	case strings.ToLower(name) != name:
		c.add(KeyNeverMatches, nowhere(key, "key"), "The path of %s has upper case letters, which repositories cannot have.", quoted(key))
	case name == "" || strings.Contains(name, "//") || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "//") || !pathGrammar.MatchString(name):
		c.add(KeyNeverMatches, nowhere(key, "key"), "The path of %s can begin no repository's name.", quoted(key))
	case strings.HasSuffix(path, "/") && strings.Contains(name, "/"):
		c.add(KeyTrailingPath, nowhere(key, "key"), "The key %s is for what lies below %s/%s, and not for that repository itself.", quoted(key), host, name)
	case !strings.HasSuffix(path, "/"):
		c.add(KeyPathPrefix, nowhere(key, "key"), "The key %s is for %s/%s, and for every repository whose name goes on in any way, such as %s/%sx.", quoted(key), host, name, host, name)
	}
}

var pathGrammar = regexp.MustCompile(`^[a-z0-9]+[a-z0-9._/-]*$`)

// cutTag takes tag and digest off.
func cutTag(name string) string {
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// duplicateKeys is about keys that mean the same, or hide each other.
func (c *checker) duplicateKeys() {
	by := map[string][]entry{}
	for _, e := range c.doc.entries {
		if n := normal(e.key); n != "" && !e.lost {
			by[n] = append(by[n], e)
		}
	}
	for _, n := range sortedKeys(by) {
		if same := by[n]; len(same) > 1 {
			c.duplicateKey(n, same)
		}
	}
	c.hidden(by)
}

func (c *checker) duplicateKey(n string, same []entry) {
	keys := make([]string, len(same))
	alike := true
	for i, e := range same {
		keys[i] = quoted(e.key)
		alike = alike && sameLogin(e, same[0])
	}
	f := c.add(KeyDuplicate, nowhere(same[0].key, "key"), "The keys %s all mean %s to the kubelet.", strings.Join(keys, " and "), n)
	if alike {
		f.Severity, f.Effect = Notice, "They hold the same credential, which is tried several times."
	}
}

func sameLogin(a, b entry) bool {
	ua, pa, _, errA := a.login()
	ub, pb, _, errB := b.login()
	return errA == nil && errB == nil && ua == ub && pa == pb
}

// hidden finds an entry of index.docker.io beside one of docker.io.
func (c *checker) hidden(by map[string][]entry) {
	index := by["index.docker.io"]
	if len(index) == 0 {
		return
	}
	for _, n := range sortedKeys(by) {
		if host, path, _ := strings.Cut(n, "/"); host == "docker.io" && !sameLogin(by[n][0], index[0]) {
			what := "all images of Docker Hub"
			if path != "" {
				what = "images that begin with " + n
			}
			c.add(KeyHubHidden, nowhere(index[0].key, "key"), "For %s, the entry %s is tried and %s is not.", what, quoted(by[n][0].key), quoted(index[0].key))
		}
	}
}
