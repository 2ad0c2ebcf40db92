package probe

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"fairlead.dev/fairlead/internal/diagnosis"
)

func one(text string) diagnosis.Platform {
	p := strings.Split(text+"//", "/")
	return diagnosis.Platform{OS: p[0], Architecture: p[1], Variant: p[2]}
}

// TestRuns: containerd's rules of platforms.
func TestRuns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		node, image string
		want        bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/amd64/v1", true},
		{"linux/amd64", "linux/amd64/v2", false},
		{"linux/amd64/v3", "linux/amd64/v2", true},
		{"linux/amd64", "linux/386", true},
		{"linux/386", "linux/amd64", false},
		{"linux/amd64", "linux/x86_64", true},
		{"linux/amd64", "windows/amd64", false},
		{"linux/amd64", "linux/arm64", false},
		{"linux/arm64", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/aarch64", true},
		{"linux/arm64", "linux/arm64/v8.1", false},
		{"linux/arm64", "linux/arm64/v9", false},
		{"linux/arm64/v9", "linux/arm64/v8.5", true},
		{"linux/arm64/v9", "linux/arm64/v8.6", false},
		{"linux/arm64/v9.1", "linux/arm64/v8.6", true},
		{"linux/arm64", "linux/arm/v7", true},
		{"linux/arm64", "linux/arm/v5", true},
		{"linux/arm", "linux/arm64", false},
		{"linux/arm", "linux/arm/v7", true},
		{"linux/arm/v7", "linux/arm/v6", true},
		{"linux/arm/v7", "linux/arm/v5", true},
		{"linux/arm/v6", "linux/arm/v7", false},
		{"linux/arm/v6", "linux/arm/6", true},
		{"linux/arm/v6", "linux/armel", true},
		{"linux/s390x", "linux/s390x", true},
		{"linux/s390x", "linux/s390x/z", false},
		{"linux/arm/v7", "linux/arm/vx", false},
		{"", "plan9/mips", true},
		{"Linux/AMD64", "linux/amd64", true},
	} {
		if got := runs(one(c.node), []diagnosis.Platform{one("plan9/none"), one(c.image)}); got != c.want {
			t.Errorf("%s on %s: %t", c.image, c.node, got)
		}
	}
}

// TestClean: whatever is in the way of a secret, it is not shown.
func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ password, text string }{
		{"line\nbreak-secret", "it was line\nbreak-secret, or line break-secret, or line\\nbreak-secret"},
		{"pass-word", "pass-word" + strings.Repeat("x", 2000)},
		{"tail-word", strings.Repeat("x", mostText-4) + "tail-word"},
		{"abcd", "xabcdx abcdefgh"},
		{"abcdefgh", "abcdefgh"},
	} {
		var s secrets
		s.credential(Credential{"u", "abcd"})
		s.credential(Credential{"u", c.password})
		a := diagnosis.Answer{Server: c.text, Attempts: []diagnosis.Attempt{{Exchanges: []diagnosis.Exchange{{Message: c.text}}}}}
		s.clean(&a)
		for _, got := range []string{a.Server, a.Attempts[0].Exchanges[0].Message} {
			for _, bad := range []string{c.password, c.password[len(c.password)-4:], "\n", c.password[:4]} {
				if strings.Contains(got, bad) {
					t.Errorf("%q shows %q", got, bad)
				}
			}
		}
	}
}

// FuzzClean: what is shown is text without control characters, of a bounded
// length and without the secret.
func FuzzClean(f *testing.F) {
	f.Add("hunter2", "it is hunter2\x1b[31m")
	f.Add("a\u202eb-c", "a\u202eb-c \ufffd")
	f.Fuzz(func(t *testing.T, password, text string) {
		var s secrets
		s.credential(Credential{"u", password})
		a := diagnosis.Answer{Server: text}
		s.clean(&a)
		if !utf8.ValidString(a.Server) || len(a.Server) > mostText+len("…") || strings.ContainsAny(a.Server, "\x1b\x00\r\n\u202e") {
			t.Errorf("%q", a.Server)
		}
		if len(password) >= shortest && strings.Contains(a.Server, password) && !strings.Contains(password, "*") {
			t.Errorf("%q shows %q", a.Server, password)
		}
	})
}

// FuzzChallenge: no header draws a credential to where it must not go, and
// none breaks the reading.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://a/token",service="s",scope="x"`, "Basic realm=x")
	f.Add(`Bearer realm="http://a/token"`, "")
	f.Fuzz(func(t *testing.T, first, second string) {
		r := reply{status: http.StatusUnauthorized, home: true, header: http.Header{"Www-Authenticate": {first, second}}}
		c := challengeIn(r)
		if c.scheme == bearer && c.bearer.Realm == "" || c.scheme != bearer && c.bearer.Realm != "" {
			t.Errorf("%+v", c)
		}
		r.home = false
		if got := challengeIn(r); got.scheme != noScheme {
			t.Errorf("another host's challenge counts: %+v", got)
		}
	})
}

// FuzzReaders: tokens, errors, manifests and lists of strangers.
func FuzzReaders(f *testing.F) {
	for _, s := range []string{
		`{"token":"e30.eyJhY2Nlc3MiOltdfQ.x"}`, `{"errors":[{"code":"X","message":"y"}]}`, `{"details":"x"}`,
		`{"schemaVersion":2,"manifests":[{"platform":{"os":"linux"}}]}`, `{"schemaVersion":2,"config":{"digest":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if value, _ := readToken(body); strings.ContainsAny(value, " \r\n\x00") {
			t.Errorf("%q cannot stand in a header", value)
		}
		r := reply{body: body, header: http.Header{}}
		words(r)
		if m, why := read(r); why == "" && !m.list && m.config == "" {
			t.Errorf("%q is read as %+v", body, m)
		}
		nearest("v1", strings.Fields(string(body)))
	})
}
