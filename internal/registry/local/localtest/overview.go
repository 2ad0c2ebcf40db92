package localtest

import (
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// listedRepositories reads pages of n of a place.
func (s *suite) listedRepositories(p local.Place, n int) []oci.Repo {
	s.Helper()
	var got []oci.Repo
	for after := oci.Repo(""); ; {
		page, err := s.Overview.RepositoryPage(s.Context(), p, after, n)
		s.must(err)
		if len(page) > n {
			s.Fatalf("a page of %d has %d", n, len(page))
		}
		for _, r := range page {
			got, after = append(got, r.Repo), r.Repo
		}
		if len(page) < n {
			return got
		}
	}
}

// listedImages reads pages of n of a place.
func (s *suite) listedImages(p local.Place, n int) []string {
	s.Helper()
	var got []string
	var repo oci.Repo
	for tag := oci.Tag(""); ; {
		page, err := s.Overview.ImagePage(s.Context(), p, repo, tag, n)
		s.must(err)
		if len(page) > n {
			s.Fatalf("a page of %d has %d", n, len(page))
		}
		for _, i := range page {
			got, repo, tag = append(got, fmt.Sprint(i.Repo, ":", i.Tag)), i.Repo, i.Tag
		}
		if len(page) < n {
			return got
		}
	}
}

// bytesOf blobs and manifests.
func bytesOf(blobs []local.BlobRow, manifests ...local.ManifestRow) int64 {
	var sum int64
	for _, b := range blobs {
		sum += b.Size
	}
	for _, m := range manifests {
		sum += m.Size
	}
	return sum
}

var overviewCases = []testCase{
	{"repositories and images of places", func(s *suite) {
		for _, repo := range []oci.Repo{"acme/web", "acme/web/api", "acme", "acme-x/web", "acme/api", "acmee/web", "acme0", "b"} {
			s.pushed(repo, "m", 1, "v2", "v1")
		}
		s.link("acme/empty", newBlob("b"))
		for _, c := range []struct {
			prefix string
			want   []oci.Repo
		}{
			{"", []oci.Repo{"acme", "acme-x/web", "acme/api", "acme/empty", "acme/web", "acme/web/api", "acme0", "acmee/web", "b"}},
			{"acme", []oci.Repo{"acme", "acme/api", "acme/empty", "acme/web", "acme/web/api"}},
			{"acme/web", []oci.Repo{"acme/web", "acme/web/api"}},
			{"acme/w", nil},
			{"none", nil},
		} {
			var images []string
			for _, repo := range c.want {
				if repo != "acme/empty" {
					images = append(images, string(repo)+":v1", string(repo)+":v2")
				}
			}
			for n := 1; n < 12; n++ {
				p := local.Place{Prefix: c.prefix}
				s.equal("repositories", s.listedRepositories(p, n), c.want)
				s.equal("images", s.listedImages(p, n), images)
			}
		}
		none, err := s.Overview.RepositoryPage(s.Context(), local.Place{Prefix: "acme"}, "", 0)
		s.must(err)
		s.equal("none of zero", none, []local.RepositoryInfo(nil))
		images, err := s.Overview.ImagePage(s.Context(), local.Place{}, "", "", 0)
		s.must(err)
		s.equal("no image of zero", images, []local.ImageInfo(nil))
	}},
	{"what a repository has", func(s *suite) {
		begin := s.Clock.Now()
		blobs := newBlobs("b", 4)
		s.link("acme/web", blobs...)
		m := s.image(blobs[:3]...)
		s.put("acme/web", m, "v1", "latest")
		second := s.Clock.Pass(time.Hour)
		n := s.image(blobs[0], blobs[2])
		s.put("acme/web", n)
		info := func() local.RepositoryInfo {
			s.Helper()
			page, err := s.Overview.RepositoryPage(s.Context(), local.Place{}, "", 9)
			s.must(err)
			s.equal("number of repositories", len(page), 1)
			return page[0]
		}
		s.equal("info", info(), local.RepositoryInfo{
			Repo: "acme/web", Created: begin, Updated: second, Tags: 2, Manifests: 2, Bytes: bytesOf(blobs[:3], m, n),
		})
		third := s.Clock.Pass(time.Hour)
		s.put("acme/web", n, "latest")
		s.equal("updated", info().Updated, third)
	}},
	{"what an image has", func(s *suite) {
		blobs := newBlobs("b", 5)
		s.link("acme/web", blobs...)
		a, b := s.image(blobs[:3]...), s.image(blobs[0], blobs[3], blobs[4])
		s.put("acme/web", a, "a")
		s.put("acme/web", b)
		index := s.index(a.Descriptor, b.Descriptor)
		s.put("acme/web", index, "index")
		outer := s.index(index.Descriptor, a.Descriptor)
		pushed := s.Clock.Pass(time.Hour)
		s.put("acme/web", outer, "outer")
		moved := s.Clock.Pass(time.Hour)
		s.put("acme/web", outer, "second")
		page, err := s.Overview.ImagePage(s.Context(), local.Place{}, "", "", 9)
		s.must(err)
		var sizes []int64
		for _, i := range page {
			sizes = append(sizes, i.Size)
		}
		s.equal("sizes", sizes, []int64{
			bytesOf(blobs[:3], a), bytesOf(blobs, a, b, index), bytesOf(blobs, a, b, index, outer), bytesOf(blobs, a, b, index, outer),
		})
		s.equal("image", page[3], local.ImageInfo{
			Repo: "acme/web", Tag: "second", Digest: outer.Digest, MediaType: outer.MediaType, Pushed: pushed, Updated: moved, Size: sizes[3],
		})
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", b.Digest, nil)) // a child may go
		page, err = s.Overview.ImagePage(s.Context(), local.Place{}, "acme/web", "a", 1)
		s.must(err)
		s.equal("size without a child", page[0].Size, bytesOf(blobs[:3], a, index))
	}},
	{"digests", func(s *suite) {
		m := s.pushed("acme/web", "m", 2, "v1", "latest")
		index := s.index(m.Descriptor)
		s.put("acme/web", index)
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a)
		s.pushed("acme/api", "m", 2, "v1")
		for n := 1; n < 6; n++ {
			var got []local.DigestInfo
			for before := int64(0); ; {
				page, next, err := s.Overview.DigestPage(s.Context(), "acme/web", before, n)
				s.must(err)
				got, before = append(got, page...), next
				if next == 0 {
					break
				}
			}
			image := bytesOf(newBlobs("m", 3), m)
			at := s.Clock.Now()
			s.equal("digests", got, []local.DigestInfo{
				{Repo: "acme/web", Digest: a.Digest, MediaType: a.MediaType, Artifact: "application/vnd.example", Pushed: at, Subject: m.Digest, Size: got[0].Size},
				{Repo: "acme/web", Digest: index.Digest, MediaType: index.MediaType, Pushed: at, Size: image + index.Size},
				{Repo: "acme/web", Digest: m.Digest, MediaType: m.MediaType, Artifact: m.Content.ArtifactType, Pushed: at, Tags: []oci.Tag{"latest", "v1"}, Parents: 1, Referrers: 1, Size: image},
			})
		}
		_, _, err := s.Overview.DigestPage(s.Context(), "acme/none", 0, 9)
		s.code(err, oci.CodeNameUnknown)
	}},
	{"tags of a manifest", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "latest")
		s.pushed("acme/web", "n", 1, "other")
		tags, err := s.Overview.TagsOf(s.Context(), "acme/web", m.Digest)
		s.must(err)
		s.equal("tags", tags, []oci.Tag{"latest", "v1"})
		_, err = s.Overview.TagsOf(s.Context(), "acme/none", m.Digest)
		s.code(err, oci.CodeNameUnknown)
		_, err = s.Overview.TagsOf(s.Context(), "acme/web", newBlob("x").Digest)
		s.code(err, oci.CodeManifestUnknown)
	}},
	{"unique and shared bytes", func(s *suite) {
		base, own, other, trashed := newBlob("base"), newBlob("own"), newBlob("of another"), newBlob("in the trash")
		blobs := []local.BlobRow{base, own, other, trashed}
		s.link("acme/web", blobs...)
		s.link("beta/web", blobs...)
		a, b := s.image(base, own), s.image(base, other, trashed)
		s.put("acme/web", a, "a")
		s.put("acme/web", b, "b")
		index := s.index(a.Descriptor, b.Descriptor)
		s.put("acme/web", index, "index")
		want := func(what string, unique, shared int64, of ...local.ManifestRow) {
			s.Helper()
			var digests []oci.Digest
			for _, m := range of {
				digests = append(digests, m.Digest)
			}
			got, err := s.Overview.BytesOf(s.Context(), "acme/web", digests)
			s.must(err)
			s.equal(what, got, local.Bytes{Unique: unique, Shared: shared})
		}
		want("nothing", 0, 0)
		want("a", bytesOf([]local.BlobRow{own}, a), base.Size, a)
		want("a and b", bytesOf(blobs, a, b), 0, a, b)
		want("index", bytesOf(blobs, a, b, index), 0, index)
		want("all, twice", bytesOf(blobs, a, b, index), 0, index, a, b, index)
		s.put("beta/web", s.image(other), "v1") // not only acme's any more
		want("with another repository", bytesOf([]local.BlobRow{base, own, trashed}, a, b, index), other.Size, index)
		gone := s.image(trashed)
		s.put("beta/web", gone, "v2")
		s.put("beta/web", a, "v3")
		s.must(s.Catalog.DeleteManifest(s.Context(), "beta/web", gone.Digest, nil))
		want("with the trash", bytesOf(nil, b, index), bytesOf(blobs, a), index)
		want("what is not there", 0, 0, gone)
		_, err := s.Overview.BytesOf(s.Context(), "acme/none", []oci.Digest{a.Digest})
		s.code(err, oci.CodeNameUnknown)
	}},
	{"usage of a namespace", func(s *suite) {
		shared, left := newBlob("shared"), newBlob("left")
		for _, repo := range []oci.Repo{"acme/web", "acme/api", "acme-x/web", "acme"} {
			s.link(repo, shared, left)
			s.put(repo, s.image(shared), "v1", "v2")
		}
		m := s.image(shared, left)
		s.put("acme/web", m, "v3")
		size := s.image(shared).Size
		got, err := s.Overview.Usage(s.Context(), "acme")
		s.must(err)
		s.equal("usage", got, local.UsageInfo{
			Namespace: "acme", Repositories: 3, Tags: 7, Manifests: 4, Bytes: bytesOf([]local.BlobRow{shared, left}, m) + 3*size,
		})
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		got, err = s.Overview.Usage(s.Context(), "acme")
		s.must(err)
		s.equal("after a deletion", got, local.UsageInfo{
			Namespace: "acme", Repositories: 3, Tags: 6, Manifests: 3, Bytes: shared.Size + 3*size, Trash: left.Size,
		})
		got, err = s.Overview.Usage(s.Context(), "none")
		s.must(err)
		s.equal("of nothing", got, local.UsageInfo{Namespace: "none"})
	}},
}
