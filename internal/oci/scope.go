package oci

import (
	"slices"
	"strings"
)

// Action is what a scope allows on a repository.
type Action string

// The actions. "*" is only ever granted on the catalog.
const (
	ActionPull   Action = "pull"
	ActionPush   Action = "push"
	ActionDelete Action = "delete"
	ActionAll    Action = "*"
)

// Resource types of scopes.
const (
	ResourceRepository = "repository"
	ResourceRegistry   = "registry"
)

// Catalog is the name of the one registry-wide resource.
const Catalog = "catalog"

// Scope names a resource and actions on it, as in token requests:
// "repository:acme/web:pull,push", "registry:catalog:*".
// Actions are sorted and each occurs once.
type Scope struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []Action `json:"actions"`
}

// Limits of what one token request may ask for.
const (
	MaxScopes  = 100
	maxActions = 10
)

// RepoScope is the scope for actions on a repository.
func RepoScope(r Repo, actions ...Action) Scope {
	return Scope{Type: ResourceRepository, Name: string(r), Actions: sorted(actions)}
}

// CatalogScope is the scope for listing repositories.
func CatalogScope() Scope {
	return Scope{Type: ResourceRegistry, Name: Catalog, Actions: []Action{ActionAll}}
}

// ParseScope reads one scope. The name may hold ':' (a port). Unknown types
// and actions are syntactically fine: nobody is ever granted them.
// Errors: REQUEST_INVALID; NAME_INVALID for a repository that cannot exist.
func ParseScope(s string) (Scope, error) {
	typ, rest, ok := strings.Cut(s, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 || typ == "" {
		return Scope{}, Errorf(CodeRequestInvalid, "the scope %q is not of the form type:name:actions", Clip(s))
	}
	name, acts := rest[:i], rest[i+1:]
	if typ == ResourceRepository {
		if _, err := ParseRepo(name); err != nil {
			return Scope{}, err
		}
	}
	parts := strings.Split(acts, ",")
	if len(parts) > maxActions || len(name) > 255 || len(typ) > 64 {
		return Scope{}, Errorf(CodeRequestInvalid, "the scope %q is too long", Clip(s))
	}
	var actions []Action
	for _, a := range parts {
		if a = strings.TrimSpace(a); a != "" && len(a) <= 32 {
			actions = append(actions, Action(a))
		}
	}
	return Scope{Type: typ, Name: name, Actions: sorted(actions)}, nil
}

// ParseScopes reads the values of scope=, each of which may hold several
// scopes separated by spaces. Scopes on one resource are merged.
func ParseScopes(values []string) ([]Scope, error) {
	var out []Scope
	index := map[[2]string]int{}
	n := 0
	for _, v := range values {
		for f := range strings.FieldsSeq(v) {
			if n++; n > MaxScopes {
				return nil, Errorf(CodeRequestInvalid, "more than %d scopes in one request", MaxScopes)
			}
			s, err := ParseScope(f)
			if err != nil {
				return nil, err
			}
			k := [2]string{s.Type, s.Name}
			if i, ok := index[k]; ok {
				out[i].Actions = sorted(append(out[i].Actions, s.Actions...))
				continue
			}
			index[k] = len(out)
			out = append(out, s)
		}
	}
	return out, nil
}

// String is the wire form.
func (s Scope) String() string {
	var b strings.Builder
	b.WriteString(s.Type + ":" + s.Name + ":")
	for i, a := range s.Actions {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(a))
	}
	return b.String()
}

// Covers tells whether s allows everything that want names.
func (s Scope) Covers(want Scope) bool {
	if s.Type != want.Type || s.Name != want.Name {
		return false
	}
	for _, a := range want.Actions {
		if !slices.Contains(s.Actions, a) {
			return false
		}
	}
	return true
}

func sorted(a []Action) []Action {
	a = slices.Clone(a)
	slices.Sort(a)
	return slices.Compact(a)
}
