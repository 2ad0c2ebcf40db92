package pullplan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func everyone(string) bool { return true }

func credential(change ...func(*pullplan.Credential)) pullplan.Credential {
	c := pullplan.Credential{Username: "token", Password: "secret", Allows: everyone}
	for _, f := range change {
		f(&c)
	}
	return c
}

func policy(name string, change ...func(*pullplan.Policy)) pullplan.Policy {
	p := pullplan.Policy{
		ID: pullplan.ID{Kind: "ClusterPullSecret", Name: name}, Created: now.Add(-time.Hour), SecretName: "pull",
		Registries: []pullplan.Registry{{Host: "reg.example", Credential: credential()}},
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func state(policies ...pullplan.Policy) pullplan.State {
	return pullplan.State{
		Now: now, Permitted: []string{"pull", "pull-2"}, Policies: policies, Namespace: pullplan.Namespace{Name: "shop"},
		Accounts: []pullplan.Account{{Name: "build", List: []string{"theirs"}}, {Name: "default", List: []string{"b", "a"}}},
	}
}

// done is the state after a plan.
func done(s pullplan.State, p pullplan.Plan) pullplan.State {
	s.Secrets, s.Accounts = slices.Clone(s.Secrets), slices.Clone(s.Accounts)
	for _, d := range p.Decisions {
		switch d.Verb {
		case pullplan.ApplySecret:
			s.Secrets = append(slices.DeleteFunc(s.Secrets, func(x pullsecret.Secret) bool { return x.Name == d.Object }), d.Secret)
		case pullplan.DeleteSecret:
			s.Secrets = slices.DeleteFunc(s.Secrets, func(x pullsecret.Secret) bool { return x.Name == d.Object })
		case pullplan.SetList:
			for i := range s.Accounts {
				if s.Accounts[i].Name == d.Object {
					s.Accounts[i].List, s.Accounts[i].Added = d.List, d.Added
				}
			}
		}
	}
	return s
}

func told(p pullplan.Plan) (out []string) {
	for _, d := range p.Decisions {
		line := fmt.Sprintf("%s %s: %s", d.Verb, d.Object, d.Reason)
		if d.Verb == pullplan.SetList {
			line += " " + strings.Join(d.List, ",")
		}
		out = append(out, line)
	}
	for _, v := range p.Verdicts {
		out = append(out, fmt.Sprintf("%s is %s", v.Policy.Name, v.Reason))
	}
	return out
}

// made is a state where the plan was done.
func made(s pullplan.State) pullplan.State { return done(s, pullplan.Make(s)) }

func TestMake(t *testing.T) {
	t.Parallel()
	cred := func(f func(*pullplan.Credential)) func(*pullplan.Policy) {
		return func(p *pullplan.Policy) { f(&p.Registries[0].Credential) }
	}
	fresh := []string{"apply secret pull: Missing", "set list default: Missing b,a,pull", "one is Ready"}
	gone := []string{"set list default: NotWanted b,a", "delete secret pull: NotWanted"}
	for name, c := range map[string]struct {
		state pullplan.State
		want  []string
	}{
		"fresh":  {state(policy("one")), fresh},
		"steady": {made(state(policy("one"))), []string{"one is Ready"}},
		"deleted": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies = nil
			return s
		}(), gone},
		"left the selection": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Selects = func(l map[string]string) bool { return l["team"] == "x" }
			return s
		}(), gone},
		"excluded":    {state(policy("one", func(p *pullplan.Policy) { p.Exclude = []string{"shop"} })), nil},
		"terminating": {func() pullplan.State { s := state(policy("one")); s.Namespace.Terminating = true; return s }(), nil},
		"edited": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Secrets[0].Data = map[string][]byte{pullsecret.KeyConfigJSON: []byte(`{"auths":{}}`)}
			s.Accounts[1].List = []string{"b", "a"}
			return s
		}(), []string{"apply secret pull: Differs", "set list default: Missing b,a,pull", "one is Ready"}},
		"their own name in the list stays": {func() pullplan.State {
			s := state(policy("one"))
			s.Accounts[1].List = []string{"pull", "a"}
			s = made(s)
			s.Policies = nil
			return s
		}(), []string{"delete secret pull: NotWanted"}},
		"not ours": {func() pullplan.State {
			s := state(policy("one"))
			s.Secrets = []pullsecret.Secret{{Name: "pull", Type: pullsecret.TypeConfigJSON, Labels: map[string]string{pullplan.ManagedByLabel: "helm"}}}
			return s
		}(), []string{"one is NotOurs"}},
		"name": {state(policy("one", func(p *pullplan.Policy) { p.SecretName = "other" })), []string{"one is NameNotPermitted"}},
		"conflict": {
			state(policy("two"), policy("one", func(p *pullplan.Policy) { p.Created = now })),
			[]string{fresh[0], fresh[1], "two is Ready", "one is Conflict"},
		},
		"conflict of one age": {state(policy("two"), policy("one")), []string{fresh[0], fresh[1], "one is Ready", "two is Conflict"}},
		"two names": {
			state(policy("one"), policy("two", func(p *pullplan.Policy) { p.SecretName = "pull-2" })),
			[]string{fresh[0], "apply secret pull-2: Missing", "set list default: Missing b,a,pull,pull-2", "one is Ready", "two is Ready"},
		},
		"not allowed": {
			state(policy("one", cred(func(c *pullplan.Credential) { c.Allows = func(ns string) bool { return ns == "other" } }))),
			[]string{"one is SourceNotAllowed"},
		},
		"nobody is allowed": {state(policy("one", cred(func(c *pullplan.Credential) { c.Allows = nil }))), []string{"one is SourceNotAllowed"}},
		"withdrawn": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.SourceMissing}
			return s
		}(), append(slices.Clone(gone), "one is SourceMissing")},
		"the source is gone": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.SourceMissing, Keep: true}
			return s
		}(), []string{"one is SourceMissing"}},
		"the source is gone, its token expired": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.SourceMissing, Keep: true, Expires: now}
			return s
		}(), []string{"apply secret pull: Differs", "one is CredentialExpired"}},
		"the source is spoilt": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.SourceMalformed, Keep: true, Allows: everyone}
			return s
		}(), []string{"one is SourceMalformed"}},
		"the source is spoilt, and no longer allowed": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.SourceMalformed, Keep: true, Allows: func(string) bool { return false }}
			return s
		}(), append(slices.Clone(gone), "one is SourceNotAllowed")},
		"unreachable": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Registries[0].Credential = pullplan.Credential{Reason: pullplan.RegistryUnreachable, Keep: true, Allows: everyone}
			return s
		}(), []string{"one is RegistryUnreachable"}},
		"a token that expired, and comes again": {
			state(policy("one", cred(func(c *pullplan.Credential) { c.Expires, c.Keep = now, true }))),
			[]string{"apply secret pull: Missing", "set list default: Missing b,a,pull", "one is CredentialExpired"},
		},
		"it was there": {func() pullplan.State {
			s := made(state(policy("one")))
			c := &s.Policies[0].Registries[0].Credential
			c.Expires, c.Keep = now, true
			return s
		}(), []string{"apply secret pull: Differs", "one is CredentialExpired"}},
		"it has an entry of another registry": {state(policy("one", func(p *pullplan.Policy) {
			p.Registries = append(p.Registries, pullplan.Registry{Host: "b.example", Credential: credential(func(c *pullplan.Credential) { c.Expires, c.Keep = now, true })})
		})), []string{fresh[0], fresh[1], "one is CredentialExpired"}},
		"why there is no source": {state(policy("one", cred(func(c *pullplan.Credential) {
			*c = pullplan.Credential{Reason: pullplan.SourceNotAllowed, Problem: "no"}
		}))), []string{"one is SourceNotAllowed"}},
		"a spoilt source of others": {state(policy("one", cred(func(c *pullplan.Credential) {
			*c = pullplan.Credential{Reason: pullplan.SourceMalformed, Problem: "no", Allows: func(string) bool { return false }}
		}))), []string{"one is SourceNotAllowed"}},
		"expired":  {state(policy("one", cred(func(c *pullplan.Credential) { c.Expires = now }))), []string{"one is CredentialExpired"}},
		"bad host": {state(policy("one", func(p *pullplan.Policy) { p.Registries[0].Host = "registry" })), []string{"one is EntryInvalid"}},
		"a bad one beside a good one": {state(policy("one", func(p *pullplan.Policy) {
			p.Registries = append(p.Registries, pullplan.Registry{Host: "b.example", Credential: credential(func(c *pullplan.Credential) { c.Username = "a:b" })})
		})), []string{fresh[0], fresh[1], "one is EntryInvalid"}},
		"too large": {state(policy("one", cred(func(c *pullplan.Credential) { c.Password = strings.Repeat("x", 1<<20) }))), []string{"one is TooLarge"}},
		"immutable": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Secrets[0].Immutable = true
			s.Policies[0].Registries[0].Credential.Password = "new"
			return s
		}(), []string{"delete secret pull: Replacement", "apply secret pull: Replacement", "one is Ready"}},
		"unreadable": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].Unreadable = "no such operator"
			return s
		}(), nil},
		"kube-system": {
			func() pullplan.State { s := state(policy("one")); s.Namespace.Name = "kube-system"; return s }(),
			[]string{"apply secret pull: Missing", "one is Ready"},
		},
		"kube-system, asked": {func() pullplan.State {
			s := state(policy("one", func(p *pullplan.Policy) { p.NameInKubeSystem = true }))
			s.Namespace.Name = "kube-system"
			return s
		}(), fresh},
		"all accounts": {
			state(policy("one", func(p *pullplan.Policy) { p.AllAccounts = true })),
			[]string{fresh[0], "set list build: Missing theirs,pull", fresh[1], "one is Ready"},
		},
		"other account": {func() pullplan.State {
			s := made(state(policy("one")))
			s.Policies[0].AccountNames = []string{"build"}
			return s
		}(), []string{"set list build: Missing theirs,pull", "set list default: NotWanted b,a", "one is Ready"}},
		"another's namespace": {state(policy("one", func(p *pullplan.Policy) { p.ID = pullplan.ID{Kind: "PullSecret", Namespace: "other", Name: "one"} })), nil},
		"its namespace":       {state(policy("one", func(p *pullplan.Policy) { p.ID = pullplan.ID{Kind: "PullSecret", Namespace: "shop", Name: "one"} })), fresh},
	} {
		if d := cmp.Diff(c.want, told(pullplan.Make(c.state))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestKeys: what the entries go by.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := made(state(policy("one", func(p *pullplan.Policy) {
		p.Registries = []pullplan.Registry{
			{Host: "reg.example", Namespaces: []string{"acme-web", "acme-db"}, Credential: credential()},
			{Host: "docker.io", Credential: credential()},
			{Host: "127.0.0.1:5000", Credential: credential()},
		}
	})))
	if len(s.Secrets) != 1 {
		t.Fatalf("%d secrets", len(s.Secrets))
	}
	for _, key := range []string{"reg.example/acme-web/", "reg.example/acme-db/", "https://index.docker.io/v1/", "127.0.0.1:5000"} {
		if !strings.Contains(string(s.Secrets[0].Data[pullsecret.KeyConfigJSON]), `"`+key+`":{`) {
			t.Errorf("there is no entry %s", key)
		}
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// wild is a state that anything may have brought about.
func wild(r *rand.Rand) pullplan.State {
	s := state()
	s.Namespace.Name = pick(r, "shop", "kube-system", "other")
	s.Namespace.Terminating = r.IntN(20) == 0
	for i := range r.IntN(4) {
		p := policy(fmt.Sprint("p", i))
		p.Created = now.Add(time.Duration(r.IntN(3)) * time.Minute)
		p.SecretName = pick(r, "pull", "pull-2", "other")
		p.AllAccounts, p.NameInKubeSystem = r.IntN(2) == 0, r.IntN(2) == 0
		if r.IntN(3) == 0 {
			p.ID = pullplan.ID{Kind: "PullSecret", Namespace: pick(r, "shop", "other"), Name: p.Name}
		}
		if r.IntN(8) == 0 {
			p.Unreadable = "x"
		}
		c := &p.Registries[0].Credential
		switch r.IntN(7) {
		case 6:
			c.Expires, c.Keep = now, r.IntN(2) == 0
		case 0:
			*c = pullplan.Credential{Reason: pullplan.SourceMissing, Keep: r.IntN(2) == 0}
		case 1:
			*c = pullplan.Credential{Reason: pullplan.RegistryUnreachable, Keep: true, Allows: everyone}
		case 2:
			c.Password = "another"
		case 3:
			c.Username = "a:b"
		}
		s.Policies = append(s.Policies, p)
	}
	for _, name := range []string{"pull", "pull-2"} {
		if r.IntN(2) == 0 {
			continue
		}
		one := pullsecret.Secret{Name: name, Type: pick(r, pullsecret.TypeConfigJSON, "Opaque"), Immutable: r.IntN(4) == 0}
		if r.IntN(3) > 0 {
			one.Annotations = map[string]string{pullplan.PolicyAnnotation: pick(r, "ClusterPullSecret/p0", "ClusterPullSecret/p1", "gone")}
		}
		one.Data = map[string][]byte{pullsecret.KeyConfigJSON: []byte(pick(r, `{"auths":{}}`, `{"auths":{"reg.example":{"auth":"dTpw"}}}`, `no json`))}
		s.Secrets = append(s.Secrets, one)
	}
	for i := range s.Accounts {
		for _, n := range []string{"pull", "x", "pull-2", "y"} {
			if r.IntN(2) == 0 {
				s.Accounts[i].List = append(s.Accounts[i].List, n)
			}
			if r.IntN(3) == 0 {
				s.Accounts[i].Added = append(s.Accounts[i].Added, n)
			}
		}
	}
	return s
}

func others(a pullplan.Account) []string {
	return slices.DeleteFunc(slices.Clone(a.List), func(n string) bool { return strings.HasPrefix(n, "pull") })
}

// TestPlanIsEnough: whatever is there, a plan that was done leaves nothing to
// do, and what others made stays.
func TestPlanIsEnough(t *testing.T) {
	t.Parallel()
	writes := map[pullplan.Verb]int{}
	for seed := range uint64(5_000) {
		s := wild(rand.New(rand.NewPCG(seed, 1)))
		plan := pullplan.Make(s)
		if d := cmp.Diff(plan, pullplan.Make(s)); d != "" {
			t.Fatalf("seed %d: another plan for the same state: %s", seed, d)
		}
		after := done(s, plan)
		if again := pullplan.Make(after); len(again.Decisions) > 0 {
			t.Fatalf("seed %d: after %v there is still to do: %v", seed, told(plan), told(again))
		}
		for i, a := range s.Accounts {
			if !slices.Equal(others(a), others(after.Accounts[i])) {
				t.Fatalf("seed %d: the list %v became %v", seed, a.List, after.Accounts[i].List)
			}
		}
		for _, one := range s.Secrets {
			if one.Annotations == nil && !slices.ContainsFunc(after.Secrets, func(x pullsecret.Secret) bool { return cmp.Equal(x, one) }) {
				t.Fatalf("seed %d: the secret %s, which is not ours, changed: %v", seed, one.Name, told(plan))
			}
		}
		for _, d := range plan.Decisions {
			writes[d.Verb]++
			if !slices.Contains(s.Permitted, d.Object) && d.Verb != pullplan.SetList {
				t.Fatalf("seed %d: it writes %s", seed, d.Object)
			}
		}
	}
	if len(writes) != 3 {
		t.Errorf("the states are too tame: %v", maps.Keys(writes))
	}
}

// TestPolicies: a decision names those that fare badly without it.
func TestPolicies(t *testing.T) {
	t.Parallel()
	two := policy("two", func(p *pullplan.Policy) { p.SecretName, p.AllAccounts = "pull-2", true })
	s := state(policy("one"), two)
	names := func(s pullplan.State) (out []string) {
		for _, d := range pullplan.Make(s).Decisions {
			line := d.Object
			for _, id := range d.Policies {
				line += " " + id.Name
			}
			out = append(out, line)
		}
		return out
	}
	if d := cmp.Diff([]string{"pull one", "pull-2 two", "build two", "default one two"}, names(s)); d != "" {
		t.Error(d)
	}
	s = made(s)
	s.Policies[1].AllAccounts, s.Policies[1].AccountNames = false, []string{"build"}
	if d := cmp.Diff([]string{"default two"}, names(s)); d != "" {
		t.Error(d)
	}
	s.Policies = s.Policies[:1]
	if d := cmp.Diff([]string{"build", "default", "pull-2"}, names(s)); d != "" {
		t.Error(d)
	}
}

// TestWithout: what one policy cannot write keeps no name of another off the
// list, and takes away nothing that was there.
func TestWithout(t *testing.T) {
	t.Parallel()
	s := state(policy("one"), policy("two", func(p *pullplan.Policy) { p.SecretName = "pull-2" }))
	decisions := pullplan.Make(s).Decisions
	list := decisions[len(decisions)-1]
	id := func(names ...string) map[pullplan.ID]bool {
		out := map[pullplan.ID]bool{}
		for _, n := range names {
			out[pullplan.ID{Kind: "ClusterPullSecret", Name: n}] = true
		}
		return out
	}
	for blocked, want := range map[string]string{"": "b a pull pull-2 and pull pull-2", "one": "b a pull-2 and pull-2", "two": "b a pull and pull"} {
		d, is := list.Without(id(blocked))
		if got := strings.Join(d.List, " ") + " and " + strings.Join(d.Added, " "); !is || got != want {
			t.Errorf("without %q: %v %q, want %q", blocked, is, got, want)
		}
	}
	if d, is := list.Without(id("one", "two")); is {
		t.Errorf("it would write %v", d)
	}
	s = made(s)
	s.Accounts[1].List = []string{"b", "a", "pull-2"} // somebody took one off
	s.Policies[1].AccountNames = []string{"other"}
	decisions = pullplan.Make(s).Decisions
	d, is := decisions[len(decisions)-1].Without(id("one"))
	if got := strings.Join(d.List, " ") + " and " + strings.Join(d.Added, " "); !is || got != "b a and pull" {
		t.Errorf("what goes: %v %q", is, got)
	}
}

// TestExpiredIsEmpty: what stays of a secret whose only token expired has no
// entry, and is valid.
func TestExpiredIsEmpty(t *testing.T) {
	t.Parallel()
	s := made(state(policy("one", func(p *pullplan.Policy) {
		p.Registries[0].Credential.Expires, p.Registries[0].Credential.Keep = now, true
	})))
	if len(s.Secrets) != 1 || string(s.Secrets[0].Data[pullsecret.KeyConfigJSON]) != `{"auths":{}}` || s.Secrets[0].Type != pullsecret.TypeConfigJSON {
		t.Errorf("it is %q", s.Secrets)
	}
}
