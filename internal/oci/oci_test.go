package oci_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
)

func code(err error) oci.Code {
	var e *oci.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestParseRepo(t *testing.T) {
	long := strings.Repeat("a", oci.MaxRepoLen)
	for _, c := range []struct {
		in string
		ok bool
	}{
		{"ibmliberty", true},
		{"acme/web/api", true},
		{"a.b_c__d-e--f/0", true},
		{"blobs/uploads", true},
		{long, true},
		{long + "a", false},
		{"", false},
		{"/a", false},
		{"a/", false},
		{"a//b", false},
		{"A", false},
		{"a..b", false},
		{"a___b", false},
		{"-a", false},
		{"a-", false},
		{"a._b", false},
		{"a/../b", false},
		{"..", false},
		{"a b", false},
		{"ä", false},
		{"a\x00", false},
		{"_catalog", false},
	} {
		got, err := oci.ParseRepo(c.in)
		if (err == nil) != c.ok {
			t.Errorf("ParseRepo(%q) = %v", c.in, err)
		}
		if c.ok && string(got) != c.in {
			t.Errorf("ParseRepo(%q) = %q", c.in, got)
		}
		if !c.ok && code(err) != oci.CodeNameInvalid {
			t.Errorf("ParseRepo(%q): code %q", c.in, code(err))
		}
	}
	if ns := oci.Repo("acme/web/api").Namespace(); ns != "acme" {
		t.Errorf("namespace %q", ns)
	}
	if ns := oci.Repo("ibmliberty").Namespace(); ns != "" {
		t.Errorf("a provided image has the namespace %q", ns)
	}
}

func TestParseRef(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		in   string
		want oci.Ref
		code oci.Code
	}{
		{"latest", oci.Ref{Tag: "latest"}, ""},
		{"_A.b-1", oci.Ref{Tag: "_A.b-1"}, ""},
		{strings.Repeat("t", 128), oci.Ref{Tag: oci.Tag(strings.Repeat("t", 128))}, ""},
		{strings.Repeat("t", 129), oci.Ref{}, oci.CodeManifestInvalid},
		{".a", oci.Ref{}, oci.CodeManifestInvalid},
		{"-a", oci.Ref{}, oci.CodeManifestInvalid},
		{"", oci.Ref{}, oci.CodeManifestInvalid},
		{"a/b", oci.Ref{}, oci.CodeManifestInvalid},
		{sum, oci.Ref{Digest: oci.Digest(sum)}, ""},
		{"sha512:" + strings.Repeat("a", 128), oci.Ref{Digest: oci.Digest("sha512:" + strings.Repeat("a", 128))}, ""},
		{"sha256:" + strings.Repeat("A", 64), oci.Ref{}, oci.CodeDigestInvalid},
		{"sha256:" + strings.Repeat("a", 63), oci.Ref{}, oci.CodeDigestInvalid},
		{"sha512:" + strings.Repeat("a", 64), oci.Ref{}, oci.CodeDigestInvalid},
		{"md5:" + strings.Repeat("a", 32), oci.Ref{}, oci.CodeDigestInvalid},
		{"sha256:../../etc/passwd", oci.Ref{}, oci.CodeDigestInvalid},
		{"sha256:", oci.Ref{}, oci.CodeDigestInvalid},
	} {
		got, err := oci.ParseRef(c.in)
		if code(err) != c.code {
			t.Errorf("ParseRef(%q): %v", c.in, err)
		}
		if err == nil && got != c.want {
			t.Errorf("ParseRef(%q) = %+v", c.in, got)
		}
	}
}

func TestDigestOf(t *testing.T) {
	// The well-known digests of "{}".
	if d := oci.DigestOf(oci.SHA256, []byte("{}")); d != "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" {
		t.Error(d)
	}
	d := oci.DigestOf(oci.SHA512, []byte("{}"))
	if _, err := oci.ParseDigest(string(d)); err != nil || d.Algorithm() != oci.SHA512 || len(d.Hex()) != 128 {
		t.Error(d, err)
	}
}

