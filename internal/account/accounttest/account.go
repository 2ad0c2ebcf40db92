package accounttest

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
)

var accountCases = []testCase{
	{"is there with its first token", func(s *suite) {
		first := s.token(0)
		a, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: "acme", Description: "Acme, Inc.", CreatedBy: "operator"}, first, line("account.add"))
		s.must(err)
		s.equal("account", a, account.Account{ID: a.ID, Name: "acme", Description: "Acme, Inc.", Created: s.Clock.Now(), CreatedBy: "operator"})
		got, err := s.Accounts.Account(s.Context(), "acme")
		s.must(err)
		s.equal("read", got, a)
		t, err := s.Accounts.Token(s.Context(), a.ID, first.ID)
		s.must(err)
		first.AccountID, first.Account, first.Created = a.ID, "acme", s.Clock.Now()
		s.equal("token", t, first)
		s.lines("account.add")
	}},
	{"a name is somebody's", func(s *suite) {
		s.account("acme")
		_, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: "acme"}, s.token(0), line("again"))
		s.is(err, account.ErrTaken)
		_, err = s.Accounts.Account(s.Context(), "acm")
		s.is(err, account.ErrNotFound)
		s.lines("account.add")
	}},
	{"nothing is made of half an account", func(s *suite) {
		a := s.account("acme")
		twice := s.token(0)
		s.made--
		_, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: "first"}, twice, line("first"))
		s.must(err)
		if _, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: "beta"}, twice, line("beta")); err == nil {
			s.Fatal("two tokens of one id")
		}
		_, err = s.Accounts.Account(s.Context(), "beta")
		s.is(err, account.ErrNotFound)
		_, err = s.Accounts.AddAccount(s.ended(), account.Account{Name: "beta"}, s.token(0), line("beta"))
		s.is(err, context.Canceled)
		s.is(s.Accounts.RemoveAccount(s.ended(), a.Name, line("remove")), context.Canceled)
		s.lines("account.add", "first")
	}},
	{"pages", func(s *suite) {
		for _, name := range []string{"b", "a-b", "c", "a", "aa"} {
			s.account(name)
		}
		for n := 1; n < 7; n++ {
			var got []string
			for after := ""; ; {
				page, err := s.Accounts.AccountPage(s.Context(), after, n)
				s.must(err)
				for _, a := range page {
					got, after = append(got, a.Name), a.Name
				}
				if len(page) < n {
					break
				}
			}
			s.equal("names", got, []string{"a", "a-b", "aa", "b", "c"})
		}
		none, err := s.Accounts.AccountPage(s.Context(), "", 0)
		s.must(err)
		s.equal("none of zero", none, []account.Account(nil))
	}},
	{"goes with its tokens", func(s *suite) {
		a := s.account("acme")
		other := s.account("beta")
		t := s.token(a.ID)
		_, _, err := s.Accounts.AddToken(s.Context(), t, "", line("token.add"))
		s.must(err)
		s.namespace(a.ID, "acme", "l1")
		s.is(s.Accounts.RemoveAccount(s.Context(), "acme", line("account.remove")), account.ErrNotEmpty)
		s.remove(a.ID, "acme")
		s.must(s.Accounts.RemoveAccount(s.Context(), "acme", line("account.remove")))
		s.is(s.Accounts.RemoveAccount(s.Context(), "acme", line("account.remove")), account.ErrNotFound)
		_, err = s.Accounts.Account(s.Context(), "acme")
		s.is(err, account.ErrNotFound)
		page, err := s.Accounts.AccountPage(s.Context(), "", 9)
		s.must(err)
		s.equal("accounts", page, []account.Account{other})
		got, err := s.Accounts.Token(s.Context(), a.ID, t.ID)
		s.must(err)
		s.equal("state", got.State(s.Clock.Now()), account.Revoked)
		s.equal("by", got.RevokedBy, "operator")
		_, _, err = s.Accounts.AddToken(s.Context(), s.token(a.ID), "", line("token.add"))
		s.is(err, account.ErrNotFound)
		_, _, err = s.add(a.ID, "new", "l1")
		s.is(err, account.ErrNotFound)
	}},
	{"is never used again", func(s *suite) {
		a := s.account("acme")
		s.namespace(a.ID, "images", "l1")
		entry := s.remove(a.ID, "images")
		s.must(s.Accounts.RemoveAccount(s.Context(), "acme", line("account.remove")))
		again := s.account("acme")
		if again.ID <= a.ID {
			s.Errorf("the id %d came after %d", again.ID, a.ID)
		}
		_, _, err := s.add(again.ID, "images", "l2")
		s.is(err, account.ErrTaken)
		s.code(s.restore(entry), "CONFLICT")
		_, added, err := s.adds(again.ID, "images", "l2")
		s.must(err)
		s.equal("added by the operator", added, true)
		s.code(s.restore(entry), "CONFLICT")
	}},
	{"the line says what the caller says", func(s *suite) {
		l := audit.Line{
			AccountID: 7, Actor: "acme/t1", TokenID: "t1", Action: "account.add", Namespace: "n", Repository: "n/r",
			Target: "acme", Outcome: audit.Allowed, Reason: "r", Detail: "d", Address: "192.0.2.1", Client: "curl", Request: "q", Count: 1,
		}
		s.Clock.Pass(time.Minute)
		_, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: "acme"}, s.token(0), l)
		s.must(err)
		got, _, err := s.Audit.Lines(s.Context(), audit.Filter{}, 0, 9)
		s.must(err)
		l.ID, l.At = got[0].ID, s.Clock.Now()
		s.equal("lines", got, []audit.Line{l})
	}},
}
