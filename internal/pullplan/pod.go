package pullplan

import (
	"maps"
	"slices"

	"fairlead.dev/fairlead/keyring"
)

// Pod is what matters of a pod. Its list was copied from its account's when it
// was made, unless it had one; it never changes.
type Pod struct {
	Account string
	List    []string
}

// ForPod gives the names to add to the list of a pod that is about to be made:
// those that its account will have once the namespace is as policies say, and
// that the pod lacks. A pod whose list is not its account's, but for names of
// ours, gets those only whose policy appends to own lists. A secret that is to have a token counts
// while that is awaited: a kubelet reads secrets at each try.
//
// The account may be missing in s, if it is so new that it has not been seen.
func ForPod(s State, p Pod) (add []string) {
	if s.Namespace.Terminating || s.Namespace.Name == KubeSystem {
		return nil
	}
	s.Policies = awaited(s.Policies, s.Namespace.Name)
	m := decide(s)
	a := account(s, p.Account)
	will := m.named(a)
	// The API server that copied the list, and our cache, may each have seen
	// another one of late: they differ by our own names only.
	copied := slices.Equal(without(p.List, will), without(a.List, will))
	for _, name := range will {
		if !slices.Contains(p.List, name) && (copied || len(p.List) == 0 || m.wanted[name].AppendToOwnList) {
			add = append(add, name)
		}
	}
	return add
}

// awaited gives policies as they will be once all tokens are minted.
func awaited(policies []Policy, namespace string) []Policy {
	out := slices.Clone(policies)
	for i := range out {
		out[i].Registries = slices.Clone(out[i].Registries)
		for j := range out[i].Registries {
			c := &out[i].Registries[j].Credential
			if c.Reason == CredentialPending && c.Allows != nil && c.Allows(namespace) {
				c.Username, c.Password, c.Reason = "awaited", "awaited", ""
			}
		}
	}
	return out
}

func account(s State, name string) Account {
	for _, a := range s.Accounts {
		if a.Name == name {
			return a
		}
	}
	return Account{Name: name}
}

// named are the wanted secrets that an account is to name, in order.
func (m *maker) named(a Account) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(m.wanted)) {
		if m.wanted[name].names(m.Namespace, a) {
			out = append(out, name)
		}
	}
	return out
}

func without(list, names []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return slices.Contains(names, n) })
}

func within(list, names []string) bool {
	return !slices.ContainsFunc(list, func(n string) bool { return !slices.Contains(names, n) })
}

// Early is why a pod that waits for an image came too early.
type Early struct {
	// Secret is there and its account names it, but the pod does not; Image is
	// what it would be tried for.
	Secret, Image string
	Policy        ID
	// Recreate says that the policy lets the pod go.
	Recreate bool
}

// CameEarly says whether a pod that waits for images would get one of them if
// it were made anew: by a secret that has come meanwhile, and that its account
// names. A pod whose list cannot be its account's of some time before would
// come back as it is, unless the policy appends to own lists.
func CameEarly(s State, p Pod, images []string) (Early, bool) {
	if s.Namespace.Terminating {
		return Early{}, false
	}
	m := decide(s)
	a := account(s, p.Account)
	copied := within(p.List, a.List) // the rest of the account's came later
	for _, name := range m.named(a) {
		policy := m.wanted[name]
		there, is := m.there[name]
		if !is || slices.Contains(p.List, name) || !slices.Contains(a.List, name) || !copied && !policy.AppendToOwnList {
			continue
		}
		ring := keyring.New(keyring.Source{Name: name, Type: there.Type, Data: there.Data})
		for _, image := range images {
			if i, err := keyring.ParseImage(image); err == nil && len(ring.Match(i)) > 0 {
				return Early{name, image, policy.ID, policy.Recreate}, true
			}
		}
	}
	return Early{}, false
}
