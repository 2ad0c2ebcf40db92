// Package pullplan decides what is to be written in one namespace so that its
// pull secrets are as policies say. It is pure: it gets what is there and
// gives what to do, each with its reason, the same for the same state. What a
// plan asks for, done, leaves nothing to ask for.
package pullplan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// What the controller writes on objects to know its own.
const (
	// ManagedByLabel has the value ManagedBy on every secret of ours.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "fairlead"
	// PolicyAnnotation names the policy that a secret is of. What has none is
	// not ours.
	PolicyAnnotation = "fairlead.dev/policy"
	// ListAnnotation on a service account names, separated by commas, what we
	// added to its list; the rest of the list is others'.
	ListAnnotation = "fairlead.dev/pull-secrets"
)

// KubeSystem gets the secret; its accounts name it only if a policy says so.
const KubeSystem = "kube-system"

// Reason is one word for programs, as in conditions and events.
type Reason string

// The reasons.
const (
	Ready            Reason = "Ready"
	NotOurs          Reason = "NotOurs"
	NameNotPermitted Reason = "NameNotPermitted"
	Conflict         Reason = "Conflict"
	BadSelector      Reason = "BadSelector"

	SourceNotAllowed    Reason = "SourceNotAllowed"
	SourceMissing       Reason = "SourceMissing"
	SourceMalformed     Reason = "SourceMalformed"
	RegistryUnreachable Reason = "RegistryUnreachable"
	RegistryRefused     Reason = "RegistryRefused"
	CredentialPending   Reason = "CredentialPending"
	CredentialExpired   Reason = "CredentialExpired"
	EntryInvalid        Reason = "EntryInvalid"
	NoEntries           Reason = "NoEntries"
	TooLarge            Reason = "TooLarge"

	// Reasons of decisions.
	Missing     Reason = "Missing"     // what should be there is not
	Differs     Reason = "Differs"     // it is not as it should be
	NotWanted   Reason = "NotWanted"   // no policy asks for it any more
	Replacement Reason = "Replacement" // it cannot be changed, and is made anew
)

// State is all that a plan depends on.
type State struct {
	Now time.Time
	// Permitted are the names that secrets may have.
	Permitted []string
	// Policies of the cluster; those of other namespaces are passed over.
	Policies  []Policy
	Namespace Namespace
	// Accounts of the namespace, and Secrets of it that have permitted names.
	Accounts []Account
	Secrets  []pullsecret.Secret
}

// Namespace that is looked at.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Terminating bool
}

// Account is a service account.
type Account struct {
	Name   string
	Labels map[string]string
	// List is imagePullSecrets, Added what ListAnnotation names.
	List, Added []string
}

// ID names a policy; Namespace is "" for a ClusterPullSecret.
type ID struct{ Kind, Namespace, Name string }

// String is KIND/NAME or KIND/NAMESPACE/NAME.
func (i ID) String() string {
	if i.Namespace == "" {
		return i.Kind + "/" + i.Name
	}
	return i.Kind + "/" + i.Namespace + "/" + i.Name
}

// ParseID reads what String wrote; false if it is none.
func ParseID(text string) (ID, bool) {
	switch p := strings.Split(text, "/"); {
	case len(p) == 2 && p[0] != "" && p[1] != "":
		return ID{Kind: p[0], Name: p[1]}, true
	case len(p) == 3 && p[0] != "" && p[1] != "" && p[2] != "":
		return ID{p[0], p[1], p[2]}, true
	}
	return ID{}, false
}

// Policy is a ClusterPullSecret or a PullSecret.
type Policy struct {
	ID
	Created    time.Time
	SecretName string
	Registries []Registry
	// Selects says whether the labels of a namespace are chosen; nil is all.
	// Exclude are names that are not. A PullSecret has neither.
	Selects func(labels map[string]string) bool
	Exclude []string
	// NameInKubeSystem lets a ClusterPullSecret change accounts there.
	NameInKubeSystem bool

	// Accounts by name, by Match, or all; default if none is set.
	AccountNames []string
	Match        func(labels map[string]string) bool
	AllAccounts  bool
	// AppendToOwnList lets pods with a list of their own get the name, Recreate
	// those go that were made before their account had it.
	AppendToOwnList, Recreate bool

	// Unreadable says why the selectors cannot be understood: what the policy
	// made stays as it is.
	Unreadable string
}

// chooses says whether the policy is for a namespace.
func (p Policy) chooses(ns Namespace) bool {
	if p.ID.Namespace != "" {
		return p.ID.Namespace == ns.Name
	}
	return !slices.Contains(p.Exclude, ns.Name) && (p.Selects == nil || p.Selects(ns.Labels))
}

// Chooses says whether the policy asks for its secret in a namespace.
func (p Policy) Chooses(ns Namespace) bool {
	return p.Unreadable == "" && !ns.Terminating && p.chooses(ns)
}

func (p Policy) names(ns Namespace, a Account) bool {
	switch {
	case ns.Name == KubeSystem && p.ID.Namespace == "" && !p.NameInKubeSystem:
		return false
	case p.AllAccounts, slices.Contains(p.AccountNames, a.Name), p.Match != nil && p.Match(a.Labels):
		return true
	}
	return len(p.AccountNames) == 0 && p.Match == nil && a.Name == "default"
}

// older orders policies: by their age, then by their names.
func older(a, b Policy) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID.String(), b.ID.String()))
}

// Registry is one entry, or one for each of the registry's Namespaces.
type Registry struct {
	Host       string
	Namespaces []string
	Credential Credential
}

// Credential of a registry, as far as it could be had.
type Credential struct {
	Username, Password string
	// Expires is zero if that is not known.
	Expires time.Time
	// Allows says which namespaces may use it; nil is none.
	Allows func(namespace string) bool
	// Reason and Problem say why there is none, or none that is new.
	Reason  Reason
	Problem string
	// Keep lets an entry that is there stay while there is no credential: the
	// registry does not answer, or the source is gone or spoilt, which withdraws
	// nothing.
	Keep bool
}
