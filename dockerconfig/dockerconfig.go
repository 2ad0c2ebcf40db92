// Package dockerconfig reads and writes the files in which docker, podman,
// skopeo and Kubernetes keep credentials of registries: docker's config.json,
// its elder .dockercfg, and the containers tools' auth.json.
//
// A File keeps what it does not know, and the order of everything: encoding
// what was read changes only what was set. Two look-ups are offered because
// the tools differ: Docker (a whole host) and Containers (the longest path
// first). What the kubelet does is in package keyring.
//
// The package is pure: it reads no file and runs no helper; a look-up names
// the helper to ask. Printing an Entry, by fmt, log/slog or encoding/json,
// never shows a secret; File.Encode is the one way to write them.
package dockerconfig

// MaxSize is the longest document that is read, in bytes.
const MaxSize = 1 << 20

// HubKey is the key under which docker keeps Docker Hub's credential.
const HubKey = "https://index.docker.io/v1/"

// File is a file of credentials. The zero value is an empty config.json.
type File struct{}

// Parse reads a config.json or auth.json. Error: *Error.
func Parse(data []byte) (*File, error) { return nil, nil }

// ParseDockercfg reads a .dockercfg: a map of entries without "auths".
// Encode writes it in the same shape. Error: *Error.
func ParseDockercfg(data []byte) (*File, error) { return nil, nil }

// Entries are all entries in their order.
func (f *File) Entries() []Entry { return nil }

// Entry gives the entry with exactly this key.
func (f *File) Entry(key string) (Entry, bool) { return Entry{}, false }

// Set puts an entry in the place of the one with its key, or at the end.
// Fields of the old entry that this package does not know stay. Error:
// *Error (an empty key, a colon in the user).
func (f *File) Set(e Entry) error { return nil }

// Remove forgets an entry and says whether it was there.
func (f *File) Remove(key string) bool { return false }

// Merge adds the entries and credHelpers of another file. What both files
// have with different content is left as it is and reported. Other top-level
// fields are not taken.
func (f *File) Merge(other *File) []Conflict { return nil }

// Encode writes the file in one line, in the bytes in which kubectl create
// secret docker-registry writes it.
func (f *File) Encode() []byte { return nil }

// EncodeIndent writes the file as docker and podman do: indented by tabs.
func (f *File) EncodeIndent() []byte { return nil }

// CredsStore is the helper that docker asks for every host without its own.
func (f *File) CredsStore() string { return "" }

// CredHelpers are the helpers of single hosts.
func (f *File) CredHelpers() map[string]string { return nil }

// Docker looks a host up as docker does. Give "docker.io" or HubKey for
// Docker Hub. False: the file has nothing for it.
func (f *File) Docker(host string) (Found, bool) { return Found{}, false }

// Containers looks a repository ("quay.io/team/app", no tag) up as podman,
// skopeo and CRI-O do: whole elements, the longest key first. False: the
// file has nothing for it.
func (f *File) Containers(repository string) (Found, bool) { return Found{}, false }

// Found is the answer of a look-up: an entry, or a helper to ask.
type Found struct {
	// Entry is the file's own; with a Helper it may be the empty mark that
	// docker leaves.
	Entry Entry
	// Helper is NAME of docker-credential-NAME, Server what to ask it for;
	// both empty if Entry is the answer.
	Helper, Server string
}

// Entry is the credential of one registry. Its printed and JSON forms never
// show Password, IdentityToken or RegistryToken.
type Entry struct {
	Key                string // as written: a host, a URL, a host with a path
	Username, Password string // decoded from "auth" if that is there
	Email              string
	ServerAddress      string
	IdentityToken      string // an OAuth refresh token
	RegistryToken      string // a bearer token
}

// Kind says what an entry holds.
type Kind string

// Kinds of entries.
const (
	Password Kind = "password"       // a user and a password
	Empty    Kind = "empty"          // nothing: the secret lies in a store
	Identity Kind = "identity-token" // a refresh token: the kubelet cannot use it
	Registry Kind = "registry-token" // a bearer token: the kubelet cannot use it
)

// Kind classifies the entry: a registry token comes before an identity token,
// and that before a password, as docker uses them.
func (e Entry) Kind() Kind { return Empty }

// Conflict is what two files say differently.
type Conflict struct {
	Key                    string // of the entry, or of the credHelper
	Helper                 bool   // it is a credHelper
	Ours, Theirs           Entry  // for entries
	OurHelper, TheirHelper string // for credHelpers
}

// Error says what is wrong with a document.
type Error struct {
	Key, Field string // the entry and its field; empty: the document itself
	Offset     int64  // the byte in the document, or in the base64 text of auth; -1: none
	Text       string // what is wrong and what to do; quotes no secret
}

func (e *Error) Error() string { return e.Text }
