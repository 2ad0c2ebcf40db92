package keyring_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"fairlead.dev/fairlead/keyring"
)

// generator makes cases: an image, and sources whose keys are near it often
// enough that many match, and broken often enough that many do not parse.
type generator struct{ *rand.Rand }

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

var (
	hosts = []string{
		"", "", "docker.io", "index.docker.io", "registry-1.docker.io", "reg.io", "reg.io", "Reg.io", "a.reg.io", "b.a.reg.io",
		"localhost", "quay.io", "127.0.0.1", "[::1]", "[fe80::1]", "[1:2]", "HOST", "a_b.c", "xn--80ak6aa92e.com", "reg.io.", "team",
	}
	ports = []string{"", "", "", ":5000", ":5000", ":443", ":0"}
	paths = []string{"nginx", "library/nginx", "team", "team/app", "team/app", "team/application", "team/app/api", "te", "team-b/app", "v1/team", "a__b/c.d"}
	tags  = []string{"", "", ":v1", ":latest", "@sha256:" + strings.Repeat("0a", 32), ":v1@sha256:" + strings.Repeat("0a", 32)}
	ill   = []string{
		"", "UPPER/App", "reg.io/Team/app", "https://reg.io/team", "reg.io/team/app:", "reg.io//team", "reg.io/team/", "/team", "te am", "reg.io./team",
		strings.Repeat("ab", 32), strings.Repeat("AB", 32), "reg.io/" + strings.Repeat("a", 256), "app@sha256:ab", "app@sha256:" + strings.Repeat("0A", 32),
		"app@md5:" + strings.Repeat("0a", 16), "app:t@SHA256:" + strings.Repeat("0a", 32), "app@sha512:" + strings.Repeat("0a", 32),
		"app@sha512:" + strings.Repeat("0a", 64), "app:" + strings.Repeat("t", 129), "reg.io:x/team", "reg.io:/team", "a..b/c", "-reg.io/team",
		"[::1/app", "[::1]:5000:6/app", "nginx:v1:v2", "é/app", "reg.io/é", "a_b:80/c", "localhost", "localhost:5000", "app@sha256", "İ/app", "tag:UPPER",
	}
)

func (g generator) image() string {
	if g.chance(4) {
		return pick(g, ill...)
	}
	host := pick(g, hosts...)
	if host == "" {
		return pick(g, paths...) + pick(g, tags...)
	}
	return host + pick(g, ports...) + "/" + pick(g, paths...) + pick(g, tags...)
}

// key is one for the repository, mostly: all of it, a part of it, and then
// perhaps changed.
func (g generator) key(repository string) string {
	domain, path, _ := strings.Cut(repository, "/")
	switch {
	case (domain == "docker.io" || !strings.ContainsAny(domain, ".:")) && g.chance(40):
		domain, path = "index.docker.io", ""
	case g.chance(30):
		domain, path = pick(g, hosts...)+pick(g, ports...), pick(g, paths...)
	case g.chance(3):
		return pick(g, "", "/", "//", "https://", "*", "*.*", "%", "reg.io:x", "reg.io:*", "[", "[::1", "re\\g.io", "a b", "\x00", "\x7f", "reg.io:5000:6", "é.io", "://", "index.docker.io/v1", "[fe80::1%2525a.b]")
	}
	if labels := strings.Split(domain, "."); g.chance(20) {
		labels[g.IntN(len(labels))] = pick(g, "*", "*", "*", "r*", "*g", "?eg", "[r]eg", "re*", "\\reg", "", "REG")
		if g.chance(20) {
			labels = append([]string{"*"}, labels...)
		}
		domain = strings.Join(labels, ".")
	}
	switch g.IntN(8) {
	case 0, 1, 2:
		path = ""
	case 3:
		path = path[:g.IntN(len(path)+1)]
	case 4:
		path = strings.ToUpper(path)
	case 5:
		path += pick(g, "/", "*", "/*", "lication", "%3Fx", "%3f", "%2a", "%zz", "?q=1", "#f", "%25zz")
	}
	if path != "" || g.chance(20) {
		path = "/" + path
	}
	if g.chance(15) {
		path = pick(g, "/v1/", "/v2/", "/v1", "/v2", "/v1/v2/", "/v3/", "/v1"+path, "/v2"+path)
	}
	return pick(g, "", "", "", "", "https://", "https://", "http://", "HTTPS://", "oci://", "user@", "https://u:p@") + domain + path
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// source is a secret or a node's file. broken says that the kubelet should
// not be able to read it; it is a wish, the tests count what comes out.
func (g generator) source(number int, repository string, broken bool) keyring.Source {
	legacy := g.chance(20)
	var text string
	switch {
	case broken && g.chance(30):
		text = pick(g, "", "{", "x", "[]", `"x"`, "3", "true", `{"auths":"x"}`, `{"auths":[]}`, `{"auths":3}`, `{"HttpHeaders":"x"}`,
			`{"HttpHeaders":{"a":1}}`, "{\"auths\":{}}x", "\xef\xbb\xbf{}", "\x00\x01\xff", `{"auths":{"a":{"auth":"YTo="}},`, strings.Repeat("[", 10001),
			`{"HttpHeaders":[],"auths":{"a":{"auth":"!"}}}`, `{"auths":{"a":{"auth":"!"}},"HttpHeaders":1}`, `{"auths":1,"Auths":{"a":{"auth":"*"}}}`)
	default:
		text = g.entries(repository, broken)
		if !legacy {
			text = g.document(text)
		}
	}
	s := keyring.Source{Name: fmt.Sprintf("s%d", number), Type: keyring.TypeDockerConfigJSON, Node: g.chance(12)}
	key := keyring.KeyDockerConfigJSON
	if legacy {
		s.Type, key = keyring.TypeDockercfg, keyring.KeyDockercfg
	}
	switch g.IntN(40) {
	case 0:
		s.Type = pick(g, "", "Opaque", "kubernetes.io/dockerconfig", keyring.TypeDockercfg, keyring.TypeDockerConfigJSON)
	case 1:
		key = pick(g, "", "config.json", keyring.KeyDockercfg, keyring.KeyDockerConfigJSON)
	}
	s.Data = map[string][]byte{key: []byte(text)}
	return s
}

// document wraps entries into a config.json.
func (g generator) document(entries string) string {
	members := []string{pick(g, `"auths"`, `"auths"`, `"auths"`, `"auths"`, `"Auths"`, `"AUTHS"`, `"auth\u017f"`) + ":" + entries}
	for g.chance(15) {
		members = append(members, pick(g, `"credsStore":"pass"`, `"HttpHeaders":{"User-Agent":"x"}`, `"httpheaders":null`, `"auths":{}`, `"auths":null`,
			`"auths":{"reg.io":{"username":"second","password":"p"}}`, `"x":[1,{"auths":{}}]`, `"credHelpers":{"reg.io":"x"}`))
	}
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, pick(g, ",", ",\n\t ")) + "}"
}

