package access_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

var (
	policy   = access.NewPolicy(access.Options{})
	operator = access.Principal{Kind: access.Operator, TokenID: "0123456789abcdef", Name: "operator"}
	nobodies = map[string]access.Principal{
		"zero":              {},
		"anonymous":         {Kind: access.Anonymous},
		"anonymous, named":  {Kind: access.Anonymous, TokenID: operator.TokenID, Name: "operator"},
		"unknown kind":      {Kind: "Operator", TokenID: operator.TokenID, Name: "operator"},
		"name without kind": {TokenID: operator.TokenID, Name: "operator"},
	}
)

func scopes(t *testing.T, s ...string) []oci.Scope {
	t.Helper()
	out, err := oci.ParseScopes(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func render(s []oci.Scope) string {
	var parts []string
	for _, x := range s {
		parts = append(parts, x.String())
	}
	return strings.Join(parts, " ")
}

func TestAllowOperator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, wanted, granted string }{
		{"nothing", "", ""},
		{"pull", "repository:acme/web:pull", "repository:acme/web:pull"},
		{"several", "repository:acme/web:push,pull,delete registry:catalog:* repository:b:pull", "repository:acme/web:delete,pull,push registry:catalog:* repository:b:pull"},
		{"unknown action beside a known", "repository:acme/web:pull,admin", "repository:acme/web:pull"},
		{"unknown action", "repository:acme/web:admin", ""},
		{"no action", "repository:acme/web:", ""},
		{"unknown type", "plugin:acme/web:pull repository(plugin):acme/web:pull", ""},
		{"other registry resource", "registry:users:*", ""},
		{"pull on the catalog", "registry:catalog:pull,delete", ""},
		{"catalog and more", "registry:catalog:*,pull", "registry:catalog:*"},
		{"case", "Repository:acme/web:pull repository:acme/web:PULL", ""},
		{"what skopeo asks for before it deletes", "repository:acme/web:*", "repository:acme/web:delete,pull,push"},
		{"what crane asks for before it deletes", "repository:acme/web:push,pull,delete", "repository:acme/web:delete,pull,push"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := render(policy.Allow(operator, scopes(t, c.wanted))); got != c.granted {
				t.Errorf("granted %q, want %q", got, c.granted)
			}
		})
	}
}

func TestAllowNobody(t *testing.T) {
	t.Parallel()
	all := scopes(t, "repository:acme/web:pull,push,delete,* registry:catalog:*")
	for name, p := range nobodies {
		if got := policy.Allow(p, all); len(got) != 0 {
			t.Errorf("%s was granted %q", name, render(got))
		}
	}
	if got := (access.Policy{}).Allow(operator, all); len(got) != 0 {
		t.Errorf("the zero policy granted %q", render(got))
	}
}

// A wildcard must never widen anything: neither as an action that would later
// cover others, nor as a name.
func TestScopeEscalation(t *testing.T) {
	t.Parallel()
	for _, w := range []oci.Scope{
		{Type: "repository", Name: "*", Actions: []oci.Action{"pull"}},
		{Type: "repository", Name: "acme/*", Actions: []oci.Action{"*"}},
		{Type: "repository", Name: "", Actions: []oci.Action{"pull"}},
		{Type: "repository", Name: "../etc", Actions: []oci.Action{"pull"}},
		{Type: "repository", Name: "catalog:*", Actions: []oci.Action{"pull"}},
		{Type: "*", Name: "acme/web", Actions: []oci.Action{"pull"}},
		{Type: "registry", Name: "*", Actions: []oci.Action{"*"}},
	} {
		if got := policy.Allow(operator, []oci.Scope{w}); len(got) != 0 {
			t.Errorf("%s was granted %q", w, render(got))
		}
		if d := policy.Explain(operator, w); d.Allowed || d.Reason == "" {
			t.Errorf("%s: %+v", w, d)
		}
	}
	star := oci.RepoScope("acme/web", oci.ActionAll)
	for _, s := range policy.Allow(operator, []oci.Scope{star}) {
		if slices.Contains(s.Actions, oci.ActionAll) {
			t.Errorf("%q grants the wildcard itself", s)
		}
	}
	if d := policy.Explain(operator, star); d.Allowed {
		t.Error("a wildcard on a repository is no right")
	}
}

