package localtest

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

var manifestCases = []testCase{
	{"by tag and by digest", func(s *suite) {
		m := s.pushed("acme/web", "m", 3, "v1", "latest")
		s.holds("acme/web", byTag("v1"), m)
		s.holds("acme/web", byTag("latest"), m)
		s.holds("acme/web", byDigest(m), m)
		got, err := s.Catalog.Manifest(s.Context(), "acme/web", byDigest(m))
		s.must(err)
		if got.ArtifactType != "" || got.Annotations != nil {
			s.Errorf("Manifest gave the artifact type %q and annotations %v, both belong to Referrers", got.ArtifactType, got.Annotations)
		}
	}},
	{"bytes are kept as they are", func(s *suite) {
		m := s.index()
		m.Bytes = append([]byte(" \t\n"), m.Bytes...)
		m.Bytes = append(m.Bytes, "\r\n\x00\xff\xfe "...) // no manifest, but bytes
		m.Digest, m.Size = oci.DigestOf(oci.SHA512, m.Bytes), int64(len(m.Bytes))
		s.put("acme/web", m, "odd")
		s.holds("acme/web", byTag("odd"), m)
		s.holds("acme/web", byDigest(m), m)
	}},
	{"four megabytes", func(s *suite) {
		m := s.index()
		m.Bytes = append(m.Bytes, bytes.Repeat([]byte{' '}, 4<<20)...)
		m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
		s.put("acme/web", m, "big")
		s.holds("acme/web", byTag("big"), m)
	}},
	{"unknown names", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		other := newBlob("other").Digest
		for _, ref := range []oci.Ref{byTag("v1"), byDigest(m)} {
			_, err := s.Catalog.Manifest(s.Context(), "acme/none", ref)
			s.code(err, oci.CodeNameUnknown)
		}
		s.code(s.Catalog.DeleteManifest(s.Context(), "acme/none", m.Digest, nil), oci.CodeNameUnknown)
		s.code(s.Catalog.DeleteTag(s.Context(), "acme/none", "v1", nil), oci.CodeNameUnknown)
		for _, ref := range []oci.Ref{byTag("v2"), byTag("V1"), {Digest: other}} {
			s.lacks("acme/web", ref)
		}
		s.code(s.Catalog.DeleteManifest(s.Context(), "acme/web", other, nil), oci.CodeManifestUnknown)
		s.code(s.Catalog.DeleteTag(s.Context(), "acme/web", "v2", nil), oci.CodeManifestUnknown)
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"a manifest of one repository is unknown in another", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		other := s.pushed("acme/api", "n", 1, "v1")
		s.lacks("acme/api", byDigest(m))
		s.code(s.Catalog.DeleteManifest(s.Context(), "acme/api", m.Digest, nil), oci.CodeManifestUnknown)
		s.holds("acme/web", byTag("v1"), m)
		s.holds("acme/api", byTag("v1"), other)
	}},
	{"the same manifest in two repositories", func(s *suite) {
		m := s.pushed("acme/web", "same", 2, "v1")
		s.pushed("acme/api", "same", 2, "v1")
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		s.lacks("acme/web", byDigest(m))
		s.holds("acme/api", byTag("v1"), m)
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/api", m.Digest, nil))
		s.lacks("acme/api", byDigest(m))
		s.put("acme/web", m, "v2") // its blobs are still there
		s.holds("acme/web", byTag("v2"), m)
	}},
	{"the media type is the repository's", func(s *suite) {
		m := s.index()
		s.put("acme/web", m)
		m.MediaType = "application/vnd.example+json"
		s.put("acme/api", m)
		s.holds("acme/api", byDigest(m), m)
		m.MediaType = oci.MediaTypeImageIndex
		s.holds("acme/web", byDigest(m), m)
	}},
	{"deleting a tag leaves the manifest", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		s.must(s.Catalog.DeleteTag(s.Context(), "acme/web", "v1", nil))
		s.lacks("acme/web", byTag("v1"))
		s.holds("acme/web", byTag("v2"), m)
		s.holds("acme/web", byDigest(m), m)
		s.code(s.Catalog.DeleteTag(s.Context(), "acme/web", "v1", nil), oci.CodeManifestUnknown)
	}},
	{"deleting a tag leaves another repository's", func(s *suite) {
		m := s.pushed("acme/web", "same", 1, "v1")
		s.pushed("acme/api", "same", 1, "v1")
		s.must(s.Catalog.DeleteTag(s.Context(), "acme/web", "v1", nil))
		s.holds("acme/api", byTag("v1"), m)
	}},
	{"deleting a manifest takes its tags and no others", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		other := s.pushed("acme/web", "n", 1, "v3")
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		for _, ref := range []oci.Ref{byTag("v1"), byTag("v2"), byDigest(m)} {
			s.lacks("acme/web", ref)
		}
		s.holds("acme/web", byTag("v3"), other)
		s.code(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil), oci.CodeManifestUnknown)
		tags, err := s.Catalog.Tags(s.Context(), "acme/web", "", 10)
		s.must(err)
		s.equal("tags", tags, []oci.Tag{"v3"})
	}},
	{"deleting a child leaves the index", func(s *suite) {
		child := s.pushed("acme/web", "m", 1)
		index := s.index(child.Descriptor)
		s.put("acme/web", index, "v1")
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", child.Digest, nil))
		s.holds("acme/web", byTag("v1"), index)
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", index.Digest, nil))
	}},
	{"a context that has ended", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.Catalog.Manifest(ctx, "acme/web", byTag("v1"))
		s.cancelled(err)
		s.cancelled(s.Catalog.PutManifest(ctx, "acme/web", m, []oci.Tag{"v2"}, nil))
		s.cancelled(s.Catalog.DeleteTag(ctx, "acme/web", "v1", nil))
		s.cancelled(s.Catalog.DeleteManifest(ctx, "acme/web", m.Digest, nil))
		s.holds("acme/web", byTag("v1"), m)
		s.lacks("acme/web", byTag("v2"))
	}},
}

func (s *suite) cancelled(err error) {
	s.Helper()
	if !errors.Is(err, context.Canceled) {
		s.Fatalf("got error %v, want context.Canceled", err)
	}
}

// names wants the error's text to name something.
func (s *suite) names(e *oci.Error, what string) {
	s.Helper()
	if !strings.Contains(e.Message, what) {
		s.Errorf("the message %q does not name %s", e.Message, what)
	}
}
