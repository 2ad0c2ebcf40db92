package accounttest

import (
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// handed is a namespace with images in the trash of acme that is beta's now.
func (s *suite) handed() (acme, beta account.Account, tag, whole int64) {
	s.Helper()
	acme, beta = s.account("acme"), s.account("beta")
	s.namespace(acme.ID, "images", "l1")
	s.push("images/web", "w", "v1", "v2")
	s.must(s.Catalog.DeleteTag(s.Context(), "images/web", "v2", nil))
	tag = s.entry().ID
	whole = s.remove(acme.ID, "images")
	_, _, err := s.adds(beta.ID, "images", "l2")
	s.must(err)
	return acme, beta, tag, whole
}

var restoreCases = []testCase{
	{"nobody gets another's images", func(s *suite) {
		_, _, tag, whole := s.handed()
		for _, id := range []int64{tag, whole} {
			s.code(s.restore(id), oci.CodeConflict)
		}
		s.repositories()
	}},
	{"nor by what an entry borrows", func(s *suite) {
		_, _, _, whole := s.handed()
		m := s.push("images/web", "w", "v9")
		s.must(s.Catalog.DeleteTag(s.Context(), "images/web", "v9", nil))
		e := s.entry() // a tag: its manifest is in beta's next entry and in acme's
		s.must(s.Catalog.DeleteManifest(s.Context(), "images/web", m.Digest, nil))
		s.must(s.Trash.Purge(s.Context(), s.entry().ID))
		r, err := s.Trash.Restore(s.Context(), e.ID, false, nil)
		s.must(err)
		s.equal("not found", r, local.Restored{Conflicts: []local.TagConflict{{Repo: "images/web", Tag: "v9", Trashed: m.Digest}}})
		s.must(s.Trash.Purge(s.Context(), whole))
	}},
	{"the trash of an owner", func(s *suite) {
		acme, beta, tag, whole := s.handed()
		m := s.push("images/web", "w", "v1")
		s.must(s.Catalog.DeleteTag(s.Context(), "images/web", "v1", nil))
		theirs := s.entry().ID
		s.push("provided", "p", "v1")
		s.must(s.Catalog.DeleteTag(s.Context(), "provided", "v1", nil))
		nobodys := s.entry().ID
		for _, c := range []struct {
			f    local.TrashFilter
			want []int64
		}{
			{local.TrashFilter{}, []int64{nobodys, theirs, whole, tag}},
			{local.TrashFilter{AccountID: acme.ID}, []int64{nobodys, theirs, whole, tag}},
			{local.TrashFilter{Scoped: true}, []int64{nobodys}},
			{local.TrashFilter{Scoped: true, AccountID: acme.ID}, []int64{whole, tag}},
			{local.TrashFilter{Scoped: true, AccountID: acme.ID, Namespace: "images"}, []int64{whole, tag}},
			{local.TrashFilter{Scoped: true, AccountID: beta.ID, Namespace: "images"}, []int64{theirs}},
			{local.TrashFilter{Scoped: true, AccountID: beta.ID, Repo: "images/web"}, []int64{theirs}},
			{local.TrashFilter{Scoped: true, AccountID: beta.ID, Name: "v1"}, []int64{theirs}},
			{local.TrashFilter{Scoped: true, AccountID: acme.ID, Name: "v1", Repo: "images/web"}, []int64{whole}},
			{local.TrashFilter{Scoped: true, AccountID: beta.ID, Name: string(m.Digest)}, nil},
			{local.TrashFilter{Scoped: true, AccountID: acme.ID, Name: string(m.Digest), Namespace: "images"}, []int64{whole}},
		} {
			all, err := s.Trash.TrashEntries(s.Context(), c.f, 0, 9)
			s.must(err)
			var got []int64
			for _, e := range all {
				got = append(got, e.ID)
			}
			s.equal("entries", got, c.want)
		}
	}},
	{"into a removed namespace", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		s.push("images/web", "w", "v1", "v2")
		s.must(s.Catalog.DeleteTag(s.Context(), "images/web", "v2", nil))
		tag := s.entry().ID
		whole := s.remove(a.ID, "images")
		s.code(s.restore(tag), oci.CodeConflict)
		s.must(s.restore(whole))
		s.must(s.restore(tag))
		tags, err := s.Catalog.Tags(s.Context(), "images/web", "", 9)
		s.must(err)
		s.equal("tags", tags, []oci.Tag{"v1", "v2"})
	}},
	{"into a new life", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		s.push("images/web", "w", "v1")
		whole := s.remove(a.ID, "images")
		s.namespace(a.ID, "images", "l2")
		s.must(s.restore(whole))
		s.repositories("images/web")
		n, err := s.Accounts.Namespace(s.Context(), a.ID, "images")
		s.must(err)
		s.equal("life", n.Incarnation, "l2")
	}},
	{"the life of the entry", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		first := s.remove(a.ID, "images")
		s.namespace(a.ID, "images", "l2")
		s.remove(a.ID, "images")
		s.must(s.restore(first))
		n, err := s.Accounts.Namespace(s.Context(), a.ID, "images")
		s.must(err)
		s.equal("namespace", n.Namespace, access.Namespace{Name: "images", AccountID: a.ID, Incarnation: "l1"})
	}},
	{"what nobody owned", func(s *suite) {
		s.push("provided", "p", "v1")
		_, err := s.Trash.DeleteRepository(s.Context(), "provided", nil)
		s.must(err)
		e := s.entry()
		s.equal("owner", e.AccountID, int64(0))
		s.must(s.restore(e.ID))
		_, err = s.Trash.DeleteRepository(s.Context(), "provided", nil)
		s.must(err)
		a := s.account("acme")
		s.namespace(a.ID, "provided", "l1")
		s.code(s.restore(s.entry().ID), oci.CodeConflict)
	}},
}
