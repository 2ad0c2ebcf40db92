package probe_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
)

const tokenURL = "https://registry.test/token?scope=repository%3Aacme%2Fweb%3Apull&service=a+registry"

// TestAsk: every credential is tried, whatever becomes of the others; the
// attempts stand in the order of the credentials; nothing secret goes with the
// anonymous one.
func TestAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve("registry.test", tiny().serve)
	a := w.ask("v1", probe.Credential{Username: user, Password: "stale-password"}, good, probe.Credential{})
	want := []diagnosis.Outcome{diagnosis.Unauthorized, diagnosis.Pulls, diagnosis.Forbidden, diagnosis.Forbidden}
	if diff := cmp.Diff(want, outcomes(a)); diff != "" {
		t.Fatal(diff)
	}
	const manifest = "https://registry.test/v2/acme/web/manifests/v1"
	for i, want := range [][]string{
		{"GET " + tokenURL + " 401"},
		{"GET " + tokenURL + " 200", "HEAD " + manifest + " 200", "GET " + manifest + " 200"},
		{"GET " + tokenURL + " 200", "HEAD " + manifest + " 401", "GET " + manifest + " 401"},
	} {
		if diff := cmp.Diff(want, steps(a.Attempts[i])); diff != "" {
			t.Errorf("attempt %d: %s", i, diff)
		}
	}
	if x := last(a.Attempts[0]); x.Code != "UNAUTHORIZED" || x.Message != "incorrect username or password" {
		t.Errorf("the token endpoint's words: %+v", x)
	}
	if x := last(a.Anonymous); x.Code != "UNAUTHORIZED" || x.Message != "authentication required" || !strings.Contains(x.Challenge, `error="insufficient_scope"`) {
		t.Errorf("the registry's words: %+v", x)
	}
	p := a.Attempts[1]
	if string(p.Digest) != multi.digest() || !p.List || p.Index != 1 || p.Username != user {
		t.Errorf("the good attempt: %+v", p)
	}
	if diff := cmp.Diff([]diagnosis.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}, p.Platforms); diff != "" {
		t.Error(diff)
	}
	if a.Scheme != "https" || a.Ping.Status != 401 || a.Fairlead || a.Anonymous.Index != -1 || a.Ping.Took <= 0 {
		t.Errorf("%+v", a)
	}
}

// TestStaleCredentialOnPublicImage is what the anonymous attempt is for.
func TestStaleCredentialOnPublicImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.public = true
	w.serve("registry.test", g.serve)
	a := w.ask("v1", probe.Credential{Username: user, Password: "stale-password"})
	if diff := cmp.Diff([]diagnosis.Outcome{diagnosis.Unauthorized, diagnosis.Pulls}, outcomes(a)); diff != "" {
		t.Error(diff)
	}
}

// TestBasic: the credential goes with the request itself, once it is asked
// for; half a credential is none.
func TestBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.basic = true
	w.serve("registry.test", g.serve)
	a := w.ask("v1", good, probe.Credential{Username: user, Password: "stale-password"}, probe.Credential{Username: user}, probe.Credential{Password: password})
	want := []diagnosis.Outcome{diagnosis.Pulls, diagnosis.Unauthorized, diagnosis.Unauthorized, diagnosis.Unauthorized, diagnosis.Unauthorized}
	if diff := cmp.Diff(want, outcomes(a)); diff != "" {
		t.Fatal(diff)
	}
	if n := len(a.Attempts[1].Exchanges); n != 1 {
		t.Errorf("a wrong password was sent %d times", n)
	}
	sent := 0
	for _, s := range w.all() {
		if s.authorization != "" {
			sent++
		}
	}
	if sent != 3 { // HEAD and GET with the good one, HEAD with the other
		t.Errorf("%d requests held a credential", sent)
	}
}

// TestManifestChallenges: what the manifest's own 401 asks for is tried once.
func TestManifestChallenges(t *testing.T) {
	t.Parallel()
	const other = "repository:mirror/acme/web:pull"
	for name, never := range map[string]bool{"another scope opens it": false, "nothing opens it": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.serve("registry.test", func(rw http.ResponseWriter, r *http.Request) {
				scope := r.URL.Query().Get("scope")
				switch {
				case r.URL.Path == "/v2/":
					fmt.Fprint(rw, "{}") // asks for nothing
				case r.URL.Path == "/token":
					fmt.Fprintf(rw, `{"token":"tok-%s%s"}`, user, strings.ReplaceAll(scope, "/", "-"))
				case !never && strings.Contains(r.Header.Get("Authorization"), "mirror"):
					tiny().content(rw, r)
				default:
					rw.Header().Add("WWW-Authenticate", `Basic realm="old"`)
					rw.Header().Add("WWW-Authenticate", `Bearer realm="https://registry.test/token",scope="`+other+`"`)
					fail(rw, 401, "UNAUTHORIZED", "no")
				}
			})
			a := w.ask("v1", good)
			want := diagnosis.Pulls
			if never {
				want = diagnosis.Unauthorized
			}
			if got := a.Attempts[0]; got.Outcome != want || !strings.HasPrefix(steps(got)[0], "HEAD ") || !strings.Contains(steps(got)[1], "mirror") {
				t.Errorf("%s: %q", got.Outcome, steps(got))
			}
			if n := len(a.Attempts[0].Exchanges); n != 4 {
				t.Errorf("%d exchanges: %q", n, steps(a.Attempts[0]))
			}
		})
	}
}

