package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

// world is the namespaces of the tests: acme's, one of them public, and those
// of zeta.
type world map[string]access.Namespace

func (w world) Namespace(name string) (access.Namespace, bool) {
	n, ok := w[name]
	return n, ok
}

func (w world) Names(p access.Principal, public bool) []string {
	var out []string
	for name, n := range w {
		if n.In(p) || public && n.Public {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

const acme, zeta = 1, 2

func newWorld() world {
	w := world{}
	for _, n := range []access.Namespace{
		{Name: "acme", AccountID: acme, Incarnation: "a1"},
		{Name: "acme-open", AccountID: acme, Incarnation: "o1", Public: true},
		{Name: "acme-lab", AccountID: acme, Incarnation: "l2"},
		{Name: "zeta", AccountID: zeta, Incarnation: "z1"},
		{Name: "zeta-open", AccountID: zeta, Incarnation: "p1", Public: true},
	} {
		w[n.Name] = n
	}
	return w
}

func tokenOf(l access.Level, r access.Reach) access.Principal {
	return access.Principal{Kind: access.Account, TokenID: "t", Name: "acme/t", AccountID: acme, Account: "acme", Level: l, Reach: r, Cluster: "k"}
}

var everywhere = access.Reach{All: true}

func part(path, incarnation string) access.Reach {
	return access.Reach{Parts: []access.Part{{Path: path, Incarnation: incarnation}}}
}

// principals of the tables.
var principals = map[string]access.Principal{
	"operator":            operator,
	"anonymous":           {Kind: access.Anonymous},
	"readonly":            tokenOf(access.ReadOnly, everywhere),
	"readwrite":           tokenOf(access.ReadWrite, everywhere),
	"admin":               tokenOf(access.Admin, everywhere),
	"cluster":             tokenOf(access.Cluster, everywhere),
	"nowhere":             tokenOf(access.ReadWrite, access.Reach{}),
	"namespace acme":      tokenOf(access.ReadWrite, part("acme", "a1")),
	"repository acme/web": tokenOf(access.ReadWrite, part("acme/web", "a1")),
	"former acme-lab":     tokenOf(access.ReadWrite, part("acme-lab", "l1")),
	"foreign part":        tokenOf(access.ReadWrite, part("zeta", "z1")),
	"no level":            tokenOf("", everywhere),
	"unknown level":       tokenOf("root", everywhere),
	"account 0":           {Kind: access.Account, TokenID: "t", Level: access.Admin, Reach: everywhere},
}

// TestPrincipalActionNamespace is the table of who may do what where: p for
// pull, w for push, d for delete.
func TestPrincipalActionNamespace(t *testing.T) {
	t.Parallel()
	repos := []oci.Repo{"acme/web", "acme/web/api", "acme/webs", "acme-open/x", "acme-lab/x", "zeta/x", "zeta-open/x", "absent/x", "provided"}
	for name, want := range map[string]string{
		"operator":            "pwd pwd pwd pwd pwd pwd pwd pwd pwd",
		"anonymous":           "-   -   -   -   -   -   -   -   -",
		"readonly":            "p   p   p   p   p   -   p   -   p",
		"readwrite":           "pwd pwd pwd pwd pwd -   p   -   p",
		"admin":               "pwd pwd pwd pwd pwd -   p   -   p",
		"cluster":             "-   -   -   -   -   -   -   -   -",
		"nowhere":             "-   -   -   p   -   -   p   -   p",
		"namespace acme":      "pwd pwd pwd p   -   -   p   -   p",
		"repository acme/web": "pwd pwd -   p   -   -   p   -   p",
		"former acme-lab":     "-   -   -   p   -   -   p   -   p",
		"foreign part":        "-   -   -   p   -   -   p   -   p",
		"no level":            "-   -   -   -   -   -   -   -   -",
		"unknown level":       "-   -   -   -   -   -   -   -   -",
		"account 0":           "-   -   -   p   -   -   p   -   p",
	} {
		pol := access.NewPolicy(access.Options{Namespaces: newWorld()})
		for i, cell := range strings.Fields(want) {
			for letter, action := range map[string]oci.Action{"p": oci.ActionPull, "w": oci.ActionPush, "d": oci.ActionDelete} {
				d := pol.Explain(principals[name], oci.RepoScope(repos[i], action))
				if d.Allowed != strings.Contains(cell, letter) || d.Reason == "" {
					t.Errorf("%s, %s on %s: %+v, want %q", name, action, repos[i], d, cell)
				}
			}
		}
	}
}

func TestAnonymousPublic(t *testing.T) {
	t.Parallel()
	pol := access.NewPolicy(access.Options{Namespaces: newWorld(), AnonymousPublic: true})
	for repo, want := range map[oci.Repo]string{"acme/web": "", "acme-open/x": "pull", "zeta-open/x": "pull", "provided": "", "absent/x": ""} {
		got := pol.Allow(principals["anonymous"], []oci.Scope{oci.RepoScope(repo, "pull", "push", "delete")})
		if want == "" && len(got) > 0 || want != "" && render(got) != "repository:"+string(repo)+":"+want {
			t.Errorf("%s: %q, want %q", repo, render(got), want)
		}
	}
	if got := pol.Allow(principals["anonymous"], []oci.Scope{oci.CatalogScope()}); len(got) > 0 {
		t.Errorf("anonymous may list: %q", render(got))
	}
}

// TestRefusalsNameTheReason to who may know it, and say the same of a foreign
// namespace and of an absent one.
func TestRefusalsNameTheReason(t *testing.T) {
	t.Parallel()
	pol := access.NewPolicy(access.Options{Namespaces: newWorld()})
	for _, c := range []struct {
		who    string
		repo   oci.Repo
		action oci.Action
		want   string
	}{
		{"readonly", "acme/web", "push", "the token acme/t is read-only and has no right to push to the repository acme/web: use a read-write token"},
		{"repository acme/web", "acme/other", "pull", "the token acme/t does not reach the repository acme/other: an admin of the account can make one that does"},
		{"former acme-lab", "acme-lab/x", "pull", "the token acme/t does not reach the repository acme-lab/x: an admin of the account can make one that does"},
		{"cluster", "acme/web", "pull", "the token acme/t is a cluster's: it makes read-only tokens for that cluster and has no right to pull from the repository acme/web; use one of those"},
		{"admin", "provided", "push", "acme/t has no right to push to the repository provided: images without a namespace are the operator's to change; write NAMESPACE/provided"},
		{"admin", "zeta/x", "pull", "acme/t has no right to pull from the repository zeta/x: ask its owner, sign in with another token, or add the namespace"},
		{"admin", "absent/x", "pull", "acme/t has no right to pull from the repository absent/x: ask its owner, sign in with another token, or add the namespace"},
	} {
		if d := pol.Explain(principals[c.who], oci.RepoScope(c.repo, c.action)); d.Allowed || d.Reason != c.want {
			t.Errorf("%s, %s on %s:\n%s\nwant\n%s", c.who, c.action, c.repo, d.Reason, c.want)
		}
	}
}

// TestGrantedIsWithinAllowed: over random principals, namespaces and wishes,
// nothing is granted that was not asked for and is not allowed alone, and a
// principal never has more than the same one with a wider reach or level.
func TestGrantedIsWithinAllowed(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	names := []string{"acme", "acme-open", "acme-lab", "zeta", "zeta-open", "absent"}
	for range 20_000 {
		w := world{}
		for _, n := range names[:5] {
			w[n] = access.Namespace{Name: n, AccountID: int64(1 + r.IntN(2)), Incarnation: pick("1", "2"), Public: r.IntN(3) == 0}
		}
		pol := access.NewPolicy(access.Options{Namespaces: w, AnonymousPublic: r.IntN(2) == 0})
		p := access.Principal{
			Kind: access.Kind(pick("account", "account", "account", "operator", "anonymous", "")), TokenID: "t",
			AccountID: int64(r.IntN(3)), Level: access.Levels[r.IntN(4)], Reach: access.Reach{All: r.IntN(3) == 0},
		}
		for range r.IntN(4) {
			p.Reach.Parts = append(p.Reach.Parts, access.Part{Path: pick(names...) + pick("", "/a", "/a/b"), Incarnation: pick("1", "2", "")})
		}
		var wanted []oci.Scope
		for range r.IntN(5) {
			wanted = append(wanted, oci.Scope{
				Type: pick("repository", "repository", "registry", "plugin"), Name: pick(pick(names...)+pick("/a", "/a/b", "/ab"), "provided", "catalog", "*", "../a"),
				Actions: []oci.Action{oci.Action(pick("pull", "push", "delete", "*", "admin")), oci.Action(pick("pull", "push"))},
			})
		}
		checkGranted(t, pol, p, wanted)
	}
}

func checkGranted(t *testing.T, pol access.Policy, p access.Principal, wanted []oci.Scope) {
	t.Helper()
	granted := pol.Allow(p, wanted)
	wide := p
	wide.Level, wide.Reach = access.Admin, everywhere
	for _, g := range granted {
		if !within(g, wanted) || !pol.Explain(p, g).Allowed {
			t.Fatalf("%+v was granted %s of %s", p, g, render(wanted))
		}
		if p.Kind == access.Account && !pol.Explain(wide, g).Allowed {
			t.Fatalf("%+v has %s, the account's admin has not", p, g)
		}
	}
	if p.Kind == "" && len(granted) > 0 || p.Kind == access.Anonymous && strings.Contains(render(granted), "push") {
		t.Fatalf("%+v was granted %s", p, render(granted))
	}
}

func TestMay(t *testing.T) {
	t.Parallel()
	tasks := []access.Task{
		access.ManageAccounts, access.ManageNamespaces, access.ReadNamespaces, access.ManageTokens,
		access.ShowTokens, access.MintForCluster, access.ReadAudit, access.ReadUsage,
	}
	for name, want := range map[string]string{ // of the own account
		"operator":       "yyyyyyyy",
		"anonymous":      "--------",
		"readonly":       "--y----y",
		"readwrite":      "--y----y",
		"admin":          "-yyyyyyy",
		"cluster":        "-----y--",
		"namespace acme": "--y----y",
		"unknown level":  "--------",
		"account 0":      "--------",
	} {
		for i, task := range tasks {
			own := access.May(principals[name], task, acme)
			if own.Allowed != (want[i] == 'y') || own.Reason == "" {
				t.Errorf("%s, %s: %+v, want %c", name, task, own, want[i])
			}
			for _, other := range []int64{0, zeta} {
				if d := access.May(principals[name], task, other); d.Allowed != (name == "operator") {
					t.Errorf("%s, %s of account %d: %+v", name, task, other, d)
				}
			}
		}
	}
	limited := tokenOf(access.Admin, part("acme", "a1"))
	if d := access.May(limited, access.ManageTokens, acme); d.Allowed {
		t.Errorf("an admin of a part may make tokens that reach everything: %+v", d)
	}
}

// TestVisible agrees with Explain, and VisibleIn is never narrower.
func TestVisible(t *testing.T) {
	t.Parallel()
	pol := access.NewPolicy(access.Options{Namespaces: newWorld()})
	for name, p := range principals {
		for ns := range newWorld() {
			for _, rest := range []string{"/web", "/x"} {
				repo := oci.Repo(ns + rest)
				pulls := pol.Explain(p, oci.RepoScope(repo, oci.ActionPull)).Allowed
				if pol.Visible(p, repo) != pulls || pulls && !pol.VisibleIn(p, ns) {
					t.Errorf("%s, %s: %v, %v, %v", name, repo, pulls, pol.Visible(p, repo), pol.VisibleIn(p, ns))
				}
			}
		}
		if pol.VisibleIn(p, "absent") != (p.Kind == access.Operator) {
			t.Errorf("%s sees an absent namespace", name)
		}
	}
}

// TestListed: what a principal may pull from lies in the namespaces listed for
// it, and in each of them it may pull something.
func TestListed(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		pol := access.NewPolicy(access.Options{Namespaces: newWorld(), AnonymousPublic: open})
		for name, p := range principals {
			if p.Kind == access.Operator {
				continue // sees everything
			}
			var want []string
			for ns := range newWorld() {
				if pol.VisibleIn(p, ns) {
					want = append(want, ns)
				}
			}
			slices.Sort(want)
			if got := pol.Listed(p); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	w := world{}
	for i := range 100_000 {
		n := fmt.Sprintf("ns-%d", i)
		w[n] = access.Namespace{Name: n, AccountID: acme, Incarnation: "1"}
	}
	pol := access.NewPolicy(access.Options{Namespaces: w})
	need := oci.RepoScope("ns-77777/web", oci.ActionPull)
	b.ReportAllocs()
	for b.Loop() {
		if !pol.Explain(principals["readonly"], need).Allowed {
			b.Fatal("refused")
		}
	}
}
