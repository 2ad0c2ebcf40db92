package wire_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
)

const (
	d256 = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	d512 = "sha512:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func parse(t *testing.T, method, target string) (wire.Request, error) {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("the test's own URL: %v", err)
	}
	return wire.Parse(method, u)
}

// TestParse reads request lines, and each request makes its line again.
func TestParse(t *testing.T) {
	none := wire.NoLimit
	for _, c := range []struct {
		method, target string
		want           wire.Request
	}{
		{"GET", "/v2/", wire.Request{Kind: wire.Ping}},
		{"GET", "/v2/a/b/blobs/" + d256, wire.Request{Kind: wire.BlobGet, Repo: "a/b", Digest: d256}},
		{"HEAD", "/v2/a/blobs/" + d512, wire.Request{Kind: wire.BlobHead, Repo: "a", Digest: d512}},
		{"DELETE", "/v2/a/blobs/" + d256, wire.Request{Kind: wire.BlobDelete, Repo: "a", Digest: d256}},
		{"POST", "/v2/a/blobs/uploads/", wire.Request{Kind: wire.UploadBegin, Repo: "a"}},
		{"POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", wire.Request{Kind: wire.UploadBegin, Repo: "a", Algorithm: oci.SHA512}},
		{"POST", "/v2/a/blobs/uploads/?digest=sha256%3A" + d256[7:], wire.Request{Kind: wire.UploadWhole, Repo: "a", Digest: d256}},
		{"POST", "/v2/a/blobs/uploads/?from=b%2Fc&mount=sha256%3A" + d256[7:], wire.Request{Kind: wire.UploadMount, Repo: "a", From: "b/c", Digest: d256}},
		{"POST", "/v2/a/blobs/uploads/?mount=sha256%3A" + d256[7:], wire.Request{Kind: wire.UploadMount, Repo: "a", Digest: d256}},
		{"GET", "/v2/a/blobs/uploads/U-1_x", wire.Request{Kind: wire.UploadStatus, Repo: "a", Upload: "U-1_x"}},
		{"PATCH", "/v2/a/blobs/uploads/U", wire.Request{Kind: wire.UploadAppend, Repo: "a", Upload: "U"}},
		{"PUT", "/v2/a/blobs/uploads/U?digest=sha256%3A" + d256[7:], wire.Request{Kind: wire.UploadCommit, Repo: "a", Upload: "U", Digest: d256}},
		{"DELETE", "/v2/a/blobs/uploads/U", wire.Request{Kind: wire.UploadCancel, Repo: "a", Upload: "U"}},
		{"GET", "/v2/a/manifests/latest", wire.Request{Kind: wire.ManifestGet, Repo: "a", Ref: oci.Ref{Tag: "latest"}}},
		{"HEAD", "/v2/a/manifests/" + d256, wire.Request{Kind: wire.ManifestHead, Repo: "a", Ref: oci.Ref{Digest: d256}}},
		{"PUT", "/v2/a/manifests/" + d256 + "?tag=1.2&tag=latest", wire.Request{Kind: wire.ManifestPut, Repo: "a", Ref: oci.Ref{Digest: d256}, Tags: []oci.Tag{"1.2", "latest"}}},
		{"DELETE", "/v2/a/manifests/t", wire.Request{Kind: wire.ManifestDelete, Repo: "a", Ref: oci.Ref{Tag: "t"}}},
		{"GET", "/v2/a/tags/list", wire.Request{Kind: wire.TagList, Repo: "a"}},
		{"GET", "/v2/a/tags/list?last=x&n=0", wire.Request{Kind: wire.TagList, Repo: "a", N: 0, Last: "x"}},
		{"GET", "/v2/a/referrers/" + d256, wire.Request{Kind: wire.ReferrerList, Repo: "a", Digest: d256}},
		{"GET", "/v2/a/referrers/" + d256 + "?artifactType=a%2Fb&last=" + url.QueryEscape(d512) + "&n=3", wire.Request{Kind: wire.ReferrerList, Repo: "a", Digest: d256, ArtifactType: "a/b", N: 3, Last: d512}},
		{"GET", "/v2/_catalog", wire.Request{Kind: wire.Catalog}},
		{"GET", "/v2/_catalog?last=a%2Fb&n=7", wire.Request{Kind: wire.Catalog, N: 7, Last: "a/b"}},
		// Repositories that are called like the protocol's own words.
		{"GET", "/v2/blobs/uploads/tags/list", wire.Request{Kind: wire.TagList, Repo: "blobs/uploads"}},
		{"GET", "/v2/manifests/manifests/manifests", wire.Request{Kind: wire.ManifestGet, Repo: "manifests", Ref: oci.Ref{Tag: "manifests"}}},
		{"POST", "/v2/blobs/blobs/uploads/", wire.Request{Kind: wire.UploadBegin, Repo: "blobs"}},
	} {
		want := c.want
		if want.N == 0 && !strings.Contains(c.target, "n=0") {
			want.N = none
		}
		got, err := parse(t, c.method, c.target)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.target, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s: %s", c.method, c.target, diff)
		}
		again, err := parse(t, got.Method(), got.Target())
		if err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%s %s makes %s %s: %v", c.method, c.target, got.Method(), got.Target(), err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		method, target string
		code           oci.Code
	}{
		{"GET", "/", oci.CodeRouteUnknown},
		{"GET", "/v2x", oci.CodeRouteUnknown},
		{"GET", "/v2/a", oci.CodeRouteUnknown},
		{"GET", "/v2/a/b", oci.CodeRouteUnknown},
		{"GET", "/v2/blobs/" + d256, oci.CodeRouteUnknown},
		{"GET", "/v2/tags/list", oci.CodeRouteUnknown},
		{"GET", "/v2/A/tags/list", oci.CodeNameInvalid},
		{"GET", "/v2//tags/list", oci.CodeNameInvalid},
		{"GET", "/v2/../tags/list", oci.CodeNameInvalid},
		{"GET", "/v2/a/../b/tags/list", oci.CodeNameInvalid},
		{"GET", "/v2/a%2f..%2fb/tags/list", oci.CodeRequestInvalid},
		{"GET", "/v2/a%2e%2e/tags/list", oci.CodeRequestInvalid},
		{"GET", "/v2/a%00/tags/list", oci.CodeNameInvalid},
		{"GET", "/v2/" + strings.Repeat("a", 300) + "/tags/list", oci.CodeNameInvalid},
		{"GET", "/v2/a/blobs/sha256:..", oci.CodeDigestInvalid},
		{"GET", "/v2/a/blobs/uploads", oci.CodeUnsupported},
		{"GET", "/v2/a/blobs/uploads/", oci.CodeUnsupported},
		{"POST", "/v2/a/manifests/t", oci.CodeUnsupported},
		{"BREW", "/v2/", oci.CodeUnsupported},
		{"GET", "/v2/a/manifests/-t", oci.CodeManifestInvalid},
		{"GET", "/v2/a/manifests/sha256:x", oci.CodeDigestInvalid},
		{"PUT", "/v2/a/manifests/t?tag=u", oci.CodeRequestInvalid},
		{"PUT", "/v2/a/manifests/" + d256 + "?tag=..", oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/" + d256 + "?" + strings.Repeat("tag=a&", 101), oci.CodeRequestInvalid},
		{"PUT", "/v2/a/blobs/uploads/U", oci.CodeDigestInvalid},
		{"PUT", "/v2/a/blobs/uploads/U?digest=x", oci.CodeDigestInvalid},
		{"PUT", "/v2/a/blobs/uploads/U?digest=" + d256 + "&digest=" + d256, oci.CodeRequestInvalid},
		{"PATCH", "/v2/a/blobs/uploads/U.1", oci.CodeBlobUploadUnknown},
		{"PATCH", "/v2/a/blobs/uploads/" + strings.Repeat("u", 129), oci.CodeBlobUploadUnknown},
		{"POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?digest=", oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?mount=x&from=b", oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d256 + "&from=../b", oci.CodeNameInvalid},
		{"GET", "/v2/_catalog?n=-1", oci.CodeRequestInvalid},
		{"GET", "/v2/_catalog?n=99999999999999999999", oci.CodeRequestInvalid},
		{"GET", "/v2/_catalog?n=x", oci.CodeRequestInvalid},
		{"GET", "/v2/_catalog?last=..", oci.CodeRequestInvalid},
		{"GET", "/v2/a/tags/list?last=-x", oci.CodeRequestInvalid},
		{"GET", "/v2/a/tags/list?n=1;last=x", oci.CodeRequestInvalid},
		{"GET", "/v2/a/referrers/x", oci.CodeDigestInvalid},
	} {
		_, err := parse(t, c.method, c.target)
		var e *oci.Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s %s: %v", c.method, c.target, err)
		}
	}
	_, err := parse(t, "PUT", "/v2/a/blobs/"+d256)
	var m *wire.MethodError
	if !errors.As(err, &m) || cmp.Diff([]string{"GET", "HEAD", "DELETE"}, m.Allow) != "" {
		t.Errorf("the allowed methods are not named: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/v2/", "/v2/a/b/blobs/" + d256, "/v2/a/blobs/uploads/?mount=" + d256 + "&from=b", "/v2/a/blobs/uploads/U?digest=" + d512,
		"/v2/a/manifests/" + d256 + "?tag=x&tag=y", "/v2/a/tags/list?n=1&last=x", "/v2/a/referrers/" + d256 + "?artifactType=a%2Fb", "/v2/_catalog?n=5",
	} {
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			f.Add(m, s)
		}
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r, err := wire.Parse(method, u)
		if err != nil {
			var e *oci.Error
			if !errors.As(err, &e) {
				t.Fatalf("%s %s: %v is no protocol error", method, target, err)
			}
			return
		}
		v, err := url.ParseRequestURI(r.Target())
		if err != nil {
			t.Fatalf("%s %s makes %s: %v", method, target, r.Target(), err)
		}
		again, err := wire.Parse(r.Method(), v)
		if err != nil || cmp.Diff(r, again) != "" {
			t.Fatalf("%s %s makes %s %s: %v %s", method, target, r.Method(), r.Target(), err, cmp.Diff(r, again))
		}
	})
}

