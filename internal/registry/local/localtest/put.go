package localtest

import (
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

var putCases = []testCase{
	{"creates the repository", func(s *suite) {
		_, err := s.Catalog.Tags(s.Context(), "acme/web", "", 1)
		s.code(err, oci.CodeNameUnknown)
		s.put("acme/web", s.index())
		_, err = s.Catalog.Tags(s.Context(), "acme/web", "", 1)
		s.must(err)
	}},
	{"moves tags", func(s *suite) {
		a := s.pushed("acme/web", "a", 1, "v1", "latest")
		b := s.pushed("acme/web", "b", 1, "v2", "latest")
		s.holds("acme/web", byTag("v1"), a)
		s.holds("acme/web", byTag("v2"), b)
		s.holds("acme/web", byTag("latest"), b)
		s.put("acme/web", a, "latest")
		s.holds("acme/web", byTag("latest"), a)
		s.holds("acme/web", byDigest(b), b)
	}},
	{"again changes nothing", func(s *suite) {
		m := s.pushed("acme/web", "m", 2, "v1")
		again := m
		again.MediaType = "application/vnd.example+json"
		s.put("acme/web", again, "v1")
		s.put("acme/web", again)
		s.holds("acme/web", byTag("v1"), m) // it is left as it is
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		s.lacks("acme/web", byTag("v1"))
	}},
	{"the same tag twice", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		s.put("acme/web", m, "v1", "v1", "v2")
		tags, err := s.Catalog.Tags(s.Context(), "acme/web", "", 10)
		s.must(err)
		s.equal("tags", tags, []oci.Tag{"v1", "v2"})
	}},
	{"missing blobs", func(s *suite) {
		blobs := newBlobs("b", 5)
		s.link("acme/web", blobs[0], blobs[2], blobs[4])
		err := s.Catalog.PutManifest(s.Context(), "acme/web", s.image(blobs...), []oci.Tag{"v1"}, nil)
		e := s.code(err, oci.CodeManifestBlobUnknown)
		s.equal("detail", e.Detail, []oci.Digest{blobs[1].Digest, blobs[3].Digest})
		s.names(e, string(blobs[1].Digest))
		s.lacks("acme/web", byTag("v1"))
		s.lacks("acme/web", byDigest(s.image(blobs...)))
		s.link("acme/web", blobs[1], blobs[3])
		s.put("acme/web", s.image(blobs...), "v1")
	}},
	{"a refused one leaves no repository", func(s *suite) {
		blobs := newBlobs("b", 2)
		s.link("acme/api", blobs...)
		err := s.Catalog.PutManifest(s.Context(), "acme/web", s.image(blobs...), []oci.Tag{"v1"}, nil)
		e := s.code(err, oci.CodeManifestBlobUnknown) // another repository's do not count
		s.equal("detail", e.Detail, []oci.Digest{blobs[0].Digest, blobs[1].Digest})
		_, err = s.Catalog.Tags(s.Context(), "acme/web", "", 1)
		s.code(err, oci.CodeNameUnknown)
		repos, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", 10)
		s.must(err)
		s.equal("repositories", repos, []oci.Repo{"acme/api"})
	}},
	{"a thousand layers", func(s *suite) {
		blobs := newBlobs("layer", 1001)
		start := time.Now()
		s.link("acme/web", blobs[:900]...)
		s.Logf("900 links took %s", time.Since(start))
		m := s.image(blobs...)
		err := s.Catalog.PutManifest(s.Context(), "acme/web", m, []oci.Tag{"v1"}, nil)
		e := s.code(err, oci.CodeManifestBlobUnknown)
		missing, _ := e.Detail.([]oci.Digest)
		if len(missing) != 100 || missing[0] != blobs[900].Digest || missing[99] != blobs[999].Digest {
			s.Errorf("the detail has %d digests, want the first 100 of the missing 101", len(missing))
		}
		s.link("acme/web", blobs[900:]...)
		start = time.Now()
		s.put("acme/web", m, "v1")
		s.Logf("the manifest took %s", time.Since(start))
		s.holds("acme/web", byTag("v1"), m)
		for _, i := range []int{0, 500, 1000} {
			s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[i].Digest), oci.CodeUnsupported)
		}
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[1000].Digest))
	}},
	{"a layer named twice", func(s *suite) {
		blobs := newBlobs("b", 2)
		s.link("acme/web", blobs...)
		m := s.image(blobs[0], blobs[1], blobs[1], blobs[0])
		m.Content.Blobs = append(m.Content.Blobs, m.Content.Blobs...)
		s.put("acme/web", m, "v1")
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"children must be there", func(s *suite) {
		a, b := s.pushed("acme/web", "a", 1), s.image(newBlobs("b", 2)...)
		index := s.index(a.Descriptor, b.Descriptor)
		e := s.code(s.Catalog.PutManifest(s.Context(), "acme/web", index, []oci.Tag{"v1"}, nil), oci.CodeManifestBlobUnknown)
		s.equal("detail", e.Detail, []oci.Digest{b.Digest})
		s.names(e, string(b.Digest))
		s.lacks("acme/web", byTag("v1"))
		s.pushed("acme/api", "b", 1) // in another repository
		s.code(s.Catalog.PutManifest(s.Context(), "acme/web", index, nil, nil), oci.CodeManifestBlobUnknown)
		s.pushed("acme/web", "b", 1)
		s.put("acme/web", index, "v1")
		s.holds("acme/web", byTag("v1"), index)
	}},
	{"a child that has gone since", func(s *suite) {
		child := s.pushed("acme/web", "a", 1)
		index := s.index(child.Descriptor)
		s.put("acme/web", index, "v1")
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", child.Digest, nil))
		s.code(s.Catalog.PutManifest(s.Context(), "acme/web", index, []oci.Tag{"v2"}, nil), oci.CodeManifestBlobUnknown)
		s.lacks("acme/web", byTag("v2"))
		s.put("acme/web", child)
		s.put("acme/web", index, "v2")
	}},
	{"three hundred children", func(s *suite) {
		var children []oci.Descriptor
		for i := range 300 {
			m := s.manifest(document{MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}, Annotations: map[string]string{"n": fmt.Sprint(i)}})
			s.put("acme/web", m)
			children = append(children, m.Descriptor)
		}
		index := s.index(children...)
		s.put("acme/web", index, "v1")
		s.put("acme/web", index, "v2")
		s.holds("acme/web", byTag("v2"), index)
	}},
	{"blobs as children, as BuildKit's cache has them", func(s *suite) {
		layer, config := newBlob("layer"), newBlob("config")
		cache := s.index(
			oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: layer.Digest, Size: layer.Size},
			oci.Descriptor{MediaType: "application/vnd.buildkit.cacheconfig.v0", Digest: config.Digest, Size: config.Size},
		)
		s.link("acme/web", config)
		e := s.code(s.Catalog.PutManifest(s.Context(), "acme/web", cache, nil, nil), oci.CodeManifestBlobUnknown)
		s.equal("detail", e.Detail, []oci.Digest{layer.Digest})
		s.link("acme/web", layer)
		s.put("acme/web", cache, "cache")
		s.put("acme/web", cache, "cache")
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", layer.Digest), oci.CodeUnsupported)
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", cache.Digest, nil))
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", layer.Digest))
	}},
	{"a manifest is no blob and a blob no manifest", func(s *suite) {
		child := s.pushed("acme/web", "a", 1)
		_, err := s.Catalog.Blob(s.Context(), "acme/web", child.Digest)
		s.code(err, oci.CodeBlobUnknown)
		uploaded := newBlob("pretender")
		s.link("acme/web", uploaded)
		s.lacks("acme/web", oci.Ref{Digest: uploaded.Digest})
		index := s.index(oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: uploaded.Digest, Size: uploaded.Size})
		s.code(s.Catalog.PutManifest(s.Context(), "acme/web", index, nil, nil), oci.CodeManifestBlobUnknown)
	}},
	{"a subject may be missing", func(s *suite) {
		m := s.artifact("acme/web", newBlob("nowhere").Digest, "application/vnd.example", nil)
		s.put("acme/web", m, "v1")
		s.holds("acme/web", byTag("v1"), m)
	}},
}