// TestErrorTable: every code has a row, an error keeps its identity across
// the wire, and the wire knows the specification's codes only.
func TestErrorTable(t *testing.T) {
	spec := map[string]bool{}
	for i, name := range strings.Fields(`BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID
		MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID
		UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS`) {
		spec[name] = true
		if i > 14 {
			t.Fatal("the specification has 14 codes")
		}
	}
	for _, c := range []oci.Code{
		oci.CodeBlobUnknown, oci.CodeBlobUploadInvalid, oci.CodeBlobUploadUnknown, oci.CodeDigestInvalid,
		oci.CodeManifestBlobUnknown, oci.CodeManifestInvalid, oci.CodeManifestUnknown, oci.CodeNameInvalid,
		oci.CodeNameUnknown, oci.CodeSizeInvalid, oci.CodeUnauthorized, oci.CodeDenied, oci.CodeUnsupported,
		oci.CodeTooManyRequests, oci.CodeRequestInvalid, oci.CodeRouteUnknown, oci.CodeRangeInvalid,
		oci.CodeManifestTooLarge, oci.CodeBlobTooLarge, oci.CodeStorageFull, oci.CodeUnavailable,
	} {
		if !spec[c.Wire()] {
			t.Errorf("%s goes over the wire as %q, which the specification does not know", c, c.Wire())
		}
		if s := c.Status(); s < 400 || s == 500 {
			t.Errorf("%s has status %d", c, s)
		}
		if c.Text() == "" {
			t.Errorf("%s has no text", c)
		}
		if back, ok := oci.CodeOf(c.Wire(), c.Status()); !ok || back != c {
			t.Errorf("%s comes back as %s", c, back)
		}
	}
	if oci.Code("OTHER").Status() != 500 {
		t.Error("an unknown code is an internal error")
	}
	err := fmt.Errorf("wrapped: %w", oci.Errorf(oci.CodeBlobUnknown, "no blob"))
	if !errors.Is(err, oci.ErrBlobUnknown) || errors.Is(err, oci.ErrManifestUnknown) {
		t.Error("errors.Is does not compare codes")
	}
}

