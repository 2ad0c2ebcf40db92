// Package dockerconfig reads and writes the files in which docker, podman,
// skopeo and Kubernetes keep credentials of registries: docker's config.json,
// its elder .dockercfg, and the containers tools' auth.json.
//
// A File keeps what it does not know, and the order of everything: encoding
// what was read changes only what was set. Two look-ups are offered because
// the tools differ: Docker (a whole host) and Containers (the longest path
// first). What the kubelet does is in package keyring; it also forgives more
// than docker, whose decoding this package has: base64 is padded, and the
// user is not empty.
//
// The package is pure: it reads no file and runs no helper; a look-up names
// the helper to ask. Printing an Entry or a File, by fmt, log/slog or
// encoding/json, never shows a secret; Encode and EncodeIndent are the only
// ways to write them.
package dockerconfig

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// MaxSize is the longest document that is read, in bytes: a secret of
// Kubernetes has no more.
const MaxSize = 1 << 20

// HubKey is the key under which docker keeps Docker Hub's credential.
const HubKey = "https://index.docker.io/v1/"

// File is a file of credentials. The zero value is an empty config.json.
type File struct {
	legacy  bool     // a .dockercfg: the entries stand at the top
	members []member // of the document in their order; that of the entries has no value
	items   []item
	store   string
	helpers map[string]string
}

// member is a name and a value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
	at    int64 // where the value begins in the document that was read
}

// item is an entry with all that was read.
type item struct {
	Entry
	fromAuth bool     // the user and the password stood in "auth"
	members  []member // as read, or as Set wrote them
}

// Error says what is wrong with a document or an entry.
type Error struct {
	Key, Field string // the entry and its field; empty: the document itself
	// Offset is the byte: in the text of the field auth if that is no base64,
	// or else in the document. -1: none.
	Offset int64
	Text   string // what is wrong and what to do; it quotes no secret
}

// Error names the entry and the field before the text.
func (e *Error) Error() string {
	s := e.Text
	if e.Offset >= 0 {
		s = fmt.Sprintf("%s (byte %d)", s, e.Offset)
	}
	switch {
	case e.Key != "" && e.Field != "":
		return fmt.Sprintf("entry %q, field %s: %s", e.Key, e.Field, s)
	case e.Key != "":
		return fmt.Sprintf("entry %q: %s", e.Key, s)
	case e.Field != "":
		return fmt.Sprintf("field %s: %s", e.Field, s)
	}
	return s
}

// Entries are all entries in their order.
func (f *File) Entries() []Entry {
	out := make([]Entry, 0, len(f.items))
	for _, i := range f.items {
		out = append(out, i.Entry)
	}
	return out
}

// Entry gives the entry with exactly this key.
func (f *File) Entry(key string) (Entry, bool) {
	if i := f.index(key); i >= 0 {
		return f.items[i].Entry, true
	}
	return Entry{}, false
}

func (f *File) index(key string) int {
	return slices.IndexFunc(f.items, func(i item) bool { return i.Key == key })
}

// CredsStore is NAME of the helper docker-credential-NAME that docker asks for
// every host that has none of its own; empty if there is none.
func (f *File) CredsStore() string { return f.store }

// CredHelpers are the helpers of single hosts, NAME by host.
func (f *File) CredHelpers() map[string]string { return maps.Clone(f.helpers) }

// Set puts an entry in the place of the one with its key, or at the end. What
// the old entry had in fields that this package does not know stays. Error:
// *Error, for an empty key, and for a user that is empty beside a password or
// has a colon, which no reader would get back.
func (f *File) Set(e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	n := item{Entry: e, fromAuth: true, members: e.members()}
	i := f.index(e.Key)
	if i < 0 {
		f.items = append(f.items, n)
		return nil
	}
	for _, m := range f.items[i].members {
		if knownField(m.name) == "" {
			n.members = append(n.members, m)
		}
	}
	f.items[i] = n
	return nil
}

// Remove forgets an entry and says whether it was there.
func (f *File) Remove(key string) bool {
	i := f.index(key)
	if i < 0 {
		return false
	}
	f.items = slices.Delete(f.items, i, i+1)
	return true
}

// Conflict is a key under which two files hold different credentials.
type Conflict struct {
	Key          string
	Ours, Theirs Entry
}

// Merge adds the entries of another file, with the fields that this package
// does not know. Where both have a key and differ, ours stays and the
// conflict is reported; Set(c.Theirs) settles it the other way. Nothing but
// entries is taken: neither the other's credsStore nor its credHelpers.
func (f *File) Merge(other *File) []Conflict {
	at := make(map[string]int, len(f.items))
	for i := range f.items {
		at[f.items[i].Key] = i
	}
	var conflicts []Conflict
	for _, theirs := range slices.Clone(other.items) {
		i, both := at[theirs.Key]
		switch {
		case !both:
			at[theirs.Key] = len(f.items)
			f.items = append(f.items, theirs)
		case f.items[i].Entry != theirs.Entry:
			conflicts = append(conflicts, Conflict{theirs.Key, f.items[i].Entry, theirs.Entry})
		}
	}
	return conflicts
}