func (g generator) entries(repository string, broken bool) string {
	if g.chance(2) {
		return "null"
	}
	n := 1 + g.IntN(4)
	bad := g.IntN(n)
	keys := make([]string, n)
	members := make([]string, n)
	for i := range members {
		keys[i] = g.key(repository)
		if i > 0 && g.chance(10) { // alike, or the same
			keys[i] = pick(g, "", "https://", "http://") + keys[i-1] + pick(g, "", "/")
		}
		members[i] = quote(keys[i]) + ":" + g.entry(broken && i == bad)
		if broken && g.chance(20) {
			bad = i + 1 // another one
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g generator) entry(broken bool) string {
	user, password := pick(g, "u", "user", "robot$x", "é", "", "<token>"), pick(g, "p", "pass:word", "p\n", "", "q\x00")
	if broken {
		return pick(g, `"x"`, "3", "[]", "true", `{"username":3}`, `{"password":[]}`, `{"email":{}}`, `{"auth":true}`, `{"auth":1.5}`,
			`{"auth":"!"}`, `{"auth":"dTpw="}`, `{"auth":"dTp"}`, `{"auth":"dTpwcA"}x`, `{"auth":"dTp wcA=="}`, `{"auth":"dTpwcA== "}`, `{"auth":"dTpw-_"}`, `{"auth":"dXNlcg=="}`,
			`{"auth":"dXNlcg"}`, `{"auth":"="}`, `{"auth":"\n"}`, `{"username":3,"auth":"!"}`, `{"auth":"dTpw\t"}`, `{"auth":"d\u0000"}`)
	}
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	switch g.IntN(6) {
	case 0:
		auth = strings.TrimRight(auth, "=")
	case 1:
		auth = auth[:len(auth)/2] + pick(g, "\n", "\r\n") + auth[len(auth)/2:]
	case 2:
		auth += pick(g, "\n", "\r\n\n")
	}
	name := pick(g, "auth", "auth", "Auth", "AUTH")
	switch g.IntN(10) {
	case 0, 1:
		return fmt.Sprintf(`{"username":%s,"password":%s}`, quote(user), quote(password))
	case 2:
		return fmt.Sprintf(`{"USERNAME":%s,"password":%s,"email":"e","auth":""}`, quote(user), quote(password))
	case 3:
		return fmt.Sprintf(`{"username":"other","password":"other","email":null,%q:%s}`, name, quote(auth))
	case 4:
		return pick(g, "{}", "null", `{"identitytoken":"t"}`, `{"auth":null}`, `{"registrytoken":{}}`)
	case 5:
		return fmt.Sprintf(`{"auth":"dDp0",%q:%s,"x":[]}`, name, quote(auth))
	}
	return fmt.Sprintf(`{%q:%s}`, name, quote(auth))
}
