package probe_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/probe"
)

// to answers with a redirect.
func to(location string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// on answers requests that hold a text in their path.
func on(path string, h func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, path) {
			h(w, r)
			return true
		}
		return false
	}
}

// TestRealms: a token endpoint elsewhere is how the protocol works; one that
// would show the password to the wire, or pretends to be another, gets
// nothing.
func TestRealms(t *testing.T) {
	t.Parallel()
	for realm, want := range map[string]struct {
		outcome diagnosis.Outcome
		says    string
	}{
		"https://auth.test/token":                 {diagnosis.Pulls, ""},
		"https://auth.test/token?account=x#frag":  {diagnosis.Pulls, ""},
		"http://auth.test/token":                  {diagnosis.Withheld, "is plain HTTP"},
		"http://localhost/token":                  {diagnosis.Withheld, "is plain HTTP"},
		"http://registry.test/token":              {diagnosis.Withheld, "is plain HTTP"},
		"https://registry.test@auth.test/token":   {diagnosis.Withheld, "holds a user name"},
		"https://registry.test:p@auth.test/token": {diagnosis.Withheld, "holds a user name"},
		"ftp://auth.test/token":                   {diagnosis.Withheld, "is not the URL of a server"},
		"file:///etc/passwd":                      {diagnosis.Withheld, "is not the URL of a server"},
		"/token":                                  {diagnosis.Withheld, "is not the URL of a server"},
		"//auth.test/token":                       {diagnosis.Withheld, "is not the URL of a server"},
		"https:///token":                          {diagnosis.Withheld, "is not the URL of a server"},
		"https://auth.test:99999999/%zz":          {diagnosis.Withheld, "is not the URL of a server"},
	} {
		w := newWorld(t)
		g := tiny()
		g.realm = realm
		w.serve("registry.test", g.serve)
		w.serve("auth.test", g.serve)
		w.plain("auth.test:80", g.serve)
		w.plain("localhost:80", g.serve)
		w.plain("registry.test:80", g.serve)
		at := w.ask("v1", good).Attempts[0]
		x := at.Exchanges[0]
		if at.Outcome != want.outcome || !strings.HasSuffix(x.Error, want.says) || want.says != "" && (x.Status != 0 || !strings.HasPrefix(x.Error, "not sent: ")) {
			t.Errorf("%s: %s %+v", realm, at.Outcome, x)
		}
		if want.says != "" {
			w.secretless("auth.test", false)
			w.secretless("localhost", false)
			for _, s := range w.all() {
				if s.authorization != "" {
					t.Errorf("%s: %+v", realm, s)
				}
			}
		}
	}
}

// TestRedirectedTokenRequest: the password stays with the realm; a redirect is
// followed without it, to a subdomain, another port and back, too.
func TestRedirectedTokenRequest(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"evil.test", "sub.registry.test", "registry.test:8443"} {
		w := newWorld(t)
		g := tiny()
		g.first = on("/token", to("https://"+host+"/gather"))
		w.serve("registry.test", g.serve)
		back := func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/gather" {
				to("https://registry.test/back")(rw, r)
			}
		}
		w.serve(strings.TrimSuffix(host, ":8443"), back)
		if strings.Contains(host, ":") {
			w.at[host] = w.at["registry.test:443"]
			w.serve("registry.test", g.serve)
		}
		g.first = on("/token", to("https://"+host+"/gather"))
		a := w.ask("v1", good)
		if a.Attempts[0].Outcome == diagnosis.Pulls {
			t.Errorf("%s: it pulls", host)
		}
		w.secretless(host, true)
		for _, s := range w.all() {
			if s.path == "/back" && s.authorization != "" {
				t.Errorf("the way back restored the credential: %+v", s)
			}
		}
	}
}

// TestRedirectedManifest: neither token nor password follows.
func TestRedirectedManifest(t *testing.T) {
	t.Parallel()
	for _, basic := range []bool{false, true} {
		w := newWorld(t)
		g := tiny()
		g.basic = basic
		g.first = on("/manifests/", to("https://sub.registry.test/gather"))
		w.serve("registry.test", g.serve)
		w.serve("sub.registry.test", func(rw http.ResponseWriter, _ *http.Request) {
			// It would like to be given the password, too.
			rw.Header().Set("WWW-Authenticate", `Bearer realm="https://sub.registry.test/token",scope="repository:evil:pull"`)
			rw.WriteHeader(401)
		})
		if a := w.ask("v1", good); a.Attempts[0].Outcome != diagnosis.Unauthorized {
			t.Errorf("%+v", a.Attempts[0])
		}
		w.secretless("sub.registry.test", true)
		for _, r := range w.requests("sub.registry.test") {
			if strings.Contains(r, "/token") {
				t.Errorf("its challenge was answered: %s", r)
			}
		}
	}
}