// TestHeadSaysTooLittle: GET helps where HEAD is refused or names no digest.
func TestHeadSaysTooLittle(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]func(http.ResponseWriter){
		"405":            func(w http.ResponseWriter) { w.WriteHeader(405) },
		"no digest":      func(http.ResponseWriter) {},
		"a digest of it": func(w http.ResponseWriter) { w.Header().Set("Docker-Content-Digest", "md5:1") },
	} {
		w := newWorld(t)
		g := tiny()
		g.public = true
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				head(rw)
				return true
			}
			return false
		}
		w.serve("registry.test", g.serve)
		if a := w.ask("v1"); a.Anonymous.Outcome != diagnosis.Pulls || string(a.Anonymous.Digest) != multi.digest() {
			t.Errorf("%s: %+v", name, a.Anonymous)
		}
	}
}

// TestPlatforms: lists and single images, against what nodes run.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.public = true
	arm := diagnosis.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	m, config := single(arm)
	g.manifests["arm"] = m
	g.blobs[string(oci.DigestOf(oci.SHA256, config))] = config
	broken, _ := single(diagnosis.Platform{OS: "plan9", Architecture: "mips"})
	g.manifests["broken"] = broken
	g.manifests["chart"] = content{oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, oci.DigestOf(oci.SHA256, []byte(`{"name":"chart"}`)))}
	g.blobs[string(oci.DigestOf(oci.SHA256, []byte(`{"name":"chart"}`)))] = []byte(`{"name":"chart"}`)
	g.manifests["open"] = content{oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"digest":"sha256:aa"}]}`}
	w.serve("registry.test", g.serve)
	for _, c := range []struct {
		ref, node string
		want      diagnosis.Outcome
		list      bool
	}{
		{"v1", "", diagnosis.Pulls, true},
		{"v1", "amd64", diagnosis.Pulls, true},
		{"v1", "arm64", diagnosis.Pulls, true},
		{"v1", "s390x", diagnosis.NoPlatform, true},
		{"arm", "arm", diagnosis.Pulls, false},
		{"arm", "arm64", diagnosis.Pulls, false},
		{"arm", "amd64", diagnosis.NoPlatform, false},
		{"arm", "", diagnosis.Pulls, false},
		{"broken", "amd64", diagnosis.ServerError, false},
		{"chart", "amd64", diagnosis.Pulls, false},
		{"open", "s390x", diagnosis.Pulls, true},
	} {
		var node diagnosis.Platform
		if c.node != "" {
			node = diagnosis.Platform{OS: "linux", Architecture: c.node}
		}
		if a := w.askFor(node, c.ref).Anonymous; a.Outcome != c.want || a.List != c.list {
			t.Errorf("%s on %q: %s, list %t (%q)", c.ref, c.node, a.Outcome, a.List, last(a).Error)
		}
	}
	if a := w.ask("arm").Anonymous; !cmp.Equal(a.Platforms, []diagnosis.Platform{arm}) {
		t.Errorf("%+v", a.Platforms)
	}
	if a := w.ask("broken").Anonymous; last(a).Error != "the image's config is missing" {
		t.Errorf("%+v", last(a))
	}
}

// TestWrongBytes: what a node would refuse to unpack does not count as there.
func TestWrongBytes(t *testing.T) {
	t.Parallel()
	m, config := single(diagnosis.Platform{OS: "linux", Architecture: "amd64"})
	for name, c := range map[string]struct {
		ref, body, says string
	}{
		"other manifest":  {"v1", `{"schemaVersion":2,"manifests":[]}`, "the manifest's bytes have the digest "},
		"HTML":            {"v1", `<html>`, "the manifest's bytes have the digest "},
		"by digest":       {multi.digest(), m.body, "it answers with the digest "},
		"other config":    {"single", "", "the config's bytes do not have its digest"},
		"schema 1":        {"schema1", "", "schema 1"},
		"no manifest":     {"none", "", "the answer is no manifest"},
		"no digest in it": {"odd", "", "the manifest's config has no digest"},
	} {
		w := newWorld(t)
		g := tiny()
		g.public = true
		g.manifests["single"] = m
		g.blobs[string(oci.DigestOf(oci.SHA256, config))] = []byte("other")
		g.manifests["schema1"] = content{"application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`}
		g.manifests["none"] = content{"application/json", `{"schemaVersion":2}`}
		g.manifests["odd"] = content{"application/json", `{"schemaVersion":2,"config":{"digest":"x"}}`}
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			if c.body == "" || !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			d := multi.digest()
			if strings.HasPrefix(c.ref, "sha256:") {
				d = content{body: c.body}.digest()
			}
			rw.Header().Set("Docker-Content-Digest", d)
			fmt.Fprint(rw, c.body)
			return true
		}
		w.serve("registry.test", g.serve)
		if a := w.ask(c.ref).Anonymous; a.Outcome != diagnosis.ServerError || !strings.Contains(last(a).Error, c.says) {
			t.Errorf("%s: %s %q", name, a.Outcome, last(a).Error)
		}
	}
}

