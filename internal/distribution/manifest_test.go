package distribution_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func typed(mediaType string) map[string]string { return map[string]string{"Content-Type": mediaType} }

// TestManifestsAreByteIdentical: what was pushed is what comes back, in every
// format, by tag and by digest, blanks and unknown fields included.
func TestManifestsAreByteIdentical(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	layer := []byte("layer")
	s.pushBlob(t, tok, "a", emptyBlob)
	s.pushBlob(t, tok, "a", layer)
	config := `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + sum(emptyBlob) + `","size":2}`
	layers := `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + sum(layer) + `","size":5}]`
	image := []byte("{ \"schemaVersion\":2,\n\t\"mediaType\":\"" + imageType + "\"," + config + "," + layers + ",\"x-unknown\":{\"b\":1,\"a\":[null,1e400]}}\r\n")
	child := func(mediaType string) string {
		return `"manifests":[{"mediaType":"` + mediaType + `","digest":"` + sum(image) + `","size":` + itoa(len(image)) + `,"platform":{"os":"linux","architecture":"amd64"}}]`
	}
	nothing := "sha256:" + strings.Repeat("0", 64)
	foreign := func(mediaType string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + imageType + `",` + config + `,"layers":[{"mediaType":"` + mediaType + `","digest":"` + nothing + `","size":5,"urls":["http://169.254.169.254/"]}]}`)
	}
	for _, c := range []struct {
		name, contentType, mediaType string
		body                         []byte
	}{
		{"OCI image", imageType, imageType, image},
		{"OCI image, parameters", imageType + "; charset=utf-8", imageType, append(slices.Clone(image), ' ')},
		{"OCI image, no mediaType", imageType, imageType, []byte(`{"schemaVersion":2,` + config + `,` + layers + `}`)},
		{"no Content-Type", "", imageType, append(slices.Clone(image), '\n')},
		{"OCI index", indexType, indexType, []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `",` + child(imageType) + `}`)},
		{"OCI index, empty", indexType, indexType, []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`)},
		{"index of BuildKit's cache", indexType, indexType, []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + sum(layer) + `","size":5},{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"` + sum(emptyBlob) + `","size":2}]}`)},
		{"Docker manifest", dockerType, dockerType, []byte(`{"schemaVersion": 2,"mediaType":"` + dockerType + `",` + config + `,` + layers + `}`)},
		{"Docker list", listType, listType, []byte(`{"schemaVersion": 2,"mediaType":"` + listType + `",` + child(imageType) + `}`)},
		{"artifact", imageType, imageType, artifact(`,"artifactType":"application/x.anything"`)},
		{"artifact, subject absent", imageType, imageType, artifact(`,"subject":{"mediaType":"` + imageType + `","digest":"` + nothing + `","size":7}`)},
		{"non-distributable layer", imageType, imageType, foreign("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")},
		{"foreign layer", imageType, imageType, foreign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := map[string]string{}
			if c.contentType != "" {
				header["Content-Type"] = c.contentType
			}
			tag := "t" + itoa(len(c.body))
			a := s.do(t, "PUT", "/v2/a/manifests/"+tag, call{token: tok, body: c.body, header: header})
			want(t, a, 201, "Docker-Content-Digest", sum(c.body), "Location", s.url+"/v2/a/manifests/"+sum(c.body))
			for _, ref := range []string{tag, sum(c.body)} {
				got := s.do(t, "GET", "/v2/a/manifests/"+ref, call{token: tok, header: map[string]string{"Accept": "text/html"}})
				want(t, got, 200, "Content-Type", c.mediaType, "Docker-Content-Digest", sum(c.body), "Content-Length", itoa(len(c.body)), "Etag", `"`+sum(c.body)+`"`)
				if !bytes.Equal(got.body, c.body) {
					t.Errorf("other bytes:\n%q\n%q", got.body, c.body)
				}
				head := s.do(t, "HEAD", "/v2/a/manifests/"+ref, call{token: tok})
				want(t, head, 200, "Content-Type", c.mediaType, "Docker-Content-Digest", sum(c.body), "Content-Length", itoa(len(c.body)))
				if len(head.body) != 0 {
					t.Error("HEAD has a body")
				}
				want(t, s.do(t, "GET", "/v2/a/manifests/"+ref, call{token: tok, header: map[string]string{"If-None-Match": `"` + sum(c.body) + `"`}}), 304)
			}
			d := sum512(c.body)
			a = s.do(t, "PUT", "/v2/a/manifests/"+d, call{token: tok, body: c.body, header: header})
			want(t, a, 201, "Docker-Content-Digest", d, "Location", s.url+"/v2/a/manifests/"+d)
			got := s.do(t, "GET", "/v2/a/manifests/"+d, call{token: tok})
			want(t, got, 200, "Docker-Content-Digest", d)
			if !bytes.Equal(got.body, c.body) {
				t.Error("other bytes by sha512")
			}
		})
	}
}

