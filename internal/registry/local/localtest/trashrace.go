package localtest

import (
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Each of these ends in a state that one order of the two would have led to.
var trashRaceCases = []testCase{
	{"a deletion and a push of one manifest", func(s *suite) {
		for round := range 20 {
			m := s.pushed("acme/web", fmt.Sprint("m", round), 1, "v1")
			var deletion error
			together(2, func(i int) {
				if i == 0 {
					s.try(s.Catalog.PutManifest(s.Context(), "acme/web", m, []oci.Tag{"v1", "v2"}, nil))
				} else {
					deletion = s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil)
				}
			})
			s.must(deletion)
			e := s.newest()
			if _, err := s.Catalog.Manifest(s.Context(), "acme/web", byDigest(m)); err == nil {
				s.equal("the push came last, with its tags", e.Tags, 1)
				s.holds("acme/web", byTag("v2"), m)
			} else {
				s.equal("the deletion came last", e.Tags, 2)
				s.tags("acme/web")
			}
			s.purge(e.ID)
			s.dropped("acme/web")
		}
		s.intact()
	}},
	{"a repository's deletion and a push into it", func(s *suite) {
		for round := range 20 {
			m := s.pushed("acme/web", fmt.Sprint("m", round), 1, "v1")
			n := s.image(append(newBlobs(fmt.Sprint("m", round), 2), newBlob("n"))...)
			s.link("acme/web", newBlob("n"))
			var put error
			together(2, func(i int) {
				if i == 0 {
					put = s.Catalog.PutManifest(s.Context(), "acme/web", n, []oci.Tag{"v2"}, nil)
				} else {
					_, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
					s.try(err)
				}
			})
			e := s.newest()
			_, err := s.Catalog.Manifest(s.Context(), "acme/web", byTag("v2"))
			s.code(err, oci.CodeNameUnknown) // its blobs were gone with the repository
			if put == nil {
				s.equal("manifests", e.Manifests, 2)
			} else {
				s.code(put, oci.CodeManifestBlobUnknown)
				s.equal("manifests", e.Manifests, 1)
			}
			s.restored(e.ID)
			s.holds("acme/web", byTag("v1"), m)
			s.dropped("acme/web")
		}
		s.intact()
	}},
	{"restoring and pushing another under the tag", func(s *suite) {
		for round := range 20 {
			old, young := s.pushed("acme/web", fmt.Sprint("old", round), 1, "v1"), s.pushed("acme/web", fmt.Sprint("young", round), 1)
			e := s.deleted("acme/web", old)
			var r local.Restored
			together(2, func(i int) {
				if i == 0 {
					s.try(s.Catalog.PutManifest(s.Context(), "acme/web", young, []oci.Tag{"v1"}, nil))
					return
				}
				var err error
				r, err = s.Trash.Restore(s.Context(), e.ID, false, nil)
				s.try(err)
			})
			s.holds("acme/web", byTag("v1"), young) // it came last, or was left alone
			s.holds("acme/web", byDigest(old), old)
			s.equal("said", r.Tags+len(r.Conflicts), 1)
			s.dropped("acme/web")
		}
		s.intact()
	}},
	{"an entry is restored or purged once", func(s *suite) {
		for round := range 20 {
			m := s.pushed("acme/web", fmt.Sprint("m", round), 1, "v1")
			e := s.deleted("acme/web", m)
			s.unlinks("acme/web", digestsOf(m)...)
			errs := make([]error, 6)
			together(len(errs), func(i int) {
				if i%2 == 0 {
					_, errs[i] = s.Trash.Restore(s.Context(), e.ID, false, nil)
				} else {
					errs[i] = s.Trash.Purge(s.Context(), e.ID)
				}
			})
			won := -1
			for i, err := range errs {
				if err == nil && won < 0 {
					won = i
					continue
				}
				s.code(err, oci.CodeManifestUnknown)
			}
			if won%2 == 0 {
				s.holds("acme/web", byTag("v1"), m)
			} else {
				s.lacks("acme/web", byDigest(m))
			}
			s.dropped("acme/web")
		}
		s.intact()
	}},
	{"the sweep of untagged ones and a push of the index", func(s *suite) {
		for round := range 20 {
			m := s.pushed("acme/web", fmt.Sprint("m", round), 1)
			before := s.Clock.Pass(time.Hour)
			var put error
			var gone []local.Link
			together(2, func(i int) {
				var err error
				if i == 0 {
					put = s.Catalog.PutManifest(s.Context(), "acme/web", s.index(m.Descriptor), []oci.Tag{"v1"}, nil)
				} else {
					gone, _, err = s.Retention.TrashUntagged(s.Context(), before, "", 10, false)
				}
				s.try(err)
			})
			if put == nil {
				s.equal("gone", gone, []local.Link(nil))
				s.holds("acme/web", byDigest(m), m)
			} else {
				s.code(put, oci.CodeManifestBlobUnknown)
				s.equal("number gone", len(gone), 1)
			}
			s.dropped("acme/web")
		}
		s.intact()
	}},
	{"the end of a link and a manifest that needs it", func(s *suite) {
		for round := range 20 {
			b := newBlob(fmt.Sprint("b", round))
			s.link("acme/web", b)
			before := s.Clock.Pass(time.Hour)
			var put error
			var ended []local.Link
			together(2, func(i int) {
				var err error
				if i == 0 {
					put = s.Catalog.PutManifest(s.Context(), "acme/web", s.image(b), nil, nil)
				} else {
					ended, err = s.Retention.Unlink(s.Context(), before, []local.Link{linkOf("acme/web", b)})
				}
				s.try(err)
			})
			if put == nil {
				s.equal("ended", ended, []local.Link(nil))
			} else {
				s.code(put, oci.CodeManifestBlobUnknown)
				s.equal("ended", ended, []local.Link{linkOf("acme/web", b)})
			}
		}
		s.intact()
	}},
	{"everything at once", func(s *suite) {
		const rounds = 30
		ctx := s.Context()
		known := func(err error) { // the answers that another's doing may lead to
			for _, want := range []error{nil, oci.ErrNameUnknown, oci.ErrManifestUnknown, oci.ErrManifestBlobUnknown} {
				if errors.Is(err, want) {
					return
				}
			}
			s.Error(err)
		}
		images := []local.ManifestRow{s.image(newBlobs("a", 3)...), s.image(newBlobs("b", 3)...)}
		index := s.index(images[0].Descriptor, images[1].Descriptor)
		together(8, func(w int) {
			for i := range rounds {
				m := images[(w+i)%2]
				switch w {
				case 0, 1:
					for _, b := range append(newBlobs("a", 3), newBlobs("b", 3)...) {
						_, err := s.Catalog.LinkBlob(ctx, "acme/web", b, "")
						known(err)
					}
					known(s.Catalog.PutManifest(ctx, "acme/web", m, []oci.Tag{"v1"}, nil))
				case 2:
					known(s.Catalog.PutManifest(ctx, "acme/web", index, []oci.Tag{"v2"}, nil))
				case 3:
					known(s.Catalog.DeleteManifest(ctx, "acme/web", m.Digest, nil))
				case 4:
					known(s.Catalog.DeleteTag(ctx, "acme/web", "v1", nil))
				case 5:
					_, err := s.Trash.DeleteRepository(ctx, "acme/web", nil)
					known(err)
				case 6:
					all, err := s.Trash.TrashEntries(ctx, local.TrashFilter{}, 0, 3)
					known(err)
					for _, e := range all {
						_, err := s.Trash.Restore(ctx, e.ID, i%2 == 0, nil)
						known(err)
					}
				case 7:
					_, err := s.Trash.PurgeBefore(ctx, s.Clock.Pass(time.Second), 1)
					known(err)
					_, err = s.Trash.Erase(ctx, 1+i%5)
					known(err)
					_, _, err = s.History.ForgetMoves(ctx, s.Clock.Now(), 0, 2)
					known(err)
					_, _, err = s.Retention.TrashUntagged(ctx, s.Clock.Pass(time.Second), "", 2, false)
					known(err)
					_, err = s.Garbage.Forget(ctx, s.Clock.Pass(time.Second), 10, nil)
					known(err)
				}
			}
		})
		s.intact()
		if _, err := s.Trash.PurgeBefore(ctx, s.Clock.Pass(time.Hour), 1000); err != nil {
			s.Error(err)
		}
		if _, err := s.Trash.DeleteRepository(ctx, "acme/web", nil); err == nil {
			s.must(s.Trash.Purge(ctx, s.newest().ID))
		}
		s.erase()
		s.forgotten(s.Clock.Pass(time.Hour), 1000, nil)
		blobs, manifests, err := s.Inspection.Counts(ctx)
		s.must(err)
		s.equal("what is left", [2]int64{blobs, manifests}, [2]int64{})
	}},
}

// dropped ends a repository with its trash, if there is one.
func (s *suite) dropped(repo oci.Repo) {
	s.Helper()
	_, err := s.Trash.DeleteRepository(s.Context(), repo, nil)
	if err != nil {
		s.code(err, oci.CodeNameUnknown)
	}
	_, err = s.Trash.PurgeBefore(s.Context(), s.Clock.Pass(time.Second), 1000)
	s.must(err)
	s.erase()
}
