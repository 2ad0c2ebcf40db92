package localtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// as is a context in which somebody acts.
func (s *suite) as(who string) context.Context {
	return registry.WithActor(s.Context(), who)
}

// entries is the whole trash, newest first.
func (s *suite) entries() []local.TrashEntry {
	s.Helper()
	all, err := s.Trash.TrashEntries(s.Context(), local.TrashFilter{}, 0, 1000)
	s.must(err)
	return all
}

// newest is the entry that was made last.
func (s *suite) newest() local.TrashEntry {
	s.Helper()
	all := s.entries()
	if len(all) == 0 {
		s.Fatal("the trash is empty")
	}
	return all[0]
}

// deleted deletes a manifest and returns its entry.
func (s *suite) deleted(repo oci.Repo, m local.ManifestRow) local.TrashEntry {
	s.Helper()
	s.must(s.Catalog.DeleteManifest(s.Context(), repo, m.Digest, nil))
	return s.newest()
}

// untagged deletes a tag and returns its entry.
func (s *suite) untagged(repo oci.Repo, tag oci.Tag) local.TrashEntry {
	s.Helper()
	s.must(s.Catalog.DeleteTag(s.Context(), repo, tag, nil))
	return s.newest()
}

func (s *suite) restored(id int64) local.Restored {
	s.Helper()
	r, err := s.Trash.Restore(s.Context(), id, false, nil)
	s.must(err)
	return r
}

// gone wants an entry to be no more.
func (s *suite) gone(id int64) {
	s.Helper()
	_, err := s.Trash.Restore(s.Context(), id, false, nil)
	s.code(err, oci.CodeManifestUnknown)
	s.code(s.Trash.Purge(s.Context(), id), oci.CodeManifestUnknown)
}

func (s *suite) tags(repo oci.Repo, want ...oci.Tag) {
	s.Helper()
	got, err := s.Catalog.Tags(s.Context(), repo, "", 1000)
	s.must(err)
	s.equal("tags of "+string(repo), got, want)
}

func (s *suite) repositories(want ...oci.Repo) {
	s.Helper()
	got, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", 1000)
	s.must(err)
	s.equal("repositories", got, want)
}

// unlinks takes blobs out of a repository.
func (s *suite) unlinks(repo oci.Repo, digests ...oci.Digest) {
	s.Helper()
	for _, d := range digests {
		s.must(s.Catalog.UnlinkBlob(s.Context(), repo, d))
	}
}

func digestsOf(m local.ManifestRow) []oci.Digest {
	var digests []oci.Digest
	for _, b := range m.Content.Blobs {
		digests = append(digests, b.Digest)
	}
	return digests
}

// unknownEverywhere wants a repository to be unknown to the whole catalog.
func (s *suite) unknownEverywhere(repo oci.Repo, m local.ManifestRow, tag oci.Tag) {
	s.Helper()
	ctx := s.Context()
	for _, ref := range []oci.Ref{byTag(tag), byDigest(m)} {
		_, err := s.Catalog.Manifest(ctx, repo, ref)
		s.code(err, oci.CodeNameUnknown)
	}
	s.code(s.Catalog.DeleteManifest(ctx, repo, m.Digest, nil), oci.CodeNameUnknown)
	s.code(s.Catalog.DeleteTag(ctx, repo, tag, nil), oci.CodeNameUnknown)
	for _, d := range digestsOf(m) {
		_, err := s.Catalog.Blob(ctx, repo, d)
		s.code(err, oci.CodeNameUnknown)
		s.code(s.Catalog.UnlinkBlob(ctx, repo, d), oci.CodeNameUnknown)
	}
	_, err := s.Catalog.Tags(ctx, repo, "", 10)
	s.code(err, oci.CodeNameUnknown)
	s.equal("referrers", s.referrers(repo, m.Digest, "", 10), []oci.Descriptor(nil))
	repos, err := s.Catalog.Repositories(ctx, registry.Everywhere, "", 1000)
	s.must(err)
	if slices.Contains(repos, repo) {
		s.Errorf("%s is listed", repo)
	}
}

