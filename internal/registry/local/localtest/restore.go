package localtest

import (
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

var restoreCases = []testCase{
	{"a tag that moved on is said and not overwritten", func(s *suite) {
		old := s.pushed("acme/web", "old", 1, "v1", "latest")
		e := s.untagged("acme/web", "latest")
		young := s.pushed("acme/web", "young", 1, "latest")
		conflict := local.Restored{Conflicts: []local.TagConflict{{Repo: "acme/web", Tag: "latest", Trashed: old.Digest, Current: young.Digest}}}
		for range 2 { // as often as one tries
			s.equal("restored", s.restored(e.ID), conflict)
			s.holds("acme/web", byTag("latest"), young)
			s.equal("entry", s.newest(), e)
		}
		r, err := s.Trash.Restore(s.Context(), e.ID, true, nil)
		s.must(err)
		s.equal("overwritten", r, local.Restored{Tags: 1})
		s.holds("acme/web", byTag("latest"), old)
		s.holds("acme/web", byDigest(young), young)
		s.gone(e.ID)
	}},
	{"a tag that names the same by now is no conflict", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		e := s.untagged("acme/web", "v1")
		s.put("acme/web", m, "v1")
		s.equal("restored", s.restored(e.ID), local.Restored{})
		s.holds("acme/web", byTag("v1"), m)
		s.gone(e.ID)
	}},
	{"of a manifest only the free tags come back", func(s *suite) {
		old := s.pushed("acme/web", "old", 1, "v1", "latest")
		e := s.deleted("acme/web", old)
		young := s.pushed("acme/web", "young", 1, "latest")
		s.equal("restored", s.restored(e.ID), local.Restored{
			Manifests: 1, Tags: 1,
			Conflicts: []local.TagConflict{{Repo: "acme/web", Tag: "latest", Trashed: old.Digest, Current: young.Digest}},
		})
		s.holds("acme/web", byTag("v1"), old)
		s.holds("acme/web", byTag("latest"), young)
		left := s.newest()
		s.equal("left", [3]int64{int64(left.Manifests), int64(left.Tags), left.Bytes}, [3]int64{0, 1, 0})
		// What is left is a tag; its manifest is deleted again meanwhile.
		s.deleted("acme/web", old)
		r, err := s.Trash.Restore(s.Context(), e.ID, true, nil)
		s.must(err)
		s.equal("overwritten", r, local.Restored{Manifests: 1, Tags: 1})
		s.holds("acme/web", byTag("latest"), old)
	}},
	{"a manifest that was pushed again is no conflict", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		e := s.deleted("acme/web", m)
		again := m
		again.MediaType = "application/vnd.example+json"
		s.put("acme/web", again, "v2")
		s.equal("restored", s.restored(e.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("v1"), again) // it is left as it is
		s.gone(e.ID)
		s.unlinks("acme/web")
		s.deleted("acme/web", m)
		s.lacks("acme/web", byTag("v1"))
	}},
	{"a tag brings its manifest from another entry", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a)
		tag := s.untagged("acme/web", "v1")
		manifest := s.deleted("acme/web", m)
		s.unlinks("acme/web", digestsOf(m)...)
		s.equal("restored", s.restored(tag.ID), local.Restored{Manifests: 2, Tags: 1})
		s.holds("acme/web", byTag("v1"), m)
		s.equal("referrers", s.referrers("acme/web", m.Digest, "", 9), []oci.Descriptor{descriptor(a)})
		s.lacks("acme/web", byTag("v2"))
		left := s.newest()
		s.equal("the other entry", [3]int64{left.ID, int64(left.Manifests), int64(left.Tags)}, [3]int64{manifest.ID, 0, 1})
		s.equal("its bytes", left.Bytes, int64(0))
		s.equal("restored", s.restored(manifest.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("v2"), m)
		s.equal("entries", s.entries(), []local.TrashEntry(nil))
	}},
	{"an entry that gave all it had goes", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1")
		tag := s.untagged("acme/web", "v1")
		manifest := s.deleted("acme/web", s.image(newBlobs("m", 2)...))
		s.equal("restored", s.restored(tag.ID), local.Restored{Manifests: 1, Tags: 1})
		s.gone(manifest.ID)
	}},
	{"a tag out of a repository that was deleted", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		other := s.pushed("acme/web", "n", 1, "v3")
		tag := s.untagged("acme/web", "v1")
		repository, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.equal("restored", s.restored(tag.ID), local.Restored{Manifests: 1, Tags: 1})
		s.tags("acme/web", "v1")
		s.holds("acme/web", byTag("v1"), m)
		s.lacks("acme/web", byDigest(other))
		s.equal("restored", s.restored(repository.ID), local.Restored{Manifests: 1, Tags: 2})
		s.tags("acme/web", "v1", "v2", "v3")
	}},
	{"a tag whose manifest was purged", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		tag := s.untagged("acme/web", "v1")
		s.must(s.Trash.Purge(s.Context(), s.deleted("acme/web", m).ID))
		lost := local.Restored{Conflicts: []local.TagConflict{{Repo: "acme/web", Tag: "v1", Trashed: m.Digest}}}
		s.equal("restored", s.restored(tag.ID), lost)
		s.equal("entry", s.newest(), tag)
		s.put("acme/web", m)
		s.equal("after a push", s.restored(tag.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"a lost tag makes no repository", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1")
		tag := s.untagged("acme/web", "v1")
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.purge(e.ID)
		s.equal("conflicts", len(s.restored(tag.ID).Conflicts), 1)
		s.repositories()
	}},
	{"an index brings its children from other entries", func(s *suite) {
		a, b := s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)
		inner := s.index(a.Descriptor, b.Descriptor)
		s.put("acme/web", inner)
		outer := s.index(inner.Descriptor, b.Descriptor)
		s.put("acme/web", outer, "v1")
		signature := s.artifact("acme/web", a.Digest, "application/vnd.example", nil)
		s.put("acme/web", signature)
		e := s.deleted("acme/web", outer)
		for _, m := range []local.ManifestRow{inner, a, b} {
			s.deleted("acme/web", m)
		}
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 5, Tags: 1})
		for _, m := range []local.ManifestRow{outer, inner, a, b, signature} {
			s.holds("acme/web", byDigest(m), m)
		}
		s.equal("entries", s.entries(), []local.TrashEntry(nil))
		s.put("acme/web", inner, "inner")
	}},
	{"an index comes back without a child that was purged", func(s *suite) {
		a := s.pushed("acme/web", "a", 1)
		index := s.index(a.Descriptor)
		s.put("acme/web", index, "v1")
		s.must(s.Trash.Purge(s.Context(), s.deleted("acme/web", a).ID))
		e := s.deleted("acme/web", index)
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 1, Tags: 1})
		s.holds("acme/web", byTag("v1"), index)
		s.lacks("acme/web", byDigest(a))
	}},
	{"a copy in an older entry stays there", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		older := s.deleted("acme/web", m)
		s.put("acme/web", m, "v2")
		tag := s.untagged("acme/web", "v2")
		newer := s.deleted("acme/web", m)
		s.equal("restored", s.restored(tag.ID), local.Restored{Manifests: 1, Tags: 1})
		s.gone(newer.ID)
		s.equal("older", s.entries(), []local.TrashEntry{older})
		s.equal("restored", s.restored(older.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"the same digest in another repository does not count", func(s *suite) {
		s.pushed("acme/web", "same", 1, "v1")
		m := s.pushed("acme/api", "same", 1, "v1")
		tag := s.untagged("acme/web", "v1")
		s.must(s.Trash.Purge(s.Context(), s.deleted("acme/web", m).ID))
		s.deleted("acme/api", m)
		s.equal("conflicts", len(s.restored(tag.ID).Conflicts), 1)
		s.lacks("acme/web", byDigest(m))
	}},
	{"the sweep of untagged ones leaves it alone", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		s.Clock.Pass(time.Hour)
		e := s.deleted("acme/web", m)
		before := s.Clock.Pass(time.Hour)
		s.Clock.Pass(time.Hour)
		s.restored(e.ID)
		s.sweeps(before)
		s.holds("acme/web", byDigest(m), m)
		s.sweeps(s.Clock.Pass(time.Hour), m)
	}},
}

