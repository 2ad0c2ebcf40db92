package localtest

import (
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// forgotten runs Forget and sorts what it returns.
func (s *suite) forgotten(before time.Time, n int, keep func(oci.Digest) bool) []local.BlobRow {
	s.Helper()
	rows, err := s.Garbage.Forget(s.Context(), before, n, keep)
	s.must(err)
	return byKey(rows)
}

func byKey(rows []local.BlobRow) []local.BlobRow {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b local.BlobRow) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return rows
}

// unlinked brings blobs in and takes them out again.
func (s *suite) unlinked(repo oci.Repo, rows ...local.BlobRow) {
	s.Helper()
	s.link(repo, rows...)
	for _, b := range rows {
		s.must(s.Catalog.UnlinkBlob(s.Context(), repo, b.Digest))
	}
}

var garbageCases = []testCase{
	{"only what nobody links and only before the time", func(s *suite) {
		old, linked, young := newBlob("old"), newBlob("linked"), newBlob("young")
		s.link("acme/web", linked)
		s.unlinked("acme/web", old)
		before := s.Clock.Pass(time.Hour)
		s.unlinked("acme/web", young) // made and unlinked at the time itself
		s.equal("forgotten", s.forgotten(before, 10, nil), []local.BlobRow{old})
		s.equal("again", s.forgotten(before, 10, nil), []local.BlobRow(nil))
		_, err := s.Catalog.Blob(s.Context(), "acme/web", linked.Digest)
		s.must(err)
		s.equal("later", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow{young})
	}},
	{"the last unlinking counts", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		s.link("acme/api", b)
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/web", b.Digest))
		s.equal("one link left", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow(nil))
		unlinked := s.Clock.Now()
		s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/api", b.Digest))
		s.equal("not before it", s.forgotten(unlinked, 10, nil), []local.BlobRow(nil))
		s.equal("after it", s.forgotten(unlinked.Add(time.Microsecond), 10, nil), []local.BlobRow{b})
	}},
	{"what is linked again is no garbage", func(s *suite) {
		for i, again := range []local.BlobRow{newBlob("b"), {Digest: newBlob("b").Digest}} {
			b := newBlob("b")
			if i == 0 {
				s.unlinked("acme/web", b)
			} else {
				s.unlinked("acme/web", local.BlobRow{Digest: b.Digest})
			}
			later := s.Clock.Pass(time.Hour)
			row, err := s.Catalog.LinkBlob(s.Context(), "acme/api", again, "")
			s.must(err)
			s.equal("forgotten", s.forgotten(later, 10, nil), []local.BlobRow(nil))
			found, err := s.Catalog.Blob(s.Context(), "acme/api", b.Digest)
			s.must(err)
			s.equal("the row stayed", found, row)
			s.must(s.Catalog.UnlinkBlob(s.Context(), "acme/api", b.Digest))
			s.equal("the time begins anew", s.forgotten(later, 10, nil), []local.BlobRow(nil))
		}
	}},
	{"what was forgotten gets a new key", func(s *suite) {
		b, again := newBlob("b"), newBlob("b")
		s.unlinked("acme/web", b)
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow{b})
		_, err := s.Catalog.LinkBlob(s.Context(), "acme/web", local.BlobRow{Digest: b.Digest}, "")
		s.code(err, oci.CodeBlobUnknown)
		row, err := s.Catalog.LinkBlob(s.Context(), "acme/web", again, "")
		s.must(err)
		s.equal("linked", row, again)
	}},
	{"what is to be kept stays, and hides nothing", func(s *suite) {
		rows := newBlobs("b", 600)
		for i := range rows {
			s.Clock.Pass(time.Microsecond)
			s.unlinked("acme/web", rows[i])
		}
		kept := map[oci.Digest]bool{}
		for _, b := range rows[:590] {
			kept[b.Digest] = true
		}
		keep := func(d oci.Digest) bool { return kept[d] }
		before := s.Clock.Pass(time.Hour)
		s.equal("forgotten", s.forgotten(before, 6, keep), byKey(rows[590:596]))
		s.equal("the rest", s.forgotten(before, 1000, keep), byKey(rows[596:]))
		s.equal("nothing", s.forgotten(before, 1000, keep), []local.BlobRow(nil))
		s.equal("kept ones", s.forgotten(before, 1000, nil), byKey(rows[:590]))
	}},
	{"at most n, none of zero", func(s *suite) {
		rows := newBlobs("b", 5)
		s.unlinked("acme/web", rows...)
		before := s.Clock.Pass(time.Hour)
		s.equal("zero", s.forgotten(before, 0, nil), []local.BlobRow(nil))
		var all []local.BlobRow
		for _, want := range []int{2, 2, 1, 0} {
			got := s.forgotten(before, 2, nil)
			if len(got) != want {
				s.Fatalf("got %d, want %d", len(got), want)
			}
			all = append(all, got...)
		}
		s.equal("all", byKey(all), byKey(rows))
	}},
	{"a key that an open upload names stays", func(s *suite) {
		up := s.begun("u1")
		b := newBlob("b")
		b.Key = up.Key
		s.unlinked("acme/web", b)
		before := s.Clock.Pass(time.Hour)
		s.equal("while it is open", s.forgotten(before, 10, nil), []local.BlobRow(nil))
		s.must(s.Uploads.End(s.Context(), up.ID))
		s.equal("when it has ended", s.forgotten(before, 10, nil), []local.BlobRow{b})
	}},
	{"abandoned uploads", func(s *suite) {
		old, touched := s.begun("old"), s.begun("touched")
		before := s.Clock.Pass(time.Hour)
		s.must(s.Uploads.Advance(s.Context(), touched, 0))
		young := s.begun("young")
		s.equal("abandoned", s.abandoned(before, 10), []blob.Key{old.Key})
		s.equal("again", s.abandoned(before, 10), []blob.Key(nil))
		_, err := s.Uploads.Load(s.Context(), old.Repo, old.Owner, old.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
		for _, up := range []local.UploadRow{touched, young} {
			up.Updated = s.Clock.Now()
			s.loads(up)
		}
	}},
	{"abandoned uploads, at most n and the oldest first", func(s *suite) {
		var keys []blob.Key
		for _, id := range []string{"c", "a", "b"} {
			keys = append(keys, s.begun(id).Key)
			s.Clock.Pass(time.Second)
		}
		s.equal("zero", s.abandoned(s.Clock.Now(), 0), []blob.Key(nil))
		s.equal("two", s.abandoned(s.Clock.Now(), 2), keys[:2])
		s.equal("one", s.abandoned(s.Clock.Now(), 2), keys[2:])
	}},
	{"an abandoned upload's key that a blob names is not given", func(s *suite) {
		up := s.begun("u1")
		b := newBlob("b")
		b.Key = up.Key
		s.link("acme/web", b)
		s.equal("abandoned", s.abandoned(s.Clock.Pass(time.Hour), 10), []blob.Key(nil))
		_, err := s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
	}},
	{"unknown keys", func(s *suite) {
		linked, unlinked, up := newBlob("linked"), newBlob("unlinked"), s.begun("u1")
		s.link("acme/web", linked)
		s.unlinked("acme/web", unlinked)
		named := []blob.Key{linked.Key, unlinked.Key, up.Key}
		for _, n := range []int{0, 1, 3, 4, 5, 70, 300, 1000} {
			var want, keys []blob.Key
			for range n {
				want = append(want, blob.NewKey())
			}
			keys = append(append(append(keys, named[:1]...), want...), named[1:]...)
			got, err := s.Garbage.UnknownKeys(s.Context(), keys)
			s.must(err)
			s.equal("unknown", got, want)
		}
		got, err := s.Garbage.UnknownKeys(s.Context(), nil)
		s.must(err)
		s.equal("of none", got, []blob.Key(nil))
	}},
}

func (s *suite) abandoned(before time.Time, n int) []blob.Key {
	s.Helper()
	keys, err := s.Garbage.AbandonedUploads(s.Context(), before, n)
	s.must(err)
	return keys
}