// TestRedirectedPing: a challenge that comes from elsewhere draws nothing
// (CVE-2020-15157 was of this kind).
func TestRedirectedPing(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{`Bearer realm="https://evil.test/token"`, `Basic realm="x"`} {
		w := newWorld(t)
		w.serve("registry.test", func(rw http.ResponseWriter, r *http.Request) { to("https://evil.test"+r.URL.Path)(rw, r) })
		w.serve("evil.test", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", challenge)
			rw.WriteHeader(401)
		})
		if a := w.ask("v1", good); a.Attempts[0].Outcome != diagnosis.Unauthorized {
			t.Errorf("%+v", a.Attempts[0])
		}
		w.secretless("evil.test", true)
		w.secretless("registry.test", true)
	}
}

// TestRedirectsThatAreRefused: to plain HTTP, in a circle, to no server.
func TestRedirectsThatAreRefused(t *testing.T) {
	t.Parallel()
	for location, says := range map[string]string{
		"http://registry.test/x":             "is plain HTTP",
		"http://127.0.0.1/latest/meta-data/": "is plain HTTP",
		"https://user:pw@registry.test/x":    "holds a user name",
		"gopher://registry.test/x":           "is not the URL of a server",
		"":                                   "redirects to nowhere",
		"https://%zz/":                       "redirects to nowhere",
		"/v2/acme/web/manifests/v1":          "redirects on and on",
	} {
		w := newWorld(t)
		g := tiny()
		g.public = true
		g.first = on("/manifests/", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Location"] = []string{location}
			rw.WriteHeader(302)
		})
		w.serve("registry.test", g.serve)
		w.plain("registry.test:80", g.serve)
		w.plain("127.0.0.1:80", g.serve)
		a := w.ask("v1", good)
		at := a.Attempts[0]
		if at.Outcome != diagnosis.ServerError || !strings.HasSuffix(last(at).Error, says) || len(at.Exchanges) > 5 {
			t.Errorf("%q: %s %q", location, at.Outcome, steps(at))
		}
		w.secretless("127.0.0.1", false)
		if strings.Contains(fmt.Sprint(a), "pw@") {
			t.Errorf("%q shows what a URL holds", location)
		}
	}
}

// TestBlobStore: a config may lie in a store, which gets no credential; the
// signature of its URL is not shown.
func TestBlobStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	m, config := single(diagnosis.Platform{OS: "linux", Architecture: "amd64"})
	g.manifests["one"] = m
	g.first = on("/blobs/", to("https://store.test/bucket/key?X-Signature=sesame"))
	w.serve("registry.test", g.serve)
	w.serve("store.test", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("X-Signature") == "sesame" {
			_, _ = rw.Write(config)
		}
	})
	a := w.ask("one", good)
	if at := a.Attempts[0]; at.Outcome != diagnosis.Pulls || len(at.Platforms) != 1 || last(at).URL != "https://store.test/bucket/key" {
		t.Errorf("%+v", at)
	}
	w.secretless("store.test", true)
	if strings.Contains(fmt.Sprint(a), "sesame") {
		t.Error("the signature is shown")
	}
}

// TestEchoedSecrets: a registry that repeats what it was sent, in every place
// that is shown, does not get it shown (check, in ask).
func TestEchoedSecrets(t *testing.T) {
	t.Parallel()
	for _, basic := range []bool{false, true} {
		w := newWorld(t)
		g := tiny()
		g.basic = basic
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			_, p, _ := r.BasicAuth()
			authorization := r.Header.Get("Authorization")
			echo := strings.Join([]string{
				authorization, p, url.QueryEscape(p), url.PathEscape(p), basicOf(good), password, "hunt\x00er", strings.ToUpper("x"),
			}, " ")
			rw.Header().Set("Server", strings.ReplaceAll(echo, "\x00", ""))
			rw.Header().Set("Warning", `299 - "`+strings.ReplaceAll(echo, "\x00", "")+`"`)
			if authorization == "" || r.URL.Path == "/token" && !strings.HasPrefix(authorization, "Basic") {
				return false
			}
			if r.URL.Path == "/token" && r.URL.Query().Get("scope") != "" {
				fmt.Fprintf(rw, `{"token":"tok-%s","scope":%q}`, user, password)
				return true
			}
			rw.Header().Set("WWW-Authenticate", `Bearer realm="https://registry.test/token?`+url.QueryEscape(password)+`",error="`+strings.ReplaceAll(echo, "\x00", "")+`"`)
			fail(rw, 403, password, echo)
			return true
		}
		w.serve("registry.test", g.serve)
		a := w.ask("v1", good)
		if at := a.Attempts[0]; at.Outcome != diagnosis.Forbidden || !strings.Contains(last(at).Code, "***") {
			t.Errorf("%+v", at)
		}
		if !strings.Contains(a.Server, "***") {
			t.Errorf("the server's name: %q", a.Server)
		}
	}
}

