package pullplan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// Verb is what a decision does.
type Verb string

// The verbs.
const (
	ApplySecret  Verb = "apply secret"
	SetList      Verb = "set list"
	DeleteSecret Verb = "delete secret"
)

// Decision is one write.
type Decision struct {
	Verb Verb
	// Object is the name of the secret or of the service account.
	Object  string
	Reason  Reason
	Message string // for people; it shows no credential
	// Policies that fare badly if it is not done.
	Policies []ID
	// Secret is what to apply.
	Secret pullsecret.Secret
	// List and Added are those of the account from then on, Before is what it
	// was, and Adds has the policies of the names that come.
	List, Added []string
	Before      Account
	Adds        map[string]ID
}

// Without leaves out of a list what policies add to it whose secrets could not
// be written; false if nothing is left to do.
func (d Decision) Without(blocked map[ID]bool) (Decision, bool) {
	left := func(list, before []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool {
			id, adds := d.Adds[name]
			return adds && blocked[id] && !slices.Contains(before, name)
		})
	}
	d.List, d.Added = left(d.List, d.Before.List), left(d.Added, d.Before.Added)
	return d, !slices.Equal(d.List, d.Before.List) || !slices.Equal(d.Added, d.Before.Added)
}

// Verdict is how a policy fares in the namespace.
type Verdict struct {
	Policy  ID
	Reason  Reason // Ready if all is as it should be once the plan is done
	Message string
}

// Plan is what to do, in this order, and what to say.
type Plan struct {
	Decisions []Decision
	// Verdicts of the policies that choose the namespace, oldest first.
	Verdicts []Verdict
}

// Make decides. A secret that is not ours is never touched; lists keep what
// others put there, in their order; a list names a secret once it is there,
// and no more before it goes.
//
// Of policies that want the same name the oldest has it (then the one whose
// name is first); the others are told Conflict, and nothing of theirs is
// merged in: whose credential a pod uses must not depend on two people.
func Make(s State) Plan {
	if s.Namespace.Terminating {
		return Plan{}
	}
	m := decide(s)
	m.lists()
	m.removals()
	return m.plan
}

// Refused are policies that get no secret in the namespace whatever their
// credentials are: the name is not permitted, is another policy's, or somebody's
// secret has it. They need no credential.
func Refused(s State) map[ID]Verdict {
	if s.Namespace.Terminating {
		return nil
	}
	return name(s).refused
}

// decide about the secrets.
func decide(s State) *maker {
	m := name(s)
	for _, p := range m.chosen {
		if v, is := m.refused[p.ID]; is {
			m.plan.Verdicts = append(m.plan.Verdicts, v)
			continue
		}
		m.secret(p)
	}
	return m
}

// name gives the names of secrets to policies.
func name(s State) *maker {
	m := &maker{State: s, there: map[string]pullsecret.Secret{}, wanted: map[string]Policy{}, refused: map[ID]Verdict{}}
	for _, one := range s.Secrets {
		m.there[one.Name] = one
	}
	policies := slices.SortedFunc(slices.Values(s.Policies), older)
	taken := map[string]ID{}
	for _, p := range policies {
		if p.Unreadable != "" {
			m.hold(p, taken)
		}
	}
	for _, p := range policies {
		if p.Unreadable == "" && p.chooses(m.Namespace) {
			m.chosen = append(m.chosen, p)
			m.claim(p, taken)
		}
	}
	return m
}

type maker struct {
	State
	plan  Plan
	there map[string]pullsecret.Secret
	// chosen are the policies for the namespace, oldest first.
	chosen  []Policy
	refused map[ID]Verdict
	// wanted has the policies whose secrets are there once the plan is done.
	wanted map[string]Policy
	// kept are names of which nothing changes.
	kept []string
}

func (m *maker) refuse(p Policy, r Reason, format string, args ...any) {
	m.refused[p.ID] = Verdict{p.ID, r, fmt.Sprintf(format, args...)}
}

// hold leaves what a policy made as it is.
func (m *maker) hold(p Policy, taken map[string]ID) {
	for name, one := range m.there {
		if owner(one) == p.ID.String() {
			m.kept, taken[name] = append(m.kept, name), p.ID
		}
	}
}

// claim gives a policy the name of its secret, or refuses it.
func (m *maker) claim(p Policy, taken map[string]ID) {
	name := p.SecretName
	if !slices.Contains(m.Permitted, name) {
		m.refuse(p, NameNotPermitted, "the controller may not write secrets of the name %s: set secretName to one of %v", name, m.Permitted)
		return
	}
	if first, is := taken[name]; is {
		m.refuse(p, Conflict, "the secret %[2]s is that of %[1]s, which was first: set another secretName", first, name)
		return
	}
	taken[name] = p.ID
	if there, is := m.there[name]; is && owner(there) == "" {
		m.kept = append(m.kept, name)
		m.refuse(p, NotOurs, "a secret %s is there that Fairlead did not make, and stays as it is: delete it, or set another secretName", name)
	}
}

