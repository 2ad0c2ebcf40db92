package accounttest

import (
	"fmt"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

var namespaceCases = []testCase{
	{"is there", func(s *suite) {
		a := s.account("acme")
		n := account.Namespace{
			Namespace: access.Namespace{Name: "images", AccountID: a.ID, Incarnation: "l1", Public: true},
			Immutable: []account.ImmutableRule{{Repositories: "images/prod/.*", Tags: "v.*"}, {Tags: "x"}}, CreatedBy: "alice",
		}
		got, added, err := s.Accounts.AddNamespace(s.Context(), n, time.Time{}, false, line("namespace.add"))
		s.must(err)
		n.Account, n.Created, n.Version = "acme", s.Clock.Now(), 1
		s.equal("made", got, n)
		s.equal("added", added, true)
		for _, owner := range []int64{0, a.ID} {
			got, err = s.Accounts.Namespace(s.Context(), owner, "images")
			s.must(err)
			s.equal("read", got, n)
		}
		_, err = s.Accounts.Namespace(s.Context(), a.ID+1, "images")
		s.is(err, account.ErrNotFound)
		_, err = s.Accounts.Namespace(s.Context(), 0, "image")
		s.is(err, account.ErrNotFound)
		s.lines("account.add", "namespace.add")
	}},
	{"adding one's own again changes nothing", func(s *suite) {
		a := s.account("acme")
		n := s.namespace(a.ID, "images", "l1")
		s.Clock.Pass(time.Hour)
		again, added, err := s.add(a.ID, "images", "l2")
		s.must(err)
		s.equal("added", added, false)
		s.equal("as it was", again, n)
		s.lines("account.add", "namespace.add")
	}},
	{"another's is taken", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		n := s.namespace(a.ID, "images", "l1")
		_, _, err := s.add(b.ID, "images", "l2")
		s.is(err, account.ErrTaken)
		_, _, err = s.adds(b.ID, "images", "l2")
		s.is(err, account.ErrTaken)
		got, err := s.Accounts.Namespace(s.Context(), 0, "images")
		s.must(err)
		s.equal("as it was", got, n)
	}},
	{"images without a namespace", func(s *suite) {
		a := s.account("acme")
		s.push("provided", "p", "v1")
		s.push("old/web", "w", "v1", "v2")
		s.push("other", "o")
		s.must(s.Catalog.DeleteTag(s.Context(), "old/web", "v2", nil))
		for _, name := range []string{"provided", "old"} {
			_, _, err := s.add(a.ID, name, "l1")
			s.is(err, account.ErrTaken)
		}
		_, _, err := s.adds(a.ID, "provided", "l1")
		s.is(err, account.ErrTaken)
		_, added, err := s.adds(a.ID, "old", "l1")
		s.must(err)
		s.equal("adopted", added, true)
		s.equal("its trash", s.entry().AccountID, a.ID)
		s.must(s.restore(s.entry().ID))
		s.code(s.tryPush("old", "x"), oci.CodeNameInvalid)
		s.repositories("old/web", "other", "provided")
	}},
	{"is changed", func(s *suite) {
		a := s.account("acme")
		n := s.namespace(a.ID, "images", "l1")
		n.Public, n.Immutable = true, []account.ImmutableRule{{Tags: ".*"}}
		set, err := s.Accounts.SetNamespace(s.Context(), n, n.Version, line("namespace.set"))
		s.must(err)
		read, err := s.Accounts.Namespace(s.Context(), a.ID, "images")
		s.must(err)
		s.equal("read", read, set)
		if set.Version <= n.Version {
			s.Errorf("version %d came after %d", set.Version, n.Version)
		}
		n.Version = set.Version
		s.equal("set", set, n)
		_, err = s.Accounts.SetNamespace(s.Context(), n, 1, line("namespace.set"))
		s.is(err, account.ErrStale)
		n.Public, n.Immutable = false, nil
		set, err = s.Accounts.SetNamespace(s.Context(), n, 0, line("namespace.set"))
		s.must(err)
		s.equal("overwritten", [2]bool{set.Public, len(set.Immutable) > 0}, [2]bool{})
		n.AccountID++
		_, err = s.Accounts.SetNamespace(s.Context(), n, 0, line("namespace.set"))
		s.is(err, account.ErrNotFound)
		n.AccountID, n.Name = 0, "none"
		_, err = s.Accounts.SetNamespace(s.Context(), n, 0, line("namespace.set"))
		s.is(err, account.ErrNotFound)
		s.lines("account.add", "namespace.add", "namespace.set", "namespace.set")
	}},
	{"pages", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		for i, name := range []string{"b", "a-b", "c", "a", "aa", "gone", "d"} {
			s.namespace([]int64{a.ID, b.ID}[i%2], name, "l1")
		}
		s.remove(b.ID, "gone")
		for owner, want := range map[int64][]string{0: {"a", "a-b", "aa", "b", "c", "d"}, a.ID: {"aa", "b", "c", "d"}, b.ID: {"a", "a-b"}, b.ID + 1: nil} {
			for n := 1; n < 8; n++ {
				var got []string
				for after := ""; ; {
					page, err := s.Accounts.NamespacePage(s.Context(), owner, after, n)
					s.must(err)
					for _, a := range page {
						got, after = append(got, a.Name), a.Name
					}
					if len(page) < n {
						break
					}
				}
				s.equal("names", got, want)
			}
		}
		none, err := s.Accounts.NamespacePage(s.Context(), 0, "", 0)
		s.must(err)
		s.equal("none of zero", none, []account.Namespace(nil))
	}},
	{"one of many gets a name", func(s *suite) {
		var ids []int64
		for i := range 8 {
			ids = append(ids, s.account(fmt.Sprint("a", i)).ID)
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		won := 0
		for _, id := range ids {
			all.Go(func() {
				_, added, err := s.add(id, "images", fmt.Sprint("of", id))
				mu.Lock()
				defer mu.Unlock()
				if added && err == nil {
					won++
				}
			})
		}
		all.Wait()
		s.equal("winners", won, 1)
	}},
}

