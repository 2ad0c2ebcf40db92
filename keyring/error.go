package keyring

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one bad entry, or a document that cannot be read.
type Error struct {
	// Source is the name of the source. Node says that it is the node's own
	// file, which the kubelet then passes over.
	Source string `json:"source"`
	Node   bool   `json:"node,omitempty"`
	// Key is the entry as written, Field the field in it. Key is empty if the
	// document itself is bad; Field may then be a field of the document.
	Key   string `json:"key,omitempty"`
	Field string `json:"field,omitempty"`
	// Offset is the byte: in the text of the field auth if that is no base64,
	// or else in the document. -1 if there is none.
	Offset int64 `json:"offset"`
	// Text is the kubelet's own text, without its prefixes. It quotes no
	// secret.
	Text string `json:"text"`
}

// Error names the source, the entry and the field before the kubelet's text.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Source)
	if e.Key != "" {
		fmt.Fprintf(&b, ", entry %q", e.Key)
	}
	if e.Field != "" {
		b.WriteString(", field " + e.Field)
	}
	return strings.TrimPrefix(b.String()+": "+e.Text, ": ")
}

// kubeletTypes are the kubelet's names for our shapes, as they stand in the
// errors of encoding/json.
var kubeletTypes = map[string]string{
	"configFile": "DockerConfigJSON", "looseFile": "DockerConfigJSON",
	"auths": "DockerConfig", "looseAuths": "DockerConfig",
	"authFields": "dockerConfigEntryWithAuth",
}

// kubeletText is an error of decode in the kubelet's words.
func kubeletText(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	kind := wrong.Type.String()
	if name, ok := kubeletTypes[wrong.Type.Name()]; ok {
		kind = "credentialprovider." + name
	}
	if wrong.Struct == "" && wrong.Field == "" {
		return "json: cannot unmarshal " + wrong.Value + " into Go value of type " + kind
	}
	return "json: cannot unmarshal " + wrong.Value + " into Go struct field " + kubeletTypes[wrong.Struct] + "." + wrong.Field + " of type " + kind
}

// diagnose finds every fault of a document that the kubelet rejects with err,
// and the entries that are good. The first fault is the kubelet's.
func (d document) diagnose(err error) contents {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return contents{errors: []*Error{{Offset: syntax.Offset, Text: err.Error()}}}
	}
	w := walk{legacy: d.legacy, good: auths{}}
	w.document(d.data)
	// A wrong shape outside of the entries does not stop the decoder, which
	// tells it only if no entry is bad.
	if shape := d.shape(); shape != nil {
		w.errors = append(w.errors, shape)
	}
	return contents{w.good.found(), w.errors}
}

// looseFile is configFile without a look into the entries.
type looseFile struct {
	Auths       looseAuths        `json:"auths"`
	HTTPHeaders map[string]string `json:"HttpHeaders"`
}

type looseAuths map[string]json.RawMessage

// shape is the first fault outside of the entries, or nil.
func (d document) shape() *Error {
	var err error
	if d.legacy {
		err = json.Unmarshal(d.data, new(looseAuths))
	} else {
		err = json.Unmarshal(d.data, new(looseFile))
	}
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return nil
	}
	return &Error{Field: wrong.Field, Offset: wrong.Offset, Text: kubeletText(err)}
}

// walk goes through a document whose syntax is good, entry by entry.
type walk struct {
	legacy bool
	good   auths
	errors []*Error
}

func (w *walk) document(data []byte) {
	if w.legacy {
		members(data, 0, w.entry)
		return
	}
	members(data, 0, func(name string, value []byte, at int64) {
		if strings.EqualFold(name, "auths") {
			members(value, at, w.entry)
		}
	})
}

// entry decodes one entry as the kubelet does. The last one of a name counts,
// and a bad one counts always.
func (w *walk) entry(key string, value []byte, at int64) {
	var a auth
	err := json.Unmarshal(value, &a)
	if err == nil {
		w.good[key] = a
		return
	}
	e := &Error{Key: key, Field: "auth", Offset: -1, Text: w.text(value)}
	var wrong *json.UnmarshalTypeError
	var corrupt base64.CorruptInputError
	switch {
	case errors.As(err, &wrong):
		e.Field, e.Offset = wrong.Field, at+wrong.Offset
	case errors.As(err, &corrupt):
		e.Offset = int64(corrupt)
	}
	w.errors = append(w.errors, e)
}

// text is what the kubelet says of a document with this one entry.
func (w *walk) text(value []byte) string {
	one := document{data: slices.Concat([]byte(`{"":`), value, []byte(`}`)), legacy: w.legacy}
	if !w.legacy {
		one.data = slices.Concat([]byte(`{"auths":`), one.data, []byte(`}`))
	}
	_, err := one.decode()
	return kubeletText(err)
}

// members calls field for every name of a JSON object, with the bytes of its
// value and where they begin. Nothing happens if raw is no object.
func members(raw []byte, base int64, field func(name string, value []byte, at int64)) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return
	}
	for {
		token, _ := dec.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if !ok || dec.Decode(&value) != nil {
			return
		}
		field(name, value, base+dec.InputOffset()-int64(len(value)))
	}
}