func TestExplainReasons(t *testing.T) {
	t.Parallel()
	push := oci.RepoScope("acme/web", oci.ActionPush)
	for _, c := range []struct {
		name string
		p    access.Principal
		need oci.Scope
		want access.Decision
	}{
		{"operator", operator, push, access.Decision{Allowed: true, Reason: "the operator may do everything"}},
		{"anonymous", access.Principal{Kind: access.Anonymous}, push, access.Decision{Reason: `sign in to push to the repository acme/web: the user name is "token", the password a Fairlead token`}},
		{"catalog", access.Principal{}, oci.CatalogScope(), access.Decision{Reason: `sign in to list the catalog: the user name is "token", the password a Fairlead token`}},
		{"another kind", access.Principal{Kind: "account", Name: "ann"}, push, access.Decision{Reason: "ann has no right to push to the repository acme/web: ask its owner, sign in with another token, or add the namespace"}},
		{"nameless", access.Principal{Kind: "person"}, oci.RepoScope("a", oci.ActionDelete), access.Decision{Reason: "person has no right to delete from the repository a: ask its owner, sign in with another token, or add the namespace"}},
		{"wildcard", operator, oci.RepoScope("acme/web", "*"), access.Decision{Reason: `"*" is no action on the repository acme/web: there is "delete", "pull", "push"`}},
		{"no action", operator, oci.RepoScope("acme/web"), access.Decision{Reason: "no action is named"}},
		{"unknown type", operator, oci.Scope{Type: "plugin", Name: "x"}, access.Decision{Reason: `there is no resource of type "plugin" named "x" to have rights on`}},
		{"bad name", operator, oci.Scope{Type: "repository", Name: "*"}, access.Decision{Reason: `there is no repository named "*" to have rights on`}},
		{"one of two", access.Principal{}, oci.RepoScope("a", "pull", "push"), access.Decision{Reason: `sign in to pull from the repository a: the user name is "token", the password a Fairlead token`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, policy.Explain(c.p, c.need)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAllowProperties checks, over random wishes, that Allow is an
// intersection, idempotent, changes nothing it was given, and agrees with
// Explain.
func TestAllowProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	people := []access.Principal{operator}
	for _, p := range nobodies {
		people = append(people, p)
	}
	for range 20_000 {
		p := people[r.IntN(len(people))]
		var wanted []oci.Scope
		for range r.IntN(4) {
			s := oci.Scope{Type: pick("repository", "repository", "registry", "plugin", ""), Name: pick("acme/web", "b", "catalog", "*", "", "A")}
			for range r.IntN(4) {
				s.Actions = append(s.Actions, oci.Action(pick("pull", "push", "delete", "*", "", "admin")))
			}
			wanted = append(wanted, s)
		}
		before := render(wanted)
		granted := policy.Allow(p, wanted)
		if render(wanted) != before {
			t.Fatalf("Allow changed %q", before)
		}
		if again := policy.Allow(p, granted); !cmp.Equal(again, granted) {
			t.Fatalf("%q allowed again is %q", render(granted), render(again))
		}
		for _, g := range granted {
			if !within(g, wanted) {
				t.Fatalf("%q is granted of %q", g, before)
			}
			if d := policy.Explain(p, g); !d.Allowed {
				t.Fatalf("%q was granted to %+v, Explain says %+v", g, p, d)
			}
		}
		for _, w := range wanted {
			d := policy.Explain(p, w)
			alone := policy.Allow(p, []oci.Scope{w})
			full := len(w.Actions) > 0 && len(alone) == 1 && alone[0].Covers(w)
			if d.Allowed != full || d.Reason == "" {
				t.Fatalf("%q for %+v: Explain says %+v, Allow %q", w, p, d, render(alone))
			}
		}
	}
}

// within tells whether every action of g was asked for, with "*" on a
// repository standing for its three actions.
func within(g oci.Scope, wanted []oci.Scope) bool {
	for _, w := range wanted {
		if g.Type == oci.ResourceRepository && slices.Contains(w.Actions, oci.ActionAll) {
			w.Actions = []oci.Action{oci.ActionPull, oci.ActionPush, oci.ActionDelete}
		}
		if w.Covers(g) && len(g.Actions) > 0 && slices.IsSorted(g.Actions) {
			return true
		}
	}
	return false
}

func TestErrorIsOfTheProtocol(t *testing.T) {
	t.Parallel()
	var err error = &access.Error{Code: oci.CodeDenied, Reason: "no"}
	if !errors.Is(err, oci.ErrDenied) || errors.Is(err, oci.ErrUnauthorized) || err.Error() != "no" {
		t.Errorf("%v is not DENIED", err)
	}
}