// purge gives an entry up and removes all that it held.
func (s *suite) purge(id int64) {
	s.Helper()
	s.must(s.Trash.Purge(s.Context(), id))
	s.erase()
}

// erase removes all that purged entries held.
func (s *suite) erase() {
	s.Helper()
	for more := true; more; {
		var err error
		more, err = s.Trash.Erase(s.Context(), 100)
		s.must(err)
	}
}

var trashCases = []testCase{
	{"a tag", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		s.must(s.Catalog.DeleteTag(s.as("alice"), "acme/web", "v1", nil))
		e := s.newest()
		s.equal("entry", e, local.TrashEntry{
			ID: e.ID, Kind: local.TrashedTag, Repo: "acme/web", Name: "v1", Deleted: s.Clock.Now(), By: "alice", Tags: 1,
		})
		s.lacks("acme/web", byTag("v1"))
		s.tags("acme/web", "v2")
		s.equal("restored", s.restored(e.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("v1"), m)
		s.gone(e.ID)
	}},
	{"a manifest with its tags", func(s *suite) {
		blobs := newBlobs("m", 3) // of 3 bytes each
		s.link("acme/web", blobs...)
		m := s.image(blobs[0], blobs[1], blobs[2], blobs[1])
		s.put("acme/web", m, "v1", "v2")
		s.Clock.Pass(time.Hour)
		s.must(s.Catalog.DeleteManifest(s.as("alice"), "acme/web", m.Digest, nil))
		e := s.newest()
		s.equal("entry", e, local.TrashEntry{
			ID: e.ID, Kind: local.TrashedManifest, Repo: "acme/web", Name: string(m.Digest), Deleted: s.Clock.Now(), By: "alice",
			Manifests: 1, Tags: 2, Bytes: 9,
		})
		for _, ref := range []oci.Ref{byTag("v1"), byTag("v2"), byDigest(m)} {
			s.lacks("acme/web", ref)
		}
		s.tags("acme/web")
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 1, Tags: 2})
		for _, ref := range []oci.Ref{byTag("v1"), byTag("v2"), byDigest(m)} {
			s.holds("acme/web", ref, m)
		}
		s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", blobs[1].Digest), oci.CodeUnsupported)
		s.gone(e.ID)
	}},
	{"nobody said who", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1")
		s.equal("by", s.untagged("acme/web", "v1").By, "")
	}},
	{"referrers go with their subject and come back", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		put := func(subject oci.Digest, what string, tags ...oci.Tag) local.ManifestRow {
			a := s.artifact("acme/web", subject, "application/vnd.example", map[string]string{"n": what})
			s.put("acme/web", a, tags...)
			return a
		}
		signature, tagged, indexed := put(m.Digest, "signature"), put(m.Digest, "tagged", "sbom"), put(m.Digest, "indexed")
		s.put("acme/web", s.index(indexed.Descriptor), "index")
		second := put(signature.Digest, "2")
		third := put(second.Digest, "3")
		other := put(newBlob("other").Digest, "of another")
		e := s.deleted("acme/web", m)
		s.equal("manifests", e.Manifests, 4)
		for _, a := range []local.ManifestRow{m, signature, second, third} {
			s.lacks("acme/web", byDigest(a))
		}
		for _, a := range []local.ManifestRow{tagged, indexed, other} {
			s.holds("acme/web", byDigest(a), a)
		}
		s.equal("referrers meanwhile", s.referrers("acme/web", m.Digest, "", 9), sorted([]oci.Descriptor{descriptor(tagged), descriptor(indexed)}))
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 4, Tags: 1})
		s.equal("referrers", s.referrers("acme/web", m.Digest, "", 9),
			sorted([]oci.Descriptor{descriptor(signature), descriptor(tagged), descriptor(indexed)}))
		s.equal("of the signature", s.referrers("acme/web", signature.Digest, "", 9), []oci.Descriptor{descriptor(second)})
		s.holds("acme/web", byDigest(third), third)
	}},
	{"three hundred referrers", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		for i := range 300 {
			a := s.artifact("acme/web", m.Digest, "application/vnd.example", map[string]string{"n": string(rune('a' + i))})
			s.put("acme/web", a)
		}
		e := s.deleted("acme/web", m)
		s.equal("manifests", e.Manifests, 301)
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 301, Tags: 1})
		s.equal("referrers", len(s.referrers("acme/web", m.Digest, "", 100)), 300)
	}},
	{"it holds blobs until it is purged", func(s *suite) {
		m := s.pushed("acme/web", "m", 2, "v1")
		e := s.deleted("acme/web", m)
		s.unlinks("acme/web", digestsOf(m)...)
		s.equal("while in the trash", s.forgotten(s.Clock.Pass(1000*time.Hour), 10, nil), []local.BlobRow(nil))
		purged := s.Clock.Now()
		s.purge(e.ID)
		s.gone(e.ID)
		s.equal("within the grace", s.forgotten(purged, 10, nil), []local.BlobRow(nil))
		s.Clock.Pass(time.Hour)
		s.equal("number of blobs after it", len(s.forgotten(purged.Add(time.Microsecond), 10, nil)), 3)
	}},
	{"restoring links the blobs again", func(s *suite) {
		m := s.pushed("acme/web", "m", 2, "v1")
		e := s.deleted("acme/web", m)
		s.unlinks("acme/web", digestsOf(m)...)
		s.restored(e.ID)
		for _, d := range digestsOf(m) {
			_, err := s.Catalog.Blob(s.Context(), "acme/web", d)
			s.must(err)
			s.code(s.Catalog.UnlinkBlob(s.Context(), "acme/web", d), oci.CodeUnsupported)
		}
		s.equal("forgotten", s.forgotten(s.Clock.Pass(1000*time.Hour), 10, nil), []local.BlobRow(nil))
	}},
	{"what two entries hold", func(s *suite) {
		m := s.pushed("acme/web", "same", 1, "v1")
		first := s.deleted("acme/web", m)
		s.put("acme/web", m, "v2") // its bytes came from the trash
		s.holds("acme/web", byTag("v2"), m)
		second := s.deleted("acme/web", m)
		s.unlinks("acme/web", digestsOf(m)...)
		s.purge(first.ID)
		s.equal("held by the second", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow(nil))
		s.equal("restored", s.restored(second.ID), local.Restored{Manifests: 1, Tags: 1})
		s.holds("acme/web", byTag("v2"), m)
	}},
	{"what is live keeps its bytes", func(s *suite) {
		m := s.pushed("acme/web", "same", 1, "v1")
		s.pushed("acme/api", "same", 1, "v1")
		e := s.deleted("acme/web", m)
		s.purge(e.ID)
		s.holds("acme/api", byTag("v1"), m)
		e = s.deleted("acme/api", m)
		s.put("acme/web", m)
		s.purge(e.ID)
		s.holds("acme/web", byDigest(m), m)
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 10, nil), []local.BlobRow(nil))
	}},
	{"purging the oldest first", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "a", "b", "c", "d")
		var ids []int64
		for _, tag := range []oci.Tag{"c", "a", "b"} {
			ids = append(ids, s.untagged("acme/web", tag).ID)
			s.Clock.Pass(time.Hour)
		}
		before := s.Clock.Now()
		young := s.untagged("acme/web", "d") // at the time itself
		purge := func(n, want int) {
			s.Helper()
			got, err := s.Trash.PurgeBefore(s.Context(), before, n)
			s.must(err)
			s.equal("purged", got, want)
		}
		purge(0, 0)
		purge(2, 2)
		s.gone(ids[0])
		s.gone(ids[1])
		s.equal("left", []int64{s.entries()[1].ID, s.entries()[0].ID}, []int64{ids[2], young.ID})
		purge(10, 1)
		purge(10, 0)
		s.equal("restored", s.restored(young.ID), local.Restored{Tags: 1})
		s.holds("acme/web", byTag("d"), m)
	}},
	{"what is purged goes in small steps", func(s *suite) {
		var held []local.ManifestRow
		for i := range 5 {
			m := s.pushed("acme/web", fmt.Sprint("m", i), 2, oci.Tag(fmt.Sprint("v", i)))
			held = append(held, m)
		}
		s.put("acme/web", s.index(held[0].Descriptor), "index")
		lone := s.untagged("acme/web", "v0")
		e, err := s.Trash.DeleteRepository(s.Context(), "acme/web", nil)
		s.must(err)
		other := s.pushed("acme/web", "m4", 2) // keeps what is its own
		waiting := func(want int) {
			s.Helper()
			w, err := s.Retention.Waiting(s.Context(), local.Before{})
			s.must(err)
			s.equal("entries that wait", w.Entries, want)
		}
		waiting(0)
		s.must(s.Trash.Purge(s.Context(), e.ID))
		s.gone(e.ID) // at once: nothing of it comes back
		waiting(1)
		for _, f := range []local.TrashFilter{
			{},
			{Repo: "acme/web"},
			{Namespace: "acme"},
			{Name: "v0"},
			{Name: "v0", Repo: "acme/web"},
			{Name: "v0", Namespace: "acme"},
		} {
			page, err := s.Trash.TrashEntries(s.Context(), f, 0, 9)
			s.must(err)
			s.equal("entries", page, []local.TrashEntry{lone})
		}
		for _, f := range []local.TrashFilter{
			{Name: string(held[1].Digest)},
			{Name: string(held[1].Digest), Repo: "acme/web"},
			{Name: string(held[1].Digest), Namespace: "acme"},
			{Name: "v1"},
		} {
			page, err := s.Trash.TrashEntries(s.Context(), f, 0, 9)
			s.must(err)
			s.equal("entries", page, []local.TrashEntry(nil))
		}
		s.equal("a tag whose manifest is being purged", s.restored(lone.ID), local.Restored{
			Conflicts: []local.TagConflict{{Repo: "acme/web", Tag: "v0", Trashed: held[0].Digest}},
		})
		steps := 0
		for more := true; more; steps++ {
			more, err = s.Trash.Erase(s.Context(), 4)
			s.must(err)
			s.intact()
		}
		// 6 manifests with 16 rows of theirs, 6 tags, 1 repository, the entry.
		if steps < 6 || steps > 10 {
			s.Errorf("it took %d steps", steps)
		}
		waiting(0)
		s.equal("in the trash", len(s.checks(true, 9)), 0)
		s.holds("acme/web", byDigest(other), other)
		s.equal("number of free blobs", len(s.forgotten(s.Clock.Pass(time.Hour), 99, nil)), 4*3)
	}},
	{"unknown names", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1")
		for _, repo := range []oci.Repo{"acme/none", "acme", "acme/web/x"} {
			_, err := s.Trash.DeleteRepository(s.Context(), repo, nil)
			s.code(err, oci.CodeNameUnknown)
		}
		for _, namespace := range []string{"", "acm", "acme-", "acme/web", "web"} {
			_, err := s.Trash.DeleteNamespace(s.Context(), namespace)
			s.code(err, oci.CodeNameUnknown)
		}
		s.gone(0)
		s.gone(4711)
		s.equal("entries", s.entries(), []local.TrashEntry(nil))
	}},
	{"a name is never given twice", func(s *suite) {
		s.pushed("acme/web", "m", 1, "v1", "v2")
		first := s.untagged("acme/web", "v1")
		s.purge(first.ID)
		if second := s.untagged("acme/web", "v2"); second.ID <= first.ID {
			s.Errorf("the entry %d came after %d", second.ID, first.ID)
		}
	}},
	{"filters and pages", func(s *suite) {
		web := s.pushed("acme/web", "web", 1, "v1", "latest")
		api := s.pushed("acme/api", "api", 1, "v1")
		s.pushed("ibm/web", "web", 1, "v1")
		ids := map[string]int64{
			"tag":      s.untagged("acme/web", "v1").ID,
			"manifest": s.deleted("acme/web", web).ID,
			"api":      s.deleted("acme/api", api).ID,
			"ibm":      s.untagged("ibm/web", "v1").ID,
		}
		e, err := s.Trash.DeleteNamespace(s.Context(), "ibm")
		s.must(err)
		ids["namespace"] = e.ID
		for _, c := range []struct {
			filter local.TrashFilter
			want   []string
		}{
			{local.TrashFilter{}, []string{"namespace", "ibm", "api", "manifest", "tag"}},
			{local.TrashFilter{Repo: "acme/web"}, []string{"manifest", "tag"}},
			{local.TrashFilter{Repo: "ibm/web"}, []string{"namespace", "ibm"}},
			{local.TrashFilter{Repo: "acme/none"}, nil},
			{local.TrashFilter{Namespace: "acme"}, []string{"api", "manifest", "tag"}},
			{local.TrashFilter{Namespace: "ibm"}, []string{"namespace", "ibm"}},
			{local.TrashFilter{Namespace: "ac"}, nil},
			{local.TrashFilter{Name: "v1"}, []string{"ibm", "api", "tag"}},
			{local.TrashFilter{Name: "latest"}, []string{"manifest"}},
			{local.TrashFilter{Name: "v1", Repo: "acme/web"}, []string{"tag"}},
			{local.TrashFilter{Name: "v1", Namespace: "acme"}, []string{"api", "tag"}},
			{local.TrashFilter{Name: string(web.Digest)}, []string{"namespace", "manifest"}},
			{local.TrashFilter{Name: string(web.Digest), Repo: "acme/web"}, []string{"manifest"}},
			{local.TrashFilter{Name: string(web.Digest), Repo: "ibm/web"}, []string{"namespace"}},
			{local.TrashFilter{Name: string(web.Digest), Namespace: "acme"}, []string{"manifest"}},
			{local.TrashFilter{Name: string(newBlob("x").Digest)}, nil},
		} {
			for n := 1; n <= 6; n++ {
				var got, want []int64
				for before := int64(0); ; {
					page, err := s.Trash.TrashEntries(s.Context(), c.filter, before, n)
					s.must(err)
					for _, e := range page {
						got, before = append(got, e.ID), e.ID
					}
					if len(page) < n {
						break
					}
				}
				for _, name := range c.want {
					want = append(want, ids[name])
				}
				s.equal("entries", got, want)
			}
		}
		none, err := s.Trash.TrashEntries(s.Context(), local.TrashFilter{}, 0, 0)
		s.must(err)
		s.equal("none of zero", none, []local.TrashEntry(nil))
	}},
	{"a context that has ended", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "v2")
		e := s.untagged("acme/web", "v2")
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.Trash.DeleteRepository(ctx, "acme/web", nil)
		s.cancelled(err)
		_, err = s.Trash.DeleteNamespace(ctx, "acme")
		s.cancelled(err)
		_, err = s.Trash.Restore(ctx, e.ID, false, nil)
		s.cancelled(err)
		s.cancelled(s.Trash.Purge(ctx, e.ID))
		_, err = s.Trash.Erase(ctx, 1)
		s.cancelled(err)
		s.holds("acme/web", byTag("v1"), m)
		s.equal("entries", s.entries(), []local.TrashEntry{e})
	}},
}
