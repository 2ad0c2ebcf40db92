package distribution_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDeletes: a tag alone, a manifest with its tags, a blob unless a manifest
// needs it.
func TestDeletes(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	m := s.image(t, tok, "a", "one", "layer")
	s.put(t, tok, "a", "two", imageType, m)
	s.put(t, tok, "a", "three", imageType, m)
	layer := sum([]byte("layer"))

	want(t, s.do(t, "DELETE", "/v2/a/manifests/one", call{token: tok}), 202)
	failed(t, s.do(t, "GET", "/v2/a/manifests/one", call{token: tok}), 404, "MANIFEST_UNKNOWN")
	failed(t, s.do(t, "DELETE", "/v2/a/manifests/one", call{token: tok}), 404, "MANIFEST_UNKNOWN")
	want(t, s.do(t, "GET", "/v2/a/manifests/two", call{token: tok}), 200)
	want(t, s.do(t, "GET", "/v2/a/manifests/"+sum(m), call{token: tok}), 200)

	for _, d := range []string{layer, sum(emptyBlob)} {
		a := s.do(t, "DELETE", "/v2/a/blobs/"+d, call{token: tok})
		f := failed(t, a, 405, "UNSUPPORTED")
		if !strings.Contains(f.Message, sum(m)) {
			t.Errorf("the message does not name the manifest: %s", f.Message)
		}
		want(t, a, 405, "Allow", "GET, HEAD")
		want(t, s.do(t, "GET", "/v2/a/blobs/"+d, call{token: tok}), 200)
	}
	want(t, s.do(t, "DELETE", "/v2/a/manifests/"+sum(m), call{token: tok}), 202)
	for _, ref := range []string{"two", "three", sum(m)} {
		failed(t, s.do(t, "GET", "/v2/a/manifests/"+ref, call{token: tok}), 404, "MANIFEST_UNKNOWN")
	}
	if l := decode[listing](t, s.do(t, "GET", "/v2/a/tags/list", call{token: tok})); len(l.Tags) != 0 {
		t.Errorf("tags %q", l.Tags)
	}
	want(t, s.do(t, "DELETE", "/v2/a/blobs/"+layer, call{token: tok}), 202)
	failed(t, s.do(t, "GET", "/v2/a/blobs/"+layer, call{token: tok}), 404, "BLOB_UNKNOWN")
	failed(t, s.do(t, "DELETE", "/v2/a/blobs/"+layer, call{token: tok}), 404, "BLOB_UNKNOWN")
	failed(t, s.do(t, "DELETE", "/v2/none/manifests/t", call{token: s.full(t, "none")}), 404, "NAME_UNKNOWN")
	// What was deleted can come back.
	s.image(t, tok, "a", "one", "layer")
	want(t, s.do(t, "GET", "/v2/a/blobs/"+layer, call{token: tok}), 200)
}

