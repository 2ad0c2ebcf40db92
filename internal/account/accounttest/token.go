package accounttest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
)

// adding adds a token made of a new one.
func (s *suite) adding(accountID int64, edit func(t *account.Token)) account.Token {
	s.Helper()
	t := s.token(accountID)
	if edit != nil {
		edit(&t)
	}
	made, added, err := s.Accounts.AddToken(s.Context(), t, "", line("token.add"))
	s.must(err)
	s.equal("added", added, true)
	return made
}

func (s *suite) read(id string) account.Token {
	s.Helper()
	t, err := s.Accounts.Token(s.Context(), 0, id)
	s.must(err)
	return t
}

var tokenCases = []testCase{
	{"is as it was made", func(s *suite) {
		a := s.account("acme")
		t := s.token(a.ID)
		t.Level, t.Description, t.Cluster = access.ReadWrite, "of the build", "prod"
		t.Reach = access.Reach{Parts: []access.Part{{Path: "images/web", Incarnation: "l1"}, {Path: "other", Incarnation: "l2"}}}
		t.Expires = time.Time{}
		made, added, err := s.Accounts.AddToken(s.Context(), t, "", line("token.add"))
		s.must(err)
		t.Account, t.Created = "acme", s.Clock.Now()
		s.equal("made", made, t)
		s.equal("added", added, true)
		for _, owner := range []int64{0, a.ID} {
			got, err := s.Accounts.Token(s.Context(), owner, t.ID)
			s.must(err)
			s.equal("read", got, t)
		}
		_, err = s.Accounts.Token(s.Context(), a.ID+1, t.ID)
		s.is(err, account.ErrNotFound)
		_, err = s.Accounts.Token(s.Context(), 0, "none")
		s.is(err, account.ErrNotFound)
		s.lines("account.add", "token.add")
	}},
	{"a request makes one", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		add := func(accountID int64, key string) (account.Token, bool) {
			s.Helper()
			t, added, err := s.Accounts.AddToken(s.Context(), s.token(accountID), key, line("token.add"))
			s.must(err)
			return t, added
		}
		first, added := add(a.ID, "r1")
		s.equal("added", added, true)
		again, added := add(a.ID, "r1")
		s.equal("added again", added, false)
		s.equal("again", again, first)
		_, added = add(a.ID, "r2")
		s.equal("another request", added, true)
		_, added = add(b.ID, "r1")
		s.equal("another account", added, true)
		_, added = add(a.ID, "")
		s.equal("no request", added, true)
		_, added = add(a.ID, "")
		s.equal("no request again", added, true)
	}},
	{"many requests at once make one", func(s *suite) {
		a := s.account("acme")
		var made atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			t := s.token(a.ID)
			all.Go(func() {
				_, added, err := s.Accounts.AddToken(s.Context(), t, "r1", line("token.add"))
				if err != nil {
					s.Error(err)
				}
				if added {
					made.Add(1)
				}
			})
		}
		all.Wait()
		s.equal("made", made.Load(), int64(1))
	}},
	{"is made by one that is good", func(s *suite) {
		a, b := s.account("acme"), s.account("beta")
		maker, expired := s.adding(a.ID, nil), s.adding(a.ID, func(t *account.Token) { t.Expires = s.Clock.Now().Add(time.Second) })
		by := func(accountID int64, maker, key string) error {
			l := line("token.add")
			l.TokenID = maker
			_, _, err := s.Accounts.AddToken(s.Context(), s.token(accountID), key, l)
			return err
		}
		s.must(by(a.ID, maker.ID, "r1"))
		s.must(by(a.ID, expired.ID, ""))
		s.must(by(a.ID, "control-socket", ""))
		s.Clock.Pass(time.Minute)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, maker.ID, line("token.revoke")))
		before, _, err := s.Accounts.TokenPage(s.Context(), account.TokenFilter{}, "", 100)
		s.must(err)
		s.is(by(a.ID, maker.ID, ""), account.ErrEnded)
		s.is(by(a.ID, maker.ID, "r2"), account.ErrEnded)
		s.is(by(a.ID, expired.ID, ""), account.ErrEnded)
		after, _, err := s.Accounts.TokenPage(s.Context(), account.TokenFilter{}, "", 100)
		s.must(err)
		s.equal("tokens", after, before)
		s.must(by(b.ID, "", ""))
	}},
	{"is rotated", func(s *suite) {
		a := s.account("acme")
		t := s.adding(a.ID, nil)
		s.Clock.Pass(time.Minute)
		until := s.Clock.Now().Add(time.Hour)
		r, err := s.Accounts.RotateToken(s.Context(), t, "k2", until, line("token.rotate"))
		s.must(err)
		want := t
		want.Generation, want.KeyID, want.FormerKeyID, want.FormerUntil, want.Rotated = 2, "k2", "k1", until, s.Clock.Now()
		s.equal("rotated", r, want)
		s.equal("read", s.read(t.ID), want)
		_, err = s.Accounts.RotateToken(s.Context(), t, "k2", until, line("token.rotate"))
		s.is(err, account.ErrStale)
		r.AccountID++
		_, err = s.Accounts.RotateToken(s.Context(), r, "k2", until, line("token.rotate"))
		s.is(err, account.ErrNotFound)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, t.ID, line("token.revoke")))
		_, err = s.Accounts.RotateToken(s.Context(), want, "k3", until, line("token.rotate"))
		s.is(err, account.ErrStale)
		s.lines("account.add", "token.add", "token.rotate", "token.revoke")
	}},
	{"is revoked", func(s *suite) {
		a := s.account("acme")
		t, expired := s.adding(a.ID, nil), s.adding(a.ID, func(t *account.Token) { t.Expires = s.Clock.Now().Add(time.Second) })
		s.is(s.Accounts.RevokeToken(s.Context(), a.ID+1, t.ID, line("token.revoke")), account.ErrNotFound)
		s.is(s.Accounts.RevokeToken(s.Context(), a.ID, "none", line("token.revoke")), account.ErrNotFound)
		s.Clock.Pass(time.Minute)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, t.ID, line("token.revoke")))
		at := s.Clock.Now()
		s.Clock.Pass(time.Minute)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, t.ID, line("token.revoke")))
		s.must(s.Accounts.RevokeToken(s.Context(), 0, expired.ID, line("token.revoke")))
		t.Revoked, t.RevokedBy = at, "operator"
		s.equal("revoked", s.read(t.ID), t)
		s.equal("expired", s.read(expired.ID).Revoked, s.Clock.Now())
		s.lines("account.add", "token.add", "token.add", "token.revoke", "token.revoke")
	}},
	{"ends with its key", func(s *suite) {
		a := s.account("acme") // its first token is of k1
		key := func(k string) func(t *account.Token) { return func(t *account.Token) { t.KeyID = k } }
		t, other := s.adding(a.ID, nil), s.adding(a.ID, key("k2"))
		rotated, over := s.adding(a.ID, nil), s.adding(a.ID, nil)
		s.adding(a.ID, func(t *account.Token) { t.Expires = s.Clock.Now().Add(time.Second) })
		rotated, err := s.Accounts.RotateToken(s.Context(), rotated, "k2", s.Clock.Now().Add(time.Hour), line("token.rotate"))
		s.must(err)
		_, err = s.Accounts.RotateToken(s.Context(), over, "k2", s.Clock.Now().Add(time.Second), line("token.rotate"))
		s.must(err)
		now := s.Clock.Pass(time.Minute)
		use := func(k string, want int) {
			s.Helper()
			n, err := s.Accounts.KeyUse(s.Context(), k, now)
			s.must(err)
			s.equal("use of "+k, n, want)
		}
		use("k1", 3)
		use("k2", 3)
		use("k3", 0)
		n, err := s.Accounts.RevokeKey(s.Context(), "k1", line("key.revoke"))
		s.must(err)
		s.equal("ended", n, 3)
		use("k1", 0)
		use("k2", 3)
		s.equal("state", s.read(t.ID).State(now), account.Revoked)
		s.equal("state of another", s.read(other.ID).State(now), account.Active)
		got := s.read(rotated.ID)
		s.equal("state of a rotated one", got.State(now), account.Active)
		s.equal("its former value", got.FormerUntil, now)
	}},
	{"is forgotten some time after it ended", func(s *suite) {
		a := s.account("acme")
		lives := func(d time.Duration) func(t *account.Token) {
			return func(t *account.Token) { t.Expires = s.Clock.Now().Add(d) }
		}
		long, short, shorter := s.adding(a.ID, lives(100*time.Hour)), s.adding(a.ID, lives(2*time.Hour)), s.adding(a.ID, lives(time.Hour))
		forever := s.adding(a.ID, func(t *account.Token) { t.Expires = time.Time{} })
		s.Clock.Pass(3 * time.Hour)
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, long.ID, line("token.revoke")))
		s.must(s.Accounts.RevokeToken(s.Context(), a.ID, short.ID, line("token.revoke"))) // it had ended
		forget := func(n, want int) {
			s.Helper()
			got, err := s.Accounts.ForgetTokens(s.Context(), s.Clock.Now(), n)
			s.must(err)
			s.equal("forgotten", got, want)
		}
		forget(0, 0)
		forget(1, 1)
		_, err := s.Accounts.Token(s.Context(), 0, shorter.ID)
		s.is(err, account.ErrNotFound)
		forget(9, 1)
		_, err = s.Accounts.Token(s.Context(), 0, short.ID)
		s.is(err, account.ErrNotFound)
		s.read(long.ID)
		s.Clock.Pass(time.Microsecond)
		forget(9, 1)
		s.read(forever.ID)
	}},
	{"a context that has ended", func(s *suite) {
		a := s.account("acme")
		t := s.adding(a.ID, nil)
		ctx := s.ended()
		_, _, err := s.Accounts.AddToken(ctx, s.token(a.ID), "", line("token.add"))
		s.is(err, context.Canceled)
		s.is(s.Accounts.RevokeToken(ctx, a.ID, t.ID, line("token.revoke")), context.Canceled)
		s.equal("as it was", s.read(t.ID), t)
	}},
}

