package dockerconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Parse reads a config.json or an auth.json. Of a name that stands twice the
// last one counts. Error: *Error, for the first fault.
func Parse(data []byte) (*File, error) {
	top, err := document(data)
	if err != nil {
		return nil, err
	}
	f := &File{}
	for _, m := range top {
		if err := f.take(m); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// ParseDockercfg reads a .dockercfg, whose entries stand at the top, without
// "auths". Encode writes the same shape. Error: *Error.
func ParseDockercfg(data []byte) (*File, error) {
	top, err := document(data)
	if err != nil {
		return nil, err
	}
	f := &File{legacy: true}
	for _, m := range top {
		if strings.EqualFold(m.name, "auths") {
			return nil, &Error{Field: m.name, Offset: m.at, Text: "this is a config.json, not a .dockercfg: its entries stand under auths"}
		}
	}
	return f, f.takeEntries(top)
}

// document reads the members of a whole document.
func document(data []byte) ([]member, error) {
	if len(data) > MaxSize {
		return nil, &Error{Offset: -1, Text: fmt.Sprintf("it has %d bytes, more than the %d that are read", len(data), MaxSize)}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Error{Offset: -1, Text: `it is empty: an empty file of credentials is {"auths":{}}`}
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		var syntax *json.SyntaxError
		at := int64(-1)
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return nil, &Error{Offset: at, Text: "it is no JSON: " + err.Error()}
	}
	if !isObject(raw) {
		return nil, &Error{Offset: -1, Text: `it is JSON, but no object: a file of credentials begins with {"auths":`}
	}
	return members(data, 0), nil
}

// members are those of an object whose syntax is good, in their order.
func members(object []byte, base int64) []member {
	var out []member
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token() // the brace
	for {
		token, _ := dec.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if !ok || dec.Decode(&value) != nil {
			return out
		}
		out = append(out, member{name, value, base + dec.InputOffset() - int64(len(value))})
	}
}

func isObject(raw []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

func isNull(raw []byte) bool { return string(raw) == "null" }

// take takes one member of a config.json. Names match in any case, as they do
// in docker.
func (f *File) take(m member) error {
	var err error
	switch {
	case strings.EqualFold(m.name, "auths"):
		err = f.takeAuths(m)
		m.value = nil
	case strings.EqualFold(m.name, "credsStore"):
		f.store, err = text(m, "")
	case strings.EqualFold(m.name, "credHelpers"):
		err = f.takeHelpers(m)
	}
	if err != nil {
		return err
	}
	for i := range f.members {
		if f.members[i].name == m.name || m.value == nil && f.members[i].value == nil {
			f.members[i].value = m.value
			return nil
		}
	}
	f.members = append(f.members, m)
	return nil
}

func (f *File) takeAuths(m member) error {
	switch {
	case isNull(m.value):
		return nil
	case !isObject(m.value):
		return &Error{Field: m.name, Offset: m.at, Text: "it is no object of entries"}
	}
	return f.takeEntries(members(m.value, m.at))
}

func (f *File) takeHelpers(m member) error {
	if isNull(m.value) {
		return nil
	}
	if !isObject(m.value) {
		return &Error{Field: m.name, Offset: m.at, Text: "it is no object of helpers by host"}
	}
	f.helpers = map[string]string{}
	for _, h := range members(m.value, m.at) {
		name, err := text(h, "")
		if err != nil {
			return &Error{Field: m.name + "." + h.name, Offset: h.at, Text: "a helper is a text: NAME of docker-credential-NAME"}
		}
		f.helpers[h.name] = name
	}
	return nil
}

func (f *File) takeEntries(entries []member) error {
	at := make(map[string]int, len(entries))
	for i := range f.items {
		at[f.items[i].Key] = i
	}
	for _, m := range entries {
		n, err := parseEntry(m)
		if err != nil {
			return err
		}
		if i, twice := at[n.Key]; twice {
			f.items[i] = n
			continue
		}
		at[n.Key] = len(f.items)
		f.items = append(f.items, n)
	}
	return nil
}

// parseEntry reads one entry; null is an empty one.
func parseEntry(m member) (item, error) {
	n := item{Entry: Entry{Key: m.name}}
	if isNull(m.value) {
		return n, nil
	}
	if !isObject(m.value) {
		return n, &Error{Key: m.name, Offset: m.at, Text: `an entry is an object, such as {"auth":"…"}`}
	}
	n.members = members(m.value, m.at)
	var auth string
	for _, part := range n.members {
		to := n.field(knownField(part.name), &auth)
		if to == nil || isNull(part.value) { // null says nothing
			continue
		}
		s, err := text(part, m.name)
		if err != nil {
			return n, err
		}
		*to = s
	}
	if auth == "" {
		return n, nil
	}
	n.fromAuth = true
	return n, n.decode(auth)
}

// text is the text of a member; null is empty.
func text(m member, key string) (string, error) {
	var s string
	if err := json.Unmarshal(m.value, &s); err != nil {
		return "", &Error{Key: key, Field: m.name, Offset: m.at, Text: "it is no text: put it in quotes"}
	}
	return s, nil
}

// decode reads the field auth as docker does.
func (e *Entry) decode(auth string) error {
	decoded, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		at := int64(-1)
		var corrupt base64.CorruptInputError
		if errors.As(err, &corrupt) {
			at = int64(corrupt)
		}
		return &Error{Key: e.Key, Field: "auth", Offset: at, Text: "it is no padded base64 of USER:PASSWORD"}
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return &Error{Key: e.Key, Field: "auth", Offset: -1, Text: "it decodes to a text without a colon, which is not USER:PASSWORD"}
	}
	if user == "" {
		return &Error{Key: e.Key, Field: "auth", Offset: -1, Text: "it decodes to an empty user, which docker refuses"}
	}
	e.Username, e.Password = user, strings.Trim(password, "\x00")
	return nil
}
