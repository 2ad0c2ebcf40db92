package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// document is the value of a secret as the kubelet reads it, with the places
// of everything.
type document struct {
	root    node
	legacy  bool // a map of entries, without auths
	entries []entry
	byKey   map[string][]int // where in entries a key stands
	// store is credsStore, helpers are the hosts of credHelpers.
	store   string
	helpers []member
}

// entry is one credential. Of fields that stand several times the last one
// counts; of entries, too.
type entry struct {
	key string
	at  int
	// object is false where the entry is null, or cannot be read.
	object bool
	fields map[string]field
	node   node
	// others are names that the kubelet does not read.
	others []member
	// lost says that a later entry has the same key.
	lost bool
}

type field struct {
	text string
	at   int
	kind kind
}

// The fields of an entry that the kubelet reads, by their names in lower case.
var fieldsRead = []string{"auth", "username", "password", "email"}

// readDocument reads a valid JSON document.
func readDocument(data []byte, legacy bool) document {
	d := document{root: parseNode(data), legacy: legacy}
	if d.root.kind != object {
		return d
	}
	if legacy {
		d.addEntries(d.root)
		return d
	}
	for _, m := range d.root.members {
		switch {
		case strings.EqualFold(m.name, "auths"):
			d.addEntries(m.value)
		case strings.EqualFold(m.name, "credsStore") && m.value.kind == text:
			d.store = m.value.text
		case strings.EqualFold(m.name, "credHelpers") && m.value.kind == object:
			d.helpers = append(d.helpers, m.value.members...)
		}
	}
	return d
}

func (d *document) addEntries(n node) {
	if n.kind != object {
		return
	}
	for _, m := range n.members {
		e := entry{key: m.name, at: m.at, node: m.value, object: m.value.kind == object, fields: map[string]field{}}
		for _, f := range m.value.members {
			name, known := fieldName(f.name)
			if !known {
				e.others = append(e.others, f)
				continue
			}
			if f.value.kind == null {
				continue // the decoder leaves the field as it was
			}
			e.fields[name] = field{f.value.text, f.value.at, f.value.kind}
		}
		if d.byKey == nil {
			d.byKey = map[string][]int{}
		}
		if same := d.byKey[e.key]; len(same) > 0 {
			d.entries[same[len(same)-1]].lost = true
		}
		d.byKey[e.key] = append(d.byKey[e.key], len(d.entries))
		d.entries = append(d.entries, e)
	}
}

// fieldName matches names as Go's decoder does: by any case.
func fieldName(name string) (string, bool) {
	for _, known := range fieldsRead {
		if strings.EqualFold(name, known) {
			return known, true
		}
	}
	return name, false
}

// other gives a text among the fields that the kubelet does not read.
func (e entry) other(name string) (text string, at int) {
	for _, m := range e.others {
		if strings.EqualFold(m.name, name) {
			text, at = m.value.text, m.value.at
		}
	}
	return text, at
}

// login is who the kubelet would sign in as: what auth holds, or else the
// fields. field names where the password stands.
func (e entry) login() (username, password, field string, err error) {
	if auth := e.fields["auth"].text; auth != "" {
		username, password, err = decodeAuth(auth)
		return username, password, "auth", err
	}
	return e.fields["username"].text, e.fields["password"].text, "password", nil
}

var errNoColon = errors.New("no colon")

// decodeAuth reads a field auth as the kubelet does: padded if it ends so,
// with line breaks anywhere, and nothing else.
func decodeAuth(auth string) (username, password string, err error) {
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(strings.TrimSpace(auth), "=") {
		encoding = base64.StdEncoding
	}
	raw, err := encoding.DecodeString(auth)
	if err != nil {
		return "", "", err
	}
	username, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", errNoColon
	}
	return username, password, nil
}

// looksLikeConfig says whether data is, or means to be, one of docker's
// credential files, and which.
func looksLikeConfig(data []byte) (wrapped, bare bool) {
	if !json.Valid(data) {
		return false, false
	}
	n := parseNode(data)
	if n.kind != object {
		return false, false
	}
	for _, m := range n.members {
		switch {
		case strings.EqualFold(m.name, "auths"), strings.EqualFold(m.name, "credsStore"), strings.EqualFold(m.name, "credHelpers"):
			wrapped = true
		case looksLikeEntry(m.value):
			bare = true
		}
	}
	return wrapped, bare && !wrapped
}

// looksLikeEntry says whether a value has the fields of a credential.
func looksLikeEntry(n node) bool {
	if n.kind != object {
		return false
	}
	for _, m := range n.members {
		switch strings.ToLower(m.name) {
		case "auth", "username", "password", "identitytoken", "registrytoken":
			return true
		}
	}
	return false
}