// TestTerminal: nothing that a registry says moves a cursor, colours a screen
// or turns text around (check, in ask).
func TestTerminal(t *testing.T) {
	t.Parallel()
	const nasty = "\x1b[2J\x1b]0;owned\x07 a\rb\u202egnp.exe\u200b \u009b31m \xff"
	w := newWorld(t)
	g := tiny()
	g.public = true
	g.tags = []string{`v1\u001b[31m`, "v3", "../../x", ""}
	g.first = on("/manifests/", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.ReplaceAll(nasty, "\r", "")+`"`)
		rw.Header().Set("Warning", "299 - \"\x1b[31m\u202e\"")
		rw.WriteHeader(404)
		fmt.Fprint(rw, nasty+strings.Repeat("x", 5000))
	})
	w.serve("registry.test", g.serve)
	a := w.ask("v1", probe.Credential{Username: "a\x1b[31m", Password: "whatever-it-is"})
	x := a.Anonymous.Exchanges[2]
	if !strings.Contains(x.Message, "owned") || len(x.Message) > 1100 || len(a.Tags) != 1 || a.Tags[0] != "v3" {
		t.Errorf("%q %q", x.Message, a.Tags)
	}
}

// TestEndlessBody, in every place where a body is read.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	endless := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Docker-Content-Digest", multi.digest())
		if r.Method == http.MethodHead {
			return
		}
		for r.Context().Err() == nil {
			if _, err := rw.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
				return
			}
		}
	}
	for _, path := range []string{"/v2/", "/token", "/manifests/v1", "/blobs/"} {
		w := newWorld(t)
		g := tiny()
		m, _ := single(diagnosis.Platform{})
		g.manifests["one"] = m
		ref := "v1"
		if path == "/blobs/" {
			ref = "one"
		}
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, path) || path == "/blobs/" && strings.Contains(r.URL.Path, path) {
				endless(rw, r)
				return true
			}
			return false
		}
		w.serve("registry.test", g.serve)
		begun := time.Now()
		a := w.ask(ref, good)
		got := a.Attempts[0].Outcome
		if got == diagnosis.Skipped {
			got = a.Anonymous.Outcome
		}
		if took := time.Since(begun); got != diagnosis.ServerError || took > 9*time.Second {
			t.Errorf("%s: %s after %s", path, got, took)
		}
	}
}

// TestBombs: nothing is unpacked, and deep or long JSON ends at its limit.
func TestBombs(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	zeros := make([]byte, 1<<20)
	for range 8 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"gzip": zipped.String(),
		"deep": strings.Repeat(`{"a":`, 600_000),
		"wide": `{"schemaVersion":2,"manifests":[` + strings.Repeat(`{"platform":{"os":"linux","architecture":"amd64"}},`, 70_000) + `{}]}`,
	} {
		w := newWorld(t)
		g := tiny()
		g.public = true
		g.manifests["v1"] = content{"application/json", body}
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("it asks for %q", r.Header.Get("Accept-Encoding"))
			}
			if name == "gzip" {
				rw.Header().Set("Content-Encoding", "gzip")
			}
			return false
		}
		w.serve("registry.test", g.serve)
		a := w.ask("v1").Anonymous
		if name == "wide" {
			if a.Outcome != diagnosis.Pulls || len(a.Platforms) != 100 {
				t.Errorf("%s: %s, %d platforms", name, a.Outcome, len(a.Platforms))
			}
			continue
		}
		if a.Outcome != diagnosis.ServerError {
			t.Errorf("%s: %s", name, a.Outcome)
		}
	}
}

// TestManyChallenges that fit: a handful is looked at, and none of those that
// cannot be read draws anything.
func TestManyChallenges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve("registry.test", challenges(10_000))
	a := w.ask("v1", good)
	if a.Anonymous.Outcome != diagnosis.ServerError || a.Attempts[0].Outcome != diagnosis.Skipped {
		t.Errorf("more than fit: %+v", a)
	}
	w = newWorld(t)
	w.serve("registry.test", challenges(500))
	a = w.ask("v1", good)
	if at := a.Attempts[0]; len(at.Exchanges) > 4 || at.Outcome == diagnosis.Pulls {
		t.Errorf("%q", steps(at))
	}
	for _, malformed := range []string{"Bearer", `Bearer realm="x`, "Bearer scope=x", `Bearer realm="https://a.test/t",realm="https://b.test/t"`} {
		w := newWorld(t)
		w.serve("registry.test", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", malformed)
			rw.WriteHeader(401)
		})
		if at := w.ask("v1", good).Attempts[0]; at.Outcome != diagnosis.ServerError || !strings.Contains(last(at).Error, "challenge cannot be read") {
			t.Errorf("%q: %+v", malformed, at)
		}
		w.secretless("registry.test", true)
	}
	w2 := newWorld(t)
	w2.serve("registry.test", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", "Negotiate")
		rw.WriteHeader(401)
	})
	if at := w2.ask("v1", good).Attempts[0]; at.Outcome != diagnosis.Unauthorized {
		t.Errorf("%+v", at)
	}
	w2.secretless("registry.test", true)
}