// TestNearestTags: a tag that is not there has neighbours; a repository that
// is not there has none.
func TestNearestTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve("registry.test", tiny().serve)
	a := w.ask("v1.1", good)
	if a.Attempts[0].Outcome != diagnosis.NotFound || a.RepositoryUnknown || !cmp.Equal(a.Tags, []string{"v1.0", "v1", "v10", "v2", "main"}) {
		t.Errorf("%s, unknown %t: %q", a.Attempts[0].Outcome, a.RepositoryUnknown, a.Tags)
	}
	if a := w.ask("v1", good); a.Tags != nil {
		t.Errorf("what is there has neighbours: %q", a.Tags)
	}
	i := image(t, "registry.test", "v1")
	i.Repository = "acme/wep"
	a = w.prober().Ask(t.Context(), i, []probe.Credential{good}, diagnosis.Platform{})
	if a.Attempts[0].Outcome != diagnosis.NotFound || !a.RepositoryUnknown || a.Tags != nil {
		t.Errorf("another repository: %s, unknown %t: %q", a.Attempts[0].Outcome, a.RepositoryUnknown, a.Tags)
	}
	gone := "sha256:" + strings.Repeat("0", 64)
	if a := w.ask(gone, good); a.Attempts[0].Outcome != diagnosis.NotFound || a.RepositoryUnknown || a.Tags != nil {
		t.Errorf("a digest: %+v", a)
	}
}

