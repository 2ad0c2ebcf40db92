// Package pullsecret is one Kubernetes pull secret as a value: how it is made
// of entries, and what is wrong with one that somebody has. It knows no
// cluster, no file and no clock; the same findings are printed by
// `fairlead secret check`, by `fairlead why`, and said by the controller.
//
// The API server accepts far more than the kubelet can read, and the kubelet
// says little: one entry that does not decode takes every image of every pod
// that names the secret down with it, a misspelt type is skipped in silence.
// A Finding says which entry, which byte, what pods see, and what to type.
package pullsecret

import "log/slog"

// The types that the kubelet reads, each with its data key; it skips every
// other in silence.
const (
	TypeConfigJSON = "kubernetes.io/dockerconfigjson"
	KeyConfigJSON  = ".dockerconfigjson"
	TypeLegacy     = "kubernetes.io/dockercfg"
	KeyLegacy      = ".dockercfg"
)

// MaxBytes is what the values of a secret may sum up to (Kubernetes'
// ValidateSecret).
const MaxBytes = 1 << 20

// Secret is a Kubernetes Secret, as far as pulling is concerned. Its data is
// never printed.
type Secret struct {
	Namespace, Name string
	// UID is "" in a file.
	UID       string
	Type      string
	Data      map[string][]byte
	Immutable bool

	Labels, Annotations map[string]string
	// ResourceVersion is "" in a file.
	ResourceVersion string
	// Position is where it stands in a file; zero if in a cluster.
	Position Position
}

// Position is a place in a file; lines count from 1.
type Position struct {
	File string
	Line int
}

// ID is namespace/name, or the name alone where no namespace is known.
func (s Secret) ID() string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Namespace + "/" + s.Name
}

// String is the ID: the data stays out of every print and log.
func (s Secret) String() string { return s.ID() }

// GoString is String.
func (s Secret) GoString() string { return s.ID() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.ID()) }
