package localtest

import (
	"fmt"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// kept are the tags of acme/web that begin with v.
func kept(repo oci.Repo, tag oci.Tag) bool {
	return repo == "acme/web" && strings.HasPrefix(string(tag), "v")
}

var immutableCases = []testCase{
	{"it is made, and made again", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		for range 2 {
			s.must(s.Catalog.PutManifest(s.Context(), "acme/web", m, []oci.Tag{"v1", "latest"}, kept))
		}
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"it does not move", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1", "latest")
		n := s.pushed("acme/web", "n", 1)
		e := s.code(s.Catalog.PutManifest(s.Context(), "acme/web", n, []oci.Tag{"latest", "v2", "v1"}, kept), oci.CodeTagImmutable)
		if !strings.Contains(e.Message, "v1") {
			s.Errorf("which tag? %s", e.Message)
		}
		s.tags("acme/web", "latest", "v1") // all or nothing
		s.holds("acme/web", byTag("latest"), m)
		s.must(s.Catalog.PutManifest(s.Context(), "acme/web", n, []oci.Tag{"latest"}, kept))
		s.put("acme/web", n, "v1") // who has no rules
		s.holds("acme/web", byTag("v1"), n)
	}},
	{"it does not go", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "latest", "v1")
		s.code(s.Catalog.DeleteTag(s.Context(), "acme/web", "v1", kept), oci.CodeTagImmutable)
		s.code(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, kept), oci.CodeTagImmutable)
		_, err := s.Trash.DeleteRepository(s.Context(), "acme/web", kept)
		s.code(err, oci.CodeTagImmutable)
		s.equal("trash", s.entries(), []local.TrashEntry(nil))
		s.code(s.Catalog.DeleteTag(s.Context(), "acme/web", "v2", kept), oci.CodeManifestUnknown)
		s.must(s.Catalog.DeleteTag(s.Context(), "acme/web", "latest", kept))
		s.holds("acme/web", byTag("v1"), m)
		s.must(s.Catalog.DeleteTag(s.Context(), "acme/web", "v1", nil))
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, kept))
		_, err = s.Trash.DeleteRepository(s.Context(), "acme/web", kept)
		s.must(err)
	}},
	{"of a referrer", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "latest")
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a, "v1")
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, kept)) // tagged ones stay
		s.holds("acme/web", byTag("v1"), a)
	}},
	{"it is not overwritten from the trash", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "latest", "v1")
		e := s.deleted("acme/web", m)
		n := s.pushed("acme/web", "n", 1, "latest", "v1")
		_, err := s.Trash.Restore(s.Context(), e.ID, true, kept)
		s.code(err, oci.CodeTagImmutable)
		s.holds("acme/web", byTag("latest"), n)
		r, err := s.Trash.Restore(s.Context(), e.ID, false, kept)
		s.must(err)
		s.equal("conflicts", len(r.Conflicts), 2)
		s.holds("acme/web", byTag("v1"), n)
	}},
	{"it comes back from the trash", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		e := s.deleted("acme/web", m)
		_, err := s.Trash.Restore(s.Context(), e.ID, false, kept)
		s.must(err)
		s.holds("acme/web", byTag("v1"), m)
	}},
	{"one of two pushes makes it", func(s *suite) {
		images := []local.ManifestRow{s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)}
		for round := range 20 {
			tag := oci.Tag(fmt.Sprint("v", round))
			var errs [2]error
			together(2, func(i int) {
				errs[i] = s.Catalog.PutManifest(s.Context(), "acme/web", images[i], []oci.Tag{tag}, kept)
			})
			won := 0
			if errs[0] != nil {
				won = 1
			}
			s.must(errs[won])
			s.code(errs[1-won], oci.CodeTagImmutable)
			s.holds("acme/web", byTag(tag), images[won])
		}
	}},
	{"a push and a deletion", func(s *suite) {
		images := []local.ManifestRow{s.pushed("acme/web", "a", 1), s.pushed("acme/web", "b", 1)}
		for round := range 20 {
			tag := oci.Tag(fmt.Sprint("v", round))
			s.put("acme/web", images[0], tag)
			var push, deletion error
			together(2, func(i int) {
				if i == 0 {
					push = s.Catalog.PutManifest(s.Context(), "acme/web", images[1], []oci.Tag{tag}, kept)
				} else {
					deletion = s.Catalog.DeleteTag(s.Context(), "acme/web", tag, kept)
				}
			})
			s.code(push, oci.CodeTagImmutable)
			s.code(deletion, oci.CodeTagImmutable)
			s.holds("acme/web", byTag(tag), images[0])
		}
	}},
}
