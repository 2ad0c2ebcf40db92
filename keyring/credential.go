package keyring

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Credential is what the kubelet signs in with. Printed, logged or encoded it
// never shows the password.
type Credential struct {
	Username, Password string
	// Source and Key say where it stands; Key is as written.
	Source, Key string
}

// String names the user and where the credential stands.
func (c Credential) String() string {
	return fmt.Sprintf("user %q from %s, entry %q", c.Username, c.Source, c.Key)
}

// Format is String for every verb: fmt would print the fields for some.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is what log/slog writes.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String("username", c.Username), slog.String("source", c.Source), slog.String("key", c.Key))
}

// MarshalJSON writes the password as "redacted", or not at all if there is
// none.
func (c Credential) MarshalJSON() ([]byte, error) {
	shown := struct {
		Username string `json:"username"`
		Password string `json:"password,omitempty"`
		Source   string `json:"source"`
		Key      string `json:"key"`
	}{Username: c.Username, Source: c.Source, Key: c.Key}
	if c.Password != "" {
		shown.Password = "redacted"
	}
	return json.Marshal(shown)
}

// Format names the source and its type, for every verb: fmt would print the
// secret's bytes.
func (s Source) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "source %q of type %q", s.Name, s.Type)
}

// MarshalJSON leaves the data out.
func (s Source) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string `json:"name"`
		Type string `json:"type"`
		Node bool   `json:"node,omitempty"`
	}{s.Name, s.Type, s.Node})
}

// Format says how many entries there are, for every verb: fmt would print the
// passwords.
func (r Ring) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "ring of %d entries", len(r.secrets.entries)+len(r.secrets.bad)+len(r.node.entries)+len(r.node.bad))
}