func TestParseRange(t *testing.T) {
	const size = 100
	one := func(start, length int64) []wire.ByteRange { return []wire.ByteRange{{Start: start, Length: length}} }
	for _, c := range []struct {
		in   string
		want []wire.ByteRange
		ok   bool
	}{
		{"bytes=0-9", one(0, 10), true},
		{"bytes=50-", one(50, 50), true},
		{"bytes=-10", one(90, 10), true},
		{"bytes=-1000", one(0, 100), true},
		{"bytes=90-1000", one(90, 10), true},
		{"bytes=99-99", one(99, 1), true},
		{"bytes=0-0,-1", []wire.ByteRange{{Start: 0, Length: 1}, {Start: 99, Length: 1}}, true},
		{"bytes=0-9, 200-300", one(0, 10), true},
		{"bytes=100-", nil, false},
		{"bytes=-0", nil, false},
		{"bytes=9-0", nil, false},
		{"bytes=", nil, false},
		{"lines=1-2", nil, true},
		{"bytes=a-b", nil, true},
		{"bytes=1", nil, true},
		{"bytes=--1", nil, true},
		{"bytes=+1-2", nil, true},
		{"bytes=99999999999999999999-", nil, true},
		// Ranges that together are more than the content: the whole is sent.
		{"bytes=0-,0-,0-", nil, true},
		{"bytes=" + strings.Repeat("0-0,", 20), nil, true},
	} {
		got, ok := wire.ParseRange(c.in, size)
		if ok != c.ok || cmp.Diff(c.want, got) != "" {
			t.Errorf("%q: %v %v", c.in, got, ok)
		}
	}
	if _, ok := wire.ParseRange("bytes=0-", 0); ok {
		t.Error("a range of nothing is satisfiable")
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-9,-5,50-", int64(100))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		ranges, _ := wire.ParseRange(s, size)
		var sum int64
		for _, r := range ranges {
			if r.Start < 0 || r.Length <= 0 || r.Start+r.Length > size {
				t.Fatalf("%q of %d bytes: %+v", s, size, r)
			}
			sum += r.Length
		}
		if sum > size {
			t.Fatalf("%q sends %d bytes of %d", s, sum, size)
		}
	})
}

