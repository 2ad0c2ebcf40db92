package localtest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// together runs n at once and waits for all.
func together(n int, run func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			run(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// try reports an error without ending the goroutine.
func (s *suite) try(err error) bool {
	s.Helper()
	if err != nil {
		s.Error(err)
	}
	return err == nil
}

var raceCases = []testCase{
	{"two hundred pushes of one image", func(s *suite) {
		blobs := newBlobs("b", 11)
		s.link("acme/web", blobs...)
		m := s.image(blobs...)
		together(200, func(i int) {
			s.try(s.Catalog.PutManifest(s.Context(), "acme/web", m, []oci.Tag{"latest", oci.Tag(fmt.Sprint("v", i))}, nil))
		})
		s.holds("acme/web", byTag("latest"), m)
		tags, err := s.Catalog.Tags(s.Context(), "acme/web", "", 1000)
		s.must(err)
		s.equal("number of tags", len(tags), 201)
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil)) // there was one
		s.lacks("acme/web", byDigest(m))
	}},
	{"two tags move together", func(s *suite) {
		images := []local.ManifestRow{s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)}
		together(40, func(i int) {
			s.try(s.Catalog.PutManifest(s.Context(), "acme/web", images[i%2], []oci.Tag{"v1", "v2"}, nil))
		})
		v1, err := s.Catalog.Manifest(s.Context(), "acme/web", byTag("v1"))
		s.must(err)
		v2, err := s.Catalog.Manifest(s.Context(), "acme/web", byTag("v2"))
		s.must(err)
		if v1.Digest != v2.Digest {
			s.Errorf("v1 is %s and v2 is %s: one push moved both", v1.Digest, v2.Digest)
		}
	}},
	{"readers see a whole push or none", func(s *suite) {
		images := []local.ManifestRow{s.pushed("acme/web", "a", 1, "v1"), s.pushed("acme/web", "b", 1)}
		var stop atomic.Bool
		together(4, func(i int) {
			if i == 0 {
				for n := range 200 {
					s.try(s.Catalog.PutManifest(s.Context(), "acme/web", images[n%2], []oci.Tag{"v1"}, nil))
				}
				stop.Store(true)
				return
			}
			for !stop.Load() {
				m, err := s.Catalog.Manifest(s.Context(), "acme/web", byTag("v1"))
				if !s.try(err) {
					return
				}
				if oci.DigestOf(oci.SHA256, m.Bytes) != m.Digest {
					s.Error("bytes and digest are of two manifests")
					return
				}
			}
		})
	}},
	{"one key wins", func(s *suite) {
		const n = 50
		var mine, given [n]local.BlobRow
		together(n, func(i int) {
			mine[i] = newBlob("b")
			row, err := s.Catalog.LinkBlob(s.Context(), oci.Repo(fmt.Sprint("acme/r", i%3)), mine[i], "")
			s.try(err)
			given[i] = row
		})
		winner, err := s.Catalog.Blob(s.Context(), "acme/r0", mine[0].Digest)
		s.must(err)
		var keys, losers []blob.Key
		for i := range n {
			s.equal("row given", given[i], winner)
			keys = append(keys, mine[i].Key)
			if mine[i].Key != winner.Key {
				losers = append(losers, mine[i].Key)
			}
		}
		s.equal("losers", len(losers), n-1)
		unknown, err := s.Garbage.UnknownKeys(s.Context(), keys)
		s.must(err)
		s.equal("unknown keys", unknown, losers)
	}},
	{"one request ends an upload", func(s *suite) {
		up := s.begun("u1")
		b := newBlob("b")
		b.Key = up.Key
		var won atomic.Int64
		together(20, func(int) {
			_, err := s.Catalog.LinkBlob(s.Context(), up.Repo, b, up.ID)
			if err == nil {
				won.Add(1)
				return
			}
			s.tryCode(err, oci.CodeBlobUploadUnknown)
		})
		s.equal("winners", won.Load(), int64(1))
	}},
	{"one chunk goes on from an offset", func(s *suite) {
		up := s.begun("u1")
		var won atomic.Int64
		together(20, func(i int) {
			next := up
			next.Offset, next.Hash = int64(i+1), bytes.Repeat([]byte{byte(i + 1)}, 3)
			err := s.Uploads.Advance(s.Context(), next, 0)
			if err == nil {
				won.Add(1)
				return
			}
			s.tryCode(err, oci.CodeRangeInvalid)
		})
		s.equal("winners", won.Load(), int64(1))
		got, err := s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.must(err)
		s.equal("hash of the winner", got.Hash, bytes.Repeat([]byte{byte(got.Offset)}, 3))
	}},
	{"a sweep and a push that brings the blob back", func(s *suite) {
		for round := range 20 {
			b := newBlob(fmt.Sprint("b", round))
			s.unlinked("acme/web", b)
			before := s.Clock.Pass(time.Hour)
			again := newBlob(fmt.Sprint("b", round))
			var linked local.BlobRow
			var gone []local.BlobRow
			together(2, func(i int) {
				var err error
				if i == 0 {
					linked, err = s.Catalog.LinkBlob(s.Context(), "acme/web", again, "")
				} else {
					gone, err = s.Garbage.Forget(s.Context(), before, 10, nil)
				}
				s.try(err)
			})
			// Whichever came first: the key that is linked was not given away.
			for _, row := range gone {
				if row.Key == linked.Key {
					s.Fatalf("round %d: the key of a linked blob was forgotten", round)
				}
			}
			found, err := s.Catalog.Blob(s.Context(), "acme/web", b.Digest)
			s.must(err)
			s.equal("found", found, linked)
		}
	}},
	{"a manifest and the deletion of its blob", func(s *suite) {
		for round := range 20 {
			b := newBlob(fmt.Sprint("b", round))
			s.link("acme/web", b)
			m := s.image(b)
			var put, unlink error
			together(2, func(i int) {
				if i == 0 {
					put = s.Catalog.PutManifest(s.Context(), "acme/web", m, nil, nil)
				} else {
					unlink = s.Catalog.UnlinkBlob(s.Context(), "acme/web", b.Digest)
				}
			})
			if put == nil {
				s.code(unlink, oci.CodeUnsupported)
				continue
			}
			s.code(put, oci.CodeManifestBlobUnknown)
			s.must(unlink)
		}
	}},
	{"new repositories at once", func(s *suite) {
		together(60, func(i int) {
			repo := oci.Repo(fmt.Sprintf("acme/r%02d", i%20))
			_, err := s.Catalog.LinkBlob(s.Context(), repo, newBlob(fmt.Sprint("b", i)), "")
			s.try(err)
		})
		repos, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", 100)
		s.must(err)
		s.equal("number of repositories", len(repos), 20)
	}},
}
