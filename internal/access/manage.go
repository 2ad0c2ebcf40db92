package access

import "fmt"

// Task is an act of management, apart from what registry scopes allow.
type Task string

// The tasks.
const (
	ManageAccounts   Task = "manage accounts"
	ManageNamespaces Task = "manage namespaces"
	ReadNamespaces   Task = "list namespaces"
	ManageTokens     Task = "manage tokens"
	ShowTokens       Task = "show the values of tokens"
	// MintForCluster: make, list and end read-only tokens of one's cluster.
	MintForCluster Task = "make tokens for its cluster"
	ReadAudit      Task = "read the audit trail"
	ReadUsage      Task = "read the usage"
)

// May tells whether p may do the task for an account (0 is the operator's
// own business, or that of all accounts together). An admin's token reaches
// all of its account: one that did not could widen its own reach.
func May(p Principal, t Task, accountID int64) Decision {
	if p.Kind == Operator {
		return Decision{Allowed: true, Reason: operatorRule.because}
	}
	if p.Kind != Account || p.AccountID == 0 {
		return Decision{Reason: fmt.Sprintf("sign in to %s: the user name is %q, the password a Fairlead token", t, UserName)}
	}
	if t == ManageAccounts {
		return Decision{Reason: "only the operator may " + string(t)}
	}
	if accountID != p.AccountID {
		return Decision{Reason: p.Name + " has no right to " + string(t) + " of another account"}
	}
	switch {
	case p.Level == Admin && p.Reach.All:
		return Decision{Allowed: true, Reason: "the token is an admin's"}
	case p.Level == Cluster && t == MintForCluster && p.Cluster != "":
		return Decision{Allowed: true, Reason: "the token is the cluster's"}
	case p.pulls() && (t == ReadNamespaces || t == ReadUsage):
		return Decision{Allowed: true, Reason: "every token may, within its reach"}
	}
	return Decision{Reason: fmt.Sprintf("the token %s has %s access and no right to %s: use an admin's token", p.Name, p.Level, t)}
}
