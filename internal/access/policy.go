package access

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

// Options of a Policy.
type Options struct {
	// Namespaces that are there; nil is none.
	Namespaces Namespaces
	// AnonymousPublic lets everybody pull from public namespaces, signed in
	// or not.
	AnonymousPublic bool
}

// Policy decides who may do what. It is pure but for the namespaces that are
// there, which it asks for. The zero Policy allows nothing to anybody.
type Policy struct {
	o     Options
	rules []rule
}

// NewPolicy makes the policy in force.
func NewPolicy(o Options) Policy {
	rules := []rule{operatorRule, ownRule, providedRule, publicRule, catalogRule}
	if o.AnonymousPublic {
		rules = append(rules, everybodyRule)
	}
	return Policy{o: o, rules: rules}
}

// rule is one reason to have rights. Rules add up; none takes away what
// another gives.
type rule struct {
	because string
	// actions the principal has on the resource by this rule, in no
	// particular order; a subset of resource.actions.
	actions func(Principal, resource) []oci.Action
}

var (
	operatorRule = rule{
		because: "the operator may do everything",
		actions: func(p Principal, r resource) []oci.Action {
			if p.Kind != Operator {
				return nil
			}
			return r.actions
		},
	}
	ownRule = rule{
		because: "the namespace belongs to the account and lies in the token's reach",
		actions: func(p Principal, r resource) []oci.Action {
			if !p.owns(r) || !p.Reach.Covers(r.repo, r.namespace.Incarnation) {
				return nil
			}
			return p.Level.actions()
		},
	}
	providedRule = rule{
		because: "every account may pull provided images",
		actions: func(p Principal, r resource) []oci.Action {
			if r.repo == "" || r.repo.Namespace() != "" || !p.pulls() {
				return nil
			}
			return pullOnly
		},
	}
	publicRule = rule{
		because: "every account may pull from a public namespace",
		actions: func(p Principal, r resource) []oci.Action {
			if !r.namespace.Public || !p.pulls() {
				return nil
			}
			return pullOnly
		},
	}
	// catalogRule: who may pull may list; what is listed, guard filters.
	catalogRule = rule{
		because: "accounts may list what they may pull from",
		actions: func(p Principal, r resource) []oci.Action {
			if r.repo != "" || !p.pulls() {
				return nil
			}
			return r.actions
		},
	}
	everybodyRule = rule{
		because: "everybody may pull from a public namespace",
		actions: func(p Principal, r resource) []oci.Action {
			if !r.namespace.Public || p.Kind != Anonymous {
				return nil
			}
			return pullOnly
		},
	}
)

var pullOnly = []oci.Action{oci.ActionPull}

// actions of the level where a token reaches.
func (l Level) actions() []oci.Action {
	switch l {
	case ReadOnly:
		return pullOnly
	case ReadWrite, Admin:
		return repoActions
	default: // Cluster mints tokens, and pulls nothing itself
		return nil
	}
}

// pulls tells whether the principal is a token of an account that may pull at
// all.
func (p Principal) pulls() bool { return p.Kind == Account && len(p.Level.actions()) > 0 }

// owns tells whether the resource lies in a namespace of p's account.
func (p Principal) owns(r resource) bool {
	return p.Kind == Account && p.AccountID != 0 && r.namespace.AccountID == p.AccountID
}

// resource is something that exists to have rights on.
type resource struct {
	// repo is "" for the catalog.
	repo oci.Repo
	// namespace that repo lies in, if it is there: else the zero value, which
	// nobody owns.
	namespace Namespace
	// actions that exist on it. "*" exists on the catalog only, where it is
	// the name of its single action.
	actions []oci.Action
}

var (
	repoActions    = []oci.Action{oci.ActionDelete, oci.ActionPull, oci.ActionPush}
	catalogActions = []oci.Action{oci.ActionAll}
)

// resourceOf finds what a scope is about; false if there is no such thing.
func (pol Policy) resourceOf(s oci.Scope) (resource, bool) {
	switch s.Type {
	case oci.ResourceRepository:
		repo, err := oci.ParseRepo(s.Name)
		r := resource{repo: repo, actions: repoActions}
		if ns := repo.Namespace(); err == nil && ns != "" && pol.o.Namespaces != nil {
			r.namespace, _ = pol.o.Namespaces.Namespace(ns)
		}
		return r, err == nil
	case oci.ResourceRegistry:
		return resource{actions: catalogActions}, s.Name == oci.Catalog
	default:
		return resource{}, false
	}
}

// Allow grants what p wants and may have. It is a pure intersection: it never
// adds to wanted, asking for too much is no error, and what is granted is
// granted again when asked for alone. Scopes that nothing is granted of are
// dropped; unknown types, names and actions are never granted. Actions come
// sorted, each once.
//
// A "*" wanted on a repository is shorthand for pull, push and delete, because
// skopeo asks for just that before it deletes. The concrete actions that p has
// are granted, never the "*" itself: in a token it would be an action that
// nothing asks for.
func (pol Policy) Allow(p Principal, wanted []oci.Scope) []oci.Scope {
	var granted []oci.Scope
	for _, w := range wanted {
		r, ok := pol.resourceOf(w)
		if !ok {
			continue
		}
		var actions []oci.Action
		for _, a := range r.actions {
			if r.wanted(w, a) && pol.because(p, r, a) != "" {
				actions = append(actions, a)
			}
		}
		if len(actions) > 0 {
			granted = append(granted, oci.Scope{Type: w.Type, Name: w.Name, Actions: actions})
		}
	}
	return granted
}