func TestParseContentRange(t *testing.T) {
	for _, in := range []string{"0-9", "bytes 0-9/10", "bytes 0-9/*"} {
		if r, err := wire.ParseContentRange(in); err != nil || r != (wire.ByteRange{Start: 0, Length: 10}) {
			t.Errorf("%q: %v %v", in, r, err)
		}
	}
	for _, in := range []string{"", "0", "9-0", "-1", "a-b", "0--1"} {
		if _, err := wire.ParseContentRange(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestChallenge(t *testing.T) {
	c := wire.Challenge{Realm: "https://r.example/token", Service: "fairlead", Scope: "repository:a:pull,push registry:catalog:*", Error: "invalid_token"}
	got, err := wire.ParseChallenge(c.String())
	if err != nil || got != c {
		t.Fatalf("%s: %+v %v", c, got, err)
	}
	if got, err := wire.ParseChallenge(`bearer realm=x , foo="a, \"b\"", service = "s"`); err != nil || got != (wire.Challenge{Realm: "x", Service: "s"}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, in := range []string{"", "Basic realm=x", "Bearer", "Bearer service=x", `Bearer realm="x`, `Bearer realm="x\`, "Bearer realm=x,realm=y", "Bearer realm=x,=y", "Bearer realm=" + strings.Repeat("x", 9000)} {
		if _, err := wire.ParseChallenge(in); err == nil {
			t.Errorf("%q is accepted", oci.Clip(in))
		}
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://r/token",service="s",scope="repository:a:pull"`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := wire.ParseChallenge(s)
		if err != nil {
			return
		}
		again, err := wire.ParseChallenge(c.String())
		if len(c.String()) <= 8<<10 && (err != nil || again != c) {
			t.Fatalf("%q: %+v comes back as %+v, %v", s, c, again, err)
		}
	})
}
