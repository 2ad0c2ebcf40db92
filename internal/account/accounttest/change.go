package accounttest

import (
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
)

// changes since a counter; tokens since an hour ago.
func (s *suite) changes(since int64) account.Changes {
	s.Helper()
	c, err := s.Accounts.Changes(s.Context(), since, s.Clock.Now().Add(-time.Hour))
	s.must(err)
	return c
}

var changeCases = []testCase{
	{"nothing", func(s *suite) {
		s.equal("at first", s.changes(0), account.Changes{})
		s.account("acme")
		c := s.changes(0)
		s.equal("since", s.changes(c.Counter), account.Changes{Counter: c.Counter})
	}},
	{"everything that matters", func(s *suite) {
		a := s.account("acme")
		s.account("beta")
		s.must(s.Accounts.RemoveAccount(s.Context(), "beta", line("account.remove")))
		there := s.namespace(a.ID, "there", "l1")
		s.namespace(a.ID, "gone", "l1")
		s.remove(a.ID, "gone")
		old := s.adding(a.ID, nil)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, old.ID, line("token.revoke")))
		s.Clock.Pass(time.Hour + time.Microsecond)
		s.adding(a.ID, nil)
		revoked, rotated := s.adding(a.ID, nil), s.adding(a.ID, nil)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, revoked.ID, line("token.revoke")))
		until := s.Clock.Now().Add(time.Minute)
		_, err := s.Accounts.RotateToken(s.Context(), rotated, "k2", until, line("token.rotate"))
		s.must(err)
		c := s.changes(0)
		s.equal("changes", c, account.Changes{
			Counter:    c.Counter,
			Accounts:   []account.AccountChange{{ID: a.ID, Name: "acme"}},
			Namespaces: []account.Namespace{there},
			Tokens:     []account.TokenChange{{ID: revoked.ID, Revoked: true, Generation: 1}, {ID: rotated.ID, Generation: 2, FormerUntil: until}},
		})
		s.equal("of another database", s.changes(c.Counter+1), c)
	}},
	{"one after the other", func(s *suite) {
		at := s.changes(0).Counter
		next := func(what string, change func(), want account.Changes) {
			s.Helper()
			change()
			got := s.changes(at)
			if got.Counter <= at {
				s.Fatalf("%s: the counter stands at %d", what, got.Counter)
			}
			for i := range got.Namespaces {
				got.Namespaces[i] = account.Namespace{Namespace: got.Namespaces[i].Namespace, Removed: got.Namespaces[i].Removed}
			}
			at, want.Counter = got.Counter, got.Counter
			s.equal(what, got, want)
		}
		var a account.Account
		next("account", func() { a = s.account("acme") }, account.Changes{Accounts: []account.AccountChange{{ID: 1, Name: "acme"}}})
		n := access.Namespace{Name: "images", AccountID: a.ID, Incarnation: "l1"}
		var there account.Namespace
		next("namespace", func() { there = s.namespace(a.ID, "images", "l1") }, account.Changes{Namespaces: []account.Namespace{{Namespace: n}}})
		next("visibility", func() {
			there.Public = true
			_, err := s.Accounts.SetNamespace(s.Context(), there, 0, line("namespace.set"))
			s.must(err)
		}, account.Changes{Namespaces: []account.Namespace{{Namespace: access.Namespace{Name: "images", AccountID: a.ID, Incarnation: "l1", Public: true}}}})
		n.Public = true
		var t account.Token
		next("token", func() { t = s.adding(a.ID, nil) }, account.Changes{})
		next("rotation", func() {
			_, err := s.Accounts.RotateToken(s.Context(), t, "k2", time.Time{}, line("token.rotate"))
			s.must(err)
		}, account.Changes{Tokens: []account.TokenChange{{ID: t.ID, Generation: 2}}})
		next("key", func() {
			_, err := s.Accounts.RevokeKey(s.Context(), "k2", line("key.revoke"))
			s.must(err)
		}, account.Changes{Tokens: []account.TokenChange{{ID: t.ID, Revoked: true, Generation: 2}}})
		var entry int64
		next("removal", func() { entry = s.remove(a.ID, "images") }, account.Changes{Namespaces: []account.Namespace{{Namespace: n, Removed: s.Clock.Now()}}})
		next("restoration", func() { s.must(s.restore(entry)) }, account.Changes{Namespaces: []account.Namespace{{Namespace: n}}})
		next("the account's end", func() {
			s.remove(a.ID, "images")
			s.must(s.Accounts.RemoveAccount(s.Context(), "acme", line("account.remove")))
		}, account.Changes{
			Accounts: []account.AccountChange{{ID: a.ID, Name: "acme", Removed: true}}, Namespaces: []account.Namespace{{Namespace: n, Removed: s.Clock.Now()}},
			Tokens: []account.TokenChange{{ID: "t00000000001", Revoked: true, Generation: 1}},
		})
	}},
}