// TestManifestRefusals: each names the field or the digest, and leaves
// nothing.
func TestManifestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	absent := sum([]byte("absent"))
	config := `"config":{"mediaType":"application/x","digest":"` + sum(emptyBlob) + `","size":2}`
	image := func(fields string) string {
		return `{"schemaVersion":2,"mediaType":"` + imageType + `",` + config + fields + `}`
	}
	index := func(fields string) string {
		return `{"schemaVersion":2,"mediaType":"` + indexType + `"` + fields + `}`
	}
	many := func(n int) string {
		one := `{"mediaType":"a/b","digest":"` + sum(emptyBlob) + `","size":2}`
		return strings.Repeat(one+",", n-1) + one
	}
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		code, says              string
	}{
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`, 400, "MANIFEST_INVALID", "schema 1"},
		{"schema 1, signed", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, 400, "MANIFEST_INVALID", "schema 1"},
		{"schema 1 in disguise", imageType, `{"schemaVersion":1,"name":"a","fsLayers":[]}`, 400, "MANIFEST_INVALID", "schema 1"},
		{"fsLayers beside layers", imageType, image(`,"fsLayers":[]`), 400, "MANIFEST_INVALID", "schema 1"},
		{"absent layer", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"` + absent + `","size":1}]`), 404, "MANIFEST_BLOB_UNKNOWN", absent},
		{"absent config", imageType, strings.ReplaceAll(image(""), sum(emptyBlob), absent), 404, "MANIFEST_BLOB_UNKNOWN", absent},
		{"absent child", indexType, index(`,"manifests":[{"mediaType":"` + imageType + `","digest":"` + absent + `","size":1}]`), 404, "MANIFEST_BLOB_UNKNOWN", absent},
		{"a blob as child", indexType, index(`,"manifests":[{"mediaType":"` + imageType + `","digest":"` + sum(emptyBlob) + `","size":2}]`), 404, "MANIFEST_BLOB_UNKNOWN", sum(emptyBlob)},
		{"CVE-2021-41190, Content-Type", indexType, image(""), 400, "MANIFEST_INVALID", "mediaType"},
		{"CVE-2021-41190, layers and manifests", imageType, image(`,"layers":[],"manifests":[]`), 400, "MANIFEST_INVALID", "manifests"},
		{"CVE-2021-41190, manifests and layers", indexType, index(`,"manifests":[],"layers":[]`), 400, "MANIFEST_INVALID", "layers"},
		{"CVE-2021-41190, mediaType twice", imageType, image(`,"mediaType":"` + indexType + `"`), 400, "MANIFEST_INVALID", "mediaType"},
		{"CVE-2021-41190, mediaType in capitals", imageType, image(`,"MediaType":"` + indexType + `"`), 400, "MANIFEST_INVALID", "MediaType"},
		{"CVE-2021-41190, an odd k", imageType, image(`,"layerſ":[]`), 400, "MANIFEST_INVALID", "layer"},
		{"digest twice in a descriptor", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"` + sum(emptyBlob) + `","digest":"` + absent + `","size":1}]`), 400, "MANIFEST_INVALID", "digest"},
		{"digest in capitals in a descriptor", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"` + sum(emptyBlob) + `","Digest":"` + absent + `","size":1}]`), 400, "MANIFEST_INVALID", "Digest"},
		{"unknown type", "application/vnd.example+json", `{"schemaVersion":2}`, 400, "MANIFEST_INVALID", "application/vnd.example+json"},
		{"no type at all", "", `{"schemaVersion":2}`, 400, "MANIFEST_INVALID", "Content-Type"},
		{"type that is none", "text", `{}`, 400, "MANIFEST_INVALID", "Content-Type"},
		{"type that is huge", "a/" + strings.Repeat("b", 300), `{}`, 400, "MANIFEST_INVALID", "Content-Type"},
		{"empty", imageType, ``, 400, "MANIFEST_INVALID", "JSON"},
		{"no object", imageType, `[]`, 400, "MANIFEST_INVALID", "JSON"},
		{"cut", imageType, `{"schemaVersion":2,`, 400, "MANIFEST_INVALID", "JSON"},
		{"trailing", imageType, image("") + `{}`, 400, "MANIFEST_INVALID", "JSON"},
		{"wrong kinds", imageType, `{"schemaVersion":"2","layers":[]}`, 400, "MANIFEST_INVALID", "schemaVersion"},
		{"no config", imageType, `{"schemaVersion":2,"layers":[]}`, 400, "MANIFEST_INVALID", "config"},
		{"bad digest", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"sha256:../../etc/passwd","size":1}]`), 400, "MANIFEST_INVALID", "layers.digest"},
		{"bad subject", imageType, image(`,"subject":{"mediaType":"a/b","digest":"md5:00","size":1}`), 400, "MANIFEST_INVALID", "subject.digest"},
		{"negative size", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"` + absent + `","size":-1}]`), 400, "MANIFEST_INVALID", "layers.size"},
		{"no size", imageType, image(`,"layers":[{"mediaType":"a/b","digest":"` + absent + `"}]`), 400, "MANIFEST_INVALID", "layers.size"},
		{"nested 100,000 deep", imageType, image(`,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), 400, "MANIFEST_INVALID", "JSON"},
		{"nested 100,000 deep, objects", imageType, `{"schemaVersion":2,"x":` + strings.Repeat(`{"a":`, 100_000), 400, "MANIFEST_INVALID", "JSON"},
		{"a million empty layers", imageType, image(`,"layers":[` + strings.Repeat("{},", 1_000_000) + `{}]`), 400, "MANIFEST_INVALID", "20000"},
		{"20,001 layers", imageType, image(`,"layers":[` + many(20_001) + `]`), 400, "MANIFEST_INVALID", "20000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.state(t)
			header := map[string]string{}
			if c.contentType != "" {
				header["Content-Type"] = c.contentType
			}
			for _, ref := range []string{"t", sum([]byte(c.body))} {
				f := failed(t, s.do(t, "PUT", "/v2/a/manifests/"+ref, call{token: tok, body: []byte(c.body), header: header}), c.status, c.code)
				if !strings.Contains(f.Message, c.says) {
					t.Errorf("the message %q does not name %q", f.Message, c.says)
				}
				if c.code == "MANIFEST_BLOB_UNKNOWN" {
					var detail []string
					if err := json.Unmarshal(f.Detail, &detail); err != nil || !cmp.Equal(detail, []string{c.says}) {
						t.Errorf("detail %s: %v", f.Detail, err)
					}
				}
			}
			if after := s.state(t); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
	m := artifact("")
	for _, d := range []string{absent, sum512(nil)} {
		f := failed(t, s.do(t, "PUT", "/v2/a/manifests/"+d, call{token: tok, body: m, header: typed(imageType)}), 400, "DIGEST_INVALID")
		if !strings.Contains(f.Message, d) {
			t.Errorf("message %q", f.Message)
		}
	}
}

// TestManifestSize: 4 MiB are accepted, one byte more is not.
func TestManifestSize(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	sized := func(n int) []byte {
		m := artifact(`,"annotations":{"a":""}`)
		return bytes.Replace(m, []byte(`"a":"`), []byte(`"a":"`+strings.Repeat("x", n-len(m))), 1)
	}
	exact := sized(manifestMax)
	s.put(t, tok, "a", "exact", imageType, exact)
	if a := s.do(t, "GET", "/v2/a/manifests/exact", call{token: tok}); !bytes.Equal(a.body, exact) {
		t.Errorf("%d: %d bytes come back", a.status, len(a.body))
	}
	for name, c := range map[string]call{
		"announced": {body: sized(manifestMax + 1)},
		"streamed":  {body: sized(manifestMax + 1), chunked: true},
		"far above": {body: bytes.Repeat([]byte("x"), 16<<20), chunked: true},
	} {
		c.token, c.header = tok, typed(imageType)
		f := failed(t, s.do(t, "PUT", "/v2/a/manifests/above", c), 413, "SIZE_INVALID")
		if !strings.Contains(f.Message, "4194304") || !strings.Contains(f.Message, "max-manifest-size") {
			t.Errorf("%s: message %q", name, f.Message)
		}
	}
	failed(t, s.do(t, "GET", "/v2/a/manifests/above", call{token: tok}), 404, "MANIFEST_UNKNOWN")
}

// TestManifestTags: a push by digest moves the tags it names, and says so.
func TestManifestTags(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	m, old := artifact(""), artifact(`,"annotations":{"old":""}`)
	s.put(t, tok, "a", "one", imageType, old)
	a := s.do(t, "PUT", "/v2/a/manifests/"+sum(m)+"?tag=one&tag=two&tag=V3.x-y_z", call{token: tok, body: m, header: typed(imageType)})
	want(t, a, 201, "Docker-Content-Digest", sum(m))
	if diff := cmp.Diff([]string{"one", "two", "V3.x-y_z"}, a.header.Values("OCI-Tag")); diff != "" {
		t.Error(diff)
	}
	for _, tag := range []string{"one", "two", "V3.x-y_z"} {
		want(t, s.do(t, "HEAD", "/v2/a/manifests/"+tag, call{token: tok}), 200, "Docker-Content-Digest", sum(m))
	}
	before := s.state(t)
	for target, code := range map[string]string{
		"/v2/a/manifests/path?tag=query":                                                 "UNSUPPORTED",
		"/v2/a/manifests/" + sum(old) + "?tag=-bad":                                      "MANIFEST_INVALID",
		"/v2/a/manifests/" + sum(old) + "?tag=one&tag=" + url.QueryEscape("../x"):        "MANIFEST_INVALID",
		"/v2/a/manifests/" + sum(old) + "?tag=":                                          "MANIFEST_INVALID",
		"/v2/a/manifests/" + sum(old) + "?tag=" + strings.Repeat("t", 129):               "MANIFEST_INVALID",
		"/v2/a/manifests/" + sum(old) + "?" + strings.Repeat("tag=x&", 101) + "tag=last": "UNSUPPORTED",
	} {
		failed(t, s.do(t, "PUT", target, call{token: tok, body: old, header: typed(imageType)}), 400, code)
	}
	if after := s.state(t); after != before {
		t.Errorf("a refused push changed\n%s to\n%s", before, after)
	}
	// A manifest that was there already moves tags all the same.
	want(t, s.do(t, "PUT", "/v2/a/manifests/"+sum(old)+"?tag=two", call{token: tok, body: old, header: typed(imageType)}), 201, "OCI-Tag", "two")
	want(t, s.do(t, "HEAD", "/v2/a/manifests/two", call{token: tok}), 200, "Docker-Content-Digest", sum(old))
}

// TestSubject: OCI-Subject tells clients that the registry keeps referrers.
func TestSubject(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	subject := sum([]byte("not there yet"))
	m := artifact(`,"artifactType":"a/b","subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":1}`)
	for _, ref := range []string{"t", sum(m)} {
		a := s.do(t, "PUT", "/v2/a/manifests/"+ref, call{token: tok, body: m, header: typed(imageType)})
		want(t, a, 201, "OCI-Subject", subject)
	}
	plain := artifact("")
	want(t, s.do(t, "PUT", "/v2/a/manifests/t", call{token: tok, body: plain, header: typed(imageType)}), 201, "OCI-Subject", "")
}
