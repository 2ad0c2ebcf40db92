package localtest

import (
	"fmt"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// unneeded walks over all links in pages of n.
func (s *suite) unneeded(before time.Time, n int) []local.Link {
	s.Helper()
	var all []local.Link
	for after, calls := "", 0; ; calls++ {
		links, next, err := s.Retention.UnneededLinks(s.Context(), before, after, n)
		s.must(err)
		if len(links) > n {
			s.Fatalf("a page of %d has %d", n, len(links))
		}
		all = append(all, links...)
		if next == "" {
			return all
		}
		if next == after || calls > 10_000 {
			s.Fatalf("the cursor %q leads nowhere", next)
		}
		after = next
	}
}

func byDigestAndRepo(links []local.Link) []local.Link {
	links = slices.Clone(links)
	slices.SortFunc(links, func(a, b local.Link) int {
		if string(a.Repo)+string(a.Digest) < string(b.Repo)+string(b.Digest) {
			return -1
		}
		return 1
	})
	return links
}

func linkOf(repo oci.Repo, b local.BlobRow) local.Link {
	return local.Link{Repo: repo, Digest: b.Digest, Size: b.Size}
}

// moved walks over all untagged manifests in steps of n.
func (s *suite) moved(before time.Time, n int, dry bool) []local.Link {
	s.Helper()
	var all []local.Link
	for after, calls := "", 0; ; calls++ {
		links, next, err := s.Retention.TrashUntagged(s.Context(), before, after, n, dry)
		s.must(err)
		all = append(all, links...)
		if next == "" {
			return all
		}
		if next == after || calls > 10_000 {
			s.Fatalf("the cursor %q leads nowhere", next)
		}
		after = next
	}
}

// sweeps wants exactly these manifests of acme/web to go, dry and then really.
func (s *suite) sweeps(before time.Time, want ...local.ManifestRow) {
	s.Helper()
	var links []local.Link
	for _, m := range want {
		links = append(links, local.Link{Repo: "acme/web", Digest: m.Digest, Size: m.Size})
	}
	trash := s.entries()
	s.equal("would go", byDigestAndRepo(s.moved(before, 10, true)), byDigestAndRepo(links))
	s.equal("the trash after a dry run", s.entries(), trash)
	s.equal("went", byDigestAndRepo(s.moved(before, 10, false)), byDigestAndRepo(links))
	for _, m := range want {
		s.lacks("acme/web", byDigest(m))
	}
}

var linkCases = []testCase{
	{"what no manifest of the repository names", func(s *suite) {
		m := s.pushed("acme/web", "m", 2)
		lone := newBlobs("lone", 3)
		s.link("acme/web", lone[:2]...)
		s.link("acme/api", lone[2])
		s.link("acme/api", newBlobs("m", 3)[0]) // needed in the other
		before := s.Clock.Pass(time.Hour)
		s.link("acme/web", newBlob("young"))
		want := byDigestAndRepo([]local.Link{
			linkOf("acme/web", lone[0]), linkOf("acme/web", lone[1]), linkOf("acme/api", lone[2]), linkOf("acme/api", newBlobs("m", 3)[0]),
		})
		for n := 1; n <= 8; n++ {
			s.equal("unneeded", byDigestAndRepo(s.unneeded(before, n)), want)
		}
		s.deleted("acme/web", m) // the trash holds blobs, not links
		s.equal("number after a deletion", len(s.unneeded(before, 3)), 4+3)
		links, next, err := s.Retention.UnneededLinks(s.Context(), before, "", 0)
		s.must(err)
		s.equal("none of zero", len(links)+len(next), 0)
		if _, _, err := s.Retention.UnneededLinks(s.Context(), before, "elsewhere", 3); err == nil {
			s.Error("a cursor that is none was accepted")
		}
	}},
	{"many needed ones lie in between", func(s *suite) {
		blobs := newBlobs("m", 300)
		s.link("acme/web", blobs[:299]...)
		s.put("acme/web", s.image(blobs[1:299]...))
		s.link("acme/web", blobs[299])
		before := s.Clock.Pass(time.Hour)
		links, next, err := s.Retention.UnneededLinks(s.Context(), before, "", 2)
		s.must(err)
		if len(links) > 2 || next == "" {
			s.Errorf("one call walked over all links and found %d", len(links))
		}
		for _, n := range []int{1, 2, 30, 1000} {
			s.equal("unneeded", s.unneeded(before, n), []local.Link{linkOf("acme/web", blobs[0]), linkOf("acme/web", blobs[299])})
		}
	}},
	{"pushed or mounted again, it is young again", func(s *suite) {
		for i, again := range []local.BlobRow{newBlob("b0"), {Digest: newBlob("b1").Digest}} {
			b := newBlob(fmt.Sprint("b", i))
			s.link("acme/web", b)
			before := s.Clock.Pass(time.Hour)
			s.equal("before", s.unneeded(before, 9), []local.Link{linkOf("acme/web", b)})
			s.link("acme/web", again)
			s.equal("unneeded", s.unneeded(before, 9), []local.Link(nil))
			ended, err := s.Retention.Unlink(s.Context(), before, []local.Link{linkOf("acme/web", b)})
			s.must(err)
			s.equal("ended", ended, []local.Link(nil))
			later := s.Clock.Pass(time.Hour)
			s.equal("later", s.unneeded(later, 9), []local.Link{linkOf("acme/web", b)})
			s.unlinks("acme/web", b.Digest)
		}
	}},
	{"ending links asks again", func(s *suite) {
		blobs := newBlobs("b", 6)
		s.link("acme/web", blobs[:4]...)
		s.link("acme/api", blobs[0])
		before := s.Clock.Pass(time.Hour)
		s.link("acme/web", blobs[4])
		s.put("acme/web", s.image(blobs[2], blobs[3]))
		var links []local.Link
		for _, b := range blobs { // 2, 3 needed; 4 young; 5 unknown
			links = append(links, linkOf("acme/web", b))
		}
		links = append(links, linkOf("acme/none", blobs[0]))
		ended, err := s.Retention.Unlink(s.Context(), before, links)
		s.must(err)
		s.equal("ended", ended, links[:2])
		for _, b := range blobs[:2] {
			_, err := s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
			s.code(err, oci.CodeBlobUnknown)
		}
		for _, b := range blobs[2:5] {
			_, err := s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
			s.must(err)
		}
		now := s.Clock.Now()
		s.equal("the grace begins now", s.forgotten(now, 9, nil), []local.BlobRow(nil))
		s.equal("forgotten", s.forgotten(now.Add(time.Second), 9, nil), []local.BlobRow{blobs[1]}) // the other has blobs[0]
		ended, err = s.Retention.Unlink(s.Context(), before, nil)
		s.must(err)
		s.equal("of none", ended, []local.Link(nil))
	}},
	{"the trash holds the blobs of links that ended", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		e := s.deleted("acme/web", m)
		before := s.Clock.Pass(time.Hour)
		ended, err := s.Retention.Unlink(s.Context(), before, s.unneeded(before, 9))
		s.must(err)
		s.equal("number ended", len(ended), 2)
		s.equal("forgotten", s.forgotten(s.Clock.Pass(time.Hour), 9, nil), []local.BlobRow(nil))
		s.restored(e.ID)
		s.holds("acme/web", byTag("v1"), m)
		s.equal("unneeded", s.unneeded(s.Clock.Pass(time.Hour), 9), []local.Link(nil))
	}},
	{"what waits for a sweep", func(s *suite) {
		waits := func(before local.Before, want local.Waiting) {
			s.Helper()
			got, err := s.Retention.Waiting(s.Context(), before)
			s.must(err)
			s.equal("waiting", got, want)
		}
		at := func(t time.Time) local.Before { return local.Before{Uploads: t, Blobs: t, Trash: t} }
		waits(at(s.Clock.Now()), local.Waiting{})
		up := s.begun("u1")
		up.Offset = 100
		s.must(s.Uploads.Advance(s.Context(), up, 0))
		s.unlinked("acme/web", newBlob("seven b"))
		m := s.pushed("acme/web", "m", 1, "v1")
		s.deleted("acme/web", m)
		s.unlinks("acme/web", digestsOf(m)...) // held by the trash
		waits(at(s.Clock.Now()), local.Waiting{})
		past, now := s.Clock.Now(), s.Clock.Pass(time.Hour)
		s.begun("u2")
		s.unlinked("acme/web", newBlob("young"))
		s.pushed("acme/web", "n", 1, "v2")
		s.untagged("acme/web", "v2")
		waits(at(now), local.Waiting{Uploads: 1, Blobs: 1, Entries: 1, Bytes: 107})
		waits(local.Before{Uploads: now, Blobs: past, Trash: past}, local.Waiting{Uploads: 1, Bytes: 100})
		waits(local.Before{Uploads: past, Blobs: now, Trash: past}, local.Waiting{Blobs: 1, Bytes: 7})
		waits(local.Before{Uploads: past, Blobs: past, Trash: now}, local.Waiting{Entries: 1})
		waits(at(s.Clock.Pass(time.Hour)), local.Waiting{Uploads: 2, Blobs: 2, Entries: 2, Bytes: 112})
	}},
}