// wanted tells whether the scope asks for the action.
func (r resource) wanted(s oci.Scope, a oci.Action) bool {
	return slices.Contains(s.Actions, a) || slices.Contains(s.Actions, oci.ActionAll)
}

// because is why p has the action; "" if p has not.
func (pol Policy) because(p Principal, r resource, a oci.Action) string {
	for _, rule := range pol.rules {
		if slices.Contains(rule.actions(p, r), a) {
			return rule.because
		}
	}
	return ""
}

// Explain tells whether p may do everything that need names, and why. It
// agrees with Allow: it allows exactly what Allow grants in full. So a need
// of "*" on a repository is refused, and so is one that names no action.
func (pol Policy) Explain(p Principal, need oci.Scope) Decision {
	r, ok := pol.resourceOf(need)
	if !ok {
		return Decision{Reason: fmt.Sprintf("there is no %s named %q to have rights on", noun(need.Type), oci.Clip(need.Name))}
	}
	if len(need.Actions) == 0 {
		return Decision{Reason: "no action is named"}
	}
	var because string
	for _, a := range need.Actions {
		if !slices.Contains(r.actions, a) {
			return Decision{Reason: fmt.Sprintf("%q is no action on %s: there is %s", oci.Clip(string(a)), r, list(r.actions))}
		}
		if because = pol.because(p, r, a); because == "" {
			return Decision{Reason: refusal(p, r, a)}
		}
	}
	return Decision{Allowed: true, Reason: because}
}

// refusal is the sentence for the one who is refused. To who does not own the
// namespace it says the same whether or not anything of that name exists.
func refusal(p Principal, r resource, a oci.Action) string {
	what := fmt.Sprintf("%s %s", verb(a), r)
	if p.Kind == "" || p.Kind == Anonymous {
		return fmt.Sprintf("sign in to %s: the user name is %q, the password a Fairlead token", what, UserName)
	}
	name := p.Name
	if name == "" {
		name = string(p.Kind)
	}
	switch {
	case p.Kind == Account && p.Level == Cluster:
		return fmt.Sprintf("the token %s is a cluster's: it makes read-only tokens for that cluster and has no right to %s; use one of those", name, what)
	case p.owns(r) && !p.Reach.Covers(r.repo, r.namespace.Incarnation):
		return fmt.Sprintf("the token %s does not reach %s: an admin of the account can make one that does", name, r)
	case p.owns(r):
		return fmt.Sprintf("the token %s is read-only and has no right to %s: use a read-write token", name, what)
	case p.Kind == Account && r.repo != "" && r.repo.Namespace() == "":
		return fmt.Sprintf("%s has no right to %s: images without a namespace are the operator's to change; write NAMESPACE/%s", name, what, r.repo)
	}
	return fmt.Sprintf("%s has no right to %s: ask its owner, sign in with another token, or add the namespace", name, what)
}

// UserName is what clients give as user name when the password is a Fairlead
// token: it says what the password is.
const UserName = "token"

func (r resource) String() string {
	if r.repo == "" {
		return "the catalog"
	}
	return "the repository " + string(r.repo)
}

func verb(a oci.Action) string {
	switch a {
	case oci.ActionPull:
		return "pull from"
	case oci.ActionPush:
		return "push to"
	case oci.ActionDelete:
		return "delete from"
	default:
		return "list"
	}
}

func noun(scopeType string) string {
	if scopeType == oci.ResourceRepository || scopeType == oci.ResourceRegistry {
		return scopeType
	}
	return fmt.Sprintf("resource of type %q", oci.Clip(scopeType))
}

func list(actions []oci.Action) string {
	var names []string
	for _, a := range actions {
		names = append(names, fmt.Sprintf("%q", a))
	}
	return strings.Join(names, ", ")
}

// Visible tells whether p may pull from the repository: what lists show.
func (pol Policy) Visible(p Principal, repo oci.Repo) bool {
	return pol.Explain(p, oci.Scope{Type: oci.ResourceRepository, Name: string(repo), Actions: pullOnly}).Allowed
}

// VisibleIn tells whether p may pull from anything in the namespace.
func (pol Policy) VisibleIn(p Principal, namespace string) bool {
	if pol.o.Namespaces == nil {
		return p.Kind == Operator
	}
	n, ok := pol.o.Namespaces.Namespace(namespace)
	switch {
	case p.Kind == Operator:
		return true
	case !ok:
		return false
	case n.Public && (p.pulls() || p.Kind == Anonymous && pol.o.AnonymousPublic):
		return true
	}
	return p.pulls() && n.In(p)
}

// Listed are the namespaces that p may pull something from, in the order of
// the repositories in them.
func (pol Policy) Listed(p Principal) []string {
	if pol.o.Namespaces == nil || !p.pulls() && (p.Kind != Anonymous || !pol.o.AnonymousPublic) {
		return nil
	}
	return pol.o.Namespaces.Names(p, true)
}
