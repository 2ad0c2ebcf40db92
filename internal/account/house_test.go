package account_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/oci"
)

// house is everything of the package over a real database.
type house struct {
	*account.Registrar
	*account.SignIn
	dir      *account.Directory
	keys     *account.ValueKeys
	db       *sqlite.DB
	operator access.Principal
	secret   string // the operator's
	failing  atomic.Bool
	offset   atomic.Int64

	mu    sync.Mutex
	lines []audit.Line
}

const reserved = 30 * 24 * time.Hour

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) }

func (h *house) wait(d time.Duration) { h.offset.Add(int64(d)) }

// faulty is the store, unless it fails.
type faulty struct {
	account.Store
	h *house
}

func (f faulty) Changes(ctx context.Context, since int64, horizon time.Time) (account.Changes, error) {
	if f.h.failing.Load() {
		return account.Changes{}, errors.New("the database is away")
	}
	return f.Store.Changes(ctx, since, horizon)
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h, dir := &house{}, t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.db, err = sqlite.Open(t.Context(), filepath.Join(dir, "db"), sqlite.Options{Now: h.now})
	must(err)
	t.Cleanup(func() { _ = h.db.Close() })
	h.keys, err = account.OpenValueKeys(filepath.Join(dir, "values"))
	must(err)
	op, _, err := account.OpenOperator(account.OperatorOptions{File: filepath.Join(dir, "operator"), Key: make([]byte, 32)})
	must(err)
	secret, err := os.ReadFile(filepath.Join(dir, "operator"))
	must(err)
	h.secret = strings.TrimSpace(string(secret))
	store := faulty{h.db.Accounts, h}
	h.dir = account.NewDirectory(account.DirectoryOptions{Store: store, Horizon: 8 * 24 * time.Hour, Now: h.now})
	must(h.dir.Refresh(t.Context()))
	h.SignIn = account.NewSignIn(op, h.dir, h.keys, store)
	h.Registrar = account.NewRegistrar(account.RegistrarOptions{
		Store: store, Directory: h.dir, Keys: h.keys, Reserved: reserved, Now: h.now,
		Record: func(_ context.Context, l audit.Line) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.lines = append(h.lines, l)
		},
	})
	h.operator = h.in(t, h.secret)
	return h
}

