package localtest

import (
	"bytes"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// newUpload is one of acme/web by alice.
func newUpload(id string) local.UploadRow {
	return local.UploadRow{ID: id, Repo: "acme/web", Owner: "alice", Key: blob.NewKey(), Algorithm: oci.SHA256, Epoch: "e1"}
}

func (s *suite) begun(id string) local.UploadRow {
	s.Helper()
	up := newUpload(id)
	s.must(s.Uploads.Begin(s.Context(), up))
	return up
}

func (s *suite) loads(up local.UploadRow) {
	s.Helper()
	got, err := s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
	s.must(err)
	s.equal("upload", got, up)
}

var uploadCases = []testCase{
	{"what begins is loaded", func(s *suite) {
		up := newUpload("u1")
		up.Algorithm = oci.SHA512
		up.Hash, up.Offset = []byte{0, 1, 255}, 7
		s.must(s.Uploads.Begin(s.Context(), up))
		up.Updated = s.Clock.Now()
		s.loads(up)
	}},
	{"an id is used once", func(s *suite) {
		up := s.begun("u1")
		again := newUpload("u1")
		if err := s.Uploads.Begin(s.Context(), again); err == nil {
			s.Error("two uploads have the same id")
		}
		up.Updated = s.Clock.Now()
		s.loads(up)
	}},
	{"another's is unknown", func(s *suite) {
		up := s.begun("u1")
		for _, c := range []struct {
			repo      oci.Repo
			owner, id string
		}{{up.Repo, "mallory", up.ID}, {"acme/api", up.Owner, up.ID}, {up.Repo, up.Owner, "u2"}, {up.Repo, "", up.ID}} {
			_, err := s.Uploads.Load(s.Context(), c.repo, c.owner, c.id)
			s.code(err, oci.CodeBlobUploadUnknown)
			moved := local.UploadRow{ID: c.id, Repo: c.repo, Owner: c.owner, Offset: 5}
			s.code(s.Uploads.Advance(s.Context(), moved, 0), oci.CodeBlobUploadUnknown)
		}
		up.Updated = s.Clock.Now()
		s.loads(up)
	}},
	{"advancing", func(s *suite) {
		up := s.begun("u1")
		s.Clock.Pass(time.Minute)
		next := up
		next.Offset, next.Hash, next.Epoch = 10, []byte("state"), "e2"
		s.must(s.Uploads.Advance(s.Context(), next, 0))
		next.Updated = s.Clock.Now()
		s.loads(next)
		late := up
		late.Offset = 3
		e := s.code(s.Uploads.Advance(s.Context(), late, 0), oci.CodeRangeInvalid)
		s.names(e, "10")
		s.code(s.Uploads.Advance(s.Context(), late, 11), oci.CodeRangeInvalid)
		s.loads(next)
		next.Hash = bytes.Repeat([]byte{7}, 500)
		s.must(s.Uploads.Advance(s.Context(), next, 10)) // standing still is moving, too
		s.loads(next)
	}},
	{"ending", func(s *suite) {
		up, other := s.begun("u1"), s.begun("u2")
		s.must(s.Uploads.End(s.Context(), up.ID))
		s.must(s.Uploads.End(s.Context(), up.ID))
		s.must(s.Uploads.End(s.Context(), "never"))
		_, err := s.Uploads.Load(s.Context(), up.Repo, up.Owner, up.ID)
		s.code(err, oci.CodeBlobUploadUnknown)
		s.code(s.Uploads.Advance(s.Context(), up, 0), oci.CodeBlobUploadUnknown)
		other.Updated = s.Clock.Now()
		s.loads(other)
	}},
	{"usage", func(s *suite) {
		for i := range 5 {
			up := newUpload(fmt.Sprint("u", i))
			if i >= 3 {
				up.Owner, up.Repo = "bob", "acme/api"
			}
			s.must(s.Uploads.Begin(s.Context(), up))
			up.Offset = int64(i + 1)
			s.must(s.Uploads.Advance(s.Context(), up, 0))
		}
		for owner, want := range map[string]local.Usage{
			"alice": {Uploads: 3, Bytes: 6}, "bob": {Uploads: 2, Bytes: 9}, "": {Uploads: 5, Bytes: 15}, "carol": {},
		} {
			got, err := s.Uploads.Usage(s.Context(), owner)
			s.must(err)
			s.equal("usage of "+owner, got, want)
		}
		s.must(s.Uploads.End(s.Context(), "u0"))
		got, err := s.Uploads.Usage(s.Context(), "alice")
		s.must(err)
		s.equal("usage after the end of one", got, local.Usage{Uploads: 2, Bytes: 5})
	}},
}