var untaggedCases = []testCase{
	{"only what is old, untagged and unused", func(s *suite) {
		tagged := s.pushed("acme/web", "tagged", 1, "v1")
		old := s.pushed("acme/web", "old", 1)
		pulled, again := s.pushed("acme/web", "pulled", 1), s.pushed("acme/web", "again", 1)
		child := s.pushed("acme/web", "child", 1)
		index := s.index(child.Descriptor)
		s.put("acme/web", index, "index")
		referrer := s.artifact("acme/web", tagged.Digest, "application/vnd.example", nil)
		s.put("acme/web", referrer)
		before := s.Clock.Pass(time.Hour)
		young := s.pushed("acme/web", "young", 1) // at the time itself
		s.must(s.Retention.Pulled(s.Context(), []local.Pull{{Repo: "acme/web", Digest: pulled.Digest, At: before}}))
		s.put("acme/web", again)
		s.sweeps(before, old)
		for _, m := range []local.ManifestRow{tagged, pulled, again, child, index, referrer, young} {
			s.holds("acme/web", byDigest(m), m)
		}
		e := s.newest()
		s.equal("entry", e, local.TrashEntry{
			ID: e.ID, Kind: local.TrashedManifest, Repo: "acme/web", Name: string(old.Digest), Deleted: s.Clock.Now(), By: "sweep",
			Manifests: 1, Bytes: 10,
		})
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 1})
		s.sweeps(s.Clock.Pass(time.Hour), old, pulled, again, young)
	}},
	{"an index goes with its children, and comes back with them", func(s *suite) {
		images := []local.ManifestRow{
			s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1), s.pushed("acme/web", "shared", 1),
			s.pushed("acme/web", "tagged", 1, "v1"), s.pushed("acme/web", "pulled", 1), s.pushed("acme/web", "twice", 1),
		}
		a, b, shared, tagged, pulled, twice := images[0], images[1], images[2], images[3], images[4], images[5]
		inner := s.index(b.Descriptor, twice.Descriptor)
		s.put("acme/web", inner)
		outer := s.index(a.Descriptor, twice.Descriptor, inner.Descriptor, shared.Descriptor, tagged.Descriptor, pulled.Descriptor)
		s.put("acme/web", outer)
		s.put("acme/web", s.index(shared.Descriptor), "other")
		signature := s.artifact("acme/web", b.Digest, "application/vnd.example", nil)
		s.put("acme/web", signature)
		before := s.Clock.Pass(time.Hour)
		s.must(s.Retention.Pulled(s.Context(), []local.Pull{{Repo: "acme/web", Digest: pulled.Digest, At: s.Clock.Pass(time.Hour)}}))
		s.sweeps(before, outer, inner, a, b, twice, signature)
		for _, m := range []local.ManifestRow{shared, tagged, pulled} {
			s.holds("acme/web", byDigest(m), m)
		}
		e := s.newest()
		s.equal("name", e.Name, string(outer.Digest))
		s.equal("entries", len(s.entries()), 1)
		s.equal("restored", s.restored(e.ID), local.Restored{Manifests: 6})
		s.put("acme/web", outer, "back")
	}},
	{"a child that is a referrer of what stays", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		referrer := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", referrer)
		index := s.index(referrer.Descriptor)
		s.put("acme/web", index)
		s.sweeps(s.Clock.Pass(time.Hour), index)
		s.holds("acme/web", byDigest(referrer), referrer)
	}},
	{"referrers go with their subject, however young", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		before := s.Clock.Pass(time.Hour)
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a)
		tagged := s.artifact("acme/web", m.Digest, "application/vnd.example.tagged", nil)
		s.put("acme/web", tagged, "sbom")
		s.sweeps(before, m, a)
		s.holds("acme/web", byTag("sbom"), tagged)
	}},
	{"a referrer whose subject has gone", func(s *suite) {
		a := s.artifact("acme/web", newBlob("nowhere").Digest, "application/vnd.example", nil)
		s.put("acme/web", a)
		s.pushed("acme/api", "m", 1, "v1")
		s.sweeps(s.Clock.Pass(time.Hour), a)
	}},
	{"a live subject in another repository does not count", func(s *suite) {
		m := s.pushed("acme/api", "m", 1, "v1")
		s.put("acme/api", s.index(m.Descriptor), "index")
		s.pushed("acme/web", "m", 1)
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a)
		s.sweeps(s.Clock.Pass(time.Hour), m, a)
		s.holds("acme/api", byTag("v1"), m)
	}},
	{"in steps", func(s *suite) {
		var want []local.Link
		for i := range 30 {
			m := s.manifest(document{MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}, Annotations: map[string]string{"n": fmt.Sprint(i)}})
			repo := oci.Repo(fmt.Sprint("acme/r", i%3))
			if i%5 == 0 {
				s.put(repo, m, oci.Tag(fmt.Sprint("v", i)))
				continue
			}
			s.put(repo, m)
			want = append(want, local.Link{Repo: repo, Digest: m.Digest, Size: m.Size})
		}
		before := s.Clock.Pass(time.Hour)
		for n := 1; n <= 26; n += 5 {
			s.equal("would go", byDigestAndRepo(s.moved(before, n, true)), byDigestAndRepo(want))
		}
		first, next, err := s.Retention.TrashUntagged(s.Context(), before, "", 7, false)
		s.must(err)
		s.equal("number of the first step", len(first), 7)
		rest, _, err := s.Retention.TrashUntagged(s.Context(), before, next, 100, false)
		s.must(err)
		s.equal("went", byDigestAndRepo(append(first, rest...)), byDigestAndRepo(want))
		none, _, err := s.Retention.TrashUntagged(s.Context(), before, "", 0, false)
		s.must(err)
		s.equal("none of zero", none, []local.Link(nil))
		if _, _, err := s.Retention.TrashUntagged(s.Context(), before, "elsewhere", 3, false); err == nil {
			s.Error("a cursor that is none was accepted")
		}
	}},
	{"pulls are noted forwards only", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		before := s.Clock.Pass(time.Hour)
		pull := func(at time.Time) local.Pull { return local.Pull{Repo: "acme/web", Digest: m.Digest, At: at} }
		s.must(s.Retention.Pulled(s.Context(), []local.Pull{
			pull(before.Add(time.Hour)), pull(before.Add(-time.Minute)),
			{Repo: "acme/none", Digest: m.Digest, At: before},
			{Repo: "acme/web", Digest: newBlob("none").Digest, At: before},
		}))
		s.must(s.Retention.Pulled(s.Context(), nil))
		s.sweeps(before.Add(time.Minute))
		s.sweeps(before.Add(time.Hour+time.Microsecond), m)
	}},
}
