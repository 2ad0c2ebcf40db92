package account_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
)

// why signs in in vain, and gives the reason.
func (h *house) why(t *testing.T, value string) string {
	t.Helper()
	p, err := h.Authenticate(t.Context(), "token", value)
	if err == nil {
		t.Errorf("signed in as %s", p.Name)
		return ""
	}
	if !cmp.Equal(p, access.Principal{}) {
		t.Errorf("a refusal gives %+v", p)
	}
	return err.Error()
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	short, shortValue, shortIn := h.token(t, admin, account.TokenSpec{All: true, Life: time.Hour})
	gone, goneValue, goneIn := h.token(t, admin, account.TokenSpec{All: true, Life: time.Hour})
	if _, err := h.RevokeToken(t.Context(), admin, gone.ID); err != nil {
		t.Fatal(err)
	}
	if h.Alive(goneIn) || !h.Alive(shortIn) {
		t.Error("the wrong one is alive")
	}
	if why := h.why(t, goneValue); !strings.Contains(why, gone.ID+" was revoked on ") {
		t.Error(why)
	}
	h.wait(time.Hour + time.Second)
	if why := h.why(t, shortValue); !strings.Contains(why, short.ID+" expired on ") || !strings.Contains(why, "fairlead token add") {
		t.Error(why)
	}
	var ended *account.EndedError
	if _, err := h.Authenticate(t.Context(), "token", shortValue); !errors.As(err, &ended) || !errors.Is(err, oci.ErrUnauthorized) || ended.Principal.TokenID != short.ID {
		t.Errorf("%v", err)
	}
	_, _, err := h.TokenValue(t.Context(), admin, short.ID)
	wantCode(t, "the value of an ended token", err, oci.CodeConflict)
	_, _, err = h.RotateToken(t.Context(), admin, gone.ID, 0)
	wantCode(t, "rotate an ended token", err, oci.CodeConflict)
	for ended, want := range map[bool]int{false: 1, true: 3} {
		page, _, err := h.TokenPage(t.Context(), admin, "", account.TokenFilter{Ended: ended}, "", 100)
		if err != nil || len(page) != want {
			t.Errorf("with ended %v the list has %d tokens, want %d (%v)", ended, len(page), want, err)
		}
	}
}

// TestBadCredentials: whatever is wrong, the answer is the same.
func TestBadCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	tok, value, _ := h.token(t, admin, account.TokenSpec{All: true})
	foreign := newHouse(t)
	_, other, _ := foreign.token(t, foreign.account(t, "acme"), account.TokenSpec{All: true})
	flipped := []byte(value)
	flipped[20] ^= 1
	for name, secret := range map[string]string{
		"empty": "", "garbage": "hunter2", "an id": tok.ID, "the value of an absent token": account.NewValue(), "another registry's": other,
		"a character changed": string(flipped), "cut": value[:len(value)-1], "longer": value + "A", "long": strings.Repeat("x", 1<<20),
	} {
		if _, err := h.Authenticate(t.Context(), "token", secret); err != account.ErrBadCredentials { //nolint:errorlint // the very same error, whatever was wrong
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "Token", "admin", "acme"} {
		if _, err := h.Authenticate(t.Context(), name, value); err != account.ErrBadCredentials { //nolint:errorlint // see above
			t.Errorf("user name %q: %v", name, err)
		}
	}
}

// TestRotate: the old value is good for the overlap, and what was minted from
// it as well.
func TestRotate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	tok, old, before := h.token(t, admin, account.TokenSpec{All: true})
	_, fresh, err := h.RotateToken(t.Context(), admin, tok.ID, time.Hour)
	if err != nil || fresh == old {
		t.Fatal(err)
	}
	after, was := h.in(t, fresh), h.in(t, old)
	if !h.Alive(before) || !h.Alive(after) || after.TokenID != before.TokenID || was.Expires.Sub(h.now()) > time.Hour || !after.Expires.IsZero() {
		t.Errorf("in the overlap: %+v, %+v", was, after)
	}
	_, shown, err := h.TokenValue(t.Context(), admin, tok.ID)
	if err != nil || shown != fresh {
		t.Errorf("the old value is shown: %v", err)
	}
	h.wait(time.Hour + time.Second)
	if why := h.why(t, old); !strings.Contains(why, "was replaced on ") || !strings.Contains(why, "fairlead token get "+tok.ID) {
		t.Error(why)
	}
	if h.Alive(before) || !h.Alive(after) {
		t.Error("after the overlap the wrong one is alive")
	}
	_, third, err := h.RotateToken(t.Context(), admin, tok.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h.Alive(after) {
		t.Error("without an overlap the former value's registry tokens live on")
	}
	h.why(t, fresh)
	h.in(t, third)
}