var tokenListCases = []testCase{
	{"filters and pages", func(s *suite) {
		acme, beta := s.account("acme"), s.account("beta")
		names := map[string]string{"t00000000001": "acme0", "t00000000002": "beta0"}
		add := func(name string, accountID int64, edit func(t *account.Token)) {
			names[s.adding(accountID, edit).ID] = name
		}
		add("plain", acme.ID, nil)
		add("prod", acme.ID, func(t *account.Token) { t.Cluster = "prod" })
		add("theirs", beta.ID, func(t *account.Token) { t.Cluster = "prod" })
		add("k2", acme.ID, func(t *account.Token) { t.KeyID = "k2" })
		add("prodk2", acme.ID, func(t *account.Token) { t.Cluster, t.KeyID = "prod", "k2" })
		add("short", acme.ID, func(t *account.Token) { t.Expires = s.Clock.Now().Add(time.Minute) })
		add("forever", acme.ID, func(t *account.Token) { t.Expires = time.Time{} })
		add("revoked", acme.ID, nil)
		for id, name := range names {
			if name == "revoked" {
				s.must(s.Accounts.RevokeToken(s.Context(), 0, id, line("token.revoke")))
			}
		}
		s.Clock.Pass(time.Minute)
		for _, c := range []struct {
			f    account.TokenFilter
			want []string
		}{
			{account.TokenFilter{Ended: true}, []string{"revoked", "forever", "short", "prodk2", "k2", "theirs", "prod", "plain", "beta0", "acme0"}},
			{account.TokenFilter{}, []string{"forever", "prodk2", "k2", "theirs", "prod", "plain", "beta0", "acme0"}},
			{account.TokenFilter{AccountID: acme.ID}, []string{"forever", "prodk2", "k2", "theirs", "prod", "plain", "beta0", "acme0"}},
			{account.TokenFilter{Scoped: true}, nil},
			{account.TokenFilter{Scoped: true, AccountID: beta.ID}, []string{"theirs", "beta0"}},
			{account.TokenFilter{Scoped: true, AccountID: acme.ID, Ended: true}, []string{"revoked", "forever", "short", "prodk2", "k2", "prod", "plain", "acme0"}},
			{account.TokenFilter{Cluster: "prod", Ended: true}, []string{"prodk2", "theirs", "prod"}},
			{account.TokenFilter{Cluster: "prod", Scoped: true, AccountID: acme.ID}, []string{"prodk2", "prod"}},
			{account.TokenFilter{KeyID: "k2", Ended: true}, []string{"prodk2", "k2"}},
			{account.TokenFilter{KeyID: "k2"}, []string{"prodk2", "k2"}},
			{account.TokenFilter{KeyID: "k2", Cluster: "prod"}, []string{"prodk2"}},
			{account.TokenFilter{KeyID: "k2", Scoped: true, AccountID: beta.ID}, nil},
		} {
			for n := 1; n < 12; n++ {
				var got []string
				for cursor := ""; ; {
					page, next, err := s.Accounts.TokenPage(s.Context(), c.f, cursor, n)
					s.must(err)
					if len(page) > n {
						s.Fatalf("a page of %d has %d", n, len(page))
					}
					for _, t := range page {
						got = append(got, names[t.ID])
					}
					if cursor = next; next == "" {
						break
					}
				}
				s.equal("tokens", got, c.want)
			}
		}
		if _, _, err := s.Accounts.TokenPage(s.Context(), account.TokenFilter{}, "x", 9); err == nil {
			s.Error("a cursor of nothing")
		}
		none, _, err := s.Accounts.TokenPage(s.Context(), account.TokenFilter{}, "", 0)
		s.must(err)
		s.equal("none of zero", none, []account.Token(nil))
	}},
}