var removeCases = []testCase{
	{"hides all it has", func(s *suite) {
		a := s.account("acme")
		n := s.namespace(a.ID, "images", "l1")
		s.push("images/web", "w", "v1")
		s.push("images/api", "a", "v1")
		s.push("images-too/web", "w", "v1")
		s.Clock.Pass(time.Minute)
		id := s.remove(a.ID, "images")
		s.equal("entry", s.entry(), local.TrashEntry{
			ID: id, Kind: local.TrashedNamespace, Name: "images", Deleted: s.Clock.Now(), By: "operator", AccountID: a.ID, Manifests: 2, Tags: 2, Bytes: 2,
		})
		s.repositories("images-too/web")
		_, err := s.Accounts.Namespace(s.Context(), 0, "images")
		s.is(err, account.ErrNotFound)
		_, err = s.Accounts.RemoveNamespace(s.Context(), a.ID, "images", nil, line("again"))
		s.is(err, account.ErrNotFound)
		s.code(s.tryPush("images/web", "x"), oci.CodeNameUnknown)
		s.code(s.tryPush("images", "x"), oci.CodeNameUnknown)
		s.must(s.restore(id))
		s.repositories("images-too/web", "images/api", "images/web")
		back, err := s.Accounts.Namespace(s.Context(), a.ID, "images")
		s.must(err)
		n.Version = back.Version
		s.equal("back", back, n)
		s.lines("account.add", "namespace.add", "namespace.remove")
	}},
	{"an empty one", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		id := s.remove(a.ID, "images")
		s.must(s.restore(id))
		_, err := s.Accounts.Namespace(s.Context(), a.ID, "images")
		s.must(err)
	}},
	{"of another is not found", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		s.namespace(a.ID, "images", "l1")
		for _, name := range []string{"images", "none"} {
			_, err := s.Accounts.RemoveNamespace(s.Context(), b.ID, name, nil, line("namespace.remove"))
			s.is(err, account.ErrNotFound)
		}
		_, err := s.Accounts.RemoveNamespace(s.Context(), 0, "images", nil, line("namespace.remove"))
		s.must(err)
	}},
	{"not with immutable tags", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		s.push("images/api", "a", "latest")
		s.push("images/web", "w", "latest", "v1")
		keep := func(repo, tag string) bool { return repo == "images/web" && tag == "v1" }
		_, err := s.Accounts.RemoveNamespace(s.Context(), a.ID, "images", keep, line("namespace.remove"))
		s.is(err, account.ErrProtected)
		s.repositories("images/api", "images/web")
		s.must(s.Catalog.DeleteTag(s.Context(), "images/web", "v1", nil))
		_, err = s.Accounts.RemoveNamespace(s.Context(), a.ID, "images", keep, line("namespace.remove"))
		s.must(err)
	}},
	{"the name is reserved to its owner for a while", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		for _, name := range []string{"one", "two"} {
			s.namespace(a.ID, name, "l1")
			s.remove(a.ID, name)
		}
		s.Clock.Pass(time.Hour)
		_, _, err := s.add(b.ID, "one", "l2")
		s.is(err, account.ErrTaken)
		n := s.namespace(a.ID, "one", "l2") // a new life
		s.equal("life", []any{n.Incarnation, n.Created, n.Removed}, []any{"l2", s.Clock.Now(), time.Time{}})
		s.Clock.Pass(time.Microsecond)
		_, _, err = s.add(a.ID, "two", "l2")
		s.is(err, account.ErrTaken)
		_, added, err := s.adds(b.ID, "two", "l2")
		s.must(err)
		s.equal("by the operator", added, true)
	}},
}
