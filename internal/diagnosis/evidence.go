// Package diagnosis says why an image cannot be pulled: from what was seen
// (the pod, its account, the secrets, the registry's answers) it finds the
// root cause, the evidence, the fix, and what it could not see. It is a pure
// function: Diagnose(Evidence). Whoever gathers (a cluster, a file, the
// network) fills the Evidence, and says what it could not see by leaving it
// empty with a Blind line.
package diagnosis

import (
	"time"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// Evidence is all that was gathered about one pod, or about one image alone.
type Evidence struct {
	Now time.Time
	// Workload is what was asked for: "pod/x", "deployment/y", a file's path;
	// "" for an image alone.
	Workload string
	// APIVersion and Kind of a workload in a file, which may be out of date.
	APIVersion, Kind string
	// Pod is nil where only an image is known.
	Pod *Pod
	// Account is the pod's service account; nil if it could not be read.
	Account *Account
	// Secrets are those of the pod's list, in its order: what the kubelet
	// reads. For an image alone they are the files that were given.
	Secrets []NamedSecret
	// AccountSecrets are those of the account's list, where it differs.
	AccountSecrets []NamedSecret
	// Accounts are the namespace's other service accounts.
	Accounts []Account
	// Others are the namespace's further pull secrets.
	Others []pullsecret.Secret
	// KubeletLog are lines of the node's log about credential plugins.
	KubeletLog []string
	// Node is where the pod runs; nil if it runs nowhere or cannot be read.
	Node *Node
	// Answers are the registry's, by the image as the container writes it.
	Answers map[string]Answer
	// Records are what our own registry knows of the credentials that were
	// tried, by the username and index in Answers; see Record.
	Records map[RecordKey]Record
	// Blind says what could not be seen, and why: one sentence each.
	Blind []string
}

// Pod is a Pod of Kubernetes, or of a template in a file.
type Pod struct {
	Namespace, Name, UID string
	AccountName          string
	// PullSecrets are the names in its own list, in order.
	PullSecrets []string
	Created     time.Time
	NodeName    string
	// NodeSelector are the labels that it asks of its node.
	NodeSelector map[string]string
	// Owner is the workload to restart, such as deployment/web; "" if none.
	Owner string
	// Template says that it stands in a file or an owner's template: there is
	// no running pod.
	Template   bool
	Containers []Container
	Events     []Event
	// Position is where it stands in a file.
	Position pullsecret.Position
}

// ContainerKind tells the places an image is named at.
type ContainerKind string

// The kinds.
const (
	Normal      ContainerKind = "container"
	Init        ContainerKind = "init container"
	Ephemeral   ContainerKind = "ephemeral container"
	ImageVolume ContainerKind = "image volume"
)

// Container is one place where a pod names an image.
type Container struct {
	Kind  ContainerKind
	Name  string
	Image string
	// PullPolicy is Always, IfNotPresent or Never.
	PullPolicy string
	// Running says that it has run: its image was pulled.
	Running bool
	// Reason and Message are its waiting state's.
	Reason, Message string
}

// Pulled says that it has its image. One that ran, and is to run again, may
// have to pull once more, and fail.
func (c Container) Pulled() bool { return c.Running && !failsToPull(c.Reason) }

// Event is what the kubelet or another said about the pod, newest last.
type Event struct {
	Reason, Message, Component string
	// FieldPath names the container, such as spec.containers{app}.
	FieldPath string
	Count     int
	Last      time.Time
}

// Account is a ServiceAccount.
type Account struct {
	Namespace, Name string
	// Exists is false where the API server says that there is none.
	Exists      bool
	PullSecrets []string
	// ListOwners are the field managers of its list, newest last, and when
	// each wrote it.
	ListOwners []FieldOwner
}

// FieldOwner is a line of managedFields.
type FieldOwner struct {
	Manager, Operation string
	At                 time.Time
}

// NamedSecret is a secret that a pod or an account names, if it is there.
type NamedSecret struct {
	Name string
	// Found is false where the API server says that there is none.
	Found bool
	// Unreadable is why it could not be read; "" if it could.
	Unreadable string
	Secret     pullsecret.Secret
	// Elsewhere are the namespaces that have a secret of this name.
	Elsewhere []string
}

// Node is what a node says of itself.
type Node struct {
	Name, OS, Architecture string
	KubeletVersion         string
	// Runtime is such as containerd://1.6.20.
	Runtime string
	// Images that it holds, by every name.
	Images map[string]bool
	Labels map[string]string
	// PluginErrors counts the failures of its credential plugins, by name; nil
	// if that could not be read.
	PluginErrors map[string]int
}

// RecordKey names one attempt: the image and the credential's place in it.
type RecordKey struct {
	Image string
	Index int
}

// Record is what our own registry says of a token that was tried.
type Record struct {
	// Server that was asked.
	Server string
	// Known is false where the registry knows no such token.
	Known                      bool
	ID, Description            string
	Access                     string
	Expires, Revoked, LastUsed time.Time
	RevokedBy                  string
	// Rotated is when its present value was made; the one before is good no
	// longer.
	Rotated time.Time
	// Reach says in words what it opens; Lacks what this pull would need.
	Reach, Lacks string
}
