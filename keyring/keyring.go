// Package keyring answers what the kubelet would answer: which of a pod's
// pull secrets it would try for an image, in which order, and why it would
// not try the others.
//
// A Ring is made of Sources in the order of the pod's imagePullSecrets, and
// of the node's own config.json. It repeats Kubernetes' package
// pkg/credentialprovider, faults and all: one bad secret spoils the whole
// ring, keys are considered in reverse lexicographic order, paths are
// prefixes of bytes, and two keys of one document that mean the same come in
// random order. Explain lists every entry with its reason; Match gives the
// credentials alone. Both read one verdict, so they cannot disagree.
//
// The package is pure: it reads no file, asks no network and knows no time.
package keyring

// The types of secrets that the kubelet reads and the key of each.
const (
	TypeDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	KeyDockerConfigJSON  = ".dockerconfigjson"
	TypeDockercfg        = "kubernetes.io/dockercfg"
	KeyDockercfg         = ".dockercfg"
)

// Source is a secret as the kubelet sees it, or the node's config.json.
type Source struct {
	// Name is repeated in every answer; it may be "namespace/name" or a path.
	Name string
	// Type and Data are those of the secret; the values are decoded.
	Type string
	Data map[string][]byte
	// Node says that it is the node's own file: it is looked at after all
	// secrets, wherever it stands, and is ignored if it cannot be read.
	Node bool
}

// Ring is all that the kubelet would look at for one pod. It is immutable
// and safe for concurrent use.
type Ring struct {
	errors  []*Error
	skipped []Skip
}

// New reads the sources. What is wrong with them is in Err, Errors and
// Skipped.
func New(sources ...Source) *Ring { return &Ring{} }

// Err is what the kubelet would say instead of pulling: the *Error of the
// first bad secret. One bad entry rejects the ring, for all hosts. Nil if it
// would go on.
func (r *Ring) Err() error {
	for _, e := range r.errors {
		if !e.Node {
			return e
		}
	}
	return nil
}

// Errors are all bad entries of all sources, in their order; the kubelet
// stops at the first.
func (r *Ring) Errors() []*Error { return r.errors }

// Skipped are the sources that the kubelet passes over in silence.
func (r *Ring) Skipped() []Skip { return r.skipped }

// Match gives the credentials that the kubelet would try, in its order. None:
// it pulls once without any. Nil, too, if Err is not nil: then it does not
// pull.
func (r *Ring) Match(image Image) []Credential { return nil }

// Explain says of every entry whether it would be tried for the image.
func (r *Ring) Explain(image Image) Explanation { return Explanation{} }

// Error is one bad entry, or a document that cannot be read.
type Error struct {
	// Source is the name of the source; Node says that it is the node's own
	// file, which the kubelet then ignores.
	Source string
	Node   bool
	// Key is the entry as written, Field the field in it; both empty if the
	// document itself is bad.
	Key, Field string
	// Offset is the byte: in the decoded base64 text of the field auth, or in
	// the document. -1 if there is none.
	Offset int64
	// Text is the kubelet's own text. It quotes no secret.
	Text string
}

// Error names the source, the entry and the field before the kubelet's text.
func (e *Error) Error() string { return e.Text }

// SkipReason says why a source is passed over.
type SkipReason string

// Reasons of Skip.
const (
	SkipType  SkipReason = "wrong-type"  // Type is none of the two
	SkipKey   SkipReason = "wrong-key"   // Data has no value under the type's key
	SkipEmpty SkipReason = "empty-value" // the value has no bytes
	SkipNode  SkipReason = "unreadable"  // the node's file is bad: see Errors
)

// Skip is a source that the kubelet passes over in silence.
type Skip struct {
	Source string     `json:"source"`
	Reason SkipReason `json:"reason"`
	Detail string     `json:"detail"` // one sentence
}

// Credential is what the kubelet would sign in with. Its printed and JSON
// forms never show the password.
type Credential struct {
	Username, Password string
	// Source and Key say where it stands; Key is as written.
	Source, Key string
}

// Reason says why an entry is tried or not.
type Reason string

// Reasons of Entry.
const (
	ReasonMatch     Reason = "match"       // host, port and path match
	ReasonHub       Reason = "docker-hub"  // nothing else matched, and the key is Docker Hub's
	ReasonHubHidden Reason = "hub-hidden"  // the key is Docker Hub's, but another key matched
	ReasonPort      Reason = "port"        // the ports differ, or one has none
	ReasonLabels    Reason = "label-count" // the hosts have different numbers of labels
	ReasonHost      Reason = "host"        // a label of the host differs
	ReasonCase      Reason = "case"        // only upper and lower case differ
	ReasonPath      Reason = "path"        // the key's path is no prefix of the repository's
	ReasonGlob      Reason = "glob"        // a glob stands where none works
	ReasonBadKey    Reason = "bad-key"     // the key is no URL: it is dropped alone
)

// Entry is one entry of a source and what becomes of it for an image.
type Entry struct {
	Source   string `json:"source"`
	Key      string `json:"key"`     // as written
	Pattern  string `json:"pattern"` // what the kubelet makes of the key
	Order    int    `json:"order"`   // when it is considered, from 1; 0: never
	Matched  bool   `json:"matched"`
	Reason   Reason `json:"reason"`
	Detail   string `json:"detail"` // one sentence
	Username string `json:"username"`
	// Unstable: other entries of the same document mean the same, and the
	// kubelet takes them in random order.
	Unstable bool `json:"unstable,omitempty"`
}

// Hint is the entry that came nearest, and the key that would have matched.
type Hint struct {
	Source string `json:"source"`
	Key    string `json:"key"`    // as written
	Want   string `json:"want"`   // the key to write instead
	Detail string `json:"detail"` // one sentence
}

// Explanation is the kubelet's decision about one image.
type Explanation struct {
	Image      string // as given
	Repository string // what is looked up: normalised, no tag, no digest
	Err        error  // Ring.Err: if not nil nothing is tried, whatever Entries say
	Entries    []Entry
	Matches    []Credential // what Match gives
	Hint       *Hint        // nil if something matched or nothing is near
}

// Image is an image's name as the kubelet reads it.
type Image struct {
	Domain string // "docker.io" if none was given
	Path   string // "library/nginx"
	Tag    string // "latest" if neither tag nor digest was given
	Digest string // "sha256:…" or empty
}

// Repository is what credentials are looked up for: "docker.io/library/nginx".
func (i Image) Repository() string { return i.Domain + "/" + i.Path }

// ParseImage reads an image's name as the kubelet does: "nginx" becomes
// docker.io/library/nginx:latest. Error: *ImageError.
func ParseImage(name string) (Image, error) { return Image{}, nil }

// ImageError says why the kubelet refuses a name (reason InvalidImageName).
type ImageError struct {
	Name string
	Text string // the kubelet's own
	Hint string // what to do
}

func (e *ImageError) Error() string { return e.Text }