// forgetMoves walks over all moves in steps of n.
func (s *suite) forgetMoves(before time.Time, n int) int {
	s.Helper()
	total := 0
	for after, calls := int64(0), 0; ; calls++ {
		forgotten, next, err := s.History.ForgetMoves(s.Context(), before, after, n)
		s.must(err)
		if forgotten > n {
			s.Fatalf("a step of %d forgets %d", n, forgotten)
		}
		total += forgotten
		if next == 0 {
			return total
		}
		if next <= after || calls > 10_000 {
			s.Fatalf("the cursor %d leads nowhere", next)
		}
		after = next
	}
}

var historyCases = []testCase{
	{"old moves are forgotten", func(s *suite) {
		a, b := s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)
		for range 3 { // of a tag that stays, one that goes, and one that moves again
			for _, m := range []local.ManifestRow{a, b} {
				s.Clock.Pass(time.Hour)
				s.put("acme/web", m, "stays", "goes", "moves")
			}
		}
		s.untagged("acme/web", "goes")
		before := s.Clock.Pass(time.Hour)
		s.put("acme/web", a, "moves")
		moves := func() map[oci.Tag]int {
			s.Helper()
			page, err := s.History.TagMoves(s.Context(), "acme/web", "", 0, 1000)
			s.must(err)
			count := map[oci.Tag]int{}
			for _, m := range page {
				count[m.Tag]++
			}
			return count
		}
		all := map[oci.Tag]int{"stays": 6, "goes": 7, "moves": 7}
		s.equal("moves", moves(), all)
		s.equal("forgotten of the old ones, of which there are none", s.forgetMoves(before.Add(-1000*time.Hour), 2), 0)
		n, _, err := s.History.ForgetMoves(s.Context(), before, 0, 0)
		s.must(err)
		s.equal("none of zero", n, 0)
		s.equal("forgotten", s.forgetMoves(before, 2), 18)
		s.equal("moves", moves(), map[oci.Tag]int{"stays": 1, "moves": 1})
		last, err := s.History.TagMoves(s.Context(), "acme/web", "stays", 0, 9)
		s.must(err)
		s.equal("the newest", last[0].To, b.Digest)
		_, err = s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		s.equal("forgotten of a repository that is gone", s.forgetMoves(s.Clock.Pass(time.Hour), 1), 4)
	}},
	{"many needed moves lie in between", func(s *suite) {
		m, n := s.pushed("acme/web", "m", 1), s.pushed("acme/web", "n", 1)
		for i := range 100 {
			s.put("acme/web", m, oci.Tag(fmt.Sprint("v", i)))
		}
		s.put("acme/web", n, "v0", "v99")
		before := s.Clock.Pass(time.Hour)
		forgotten, next, err := s.History.ForgetMoves(s.Context(), before, 0, 3)
		s.must(err)
		s.equal("forgotten by one call", forgotten, 1)
		if next == 0 {
			s.Error("one call walked over all moves")
		}
		s.equal("forgotten by the rest", s.forgetMoves(before, 3), 1)
		s.equal("forgotten again", s.forgetMoves(before, 3), 0)
	}},
	{"every move, by whom and when", func(s *suite) {
		a, b := s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)
		type step struct {
			tag      oci.Tag
			by       string
			from, to oci.Digest
		}
		var want []local.TagMove
		moved := func(run func(who string) error, steps ...step) {
			s.Helper()
			at := s.Clock.Pass(time.Minute)
			who := "nobody"
			if len(steps) > 0 {
				who = steps[0].by
			}
			s.must(run(who))
			got, err := s.History.TagMoves(s.Context(), "acme/web", "", 0, 1000)
			s.must(err)
			if len(got) != len(want)+len(steps) {
				s.Fatalf("%d moves, want %d more than %d", len(got), len(steps), len(want))
			}
			for i, st := range steps {
				want = append([]local.TagMove{{ID: got[len(steps)-1-i].ID, Repo: "acme/web", Tag: st.tag, At: at, By: st.by, From: st.from, To: st.to}}, want...)
			}
			s.equal("moves", got, want)
		}
		put := func(m local.ManifestRow, tags ...oci.Tag) func(string) error {
			return func(who string) error { return s.Catalog.PutManifest(s.as(who), "acme/web", m, tags, nil) }
		}
		restore := func(id int64, overwrite bool) func(string) error {
			return func(who string) error {
				_, err := s.Trash.Restore(s.as(who), id, overwrite, nil)
				return err
			}
		}
		moved(put(a, "v1", "v2"), step{"v1", "alice", "", a.Digest}, step{"v2", "alice", "", a.Digest})
		moved(put(a, "v1", "v2")) // nothing moves
		moved(put(b, "v1"), step{"v1", "bob", a.Digest, b.Digest})
		moved(func(who string) error { return s.Catalog.DeleteTag(s.as(who), "acme/web", "v1", nil) }, step{"v1", "carol", b.Digest, ""})
		tag := s.newest()
		moved(put(a, "v1"), step{"v1", "", "", a.Digest})
		moved(restore(tag.ID, false)) // a conflict
		moved(restore(tag.ID, true), step{"v1", "dave", a.Digest, b.Digest})
		moved(func(who string) error { return s.Catalog.DeleteManifest(s.as(who), "acme/web", b.Digest, nil) }, step{"v1", "erin", b.Digest, ""})
		moved(restore(s.newest().ID, false), step{"v1", "frank", "", b.Digest})
		moved(func(who string) error { return s.Catalog.DeleteManifest(s.as(who), "acme/web", a.Digest, nil) }, step{"v2", "grace", a.Digest, ""})
		moved(func(who string) error { _, err := s.Trash.DeleteRepository(s.as(who), "acme/web", nil); return err }, step{"v1", "heidi", b.Digest, ""})
		moved(restore(s.newest().ID, false), step{"v1", "ivan", "", b.Digest})
		moved(func(who string) error { _, err := s.Trash.DeleteNamespace(s.as(who), "acme"); return err }, step{"v1", "judy", b.Digest, ""})
		moved(func(string) error { return s.Trash.Purge(s.Context(), s.newest().ID) })
		s.repositories() // and yet there is its history
	}},
	{"of one tag, in pages", func(s *suite) {
		images := []local.ManifestRow{s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)}
		var all, latest []oci.Digest
		for i := range 7 {
			m := images[i%2]
			s.put("acme/web", m, "latest")
			all, latest = append(all, m.Digest), append(latest, m.Digest)
			if i%3 == 0 {
				s.put("acme/web", m, oci.Tag(rune('a'+i)))
				all = append(all, m.Digest)
			}
		}
		s.pushed("acme/api", "a", 1, "latest")
		read := func(tag oci.Tag, n int) []oci.Digest {
			s.Helper()
			var got []oci.Digest
			for before := int64(0); ; {
				page, err := s.History.TagMoves(s.Context(), "acme/web", tag, before, n)
				s.must(err)
				if len(page) > n {
					s.Fatalf("a page of %d has %d", n, len(page))
				}
				for _, m := range page {
					got, before = append([]oci.Digest{m.To}, got...), m.ID
				}
				if len(page) < n {
					return got
				}
			}
		}
		for n := 1; n <= 11; n++ {
			s.equal("all", read("", n), all)
			s.equal("latest", read("latest", n), latest)
		}
		for _, repo := range []oci.Repo{"acme/none", "acme"} {
			none, err := s.History.TagMoves(s.Context(), repo, "", 0, 10)
			s.must(err)
			s.equal("of nothing", none, []local.TagMove(nil))
		}
		none, err := s.History.TagMoves(s.Context(), "acme/web", "", 0, 0)
		s.must(err)
		s.equal("none of zero", none, []local.TagMove(nil))
	}},
	{"a refused push moves nothing", func(s *suite) {
		err := s.Catalog.PutManifest(s.Context(), "acme/web", s.image(newBlobs("b", 2)...), []oci.Tag{"v1"}, nil)
		s.code(err, oci.CodeManifestBlobUnknown)
		none, err := s.History.TagMoves(s.Context(), "acme/web", "", 0, 10)
		s.must(err)
		s.equal("moves", none, []local.TagMove(nil))
	}},
}