// TestRightsAreSeparate: every route with every token that lacks just what it
// needs is refused with the scope that would help, and changes nothing; a
// refusal does not tell what there is.
func TestRightsAreSeparate(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a", "b")
	m := s.image(t, tok, "a", "t", "layer")
	d := sum([]byte("layer"))
	up := s.begin(t, tok, "a")
	tokens := map[string]string{
		"pull":              s.tokenFor(t, "repository:a:pull"),
		"push":              s.tokenFor(t, "repository:a:push"),
		"delete":            s.tokenFor(t, "repository:a:delete"),
		"other repository":  s.full(t, "b", "a/b", "aa"),
		"catalog":           s.tokenFor(t, "registry:catalog:*"),
		"none":              s.tokenFor(t),
		"nobody":            "",
		"star":              s.tokenFor(t, "repository:a:*"),
		"star in the name":  s.tokenFor(t, "plugin:*:*"),
		"catalog, no star":  s.tokenFor(t, "registry:catalog:pull"),
		"plugin, same name": s.tokenFor(t, "repository(plugin):a:pull,push,delete"),
	}
	before := s.state(t)
	for _, c := range []struct {
		method, target string
		allowed        []string
		need           string
	}{
		{"GET", "/v2/a/manifests/t", []string{"pull", "star"}, "repository:a:pull"},
		{"HEAD", "/v2/a/manifests/t", []string{"pull", "star"}, "repository:a:pull"},
		{"GET", "/v2/a/manifests/absent", []string{"pull", "star"}, "repository:a:pull"},
		{"GET", "/v2/a/blobs/" + d, []string{"pull", "star"}, "repository:a:pull"},
		{"HEAD", "/v2/a/blobs/" + d, []string{"pull", "star"}, "repository:a:pull"},
		{"GET", "/v2/a/blobs/" + sum(nil), []string{"pull", "star"}, "repository:a:pull"},
		{"GET", "/v2/a/tags/list", []string{"pull", "star"}, "repository:a:pull"},
		{"GET", "/v2/a/referrers/" + sum(m), []string{"pull", "star"}, "repository:a:pull"},
		{"PUT", "/v2/a/manifests/t", []string{"push", "star"}, "repository:a:pull,push"},
		{"GET", up, []string{"push", "star"}, "repository:a:pull,push"},
		{"POST", "/v2/a/blobs/uploads/?digest=" + sum([]byte("!")), []string{"push", "star"}, "repository:a:pull,push"},
		{"DELETE", "/v2/a/manifests/absent", []string{"delete", "star"}, "repository:a:delete"},
		{"DELETE", "/v2/a/blobs/" + d, []string{"delete", "star"}, "repository:a:delete"},
		{"GET", "/v2/_catalog", []string{"catalog", "other repository"}, "registry:catalog:*"},
	} {
		for name, tok := range tokens {
			a := s.do(t, c.method, c.target, call{token: tok})
			if slices.Contains(c.allowed, name) {
				if a.status == 401 || a.status == 403 || a.status >= 500 {
					t.Errorf("%s %s with %s: %d %s", c.method, c.target, name, a.status, a.body)
				}
				continue
			}
			if a.status != 401 {
				t.Errorf("%s %s with %s: %d, want 401", c.method, c.target, name, a.status)
				continue
			}
			if got := challenge(t, a).Scope; got != c.need {
				t.Errorf("%s %s with %s: scope %q, want %q", c.method, c.target, name, got, c.need)
			}
		}
	}
	if after := s.state(t); after != before {
		t.Errorf("something changed: %s", cmp.Diff(before, after))
	}
}

// TestPullOnlyTokenPushesNothing: not by digest, not by tag, not one tag more.
func TestPullOnlyTokenPushesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	m := s.image(t, s.full(t, "a"), "a", "t", "layer")
	before := s.state(t)
	pull, push := s.tokenFor(t, "repository:a:pull"), s.tokenFor(t, "repository:a:push")
	for _, target := range []string{"/v2/a/manifests/t", "/v2/a/manifests/new", "/v2/a/manifests/" + sum(m), "/v2/a/manifests/" + sum(m) + "?tag=new"} {
		failed(t, s.do(t, "PUT", target, call{token: pull, body: m, header: typed(imageType)}), 401, "UNAUTHORIZED")
	}
	for _, target := range []string{"/v2/a/manifests/t", "/v2/a/manifests/" + sum(m), "/v2/a/blobs/" + sum([]byte("layer"))} {
		for _, tok := range []string{pull, push} {
			failed(t, s.do(t, "DELETE", target, call{token: tok}), 401, "UNAUTHORIZED")
		}
	}
	if after := s.state(t); after != before {
		t.Errorf("something changed: %s", cmp.Diff(before, after))
	}
}

// TestStrangersSendNoManifests: a body is not read before its sender may push.
func TestStrangersSendNoManifests(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	for name, tok := range map[string]string{"nobody": "", "pull only": s.tokenFor(t, "repository:a:pull")} {
		conn := s.dial(t)
		auth := ""
		if tok != "" {
			auth = "Authorization: Bearer " + tok + "\r\n"
		}
		// The client waits to be told to go on: it must be told no.
		line := write(t, conn, "PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\n"+auth+"Expect: 100-continue\r\nContent-Length: 4000000\r\n\r\n")
		if !strings.HasPrefix(line, "HTTP/1.1 401 ") {
			t.Errorf("%s is answered %q", name, line)
		}
	}
}