// secret decides about the secret of a policy that has the name.
func (m *maker) secret(p Policy) {
	name := p.SecretName
	there, is := m.there[name]
	want, verdict, hold := m.build(p, there)
	m.plan.Verdicts = append(m.plan.Verdicts, verdict)
	if want.Name == "" {
		if hold {
			m.kept = append(m.kept, name)
		}
		return
	}
	m.wanted[name] = p
	m.apply(there, is, want, p)
}

// owner is the policy that a secret is of, "" for one that is not ours.
func owner(s pullsecret.Secret) string { return s.Annotations[PolicyAnnotation] }

func (m *maker) apply(there pullsecret.Secret, is bool, want pullsecret.Secret, p Policy) {
	d := Decision{Verb: ApplySecret, Object: want.Name, Secret: want, Policies: []ID{p.ID}}
	content := bytes.Equal(there.Data[pullsecret.KeyConfigJSON], want.Data[pullsecret.KeyConfigJSON])
	switch {
	case !is:
		d.Reason, d.Message = Missing, fmt.Sprintf("the secret of %s was not there", p.ID)
	case there.Type != want.Type, there.Immutable && !content:
		m.plan.Decisions = append(m.plan.Decisions, Decision{
			Verb: DeleteSecret, Object: want.Name, Reason: Replacement,
			Message: "it is immutable, or has another type, and is made anew", Policies: []ID{p.ID},
		})
		d.Reason, d.Message = Replacement, "it could not be changed"
	case !content, !has(there.Labels, want.Labels), !has(there.Annotations, want.Annotations):
		d.Reason, d.Message = Differs, fmt.Sprintf("the secret was not as %s says", p.ID)
		d.Secret.Immutable = there.Immutable // there is no way back
	default:
		return
	}
	m.plan.Decisions = append(m.plan.Decisions, d)
}

func has(there, want map[string]string) bool {
	for k, v := range want {
		if got, is := there[k]; !is || got != v {
			return false
		}
	}
	return true
}

// lists decides about the accounts.
func (m *maker) lists() {
	names := slices.Sorted(maps.Keys(m.wanted))
	for _, a := range slices.SortedFunc(slices.Values(m.Accounts), func(a, b Account) int { return strings.Compare(a.Name, b.Name) }) {
		list, added := slices.Clone(a.List), slices.Clone(a.Added)
		var concerned []ID
		adds := map[string]ID{}
		for _, name := range a.Added {
			p, is := m.wanted[name]
			if slices.Contains(m.kept, name) || is && p.names(m.Namespace, a) || !slices.Contains(m.Permitted, name) {
				continue
			}
			if is {
				concerned = append(concerned, p.ID)
			}
			added = slices.DeleteFunc(added, func(n string) bool { return n == name })
			list = slices.DeleteFunc(list, func(n string) bool { return n == name })
		}
		for _, name := range names {
			if !m.wanted[name].names(m.Namespace, a) || slices.Contains(list, name) {
				continue
			}
			list, concerned, adds[name] = append(list, name), append(concerned, m.wanted[name].ID), m.wanted[name].ID
			if !slices.Contains(added, name) {
				added = append(added, name)
			}
		}
		if slices.Equal(list, a.List) && slices.Equal(added, a.Added) {
			continue
		}
		d := Decision{Verb: SetList, Object: a.Name, List: list, Added: added, Before: a, Adds: adds, Policies: concerned, Reason: Missing, Message: "the account did not name the secret"}
		if len(list) < len(a.List) || slices.Equal(list, a.List) {
			d.Reason, d.Message = NotWanted, "no policy wants the account to name the secret"
		}
		m.plan.Decisions = append(m.plan.Decisions, d)
	}
}

// removals takes away secrets of ours that nobody wants.
func (m *maker) removals() {
	for _, name := range slices.Sorted(maps.Keys(m.there)) {
		_, wanted := m.wanted[name]
		if owner(m.there[name]) == "" || wanted || slices.Contains(m.kept, name) || !slices.Contains(m.Permitted, name) {
			continue
		}
		m.plan.Decisions = append(m.plan.Decisions, Decision{
			Verb: DeleteSecret, Object: name, Reason: NotWanted,
			Message: "no policy asks for the secret of " + owner(m.there[name]) + " here, or none has a credential for it",
		})
	}
}
