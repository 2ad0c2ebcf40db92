package pullplan_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

func first(f func(*pullplan.Credential)) func(*pullplan.Policy) {
	return func(p *pullplan.Policy) { f(&p.Registries[0].Credential) }
}

func pending(p *pullplan.Policy) {
	first(func(c *pullplan.Credential) {
		c.Username, c.Password, c.Keep, c.Reason = "", "", true, pullplan.CredentialPending
	})(p)
}

func second(p *pullplan.Policy) { p.Name, p.SecretName = "two", "pull-2" }

func TestForPod(t *testing.T) {
	t.Parallel()
	append1 := func(p *pullplan.Policy) { p.AppendToOwnList = true }
	for name, c := range map[string]struct {
		state   pullplan.State
		account string
		list    []string
		want    string
	}{
		"in the same instant":           {state(policy("one")), "default", []string{"b", "a"}, "pull"},
		"the account is not seen yet":   {func() pullplan.State { s := state(policy("one")); s.Accounts = nil; return s }(), "default", nil, "pull"},
		"its list was empty when asked": {state(policy("one")), "default", nil, "pull"},
		"it has the name":               {made(state(policy("one"))), "default", []string{"b", "a", "pull"}, ""},
		"the account got it meanwhile":  {state(policy("one")), "default", []string{"b", "a", "pull"}, ""},
		"the account has it, the pod not, as copied from a list seen late": {made(state(policy("one"))), "default", nil, "pull"},
		"an own list":                {state(policy("one")), "default", []string{"mine"}, ""},
		"an own list in other order": {state(policy("one")), "default", []string{"a", "b"}, ""},
		"copied from a list seen late, with others' names": {made(state(policy("one"))), "default", []string{"b", "a"}, "pull"},
		"more than the account's":                          {state(policy("one")), "default", []string{"b", "a", "mine"}, ""},
		"an own list, append":                              {state(policy("one", append1)), "default", []string{"mine"}, "pull"},
		"an own list with the name, append":                {state(policy("one", append1)), "default", []string{"pull", "mine"}, ""},
		"one of two appends":                               {state(policy("one"), policy("two", second, append1)), "default", []string{"mine"}, "pull-2"},
		"both":                                             {state(policy("one"), policy("two", second)), "default", []string{"b", "a"}, "pull,pull-2"},
		"one came between":                                 {state(policy("one"), policy("two", second)), "default", []string{"b", "a", "pull"}, "pull-2"},
		"another account":                                  {state(policy("one")), "build", []string{"theirs"}, ""},
		"another account, all":                             {state(policy("one", func(p *pullplan.Policy) { p.AllAccounts = true })), "build", []string{"theirs"}, "pull"},
		"an account that the policy names":                 {state(policy("one", func(p *pullplan.Policy) { p.AccountNames = []string{"new"} })), "new", nil, "pull"},
		"kube-system":                                      {inKubeSystem(policy("one", append1)), "default", nil, ""},
		"kube-system, named there":                         {inKubeSystem(policy("one", func(p *pullplan.Policy) { p.NameInKubeSystem = true })), "default", nil, ""},
		"terminating":                                      {func() pullplan.State { s := state(policy("one")); s.Namespace.Terminating = true; return s }(), "default", nil, ""},
		"not chosen":                                       {state(policy("one", func(p *pullplan.Policy) { p.Exclude = []string{"shop"} })), "default", nil, ""},
		"a policy of another namespace":                    {state(policy("one", func(p *pullplan.Policy) { p.ID = pullplan.ID{Kind: "PullSecret", Namespace: "x", Name: "one"} })), "default", nil, ""},
		"no source":                                        {state(policy("one", first(func(c *pullplan.Credential) { *c = pullplan.Credential{Reason: pullplan.SourceMissing} }))), "default", nil, ""},
		"a source for others":                              {state(policy("one", first(func(c *pullplan.Credential) { c.Allows = nil }))), "default", nil, ""},
		"a spoilt source":                                  {state(policy("one", first(func(c *pullplan.Credential) { c.Username, c.Password, c.Reason = "", "", pullplan.SourceMalformed }))), "default", nil, ""},
		"an expired credential":                            {state(policy("one", first(func(c *pullplan.Credential) { c.Expires = now }))), "default", nil, ""},
		"its token is awaited":                             {state(policy("one", pending)), "default", nil, "pull"},
		"a token for others is awaited":                    {state(policy("one", pending, first(func(c *pullplan.Credential) { c.Allows = func(string) bool { return false } }))), "default", nil, ""},
		"a name that is not permitted":                     {state(policy("one", func(p *pullplan.Policy) { p.SecretName = "other" })), "default", nil, ""},
		"somebody else's secret has the name": {func() pullplan.State {
			s := state(policy("one"))
			s.Secrets = []pullsecret.Secret{{Name: "pull"}}
			return s
		}(), "default", nil, ""},
		"selectors that cannot be understood":     {state(policy("one", func(p *pullplan.Policy) { p.Unreadable = "x" })), "default", nil, ""},
		"the second of a name, for all":           {state(policy("one"), policy("two", func(p *pullplan.Policy) { p.AllAccounts = true })), "build", []string{"theirs"}, ""},
		"nothing asks for anything":               {state(), "default", nil, ""},
		"a list with a name twice, appended once": {state(policy("one", append1)), "default", []string{"x", "x"}, "pull"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pullplan.Pod{Account: c.account, List: c.list}
			got := pullplan.ForPod(c.state, p)
			if strings.Join(got, ",") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			p.List = append(slices.Clone(p.List), got...)
			if again := pullplan.ForPod(c.state, p); len(again) > 0 {
				t.Errorf("asked again it adds %q", again)
			}
		})
	}
}