// TestMount: with both rights at once, otherwise an ordinary upload.
func TestMount(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "from", "to")
	d := s.pushBlob(t, tok, "from", []byte("shared"))
	a := s.do(t, "POST", "/v2/to/blobs/uploads/?mount="+d+"&from=from", call{token: tok})
	want(t, a, 201, "Docker-Content-Digest", d, "Location", s.url+"/v2/to/blobs/"+d)
	if got := s.do(t, "GET", "/v2/to/blobs/"+d, call{token: tok}); string(got.body) != "shared" {
		t.Errorf("read %d %q", got.status, got.body)
	}
	if s.files(t) != 1 {
		t.Errorf("%d keys hold one content", s.files(t))
	}
	// The mounted blob lives on without the repository it came from.
	want(t, s.do(t, "DELETE", "/v2/from/blobs/"+d, call{token: tok}), 202)
	want(t, s.do(t, "GET", "/v2/to/blobs/"+d, call{token: tok}), 200)
	for name, query := range map[string]string{
		"absent blob":                "mount=" + sum([]byte("absent")) + "&from=from",
		"absent repository":          "mount=" + d + "&from=nowhere",
		"without from":               "mount=" + d,
		"gone from where it was":     "mount=" + d + "&from=from",
		"sha512 that nobody has":     "mount=" + sum512([]byte("shared")) + "&from=from",
		"empty from":                 "mount=" + d + "&from=",
		"where only others may pull": "mount=" + d + "&from=secret",
	} {
		a := s.do(t, "POST", "/v2/to/blobs/uploads/?"+query, call{token: tok})
		if want(t, a, 202, "Docker-Content-Digest", "", "Range", "0-0"); t.Failed() {
			t.Log(name)
		}
		want(t, s.do(t, "PUT", s.path(t, a)+"?digest="+sum([]byte(name)), call{token: tok, body: []byte(name)}), 201)
	}
	for query, code := range map[string]string{"mount=x&from=from": "DIGEST_INVALID", "mount=" + d + "&from=../x": "NAME_INVALID", "mount=" + d + "&from=a&from=b": "UNSUPPORTED"} {
		failed(t, s.do(t, "POST", "/v2/to/blobs/uploads/?"+query, call{token: tok}), 400, code)
	}
	failed(t, s.do(t, "POST", "/v2/to/blobs/uploads/?mount="+d+"&from=from", call{token: s.tokenFor(t, "repository:to:pull", "repository:from:pull")}), 401, "UNAUTHORIZED")
}

// TestMountFromForeignRepository is no oracle: status, headers and what the
// database is asked are the same whether the foreign blob is there or not.
func TestMountFromForeignRepository(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	there := s.pushBlob(t, s.full(t, "foreign"), "foreign", []byte("secret"))
	tok := s.tokenFor(t, "repository:mine:pull,push")
	mount := func(d, from string) (map[string][]string, int64) {
		before := s.catalog.asked.Load()
		a := s.do(t, "POST", "/v2/mine/blobs/uploads/?mount="+d+"&from="+from, call{token: tok})
		want(t, a, 202)
		asked := s.catalog.asked.Load() - before
		for _, name := range []string{"Location", "Docker-Upload-Uuid", "X-Request-Id", "Date"} {
			if len(a.header.Values(name)) != 1 {
				t.Errorf("%s: %q", name, a.header.Values(name))
			}
			a.header.Del(name)
		}
		return a.header, asked
	}
	first, asked := mount(there, "foreign")
	if asked != 0 {
		t.Errorf("the database was asked %d times about a repository the client may not read", asked)
	}
	for _, c := range [][2]string{{sum([]byte("absent")), "foreign"}, {there, "nowhere"}} {
		headers, asked := mount(c[0], c[1])
		if diff := cmp.Diff(first, headers); diff != "" || asked != 0 {
			t.Errorf("%v tells: %s (asked %d)", c, diff, asked)
		}
	}
	failed(t, s.do(t, "GET", "/v2/mine/blobs/"+there, call{token: tok}), 404, "NAME_UNKNOWN")
}