const (
	blobA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	blobB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func desc(mediaType, digest string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7}`, mediaType, digest)
}

func TestParseManifest(t *testing.T) {
	config := desc("application/vnd.oci.image.config.v1+json", blobA)
	layer := desc("application/vnd.oci.image.layer.v1.tar+gzip", blobB)
	foreign := desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", blobB)
	nondist := desc("application/vnd.oci.image.layer.nondistributable.v1.tar", blobB)
	child := desc(oci.MediaTypeImageManifest, blobB)
	for _, c := range []struct {
		name, mediaType, body string
		blobs, children       int
		artifact              string
		refused               string // part of the message
	}{
		{name: "image", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`, blobs: 2, artifact: "application/vnd.oci.image.config.v1+json"},
		{name: "docker image", mediaType: oci.MediaTypeDockerManifest, body: `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeDockerManifest + `","config":` + config + `,"layers":[` + foreign + `]}`, blobs: 1, artifact: "application/vnd.oci.image.config.v1+json"},
		{name: "non-distributable layers need not be there", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[` + nondist + `]}`, blobs: 1, artifact: "application/vnd.oci.image.config.v1+json"},
		{name: "a layer twice counts once", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `,` + layer + `]}`, blobs: 2, artifact: "application/vnd.oci.image.config.v1+json"},
		{name: "artifact type", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"artifactType":"a/b","config":` + config + `,"layers":[]}`, blobs: 1, artifact: "a/b"},
		{name: "media type from the document", body: `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":` + config + `}`, blobs: 1, artifact: "application/vnd.oci.image.config.v1+json"},
		{name: "index", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[` + child + `]}`, children: 1},
		{name: "empty index", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[]}`},
		{name: "docker list", mediaType: oci.MediaTypeDockerList, body: `{"schemaVersion":2,"manifests":[` + child + `]}`, children: 1},
		{name: "BuildKit cache: an index of blobs", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[` + layer + `,` + desc("application/vnd.buildkit.cacheconfig.v0", blobA) + `]}`, blobs: 2},
		{name: "unknown fields are kept", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[],"org.example":{"a":[1,{}]}}`},

		{name: "CVE-2021-41190 layers and manifests", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[],"manifests":[]}`, refused: "manifests"},
		{name: "CVE-2021-41190 index with layers", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[],"layers":[]}`, refused: "layers"},
		{name: "CVE-2021-41190 index with config", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[],"config":` + config + `}`, refused: "config"},
		{name: "CVE-2021-41190 media types differ", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","config":` + config + `}`, refused: "agree"},
		{name: "a field twice", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[],"layers":[` + layer + `]}`, refused: "twice"},
		{name: "a field twice in another case", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[],"Layers":[` + layer + `]}`, refused: "twice"},
		{name: "a field in another case", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"Config":` + config + `}`, refused: "written"},
		{name: "a field in letters that fold to it", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layerſ":[` + layer + `]}`, refused: "written"},
		{name: "a field twice, written with an escape", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + config + `,"layers":[],"\u006cayers":[` + layer + `]}`, refused: "twice"},
		{name: "a field behind strings that look like ends", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"x":"\\","y":"}\"],[{","z":["]",{"layers":1}],"config":` + config + `,"layers":[],"layers":[]}`, refused: "twice"},
		{name: "a digest twice", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":{"digest":"` + blobA + `",` + config[1:] + `}`, refused: "twice"},
		{name: "a digest in another case", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[{"DIGEST":"` + blobA + `"}]}`, refused: "written"},
		{name: "a descriptor that is none", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[null]}`, refused: "descriptor"},
		{name: "too many descriptors", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[{}` + strings.Repeat(`,{}`, oci.MaxReferences) + `]}`, refused: "20000"},
		{name: "wrong type of a number", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":"2","manifests":[]}`, refused: "schemaVersion"},
		{name: "schema 1 by type", mediaType: "application/vnd.docker.distribution.manifest.v1+prettyjws", body: `{}`, refused: "schema 1"},
		{name: "schema 1 by shape", mediaType: oci.MediaTypeDockerManifest, body: `{"schemaVersion":1,"fsLayers":[]}`, refused: "schema 1"},
		{name: "no schema version", mediaType: oci.MediaTypeImageIndex, body: `{"manifests":[]}`, refused: "schemaVersion"},
		{name: "no type", body: `{"schemaVersion":2}`, refused: "Content-Type"},
		{name: "foreign type", mediaType: "text/plain", body: `{"schemaVersion":2}`, refused: "text/plain"},
		{name: "no config", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"layers":[]}`, refused: "config"},
		{name: "bad digest", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":` + desc("a/b", "sha256:x") + `}`, refused: "config.digest"},
		{name: "no size", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + blobA + `"}}`, refused: "config.size"},
		{name: "negative size", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + blobA + `","size":-1}}`, refused: "config.size"},
		{name: "bad subject", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[],"subject":{"digest":"x","size":1}}`, refused: "subject.digest"},
		{name: "no JSON", mediaType: oci.MediaTypeImageManifest, body: `{"schemaVersion":2,`, refused: "JSON"},
		{name: "an array", mediaType: oci.MediaTypeImageManifest, body: `[]`, refused: "JSON object"},
		{name: "two documents", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":[]}{}`, refused: "JSON"},
		{name: "empty", mediaType: oci.MediaTypeImageManifest, refused: "JSON object"},
		{name: "wrong type of a field", mediaType: oci.MediaTypeImageIndex, body: `{"schemaVersion":2,"manifests":"x"}`, refused: "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mt, got, err := oci.ParseManifest(c.mediaType, []byte(c.body))
			if c.refused != "" {
				if code(err) != oci.CodeManifestInvalid || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Blobs) != c.blobs || len(got.Children) != c.children || got.ArtifactType != c.artifact {
				t.Errorf("got %+v", got)
			}
			if c.mediaType != "" && mt != c.mediaType {
				t.Errorf("media type %q", mt)
			}
		})
	}
}

