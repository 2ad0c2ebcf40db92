package localtest

import (
	"os"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

var repositoryCases = []testCase{
	{"is hidden at once, and comes back", func(s *suite) {
		m := s.pushed("acme/web", "m", 2, "v1", "v2")
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", map[string]string{"a": "b"})
		s.put("acme/web", a)
		index := s.index(m.Descriptor)
		s.put("acme/web", index, "index")
		s.pushed("acme/api", "m", 2, "v1")
		e, err := s.Trash.DeleteRepository(s.as("alice"), "acme/web", nil)
		s.must(err)
		s.equal("entry", e, local.TrashEntry{
			ID: e.ID, Kind: local.TrashedRepository, Repo: "acme/web", Name: "acme/web", Deleted: s.Clock.Now(), By: "alice",
			Manifests: 3, Tags: 3, Bytes: 3*3 + 2,
		})
		s.equal("entries", s.entries(), []local.TrashEntry{e})
		s.unknownEverywhere("acme/web", m, "v1")
		s.holds("acme/api", byTag("v1"), m)
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow(nil))
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 3, Tags: 3})
		s.tags("acme/web", "index", "v1", "v2")
		s.holds("acme/web", byTag("v2"), m)
		s.holds("acme/web", byTag("index"), index)
		s.equal("referrers", s.referrers("acme/web", m.Digest, "", 9), []oci.Descriptor{descriptor(a)})
		s.repositories("acme/api", "acme/web")
		for _, d := range digestsOf(m) {
			s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", d), oci.CodeUnsupported)
		}
		s.put("acme/web", index, "index2") // its child is known as one
		s.gone(e.ID)
	}},
	{"what no manifest needs is let go", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		lone, shared := newBlob("lone"), newBlob("shared")
		s.link("acme/web", lone, shared)
		s.link("acme/api", shared)
		deleted := s.Clock.Pass(time.Hour)
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.equal("not at once", s.forgotten(deleted, 10, nil), []local.BlobRow(nil))
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow{lone})
		s.restored(e.ID)
		_, err = s.Catalog.Blob(s.Context(), "acme/web", lone.Digest)
		s.code(err, oci.CodeBlobUnknown)
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"uploads into it end", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1")
		up := s.begun("u1")
		other := newUpload("u2")
		other.Repo = "acme/api"
		s.must(s.Uploads.Begin(s.Context(), other))
		_, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		_, err = s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
		_, err = s.Uploads.Load(s.Context(), other.Repo, other.Owner, other.ID)
		s.must(err)
		unknown, err := s.Garbage.UnknownKeys(s.Context(), []blob.Key{up.Key, other.Key})
		s.must(err)
		s.equal("unknown keys", unknown, []blob.Key{up.Key})
	}},
	{"an empty one comes back empty", func(s *suite) {
		s.unlinked("acme/web", newBlob("b"))
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.repositories()
		s.equal("restored", s.restored(e.ID), local.Restored{})
		s.tags("acme/web")
	}},
	{"purged for good", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.purge(e.ID)
		s.equal("number of blobs", len(s.forgotten(s.Clock.Pass(time.Hour), 10, nil)), 2)
		s.unknownEverywhere("acme/web", m, "v1")
		s.code(s.Catalog.PutManifest(s.Context(), "acme/web", m, nil, nil), oci.CodeManifestBlobUnknown)
	}},
	{"deleted, made again by a push, then restored", func(s *suite) {
		old := s.pushed("acme/web", "old", 1, "v1", "latest", "same")
		both := s.pushed("acme/web", "both", 1, "both")
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.pushed("acme/web", "both", 1, "both")
		young := s.pushed("acme/web", "young", 1, "v2", "latest")
		s.equal("restored", s.restored(e.ID), local.Restored{
			Manifests: 1, Tags: 2,
			Conflicts: []local.TagConflict{{Repo: "acme/web", Tag: "latest", Trashed: old.Digest, Current: young.Digest}},
		})
		s.tags("acme/web", "both", "latest", "same", "v1", "v2")
		s.holds("acme/web", byTag("latest"), young)
		s.holds("acme/web", byTag("v1"), old)
		s.holds("acme/web", byTag("both"), both)
		left := s.newest()
		s.equal("left", left, local.TrashEntry{
			ID: e.ID, Kind: e.Kind, Repo: e.Repo, Name: e.Name, Deleted: e.Deleted, Tags: 1,
		})
		r, err := s.Trash.Restore(s.Context(), e.ID, true, nil)
		s.must(err)
		s.equal("overwritten", r, local.Restored{Tags: 1})
		s.holds("acme/web", byTag("latest"), old)
		s.gone(e.ID)
	}},
	{"a namespace and no other", func(s *suite) {
		inside := []oci.Repo{"acme", "acme/api", "acme/tools/deep", "acme/web"}
		outside := []oci.Repo{"acm", "acme-x/web", "acme.x", "acme0/web", "acmes/web", "web/acme"}
		for _, repo := range append(slices.Clone(inside), outside...) {
			s.pushed(repo, "m", 1, "v1")
		}
		m := s.image(newBlobs("m", 2)...)
		e, err := s.Trash.DeleteNamespace(s.as("alice"), "acme")
		s.must(err)
		s.equal("entry", e, local.TrashEntry{
			ID: e.ID, Kind: local.TrashedNamespace, Name: "acme", Deleted: s.Clock.Now(), By: "alice",
			Manifests: 4, Tags: 4, Bytes: 6,
		})
		s.repositories(outside...)
		for _, repo := range inside {
			s.unknownEverywhere(repo, m, "v1")
		}
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 4, Tags: 4})
		for _, repo := range append(slices.Clone(inside), outside...) {
			s.holds(repo, byTag("v1"), m)
		}
	}},
	{"thousands of manifests", func(s *suite) {
		n := 2_500 // beside the race detector, which takes ten times as long
		if os.Getenv("FAIRLEAD_LONG") == "1" {
			n = 10_000
		}
		blobs := newBlobs("m", 5)
		s.link("acme/web", blobs...)
		together(50, func(w int) {
			for i := w; i < n; i += 50 {
				name := oci.Tag("v" + time.Duration(i).String())
				m := s.manifest(document{MediaType: oci.MediaTypeImageManifest, Annotations: map[string]string{"n": string(name)}}, blobs...)
				if !s.try(s.Catalog.PutManifest(s.Context(), "acme/web", m, []oci.Tag{name}, nil)) {
					return
				}
			}
		})
		const most = 2 * time.Minute // it takes a second; machines differ
		start := time.Now()
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		deleted := time.Since(start)
		s.equal("manifests", [2]int{e.Manifests, e.Tags}, [2]int{n, n})
		start = time.Now()
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: n, Tags: n})
		restored := time.Since(start)
		s.Logf("deleting took %s, restoring %s", deleted, restored)
		if deleted > most || restored > most {
			s.Errorf("deleting took %s, restoring %s, want at most %s", deleted, restored, most)
		}
	}},
}