// TestStatuses: what a registry answers is sorted, and its words are kept.
func TestStatuses(t *testing.T) {
	t.Parallel()
	future := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		status int
		header map[string]string
		body   string
		want   diagnosis.Outcome
		wait   time.Duration
		code   string
	}{
		{429, map[string]string{"Retry-After": "17"}, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`, diagnosis.RateLimited, 17 * time.Second, ""},
		{429, map[string]string{"Retry-After": future}, "", diagnosis.RateLimited, 90 * time.Second, ""},
		{429, map[string]string{"Retry-After": "99999999999999999999"}, "", diagnosis.RateLimited, 0, ""},
		{429, map[string]string{"Retry-After": "9223372036854775807"}, "", diagnosis.RateLimited, 24 * time.Hour, ""},
		{429, map[string]string{"Retry-After": "-5"}, "", diagnosis.RateLimited, 0, ""},
		{403, nil, `{"errors":[{"code":"DENIED","message":"quota"}]}`, diagnosis.Forbidden, 0, "DENIED"},
		{404, nil, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, diagnosis.NotFound, 0, "MANIFEST_UNKNOWN"},
		{500, nil, "oops", diagnosis.ServerError, 0, ""},
		{503, map[string]string{"Retry-After": "5"}, "", diagnosis.ServerError, 5 * time.Second, ""},
		{400, nil, "", diagnosis.ServerError, 0, ""},
		{302, nil, "", diagnosis.ServerError, 0, ""},
		{204, nil, "", diagnosis.ServerError, 0, ""},
	} {
		w := newWorld(t)
		g := tiny()
		g.public = true
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			for k, v := range c.header {
				rw.Header().Set(k, v)
			}
			rw.WriteHeader(c.status)
			if c.status != 204 {
				fmt.Fprint(rw, c.body)
			}
			return true
		}
		w.serve("registry.test", g.serve)
		a := w.ask("v1").Anonymous
		i := 1
		if c.code != "" {
			i = 2 // GET, for the words
		}
		x := a.Exchanges[i]
		if d := x.RetryAfter - c.wait; a.Outcome != c.want || d < -3*time.Second || d > 3*time.Second || x.Code != c.code {
			t.Errorf("%d: %s, wait %s, %+v", c.status, a.Outcome, x.RetryAfter, x)
		}
	}
}

// TestWarning: what the registry warns of is told, as text.
func TestWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.public = true
	g.first = func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Add("Warning", `299 - "the \"old\" token ends"`)
		rw.Header().Add("Warning", `odd`)
		return false
	}
	w.serve("registry.test", g.serve)
	if a := w.ask("v1"); a.Ping.Warning != `the "old" token ends; odd` {
		t.Errorf("%q", a.Ping.Warning)
	}
}

// TestTokenEndpoint: how its refusals and its odd answers are told.
func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	none := "e30.eyJhY2Nlc3MiOltdfQ.x"                                                                                       // {"access":[]}
	some := "e30.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6ImFjbWUvYXBpIiwiYWN0aW9ucyI6WyJwdWxsIiwicHVzaCJdfV19.x" // acme/api:pull,push
	for _, c := range []struct {
		status      int
		body, scope string
		want        diagnosis.Outcome
		code, words string
	}{
		{200, `{"token":"` + none + `"}`, diagnosis.ScopeNone, diagnosis.Forbidden, "", ""},
		{200, `{"token":"` + some + `"}`, "repository:acme/api:pull,push", diagnosis.Forbidden, "", ""},
		{200, `{"token":"opaque","scope":"repository:acme/web:*"}`, "repository:acme/web:*", diagnosis.Unauthorized, "", ""},
		{200, `{"token":"opaque"}`, "", diagnosis.Unauthorized, "", ""},
		{200, `{"token":""}`, "", diagnosis.ServerError, "", ""},
		{200, `{"token":"a\r\nX-Evil: 1"}`, "", diagnosis.ServerError, "", ""},
		{200, `<html>`, "", diagnosis.ServerError, "", ""},
		{401, `{"details":"incorrect username or password"}`, "", diagnosis.Unauthorized, "", "incorrect username or password"},
		{403, `{"error":"access_denied"}`, "", diagnosis.Forbidden, "access_denied", ""},
		{404, ``, "", diagnosis.ServerError, "", ""},
		{429, ``, "", diagnosis.RateLimited, "", ""},
		{502, ``, "", diagnosis.ServerError, "", ""},
	} {
		w := newWorld(t)
		g := tiny()
		g.first = func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/token":
				rw.WriteHeader(c.status)
				fmt.Fprint(rw, c.body)
			case r.URL.Path != "/v2/":
				rw.WriteHeader(401) // says nothing of scopes
			default:
				return false
			}
			return true
		}
		w.serve("registry.test", g.serve)
		at := w.ask("v1", good).Attempts[0]
		if x := at.Exchanges[0]; at.Outcome != c.want || at.Scope != c.scope || x.Code != c.code || x.Message != c.words {
			t.Errorf("%d %s: %s, scope %q, %+v", c.status, c.body, at.Outcome, at.Scope, x)
		}
	}
}

// TestAtOnce: attempts run side by side, four at most, and stand in order.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.basic = true
	var now, most atomic.Int32
	g.first = func(http.ResponseWriter, *http.Request) bool {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(30 * time.Millisecond)
		return false
	}
	w.serve("registry.test", g.serve)
	var creds []probe.Credential
	for i := range 70 {
		creds = append(creds, probe.Credential{Username: fmt.Sprint("u", i), Password: "wrong-one"})
	}
	a := w.ask("v1", creds...)
	for i, at := range a.Attempts {
		want := diagnosis.Unauthorized
		if i >= 64 {
			want = diagnosis.Skipped
		}
		if at.Index != i || at.Username != creds[i].Username || at.Outcome != want {
			t.Fatalf("attempt %d: %+v", i, at)
		}
	}
	if most.Load() != 4 {
		t.Errorf("%d requests at once, want 4", most.Load())
	}
}

// TestCredentialIsSilent: no way of printing shows the password.
func TestCredentialIsSilent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "c", good, "p", &good)
	j, err := json.Marshal(map[string]any{"c": good, "p": &good})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %q %v %s %s", good, good, good, good, good, []probe.Credential{good}, j, b.String())
	if strings.Contains(all, "hunter2") || strings.Count(all, user) < 8 {
		t.Error(all)
	}
}

// TestHostOf: Docker Hub is dialled elsewhere, all others at their name.
func TestHostOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io", "quay.io": "quay.io", "r:5000": "r:5000"} {
		if got := probe.HostOf(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