// TestKeys: rotated keys make new values and leave the old ones good; a
// retired one ends its tokens, if that is said.
func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	first := h.keys.Current()
	_, oldValue, oldIn := h.token(t, admin, account.TokenSpec{All: true})
	moved, movedValue, _ := h.token(t, admin, account.TokenSpec{All: true})
	if _, err := h.keys.Add(); err != nil {
		t.Fatal(err)
	}
	_, newValue, newIn := h.token(t, admin, account.TokenSpec{All: true})
	h.in(t, oldValue)
	if _, _, err := h.RotateToken(t.Context(), admin, moved.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	h.in(t, movedValue)
	_, err := h.RetireKey(t.Context(), h.operator, first, false)
	wantCode(t, "a key in use", err, oci.CodeConflict)
	_, err = h.RetireKey(t.Context(), h.operator, h.keys.Current(), true)
	wantCode(t, "the current key", err, oci.CodeConflict)
	_, err = h.RetireKey(t.Context(), h.operator, "absent", true)
	wantCode(t, "an absent key", err, oci.CodeNotFound)
	_, err = h.RetireKey(t.Context(), admin, first, true)
	wantCode(t, "an account's admin", err, oci.CodeDenied)
	n, err := h.RetireKey(t.Context(), h.operator, first, true)
	if err != nil || n != 3 { // the account's first token, one of ours, and a former value
		t.Errorf("%d tokens ended, %v", n, err)
	}
	if h.Alive(oldIn) || h.Alive(admin) || !h.Alive(newIn) {
		t.Error("the wrong ones are alive")
	}
	h.why(t, oldValue)
	h.why(t, movedValue)
	h.in(t, newValue)
}

// TestTheDatabaseAloneRevealsNothing: no value, nor anything it could be
// checked against, lies in the file.
func TestTheDatabaseAloneRevealsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	_, value, _ := h.token(t, admin, account.TokenSpec{All: true})
	secret := value[len("flt_")+12:]
	copied := filepath.Join(t.TempDir(), "copy")
	if err := h.db.Snapshot.Snapshot(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(file), secret[:12]) {
		t.Error("the database holds the value")
	}
	if !strings.Contains(string(file), value[len("flt_"):len("flt_")+12]) {
		t.Error("the snapshot does not hold the token's id: this test looks at the wrong bytes")
	}
}

// TestForeignAndAbsent: every id of another account is answered as an absent
// one is.
func TestForeignAndAbsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, zeta := h.account(t, "acme"), h.account(t, "zeta")
	h.namespace(t, zeta, "mall")
	theirs, _, _ := h.token(t, zeta, account.TokenSpec{All: true})
	ctx, yes := t.Context(), true
	for name, try := range map[string]func(id, ns, acc string) error{
		"token":            func(id, _, _ string) error { _, err := h.Token(ctx, acme, id); return err },
		"token value":      func(id, _, _ string) error { _, _, err := h.TokenValue(ctx, acme, id); return err },
		"rotate":           func(id, _, _ string) error { _, _, err := h.RotateToken(ctx, acme, id, 0); return err },
		"revoke":           func(id, _, _ string) error { _, err := h.RevokeToken(ctx, acme, id); return err },
		"namespace":        func(_, ns, _ string) error { _, err := h.Namespace(ctx, acme, ns); return err },
		"set namespace":    func(_, ns, _ string) error { _, err := h.SetNamespace(ctx, acme, ns, &yes, nil, 0); return err },
		"remove namespace": func(_, ns, _ string) error { _, err := h.RemoveNamespace(ctx, acme, ns); return err },
		"account":          func(_, _, acc string) error { _, err := h.Account(ctx, acme, acc); return err },
	} {
		foreign, absent := try(theirs.ID, "mall", "zeta"), try("000000000000", "void", "nobody")
		wantCode(t, name, foreign, oci.CodeNotFound)
		if foreign == nil || absent == nil {
			t.Fatalf("%s: %v, %v", name, foreign, absent)
		}
		same := strings.NewReplacer(theirs.ID, "X", "000000000000", "X", "mall", "X", "void", "X", "zeta", "X", "nobody", "X")
		if a, b := same.Replace(foreign.Error()), same.Replace(absent.Error()); a != b {
			t.Errorf("%s: %q is told from %q", name, a, b)
		}
	}
	_, _, _, err := h.AddToken(ctx, acme, account.TokenSpec{Account: "zeta", All: true})
	wantCode(t, "a token for another account", err, oci.CodeDenied)
	if page, err := h.AccountPage(ctx, acme, "", 10); err != nil || len(page) != 1 || page[0].Name != "acme" {
		t.Errorf("it lists the accounts %+v, %v", page, err)
	}
	if page, err := h.NamespacePage(ctx, acme, "", "", 10); err != nil || len(page) != 0 {
		t.Errorf("it lists the namespaces %+v, %v", page, err)
	}
	if tok, err := h.Token(ctx, zeta, theirs.ID); err != nil || !tok.Revoked.IsZero() {
		t.Errorf("the foreign token was changed: %+v, %v", tok, err)
	}
}