func TestParseManifestSubject(t *testing.T) {
	body := `{"schemaVersion":2,"manifests":[],"subject":` + desc("x/y", blobA) + `,"annotations":{"k":"v"}}`
	_, c, err := oci.ParseManifest(oci.MediaTypeImageIndex, []byte(body))
	if err != nil || c.Subject != blobA || c.Annotations["k"] != "v" {
		t.Fatal(c, err)
	}
}

func TestParseManifestTooManyReferences(t *testing.T) {
	one := desc(oci.MediaTypeImageManifest, blobA) + ","
	body := `{"schemaVersion":2,"manifests":[` + strings.Repeat(one, oci.MaxReferences) + desc("a/b", blobB) + `]}`
	if _, _, err := oci.ParseManifest(oci.MediaTypeImageIndex, []byte(body)); code(err) != oci.CodeManifestInvalid {
		t.Fatal(err)
	}
}

func TestParseScopes(t *testing.T) {
	got, err := oci.ParseScopes([]string{
		"repository:acme/web:pull,push repository:acme/web:delete,pull", "registry:catalog:*",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []oci.Scope{
		oci.RepoScope("acme/web", oci.ActionPull, oci.ActionPush, oci.ActionDelete), oci.CatalogScope(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if s := got[0].String(); s != "repository:acme/web:delete,pull,push" {
		t.Error(s)
	}
	if !got[0].Covers(oci.RepoScope("acme/web", oci.ActionPush)) || got[0].Covers(oci.RepoScope("acme/api", oci.ActionPull)) ||
		oci.RepoScope("a", oci.ActionPull).Covers(oci.RepoScope("a", oci.ActionPush)) {
		t.Error("Covers")
	}
	for _, bad := range []string{"", "repository", "repository:x", ":a:pull", "repository:UPPER:pull", "repository:../x:pull"} {
		if _, err := oci.ParseScope(bad); err == nil {
			t.Errorf("ParseScope(%q) is accepted", bad)
		}
	}
	many := strings.Repeat("repository:a:pull ", oci.MaxScopes+1)
	if _, err := oci.ParseScopes([]string{many}); code(err) != oci.CodeRequestInvalid {
		t.Error("too many scopes are accepted")
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(oci.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"config":`+desc("a/b", blobA)+`,"layers":[]}`))
	f.Add(oci.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[`+desc(oci.MediaTypeImageManifest, blobB)+`],"subject":`+desc("a/b", blobA)+`}`))
	f.Add("", []byte(`{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","fsLayers":null}`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		mt, c, err := oci.ParseManifest(mediaType, body)
		if err != nil {
			if code(err) != oci.CodeManifestInvalid {
				t.Fatalf("code of %v", err)
			}
			return
		}
		switch mt {
		case oci.MediaTypeImageManifest, oci.MediaTypeImageIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList:
		default:
			t.Fatalf("stored as %q", mt)
		}
		for _, d := range append(c.Blobs, c.Children...) {
			if _, err := oci.ParseDigest(string(d.Digest)); err != nil || d.Size < 0 {
				t.Fatalf("%+v: %v", d, err)
			}
		}
	})
}

func FuzzParseScopes(f *testing.F) {
	f.Add("repository:acme/web:pull,push registry:catalog:*")
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := oci.ParseScopes([]string{s})
		if err != nil {
			return
		}
		var all []string
		for _, s := range scopes {
			all = append(all, s.String())
		}
		again, err := oci.ParseScopes([]string{strings.Join(all, " ")})
		if err != nil || cmp.Diff(scopes, again) != "" {
			t.Fatalf("%q does not come back: %v\n%s", s, err, cmp.Diff(scopes, again))
		}
	})
}
