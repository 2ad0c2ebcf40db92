package localtest

import (
	"context"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

var blobCases = []testCase{
	{"a linked blob is found", func(s *suite) {
		b := newBlob("b")
		b.Digest = oci.DigestOf(oci.SHA512, []byte("b"))
		row, err := s.Catalog.LinkBlob(s.Context(), "acme/web", b, "")
		s.must(err)
		s.equal("linked", row, b)
		row, err = s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
		s.must(err)
		s.equal("found", row, b)
		repos, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", 10)
		s.must(err)
		s.equal("repositories", repos, []oci.Repo{"acme/web"})
	}},
	{"unknown names", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		_, err := s.Catalog.Blob(s.Context(), "acme/none", b.Digest)
		s.code(err, oci.CodeNameUnknown)
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/none", b.Digest), oci.CodeNameUnknown)
		_, err = s.Catalog.Blob(s.Context(), "acme/web", newBlob("c").Digest)
		s.code(err, oci.CodeBlobUnknown)
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", newBlob("c").Digest), oci.CodeBlobUnknown)
	}},
	{"a blob of one repository is unknown in another", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		s.link("acme/api", newBlob("c"))
		_, err := s.Catalog.Blob(s.Context(), "acme/api", b.Digest)
		s.code(err, oci.CodeBlobUnknown)
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/api", b.Digest), oci.CodeBlobUnknown)
		_, err = s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
		s.must(err)
	}},
	{"the first row stays", func(s *suite) {
		first, second := newBlob("b"), newBlob("b")
		s.link("acme/web", first)
		for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
			row, err := s.Catalog.LinkBlob(s.Context(), repo, second, "")
			s.must(err)
			s.equal("linked", row, first)
			row, err = s.Catalog.Blob(s.Context(), repo, first.Digest)
			s.must(err)
			s.equal("found", row, first)
		}
		unknown, err := s.Garbage.UnknownKeys(s.Context(), []blob.Key{first.Key, second.Key})
		s.must(err)
		s.equal("unknown keys", unknown, []blob.Key{second.Key})
	}},
	{"without a key only what the registry has", func(s *suite) {
		b := newBlob("b")
		asked := local.BlobRow{Digest: b.Digest}
		_, err := s.Catalog.LinkBlob(s.Context(), "acme/api", asked, "")
		s.code(err, oci.CodeBlobUnknown)
		_, err = s.Catalog.Tags(s.Context(), "acme/api", "", 1)
		s.code(err, oci.CodeNameUnknown) // nothing was written
		s.link("acme/web", b)
		row, err := s.Catalog.LinkBlob(s.Context(), "acme/api", asked, "")
		s.must(err)
		s.equal("linked", row, b)
		row, err = s.Catalog.Blob(s.Context(), "acme/api", b.Digest)
		s.must(err)
		s.equal("found", row, b)
	}},
	{"a key is used once", func(s *suite) {
		b, c := newBlob("b"), newBlob("c")
		c.Key = b.Key
		s.link("acme/web", b)
		if _, err := s.Catalog.LinkBlob(s.Context(), "acme/web", c, ""); err == nil {
			s.Error("two blobs have the same key")
		}
		_, err := s.Catalog.Blob(s.Context(), "acme/web", c.Digest)
		s.code(err, oci.CodeBlobUnknown)
	}},
	{"unlinking", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		s.link("acme/api", b)
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", b.Digest))
		_, err := s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
		s.code(err, oci.CodeBlobUnknown)
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", b.Digest), oci.CodeBlobUnknown)
		_, err = s.Catalog.Blob(s.Context(), "acme/api", b.Digest)
		s.must(err)
		s.link("acme/web", newBlob("b"))
		row, err := s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
		s.must(err)
		s.equal("linked again", row, b)
	}},
	{"what a manifest needs stays", func(s *suite) {
		blobs := newBlobs("b", 3)
		s.link("acme/web", blobs...)
		s.link("acme/api", blobs...)
		a, b := s.image(blobs...), s.image(blobs[0], blobs[1])
		s.put("acme/web", a, "v1")
		s.put("acme/web", b)
		for _, row := range blobs {
			s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", row.Digest), oci.CodeUnsupported)
			s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/api", row.Digest)) // nothing there needs it
		}
		e := s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[2].Digest), oci.CodeUnsupported)
		s.names(e, string(a.Digest))
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", a.Digest, nil))
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[1].Digest), oci.CodeUnsupported)
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[2].Digest))
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", b.Digest, nil))
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[1].Digest))
	}},
	{"linking ends the upload", func(s *suite) {
		up := newUpload("u1")
		s.must(s.Uploads.Begin(s.Context(), up))
		b := newBlob("b")
		b.Key = up.Key
		_, err := s.Catalog.LinkBlob(s.Context(), up.Repo, b, up.ID)
		s.must(err)
		_, err = s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
	}},
	{"linking what is there ends the upload, too", func(s *suite) {
		first := newBlob("b")
		s.link("acme/web", first)
		up := newUpload("u1")
		s.must(s.Uploads.Begin(s.Context(), up))
		mine := newBlob("b")
		mine.Key = up.Key
		row, err := s.Catalog.LinkBlob(s.Context(), up.Repo, mine, up.ID)
		s.must(err)
		s.equal("linked", row, first)
		unknown, err := s.Garbage.UnknownKeys(s.Context(), []blob.Key{up.Key})
		s.must(err)
		s.equal("unknown keys", unknown, []blob.Key{up.Key})
	}},
	{"an upload that is gone links nothing", func(s *suite) {
		up := newUpload("u1")
		s.must(s.Uploads.Begin(s.Context(), up))
		b := newBlob("b")
		b.Key = up.Key
		for _, id := range []string{"u2", up.ID} {
			if id == up.ID {
				s.must(s.Uploads.End(s.Context(), id))
			}
			_, err := s.Catalog.LinkBlob(s.Context(), "acme/web", b, id)
			s.code(err, oci.CodeBlobUploadUnknown)
			_, err = s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
			s.code(err, oci.CodeNameUnknown)
		}
	}},
	{"an upload of another repository links nothing", func(s *suite) {
		up := newUpload("u1")
		s.must(s.Uploads.Begin(s.Context(), up))
		_, err := s.Catalog.LinkBlob(s.Context(), "acme/api", newBlob("b"), up.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
		_, err = s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.must(err)
	}},
	{"a failed link leaves the upload", func(s *suite) {
		up := newUpload("u1")
		s.must(s.Uploads.Begin(s.Context(), up))
		_, err := s.Catalog.LinkBlob(s.Context(), up.Repo, local.BlobRow{Digest: newBlob("b").Digest}, up.ID)
		s.code(err, oci.CodeBlobUnknown)
		_, err = s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.must(err)
	}},
	{"a context that has ended", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.Catalog.Blob(ctx, "acme/web", b.Digest)
		s.cancelled(err)
		_, err = s.Catalog.LinkBlob(ctx, "acme/web", newBlob("c"), "")
		s.cancelled(err)
		s.cancelled(s.Catalog.UnlinkBlob(ctx, "acme/web", b.Digest))
		_, err = s.Catalog.Blob(s.Context(), "acme/web", newBlob("c").Digest)
		s.code(err, oci.CodeBlobUnknown)
		_, err = s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
		s.must(err)
	}},
}
