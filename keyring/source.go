package keyring

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// SkipReason says why a source is passed over.
type SkipReason string

// Reasons of Skip.
const (
	SkipType       SkipReason = "wrong-type"  // Type is none of the two
	SkipKey        SkipReason = "wrong-key"   // Data has nothing under the type's key
	SkipEmpty      SkipReason = "empty-value" // the value has no bytes
	SkipUnreadable SkipReason = "unreadable"  // the node's file is bad: see Errors
)

// Skip is a source that the kubelet passes over in silence.
type Skip struct {
	Source string     `json:"source"`
	Reason SkipReason `json:"reason"`
	Detail string     `json:"detail"` // one sentence
}

// document is the text of a source.
type document struct {
	data   []byte
	legacy bool // a .dockercfg: the entries stand at the top
}

// document picks what the kubelet reads of a source.
func (s Source) document() (document, *Skip) {
	skip := func(reason SkipReason, format string, args ...any) (document, *Skip) {
		return document{}, &Skip{s.Name, reason, fmt.Sprintf(format, args...)}
	}
	key := KeyDockerConfigJSON
	switch s.Type {
	case TypeDockerConfigJSON:
	case TypeDockercfg:
		key = KeyDockercfg
	default:
		return skip(SkipType, "the type is %q: the kubelet reads %s and %s only", s.Type, TypeDockerConfigJSON, TypeDockercfg)
	}
	data, ok := s.Data[key]
	if !ok {
		return skip(SkipKey, "a secret of type %s keeps its document under %q, and this one has nothing there", s.Type, key)
	}
	if len(data) == 0 {
		return skip(SkipEmpty, "the value of %q is empty", key)
	}
	return document{data, s.Type == TypeDockercfg}, nil
}

// found is one entry of a document.
type found struct{ key, username, password string }

// contents is what a document says.
type contents struct {
	entries []found
	errors  []*Error
}

// read decodes a document by encoding/json into the shapes that the kubelet
// uses, so that duplicates, null, upper case and unknown fields come out
// alike. What is wrong with a bad document is searched for afterwards; its
// good entries are kept.
func (d document) read() contents {
	entries, err := d.decode()
	if err != nil {
		return d.diagnose(err)
	}
	return contents{entries: entries.found()}
}

// decode is the kubelet's decoding; the error is its own.
func (d document) decode() (auths, error) {
	if d.legacy {
		var entries auths
		err := json.Unmarshal(d.data, &entries)
		return entries, err
	}
	var file configFile
	err := json.Unmarshal(d.data, &file)
	return file.Auths, err
}

// configFile, auths, auth and authFields are the kubelet's DockerConfigJSON,
// DockerConfig, DockerConfigEntry and dockerConfigEntryWithAuth. Fields that
// it does not know are absent here, too: they may have any shape.
type configFile struct {
	Auths       auths             `json:"auths"`
	HTTPHeaders map[string]string `json:"HttpHeaders"` // unused; a wrong shape is an error
}

type auths map[string]auth

func (a auths) found() []found {
	out := make([]found, 0, len(a))
	for key, one := range a {
		out = append(out, found{key, one.username, one.password})
	}
	return out
}

type auth struct{ username, password string }

type authFields struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email"` // unused; a wrong shape is an error
	Auth     string `json:"auth"`
}

// UnmarshalJSON takes the user and the password from auth, if it says
// anything, or else from the fields of their names.
func (a *auth) UnmarshalJSON(data []byte) error {
	var f authFields
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	a.username, a.password = f.Username, f.Password
	if f.Auth == "" {
		return nil
	}
	var err error
	a.username, a.password, err = decodeAuth(f.Auth)
	return err
}

var errNoColon = errors.New("unable to parse auth field, must be formatted as base64(username:password)")

// decodeAuth is the kubelet's tolerance: padding may be left out, lines may
// be broken; docker itself is stricter.
func decodeAuth(text string) (username, password string, err error) {
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(strings.TrimSpace(text), "=") {
		encoding = base64.StdEncoding
	}
	decoded, err := encoding.DecodeString(text)
	if err != nil {
		return "", "", err
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", "", errNoColon
	}
	return username, password, nil
}
