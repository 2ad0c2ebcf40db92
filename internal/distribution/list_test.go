package distribution_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// link is the target of the Link header, resolved as a client does, or "".
func (s *server) link(t *testing.T, a answer) string {
	t.Helper()
	h := a.header.Get("Link")
	if h == "" {
		return ""
	}
	target, rel, ok := strings.Cut(strings.TrimPrefix(h, "<"), ">")
	if !ok || strings.TrimSpace(rel) != `; rel="next"` {
		t.Fatalf("Link: %s", h)
	}
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

type listing struct {
	Name         string
	Tags         []string
	Repositories []string
	Manifests    []oci.Descriptor
	MediaType    string
}

// walk follows Link literally and gives what each page held.
func (s *server) walk(t *testing.T, tok, target string) (pages [][]string) {
	t.Helper()
	for target != "" {
		a := s.do(t, "GET", target, call{token: tok})
		want(t, a, 200)
		l := decode[listing](t, a)
		page := slices.Concat(l.Tags, l.Repositories)
		for _, m := range l.Manifests {
			page = append(page, string(m.Digest))
		}
		pages = append(pages, page)
		if len(pages) > 1000 {
			t.Fatal("the walk does not end")
		}
		target = s.link(t, a)
	}
	return pages
}

// TestListsWalk: pages of n, in byte order, each element once, until there is
// no Link.
func TestListsWalk(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	m := artifact("")
	names := []string{"1.0", "1.10", "1.9", "A", "Z", "_x", "a", "a-b", "a.b", "a_b", "z"}
	target := "/v2/a/manifests/" + sum(m) + "?"
	for _, n := range names {
		target += "tag=" + n + "&"
	}
	want(t, s.do(t, "PUT", strings.TrimSuffix(target, "&"), call{token: tok, body: m, header: typed(imageType)}), 201)
	repos := []string{"a", "a-b", "a.b/c", "a/b", "a0", "a_b", "b"}
	for _, r := range repos[1:] {
		registrytest.PushBlob(t, s.registry, oci.Repo(r), registrytest.Blob("x"))
	}
	slices.Sort(names)
	slices.Sort(repos)
	for path, all := range map[string][]string{"/v2/a/tags/list": names, "/v2/_catalog": repos} {
		for _, n := range []int{1, 2, 3, len(all) - 1, len(all), len(all) + 1, 10_000, 1 << 30} {
			pages := s.walk(t, tok, fmt.Sprintf("%s?n=%d", path, n))
			if diff := cmp.Diff(all, slices.Concat(pages...)); diff != "" {
				t.Errorf("%s by %d: %s", path, n, diff)
			}
			for i, p := range pages {
				if i < len(pages)-1 && len(p) != n || len(p) == 0 {
					t.Errorf("%s by %d: page %d has %d", path, n, i, len(p))
				}
			}
		}
		if diff := cmp.Diff([][]string{all}, s.walk(t, tok, path)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		a := s.do(t, "GET", path+"?n=0", call{token: tok})
		want(t, a, 200, "Link", "")
		if !strings.Contains(string(a.body), "[]") {
			t.Errorf("n=0: %s", a.body)
		}
		// last need not exist, and nothing follows the last.
		for i := range all {
			last := all[i]
			if got := slices.Concat(s.walk(t, tok, path+"?n=4&last="+url.QueryEscape(last))...); !slices.Equal(got, all[i+1:]) {
				t.Errorf("after %q: %q", last, got)
			}
		}
		a = s.do(t, "GET", path+"?last=zzz", call{token: tok})
		if !strings.Contains(string(a.body), "[]") {
			t.Errorf("after everything: %s", a.body)
		}
		head := s.do(t, "HEAD", path, call{token: tok})
		want(t, head, 200, "Content-Type", "application/json")
		if len(head.body) != 0 {
			t.Error("HEAD has a body")
		}
	}
	failed(t, s.do(t, "GET", "/v2/nobody/tags/list", call{token: s.full(t, "nobody")}), 404, "NAME_UNKNOWN")
	failed(t, s.do(t, "GET", "/v2/nobody/tags/list?n=0", call{token: s.full(t, "nobody")}), 404, "NAME_UNKNOWN")
	for _, q := range []string{"n=-1", "n=x", "n=99999999999", "n=1&n=2", "n=1e3", "last=%00", "last=..%2F..", "last=" + strings.Repeat("x", 5000)} {
		for _, path := range []string{"/v2/a/tags/list?", "/v2/_catalog?", "/v2/a/referrers/" + sum(m) + "?"} {
			failed(t, s.do(t, "GET", path+q, call{token: tok}), 400, "UNSUPPORTED")
		}
	}
}

// TestHugePagesAreCheap: a huge n is no reason to read everything
// (CVE-2023-2253), and a small page of a long list costs few questions.
func TestHugePagesAreCheap(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "many")
	registrytest.PushBlob(t, s.registry, "many", registrytest.Blob("{}"))
	m := artifact("")
	var tags []oci.Tag
	for i := range 10_050 {
		tags = append(tags, oci.Tag(fmt.Sprintf("t%05d", i)))
	}
	if _, err := s.registry.PutManifest(t.Context(), "many", registrytest.Put(registrytest.Content{MediaType: imageType, Bytes: m}, tags...)); err != nil {
		t.Fatal(err)
	}
	for n, c := range map[string]struct {
		length  int
		queries int64
	}{"2147483647": {10_000, 10}, "10001": {10_000, 10}, "5": {5, 1}} {
		before := s.catalog.asked.Load()
		a := s.do(t, "GET", "/v2/many/tags/list?n="+n, call{token: tok})
		want(t, a, 200)
		if got := len(decode[listing](t, a).Tags); got != c.length || s.link(t, a) == "" {
			t.Errorf("n=%s: %d tags, Link %q", n, got, a.header.Get("Link"))
		}
		if asked := s.catalog.asked.Load() - before; asked > c.queries {
			t.Errorf("n=%s asks the catalog %d times", n, asked)
		}
	}
	pages := s.walk(t, tok, "/v2/many/tags/list")
	if len(pages) != 2 || len(pages[1]) != 50 {
		t.Errorf("%d pages", len(pages))
	}
}

// TestReferrers: filter, unknown subjects, what a descriptor shows.
func TestReferrers(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a", "empty")
	subject := sum(s.image(t, tok, "a", "t", "layer"))
	of := func(kind, note string) []byte {
		return artifact(`,"artifactType":"` + kind + `","annotations":{"note":"` + note + `"},"subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":1}`)
	}
	sbom, sig, plain := of("application/sbom", "1"), of("application/sig+x", "2"), artifact(`,"subject":{"mediaType":"`+imageType+`","digest":"`+subject+`","size":1}`)
	index := []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[],"artifactType":"application/sbom","subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":1}}`)
	for _, m := range [][]byte{sbom, sig, plain} {
		s.put(t, tok, "a", "", imageType, m)
	}
	s.put(t, tok, "a", "", indexType, index)
	note := func(n string) map[string]string { return map[string]string{"note": n} }
	descriptors := []oci.Descriptor{
		{MediaType: imageType, Digest: oci.Digest(sum(sbom)), Size: int64(len(sbom)), ArtifactType: "application/sbom", Annotations: note("1")},
		{MediaType: imageType, Digest: oci.Digest(sum(sig)), Size: int64(len(sig)), ArtifactType: "application/sig+x", Annotations: note("2")},
		{MediaType: imageType, Digest: oci.Digest(sum(plain)), Size: int64(len(plain)), ArtifactType: "application/vnd.oci.empty.v1+json"},
		{MediaType: indexType, Digest: oci.Digest(sum(index)), Size: int64(len(index)), ArtifactType: "application/sbom"},
	}
	for filter, kinds := range map[string][]int{
		"": {0, 1, 2, 3}, "?artifactType=application/sbom": {0, 3}, "?artifactType=" + url.QueryEscape("application/sig+x"): {1}, "?artifactType=none": {},
	} {
		var expect []oci.Descriptor
		for _, k := range kinds {
			expect = append(expect, descriptors[k])
		}
		slices.SortFunc(expect, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
		a := s.do(t, "GET", "/v2/a/referrers/"+subject+filter, call{token: tok})
		want(t, a, 200, "Content-Type", indexType, "Link", "")
		if got := a.header.Get("OCI-Filters-Applied"); (got == "artifactType") != (filter != "") {
			t.Errorf("%q: OCI-Filters-Applied %q", filter, got)
		}
		l := decode[listing](t, a)
		if diff := cmp.Diff(expect, l.Manifests); diff != "" && len(expect)+len(l.Manifests) > 0 {
			t.Errorf("%q: %s", filter, diff)
		}
		if l.MediaType != indexType || !strings.Contains(string(a.body), `"manifests":[`) {
			t.Errorf("%q: %s", filter, a.body)
		}
	}
	for _, target := range []string{"/v2/a/referrers/" + sum(nil), "/v2/empty/referrers/" + subject, "/v2/a/referrers/" + sum512(nil)} {
		a := s.do(t, "GET", target, call{token: tok})
		want(t, a, 200, "Content-Type", indexType)
		if !strings.Contains(string(a.body), `"manifests":[]`) {
			t.Errorf("%s: %s", target, a.body)
		}
	}
	failed(t, s.do(t, "GET", "/v2/a/referrers/latest", call{token: tok}), 400, "DIGEST_INVALID")
	failed(t, s.do(t, "GET", "/v2/a/referrers/"+subject+"?artifactType=a&artifactType=b", call{token: tok}), 400, "UNSUPPORTED")
	// With its referrers a subject can go and come back.
	want(t, s.do(t, "DELETE", "/v2/a/manifests/"+sum(sig), call{token: tok}), 202)
	if pages := s.walk(t, tok, "/v2/a/referrers/"+subject); len(pages[0]) != 3 {
		t.Errorf("%q after one was deleted", pages)
	}
}

// TestEndlessAttachments: thousands of referrers of one subject come in
// bounded pages, also those that carry much.
func TestEndlessAttachments(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	registrytest.PushBlob(t, s.registry, "a", registrytest.Blob("{}"))
	attach := func(subject, note string) string {
		t.Helper()
		m := artifact(`,"annotations":{"note":"` + note + `"},"subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":1}`)
		if _, err := s.registry.PutManifest(t.Context(), "a", registry.Put{MediaType: imageType, Digest: oci.Digest(sum(m)), Body: bytes.NewReader(m), Size: -1}); err != nil {
			t.Fatal(err)
		}
		return sum(m)
	}
	many, heavy := sum([]byte("many")), sum([]byte("heavy"))
	var expect []string
	work := make(chan string, 3000)
	done := make(chan string, 3000)
	for range 8 {
		go func() {
			for note := range work {
				done <- attach(many, note)
			}
		}()
	}
	for i := range 3000 {
		work <- itoa(i)
	}
	close(work)
	for range 3000 {
		expect = append(expect, <-done)
	}
	slices.Sort(expect)
	for _, target := range []string{"/v2/a/referrers/" + many, "/v2/a/referrers/" + many + "?n=999", "/v2/a/referrers/" + many + "?n=2147483647"} {
		pages := s.walk(t, tok, target)
		if diff := cmp.Diff(expect, slices.Concat(pages...)); diff != "" || len(pages) < 3 {
			t.Errorf("%s: %d pages, %s", target, len(pages), diff)
		}
	}
	filtered := s.do(t, "GET", "/v2/a/referrers/"+many+"?n=2&artifactType="+url.QueryEscape("application/vnd.oci.empty.v1+json"), call{token: tok})
	next := s.do(t, "GET", s.link(t, filtered), call{token: tok})
	want(t, next, 200, "OCI-Filters-Applied", "artifactType")
	if n := len(decode[listing](t, next).Manifests); n != 2 {
		t.Errorf("the second page of a filtered list has %d", n)
	}

	for i := range 20 {
		attach(heavy, itoa(i)+strings.Repeat("x", 1<<20))
	}
	total := 0
	for target := "/v2/a/referrers/" + heavy; target != ""; {
		a := s.do(t, "GET", target, call{token: tok})
		want(t, a, 200)
		if len(a.body) > 4<<20 {
			t.Errorf("a page of %d bytes", len(a.body))
		}
		var index struct{ Manifests []json.RawMessage }
		if err := json.Unmarshal(a.body, &index); err != nil {
			t.Fatal(err)
		}
		total += len(index.Manifests)
		target = s.link(t, a)
	}
	if total != 20 {
		t.Errorf("%d of 20 heavy referrers", total)
	}
}