func inKubeSystem(p pullplan.Policy) pullplan.State {
	s := state(p)
	s.Namespace.Name = "kube-system"
	return s
}

// TestForPodIsWhatComes: what a pod gets is what its account gets.
func TestForPodIsWhatComes(t *testing.T) {
	t.Parallel()
	s := state(policy("one"), policy("two", second, func(p *pullplan.Policy) { p.AllAccounts = true }))
	after := made(s)
	for i, a := range s.Accounts {
		got := append(slices.Clone(a.List), pullplan.ForPod(s, pullplan.Pod{Account: a.Name, List: a.List})...)
		if !slices.Equal(got, after.Accounts[i].List) {
			t.Errorf("%s: %q, the account gets %q", a.Name, got, after.Accounts[i].List)
		}
	}
}

func TestCameEarly(t *testing.T) {
	t.Parallel()
	ready := made(state(policy("one"), policy("two", second, func(p *pullplan.Policy) {
		p.Registries[0].Host, p.Recreate = "other.example", true
	})))
	own := made(state(policy("one", func(p *pullplan.Policy) { p.AppendToOwnList = true })))
	without := func(f func(*pullplan.State)) pullplan.State {
		s := ready
		s.Accounts, s.Secrets = slices.Clone(s.Accounts), slices.Clone(s.Secrets)
		f(&s)
		return s
	}
	for name, c := range map[string]struct {
		state  pullplan.State
		list   []string
		images []string
		want   string // the secret, and Recreate
	}{
		"before":                         {ready, []string{"b", "a"}, []string{"reg.example/shop/web:v1"}, "pull"},
		"before anybody's":               {ready, nil, []string{"reg.example/shop/web:v1"}, "pull"},
		"before, to go":                  {ready, nil, []string{"other.example/web@sha256:" + strings.Repeat("0", 64)}, "pull-2 recreate"},
		"before, others' came later too": {ready, []string{"a"}, []string{"reg.example/x"}, "pull"},
		"one of two images":              {ready, nil, []string{"nginx", "reg.example/x"}, "pull"},
		"it has the name":                {ready, []string{"b", "a", "pull"}, []string{"reg.example/x"}, ""},
		"an own list":                    {ready, []string{"mine"}, []string{"reg.example/x"}, ""},
		"an own list, append":            {own, []string{"mine"}, []string{"reg.example/x"}, "pull"},
		"an image of elsewhere":          {ready, nil, []string{"elsewhere.example/x", "nginx"}, ""},
		"an image that is none":          {ready, nil, []string{"", "reg.example/UPPER", "::"}, ""},
		"no image":                       {ready, nil, nil, ""},
		"the account lacks it yet":       {without(func(s *pullplan.State) { s.Accounts[1].List = nil }), nil, []string{"reg.example/x"}, ""},
		"the account is not there":       {without(func(s *pullplan.State) { s.Accounts = nil }), nil, []string{"reg.example/x"}, ""},
		"the secret is not there":        {without(func(s *pullplan.State) { s.Secrets = nil }), nil, []string{"reg.example/x"}, ""},
		"terminating":                    {without(func(s *pullplan.State) { s.Namespace.Terminating = true }), nil, []string{"reg.example/x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, is := pullplan.CameEarly(c.state, pullplan.Pod{Account: "default", List: c.list}, c.images)
			got := e.Secret
			if e.Recreate {
				got += " recreate"
			}
			if got != c.want || is != (c.want != "") {
				t.Errorf("%v %q, want %q", is, got, c.want)
			}
			if is && (e.Policy.Name == "" || !slices.Contains(c.images, e.Image)) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func FuzzForPod(f *testing.F) {
	f.Add("default", "b,a", "pull", true)
	f.Add("", "", "", false)
	f.Fuzz(func(t *testing.T, account, list, image string, appends bool) {
		s := state(policy("one", func(p *pullplan.Policy) { p.AppendToOwnList = appends }), policy("two", second))
		p := pullplan.Pod{Account: account, List: strings.Split(list, ",")}
		got := pullplan.ForPod(s, p)
		for _, name := range got {
			if slices.Contains(p.List, name) || !slices.Contains(s.Permitted, name) {
				t.Fatalf("it adds %q to %q", name, p.List)
			}
		}
		p.List = append(p.List, got...)
		if again := pullplan.ForPod(s, p); len(again) > 0 {
			t.Fatalf("asked again it adds %q", again)
		}
		pullplan.CameEarly(made(s), p, []string{image})
	})
}
