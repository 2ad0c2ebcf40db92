package localtest

import (
	"bytes"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// intact wants the database to complain of nothing.
func (s *suite) intact() {
	s.Helper()
	said, err := s.Inspection.Integrity(s.Context())
	s.must(err)
	s.equal("complaints", said, []string(nil))
}

// checks reads all manifests in pages of n.
func (s *suite) checks(trashed bool, n int) []local.ManifestCheck {
	s.Helper()
	var all []local.ManifestCheck
	for after := int64(0); ; {
		page, err := s.Inspection.ManifestRows(s.Context(), trashed, after, n)
		s.must(err)
		if len(page) == 0 {
			return all
		}
		for _, m := range page {
			if m.ID <= after {
				s.Fatalf("%d comes after %d", m.ID, after)
			}
			after = m.ID
		}
		all = append(all, page...)
	}
}

// blobChecks reads all blobs in pages of n.
func (s *suite) blobChecks(n int) []local.BlobCheck {
	s.Helper()
	var all []local.BlobCheck
	for after := int64(0); ; {
		page, err := s.Inspection.BlobRows(s.Context(), after, n)
		s.must(err)
		for _, b := range page {
			if b.ID <= after {
				s.Fatalf("%d comes after %d", b.ID, after)
			}
			after = b.ID
		}
		all = append(all, page...)
		if len(page) < n {
			return all
		}
	}
}

// checksManifest wants a row to say of a manifest what was pushed.
func (s *suite) checksManifest(c local.ManifestCheck, repo oci.Repo, m local.ManifestRow, trashed bool) {
	s.Helper()
	if !bytes.Equal(c.Bytes, m.Bytes) {
		s.Errorf("%s of %s has other bytes", m.Digest, repo)
	}
	want, got := digestsOf(m), slices.Clone(c.Blobs)
	slices.Sort(want)
	slices.Sort(got)
	s.equal("blobs", got, want)
	c.ID, c.Bytes, c.Blobs = 0, nil, nil
	s.equal("row", c, local.ManifestCheck{Repo: repo, Digest: m.Digest, Type: m.MediaType, Trashed: trashed})
}

var inspectionCases = []testCase{
	{"every blob", func(s *suite) {
		rows := newBlobs("b", 7)
		s.link("acme/web", rows[:5]...)
		s.unlinked("acme/web", rows[5:]...)
		for n := 1; n <= 8; n++ {
			var got []local.BlobRow
			for _, c := range s.blobChecks(n) {
				got = append(got, c.BlobRow)
				s.equal("damaged", c.Damaged, false)
			}
			s.equal("blobs", byKey(got), byKey(rows))
		}
		none, err := s.Inspection.BlobRows(s.Context(), 0, 0)
		s.must(err)
		s.equal("none of zero", none, []local.BlobCheck(nil))
	}},
	{"every manifest, live and in the trash", func(s *suite) {
		a := s.pushed("acme/web", "a", 3, "v1")
		index := s.index(a.Descriptor)
		s.put("acme/web", index)
		c := s.pushed("acme/api", "c", 1, "v1")
		s.deleted("acme/api", c)
		s.pushed("acme/api", "a", 3, "v1")
		for n := 1; n <= 4; n++ {
			live, trashed := s.checks(false, n), s.checks(true, n)
			s.equal("numbers", [2]int{len(live), len(trashed)}, [2]int{3, 1})
			s.checksManifest(live[0], "acme/web", a, false)
			s.checksManifest(live[1], "acme/web", index, false)
			s.checksManifest(live[2], "acme/api", a, false)
			s.checksManifest(trashed[0], "acme/api", c, true)
		}
		blobs, manifests, err := s.Inspection.Counts(s.Context())
		s.must(err)
		s.equal("counts", [2]int64{blobs, manifests}, [2]int64{6, 4})
		none, err := s.Inspection.ManifestRows(s.Context(), false, 0, 0)
		s.must(err)
		s.equal("none of zero", none, []local.ManifestCheck(nil))
		s.intact()
	}},
	{"a damaged blob is healed by a push", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		bad := s.blobChecks(9)[0]
		s.must(s.Inspection.MarkDamaged(s.Context(), []local.BlobRow{bad.BlobRow}, true))
		s.equal("damaged", [2]bool{s.blobChecks(9)[0].Damaged, s.blobChecks(9)[1].Damaged}, [2]bool{true, false})
		row, err := s.Catalog.Blob(s.Context(), "acme/web", bad.Digest)
		s.must(err) // the loss is not hidden
		lost := bad.BlobRow
		lost.Damaged = true
		s.equal("row", row, lost)
		s.holds("acme/web", byTag("v1"), m)
		s.put("acme/web", m, "v2") // what is there may have another tag
		n := s.image(local.BlobRow{Digest: bad.Digest, Size: bad.Size})
		refused := s.code(s.Catalog.PutManifest(s.Context(), "acme/web", n, nil, nil), oci.CodeManifestBlobUnknown)
		s.equal("detail", refused.Detail, []oci.Digest{bad.Digest})
		_, err = s.Catalog.LinkBlob(s.Context(), "acme/api", local.BlobRow{Digest: bad.Digest}, "")
		s.code(err, oci.CodeBlobUnknown) // so that the client brings it
		again := local.BlobRow{Digest: bad.Digest, Size: bad.Size, Key: blob.NewKey()}
		row, err = s.Catalog.LinkBlob(s.Context(), "acme/api", again, "")
		s.must(err)
		s.equal("linked", row, again)
		for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
			row, err = s.Catalog.Blob(s.Context(), repo, bad.Digest)
			s.must(err)
			s.equal("found", row, again)
		}
		s.equal("damaged", s.blobChecks(9)[0], local.BlobCheck{ID: bad.ID, BlobRow: again})
		unknown, err := s.Garbage.UnknownKeys(s.Context(), []blob.Key{bad.Key, again.Key})
		s.must(err)
		s.equal("unknown keys", unknown, []blob.Key{bad.Key})
		s.holds("acme/web", byTag("v1"), m)
		s.put("acme/web", n)
		// A check that began before comes too late.
		s.must(s.Inspection.MarkDamaged(s.Context(), []local.BlobRow{bad.BlobRow}, true))
		s.equal("damaged", s.blobChecks(9)[0].Damaged, false)
	}},
	{"damaged garbage is healed, too", func(s *suite) {
		b, again := newBlob("b"), newBlob("b")
		s.unlinked("acme/web", b)
		s.must(s.Inspection.MarkDamaged(s.Context(), []local.BlobRow{b}, true))
		row, err := s.Catalog.LinkBlob(s.Context(), "acme/web", again, "")
		s.must(err)
		s.equal("linked", row, again)
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 9, nil), []local.BlobRow(nil))
	}},
	{"good again", func(s *suite) {
		b := newBlob("b")
		s.link("acme/web", b)
		for _, damaged := range []bool{true, true, false, false} {
			s.must(s.Inspection.MarkDamaged(s.Context(), []local.BlobRow{b}, damaged))
			s.equal("damaged", s.blobChecks(9)[0].Damaged, damaged)
		}
		s.must(s.Inspection.MarkDamaged(s.Context(), nil, true))
		s.must(s.Inspection.MarkDamaged(s.Context(), []local.BlobRow{newBlob("b"), newBlob("none")}, true))
		s.equal("damaged", s.blobChecks(9)[0].Damaged, false)
		row, err := s.Catalog.LinkBlob(s.Context(), "acme/api", newBlob("b"), "")
		s.must(err)
		s.equal("the row stays", row, b)
	}},
	{"every key", func(s *suite) {
		rows := newBlobs("b", 7)
		s.link("acme/web", rows[:5]...)
		s.unlinked("acme/web", rows[5:]...)
		var want []blob.Key
		for _, b := range byKey(rows) {
			want = append(want, b.Key)
		}
		for n := 1; n <= 8; n++ {
			got := pages(s, n, func(after blob.Key, n int) ([]blob.Key, error) { return s.Snapshot.Keys(s.Context(), after, n) })
			s.equal("keys", got, want)
		}
	}},
}
