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