// in signs in.
func (h *house) in(t testing.TB, value string) access.Principal {
	t.Helper()
	p, err := h.Authenticate(t.Context(), "token", value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// account makes one and signs in as its admin.
func (h *house) account(t testing.TB, name string) access.Principal {
	t.Helper()
	_, _, value, added, err := h.AddAccount(t.Context(), h.operator, name, "")
	if err != nil || !added {
		t.Fatalf("account %s: %v, %v", name, added, err)
	}
	return h.in(t, value)
}

func (h *house) namespace(t testing.TB, p access.Principal, name string) account.Namespace {
	t.Helper()
	n, added, err := h.AddNamespace(t.Context(), p, account.NamespaceSpec{Name: name})
	if err != nil || !added {
		t.Fatalf("namespace %s: %v, %v", name, added, err)
	}
	return n
}

// token makes one and signs in with it.
func (h *house) token(t testing.TB, p access.Principal, s account.TokenSpec) (account.Token, string, access.Principal) {
	t.Helper()
	tok, value, _, err := h.AddToken(t.Context(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	return tok, value, h.in(t, value)
}

func wantCode(t testing.TB, what string, err error, code oci.Code) {
	t.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func pulls(h *house, p access.Principal, repo oci.Repo) bool {
	return access.NewPolicy(access.Options{Namespaces: h.dir}).Explain(p, oci.RepoScope(repo, oci.ActionPull)).Allowed
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	if admin.Kind != access.Account || admin.Level != access.Admin || !admin.Reach.All || admin.Account != "acme" || !admin.Expires.IsZero() {
		t.Errorf("the first token is %+v", admin)
	}
	a, _, value, added, err := h.AddAccount(t.Context(), h.operator, "acme", "again")
	if err != nil || added || value != "" || a.ID != admin.AccountID {
		t.Errorf("made again: %+v, %q, %v, %v", a, value, added, err)
	}
	for _, name := range []string{"", "a", "Acme", "-acme", "acme-", "a/b", strings.Repeat("a", 65), "v2\n"} {
		_, _, _, _, err := h.AddAccount(t.Context(), h.operator, name, "")
		wantCode(t, name, err, oci.CodeNameInvalid)
	}
	_, _, _, _, err = h.AddAccount(t.Context(), admin, "other", "")
	wantCode(t, "an account's admin makes an account", err, oci.CodeDenied)
	h.namespace(t, admin, "acme")
	wantCode(t, "remove with a namespace", h.RemoveAccount(t.Context(), h.operator, "acme"), oci.CodeConflict)
	wantCode(t, "an account removes itself", h.RemoveAccount(t.Context(), admin, "acme"), oci.CodeDenied)
	if _, err := h.RemoveNamespace(t.Context(), admin, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveAccount(t.Context(), h.operator, "acme"); err != nil {
		t.Fatal(err)
	}
	if h.Alive(admin) {
		t.Error("a token of a removed account is alive")
	}
	wantCode(t, "remove again", h.RemoveAccount(t.Context(), h.operator, "acme"), oci.CodeNotFound)
	if again := h.account(t, "acme"); again.AccountID == admin.AccountID {
		t.Error("an account made again is the old one")
	}
}

func TestNamespaceNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	for _, name := range []string{"", "abc", strings.Repeat("a", 31), "Acme", "_acme", "acme_", "-acme", "acme-", "ac.me", "ac/me", "acme\n", "ac___me", "ac_-me", "token", "v2", "api"} {
		_, _, err := h.AddNamespace(t.Context(), admin, account.NamespaceSpec{Name: name})
		wantCode(t, name, err, oci.CodeNameInvalid)
	}
	for _, name := range []string{"acme", "a-b-c", "a__b", "0--9", strings.Repeat("a", 30)} {
		h.namespace(t, admin, name)
	}
}

// TestNamespaceOwners: adding one's own again says so, another's is refused
// without saying whose, and a name that is nobody's any more needs the
// operator.
func TestNamespaceOwners(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, zeta := h.account(t, "acme"), h.account(t, "zeta")
	first := h.namespace(t, acme, "shop")
	n, added, err := h.AddNamespace(t.Context(), acme, account.NamespaceSpec{Name: "shop", Public: true})
	if err != nil || added || n.Incarnation != first.Incarnation || n.Public {
		t.Errorf("one's own again: %+v, %v, %v", n, added, err)
	}
	refused := func(when string, p access.Principal, name string) string {
		t.Helper()
		_, _, err := h.AddNamespace(t.Context(), p, account.NamespaceSpec{Name: name, Account: p.Account})
		wantCode(t, when, err, oci.CodeConflict)
		return err.Error()
	}
	taken := refused("another's", zeta, "shop")
	if strings.Contains(taken, "acme") {
		t.Errorf("it says whose: %s", taken)
	}
	if _, err := h.RemoveNamespace(t.Context(), acme, "shop"); err != nil {
		t.Fatal(err)
	}
	if reserved := refused("reserved to another", zeta, "shop"); reserved != taken {
		t.Errorf("it tells a reserved name (%s) from a used one (%s)", reserved, taken)
	}
	again := h.namespace(t, acme, "shop")
	if again.Incarnation == first.Incarnation {
		t.Error("a namespace made again has its old life")
	}
	if _, err := h.RemoveNamespace(t.Context(), acme, "shop"); err != nil {
		t.Fatal(err)
	}
	h.wait(reserved + time.Hour)
	refused("its owner after the reservation", acme, "shop")
	refused("another after the reservation", zeta, "shop")
	n, added, err = h.AddNamespace(t.Context(), h.operator, account.NamespaceSpec{Name: "shop", Account: "zeta"})
	if err != nil || !added || n.Account != "zeta" {
		t.Errorf("the operator gives it to another: %+v, %v, %v", n, added, err)
	}
	_, _, err = h.AddNamespace(t.Context(), h.operator, account.NamespaceSpec{Name: "mall"})
	wantCode(t, "the operator without an account", err, oci.CodeRequestInvalid)
}

// TestTokenOlderThanANamespaceMadeAgain: tokens for a list or a prefix do not
// open the new life, account-wide ones do.
func TestTokenOlderThanANamespaceMadeAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	h.namespace(t, admin, "shop")
	_, _, all := h.token(t, admin, account.TokenSpec{All: true})
	_, listValue, list := h.token(t, admin, account.TokenSpec{Paths: []string{"shop"}})
	_, prefixValue, prefix := h.token(t, admin, account.TokenSpec{Paths: []string{"shop/web"}})
	check := func(when string, wide, narrow bool) {
		t.Helper()
		if pulls(h, all, "shop/web") != wide || pulls(h, list, "shop/web") != narrow || pulls(h, prefix, "shop/web/x") != narrow {
			t.Errorf("%s: all %v, list %v, prefix %v", when, pulls(h, all, "shop/web"), pulls(h, list, "shop/web"), pulls(h, prefix, "shop/web/x"))
		}
	}
	check("at first", true, true)
	id, err := h.RemoveNamespace(t.Context(), admin, "shop")
	if err != nil {
		t.Fatal(err)
	}
	check("removed", false, false)
	if _, err := h.db.Trash.Restore(t.Context(), id, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("restored", true, true)
	if _, err := h.RemoveNamespace(t.Context(), admin, "shop"); err != nil {
		t.Fatal(err)
	}
	h.namespace(t, admin, "shop")
	list, prefix = h.in(t, listValue), h.in(t, prefixValue)
	check("made again", true, false)
}

func TestTokenKinds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	h.namespace(t, admin, "shop")
	tok, value, p := h.token(t, admin, account.TokenSpec{All: true, Life: account.DefaultLife, Description: "a robot"})
	if tok.Level != access.ReadOnly || p.Level != access.ReadOnly || tok.Expires.Sub(h.now()) > 24*time.Hour || tok.CreatedBy != admin.Name {
		t.Errorf("%+v", tok)
	}
	if !strings.HasPrefix(value, "flt_"+tok.ID) {
		t.Errorf("the value %.8s… does not name the token %s", value, tok.ID)
	}
	for name, s := range map[string]account.TokenSpec{
		"level":         {All: true, Level: "root"},
		"nowhere":       {},
		"too many":      {Paths: strings.Split(strings.Repeat("shop ", 51), " ")[:51]},
		"bad path":      {Paths: []string{"Shop"}},
		"admin, a part": {Level: access.Admin, Paths: []string{"shop"}},
		"no cluster":    {Level: access.Cluster, All: true},
		"description":   {All: true, Description: strings.Repeat("x", 257)},
		"control":       {All: true, Description: "a\x1b[31m"},
		"request key":   {All: true, RequestKey: strings.Repeat("k", 129)},
	} {
		_, _, _, err := h.AddToken(t.Context(), admin, s)
		wantCode(t, name, err, oci.CodeRequestInvalid)
	}
	_, _, _, err := h.AddToken(t.Context(), admin, account.TokenSpec{Paths: []string{"absent"}})
	wantCode(t, "absent namespace", err, oci.CodeNotFound)
	foreign := h.account(t, "zeta")
	h.namespace(t, foreign, "mall")
	_, _, _, err2 := h.AddToken(t.Context(), admin, account.TokenSpec{Paths: []string{"mall"}})
	if strings.ReplaceAll(err2.Error(), "mall", "absent") != err.Error() {
		t.Errorf("a foreign namespace is told from an absent one: %v, %v", err2, err)
	}
	_, _, _, err = h.AddToken(t.Context(), p, account.TokenSpec{All: true})
	wantCode(t, "a read-only token makes tokens", err, oci.CodeDenied)
}

// TestRequestKey: a repeated request gives the same token, for its account and
// maker only.
func TestRequestKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, zeta := h.account(t, "acme"), h.account(t, "zeta")
	s := account.TokenSpec{All: true, RequestKey: "once"}
	a, va, added, err := h.AddToken(t.Context(), acme, s)
	if err != nil || !added {
		t.Fatal(added, err)
	}
	b, vb, added, err := h.AddToken(t.Context(), acme, s)
	if err != nil || added || a.ID != b.ID || va != vb {
		t.Errorf("again: %s, %s, %v, %v", a.ID, b.ID, added, err)
	}
	c, _, added, err := h.AddToken(t.Context(), zeta, s)
	if err != nil || !added || c.ID == a.ID {
		t.Errorf("another account: %s, %v, %v", c.ID, added, err)
	}
	s.Level = access.ReadWrite
	_, _, _, err = h.AddToken(t.Context(), acme, s)
	wantCode(t, "for another token", err, oci.CodeConflict)
}

func TestClusterToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.account(t, "acme")
	h.namespace(t, admin, "shop")
	_, _, prod := h.token(t, admin, account.TokenSpec{All: true, Level: access.Cluster, Cluster: "prod"})
	_, _, _, err := h.AddToken(t.Context(), prod, account.TokenSpec{All: true, Level: access.ReadWrite})
	wantCode(t, "read-write", err, oci.CodeDenied)
	_, _, _, err = h.AddToken(t.Context(), prod, account.TokenSpec{All: true, Cluster: "test"})
	wantCode(t, "another cluster's", err, oci.CodeDenied)
	made, _, puller := h.token(t, prod, account.TokenSpec{All: true, Description: "prod"})
	if made.Cluster != "prod" || made.Level != access.ReadOnly || !pulls(h, puller, "shop/web") || pulls(h, prod, "shop/web") {
		t.Errorf("%+v", made)
	}
	other, _, _ := h.token(t, admin, account.TokenSpec{All: true, Cluster: "test"})
	writer, _, _ := h.token(t, admin, account.TokenSpec{All: true, Cluster: "prod", Level: access.ReadWrite})
	page, _, err := h.TokenPage(t.Context(), prod, "", account.TokenFilter{Cluster: "test"}, "", 100)
	if err != nil || len(page) != 2 || page[0].ID != made.ID || page[1].ID != prod.TokenID {
		t.Errorf("it lists %+v, %v", page, err)
	}
	for name, id := range map[string]string{"another cluster's": other.ID, "a writer": writer.ID, "the admin's": admin.TokenID, "absent": "000000000000"} {
		_, err := h.Token(t.Context(), prod, id)
		wantCode(t, name, err, oci.CodeNotFound)
		_, err = h.RevokeToken(t.Context(), prod, id)
		wantCode(t, name, err, oci.CodeNotFound)
		_, _, err = h.RotateToken(t.Context(), prod, id, 0)
		wantCode(t, name, err, oci.CodeNotFound)
	}
	_, _, err = h.TokenValue(t.Context(), prod, made.ID)
	wantCode(t, "shown to a cluster's token", err, oci.CodeDenied)
	if _, _, err := h.RotateToken(t.Context(), prod, made.ID, time.Hour); err != nil {
		t.Errorf("rotate its own: %v", err)
	}
	if _, err := h.RevokeToken(t.Context(), prod, made.ID); err != nil {
		t.Errorf("revoke its own: %v", err)
	}
	if h.Alive(puller) {
		t.Error("the revoked token is alive")
	}
	// A request that was let in before the end, and held open, makes none after it.
	if _, err := h.RevokeToken(t.Context(), admin, prod.TokenID); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = h.AddToken(t.Context(), prod, account.TokenSpec{All: true})
	wantCode(t, "with a token that ended meanwhile", err, oci.CodeUnauthorized)
}