func TestWarnsInTheLastFifth(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	for life, before := range map[time.Duration]time.Duration{time.Hour: 12 * time.Minute, 24 * time.Hour: 288 * time.Minute, 90 * 24 * time.Hour: 24 * time.Hour} {
		_, _, p := h.token(t, admin, account.TokenSpec{All: true, Life: life})
		if got := p.Expires.Sub(p.WarnFrom); got < before-time.Second || got > before+time.Second {
			t.Errorf("life %s: warns %s before the end, want %s", life, got, before)
		}
	}
	if !admin.WarnFrom.IsZero() {
		t.Error("a token that never ends warns")
	}
}

// TestDirectoryFailsClosed: when nobody knows what was revoked, nobody is let
// in, and it opens again.
func TestDirectoryFailsClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	_, value, p := h.token(t, admin, account.TokenSpec{All: true})
	done := make(chan error, 1)
	go func() { done <- h.dir.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	h.failing.Store(true)
	await := func(alive bool, within time.Duration) {
		t.Helper()
		for end := time.Now().Add(within); h.Alive(p) != alive; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("alive is not %v after %s", alive, within)
			}
		}
	}
	await(false, 4*time.Second)
	if h.Known(p) || !h.Known(h.operator) {
		t.Error("that is known, or the operator is not")
	}
	if _, err := h.Authenticate(t.Context(), "token", value); !errors.Is(err, account.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	h.in(t, h.secret) // the operator does not depend on it
	h.failing.Store(false)
	await(true, 2*time.Second)
	h.in(t, value)
}

// TestAnotherReplicaRevokes: the directory hears of it from the database.
func TestAnotherReplicaRevokes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	tok, value, p := h.token(t, admin, account.TokenSpec{All: true})
	if err := h.db.Accounts.RevokeToken(t.Context(), admin.AccountID, tok.ID, audit.Line{Action: "token.revoke"}); err != nil {
		t.Fatal(err)
	}
	go func() { _ = h.dir.Run(t.Context()) }()
	for end := time.Now().Add(2 * time.Second); h.Alive(p); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is alive after 2 s")
		}
	}
	h.why(t, value)
}

// TestImmutableRules match whole names.
func TestImmutableRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	n := h.namespace(t, admin, "shop")
	rules := []account.ImmutableRule{{Tags: `v[0-9.]+`}, {Repositories: "shop/prod/.*", Tags: ".*"}}
	set, err := h.SetNamespace(t.Context(), admin, "shop", nil, &rules, n.Version)
	if err != nil || set.Version <= n.Version || !cmp.Equal(set.Immutable, rules) || set.Public {
		t.Fatalf("%+v, %v", set, err)
	}
	for image, want := range map[string]bool{
		"shop/web:v1.2": true, "shop/web:v1.2-rc": false, "shop/web:av1": false, "shop/web:latest": false,
		"shop/prod/web:latest": true, "shop/production:latest": false, "mall/web:v1": false,
	} {
		repo, tag, _ := strings.Cut(image, ":")
		if got := h.dir.Immutable(oci.Repo(repo), oci.Tag(tag)); got != want {
			t.Errorf("%s: %v", image, got)
		}
	}
	_, err = h.SetNamespace(t.Context(), admin, "shop", nil, &[]account.ImmutableRule{}, n.Version)
	wantCode(t, "an old version", err, oci.CodeStale)
	for name, bad := range map[string][]account.ImmutableRule{
		"no expression": {{Tags: "("}}, "empty": {{}}, "backreference": {{Tags: `(a)\1`}}, "long": {{Tags: strings.Repeat("a", 257)}},
		"too many": make([]account.ImmutableRule, 33), "repositories": {{Tags: ".*", Repositories: "["}},
	} {
		_, err := h.SetNamespace(t.Context(), admin, "shop", nil, &bad, 0)
		wantCode(t, name, err, oci.CodeRequestInvalid)
	}
}

// TestAuditOfTokens: made, shown, rotated, revoked, and what was refused.
func TestAuditOfTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	tok, _, reader := h.token(t, admin, account.TokenSpec{All: true})
	_, _, err := h.TokenValue(t.Context(), reader, tok.ID)
	wantCode(t, "shown to itself", err, oci.CodeDenied)
	if _, _, err := h.TokenValue(t.Context(), admin, tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.RotateToken(t.Context(), admin, tok.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RevokeToken(t.Context(), admin, tok.ID); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	recorded := append([]audit.Line(nil), h.lines...)
	h.mu.Unlock()
	stored, _, err := h.db.Audit.Lines(t.Context(), audit.Filter{AccountID: admin.AccountID, Scoped: true}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range append(recorded, stored...) {
		if l.Target == tok.ID {
			got = append(got, l.Action+" "+string(l.Outcome)+" by "+l.Actor)
		}
		if l.AccountID != admin.AccountID {
			t.Errorf("%+v is another account's business", l)
		}
	}
	want := []string{
		"token.show denied by " + reader.Name, "token.show allowed by " + admin.Name,
		"token.revoke allowed by " + admin.Name, "token.rotate allowed by " + admin.Name, "token.add allowed by " + admin.Name,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
