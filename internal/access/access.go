// Package access decides who may do what: pure functions over principals and
// scopes, with a reason attached to every refusal.
package access

import (
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// Kind of a principal.
type Kind string

// The kinds. People who sign in through an identity provider will be another.
const (
	Anonymous Kind = "anonymous"
	Operator  Kind = "operator"
	// Account is a token of an account.
	Account Kind = "account"
)

// Level is what an account's token may do within its reach.
type Level string

// The levels.
const (
	ReadOnly  Level = "readonly"  // pull
	ReadWrite Level = "readwrite" // pull, push, delete
	Admin     Level = "admin"     // and manage the account's namespaces and tokens
	// Cluster mints read-only tokens for its own cluster, and nothing else.
	Cluster Level = "cluster"
)

// Levels are all of them, the least first.
var Levels = []Level{ReadOnly, ReadWrite, Admin, Cluster}

// Principal is who asks. The zero value is nobody and may do nothing; so may
// Anonymous. The fields from AccountID on are those of the kind Account.
type Principal struct {
	Kind Kind
	// TokenID names the Fairlead token that was signed in with (it is no
	// secret). It owns uploads; "" for anonymous.
	TokenID string
	// Name for people and logs, such as "operator" or "acme/9f3k…".
	Name string

	// AccountID is never used again, Account is its name.
	AccountID int64
	Account   string
	Level     Level
	Reach     Reach
	// Cluster that the token is of, "" for none.
	Cluster string
	// Generation of the token's value: it grows when the token is rotated.
	Generation int
	// Expires is when the token does, zero if never; from WarnFrom on its user
	// is told.
	Expires, WarnFrom time.Time
}

// Reach is where in its account a token may act. The zero Reach is nowhere.
type Reach struct {
	// All namespaces of the account, those added later included.
	All bool `json:"all,omitempty"`
	// Parts of it otherwise.
	Parts []Part `json:"parts,omitempty"`
}

// MaxParts bounds a Reach: it travels in every registry token.
const MaxParts = 50

// Part is a namespace ("acme"), or a repository with all below it
// ("acme/web"), in one life of the namespace.
type Part struct {
	Path        string `json:"path"`
	Incarnation string `json:"incarnation"`
}

// Namespace is the first path element of the part.
func (p Part) Namespace() string {
	ns, _, _ := strings.Cut(p.Path, "/")
	return ns
}

// holds tells whether path is the part or lies below it.
func (p Part) holds(path string) bool {
	rest, ok := strings.CutPrefix(path, p.Path)
	return ok && p.Path != "" && (rest == "" || rest[0] == '/')
}

// Covers tells whether the repository lies in reach, in this life of its
// namespace.
func (r Reach) Covers(repo oci.Repo, incarnation string) bool {
	if r.All {
		return true
	}
	for _, p := range r.Parts {
		if p.holds(string(repo)) && p.Incarnation == incarnation {
			return true
		}
	}
	return false
}

// touches tells whether anything of the namespace lies in reach.
func (r Reach) touches(n Namespace) bool {
	return r.All || slices.ContainsFunc(r.Parts, func(p Part) bool {
		return p.Namespace() == n.Name && p.Incarnation == n.Incarnation
	})
}

// Namespace is what the policy knows of one that is there now.
type Namespace struct {
	Name      string
	AccountID int64
	// Incarnation is random: a namespace made again is another one.
	Incarnation string
	// Public: every signed-in account may pull.
	Public bool
}

// In tells whether anything of the namespace lies in p's reach.
func (n Namespace) In(p Principal) bool {
	return p.Kind == Operator || p.Kind == Account && n.AccountID == p.AccountID && p.Reach.touches(n)
}

// Namespaces answers from memory.
type Namespaces interface {
	// Namespace that is there now; false if none of that name is.
	Namespace(name string) (Namespace, bool)
	// Names of those that p may see something of, in the order of the
	// repositories in them: its account's, as far as it reaches, and with
	// public the public ones.
	Names(p Principal, public bool) []string
}

// Decision is a verdict with its reason, written for the one it concerns.
type Decision struct {
	Allowed bool
	Reason  string
}

// Error is a refusal. It unwraps to an oci.Error: UNAUTHORIZED when signing in
// (or asking for Need) could help, DENIED when it could not.
type Error struct {
	Need   []oci.Scope
	Code   oci.Code
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Unwrap gives the protocol's error.
func (e *Error) Unwrap() error { return oci.Errorf(e.Code, "%s", e.Reason) }

// Namespaces that the parts lie in, sorted; none for a Reach of all.
func (r Reach) Namespaces() []string {
	var out []string
	for _, p := range r.Parts {
		out = append(out, p.Namespace())
	}
	slices.Sort(out)
	return slices.Compact(out)
}
