package dockerconfig

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Entry is the credential of one registry. Its printed, logged and JSON forms
// never show Password, IdentityToken or RegistryToken.
type Entry struct {
	Key                string // as written: a host, a URL, a host with a path
	Username, Password string // out of "auth" if that is there
	Email              string
	ServerAddress      string
	IdentityToken      string // an OAuth refresh token
	RegistryToken      string // a bearer token
}

// Kind says what an entry holds.
type Kind string

// Kinds of entries.
const (
	KindPassword Kind = "password"       // a user and a password
	KindEmpty    Kind = "empty"          // nothing: the secret lies in a store, if anywhere
	KindIdentity Kind = "identity-token" // a refresh token: the kubelet cannot use it
	KindRegistry Kind = "registry-token" // a bearer token: the kubelet cannot use it
)

// tokenUser is the user under which docker keeps an identity token in stores.
const tokenUser = "<token>"

// Kind says what docker would use of the entry: a registry token before an
// identity token, and that before a password.
func (e Entry) Kind() Kind {
	switch {
	case e.RegistryToken != "":
		return KindRegistry
	case e.IdentityToken != "" || e.Username == tokenUser:
		return KindIdentity
	case e.Username == "" && e.Password == "":
		return KindEmpty
	}
	return KindPassword
}

// check says what no reader would get back.
func (e Entry) check() error {
	switch {
	case e.Key == "":
		return &Error{Field: "key", Offset: -1, Text: "it is empty: give the registry's host"}
	case strings.Contains(e.Username, ":"):
		return &Error{Key: e.Key, Field: "username", Offset: -1, Text: "a user has no colon: it ends at the first one"}
	case e.Username == "" && e.Password != "":
		return &Error{Key: e.Key, Field: "username", Offset: -1, Text: "it is empty beside a password, which docker refuses"}
	}
	return nil
}

// fields are the names of an entry's fields, in the order of kubectl, which
// writes the first four.
var fields = []string{"username", "password", "email", "auth", "serveraddress", "identitytoken", "registrytoken"}

// knownField is the field that a name in a file means; empty if none. Case
// does not count, as in docker.
func knownField(name string) string {
	for _, f := range fields {
		if strings.EqualFold(f, name) {
			return f
		}
	}
	return ""
}

// field is the place of a field of this name; nil if there is none.
func (e *Entry) field(name string, auth *string) *string {
	switch name {
	case "username":
		return &e.Username
	case "password":
		return &e.Password
	case "email":
		return &e.Email
	case "auth":
		return auth
	case "serveraddress":
		return &e.ServerAddress
	case "identitytoken":
		return &e.IdentityToken
	case "registrytoken":
		return &e.RegistryToken
	}
	return nil
}

// members writes the fields that are not empty.
func (e Entry) members() []member {
	var auth string
	if e.Username != "" || e.Password != "" {
		auth = base64.StdEncoding.EncodeToString([]byte(e.Username + ":" + e.Password))
	}
	var out []member
	for _, name := range fields {
		if s := *e.field(name, &auth); s != "" {
			out = append(out, member{name: name, value: quote(s)})
		}
	}
	return out
}

// quote writes a text as kubectl does: <, > and & escaped for HTML.
func quote(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a text always encodes
	return b
}

// String names the key, the user and the kind.
func (e Entry) String() string {
	return fmt.Sprintf("entry %q: %s of %q", e.Key, e.Kind(), e.Username)
}

// GoString is String.
func (e Entry) GoString() string { return e.String() }

// Format is String for every verb: fmt would print the fields for some.
func (e Entry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// LogValue is what log/slog writes.
func (e Entry) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key", e.Key), slog.String("kind", string(e.Kind())), slog.String("username", e.Username))
}

// MarshalJSON writes every secret as "redacted". File.Encode writes the real
// ones.
func (e Entry) MarshalJSON() ([]byte, error) {
	hide := func(s string) string {
		if s == "" {
			return ""
		}
		return "redacted"
	}
	return json.Marshal(struct {
		Key           string `json:"key"`
		Kind          Kind   `json:"kind"`
		Username      string `json:"username,omitempty"`
		Password      string `json:"password,omitempty"`
		Email         string `json:"email,omitempty"`
		ServerAddress string `json:"serveraddress,omitempty"`
		IdentityToken string `json:"identitytoken,omitempty"`
		RegistryToken string `json:"registrytoken,omitempty"`
	}{e.Key, e.Kind(), e.Username, hide(e.Password), e.Email, e.ServerAddress, hide(e.IdentityToken), hide(e.RegistryToken)})
}
