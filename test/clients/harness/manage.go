package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// The management API, called by the operator.

// Token is a Fairlead token of an account.
type Token struct {
	ID, Value string
}

// Minting is what a token is made with; see the management API.
type Minting struct {
	Account     string `json:"account"`
	Access      string `json:"access,omitempty"`
	Expires     string `json:"expires,omitempty"`
	NonExpiring bool   `json:"nonExpiring,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
}

// Account makes an account with namespaces of its own.
func (s *Server) Account(t testing.TB, name string, namespaces ...string) {
	t.Helper()
	var made struct{ Token string }
	s.Manage(t, http.MethodPost, "accounts", map[string]string{"name": name}, &made)
	s.secrets.add(made.Token)
	for _, n := range namespaces {
		s.Manage(t, http.MethodPost, "namespaces", map[string]string{"name": n, "account": name}, nil)
	}
}

// Mint makes a token.
func (s *Server) Mint(t testing.TB, m Minting) Token {
	t.Helper()
	var made Token
	s.Manage(t, http.MethodPost, "tokens", m, &made)
	s.secrets.add(made.Value)
	return made
}

// Revoke ends a token.
func (s *Server) Revoke(t testing.TB, token Token) {
	t.Helper()
	s.Manage(t, http.MethodDelete, "tokens/"+token.ID, nil, nil)
}

// Immutable protects tags of a namespace.
func (s *Server) Immutable(t testing.TB, namespace, tags string) {
	t.Helper()
	rules := []map[string]string{{"tags": tags}}
	s.Manage(t, http.MethodPatch, "namespaces/"+namespace, map[string]any{"immutable": rules}, nil)
}

// Public lets every account pull from a namespace.
func (s *Server) Public(t testing.TB, namespace string) {
	t.Helper()
	s.Manage(t, http.MethodPatch, "namespaces/"+namespace, map[string]string{"visibility": "public"}, nil)
}

// Manage calls the management API as the operator; it must succeed.
func (s *Server) Manage(t testing.TB, method, path string, send, receive any) {
	t.Helper()
	var body io.Reader = http.NoBody
	if send != nil {
		b, err := json.Marshal(send)
		check(t, err)
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v1/"+path, body)
	check(t, err)
	request.SetBasicAuth(User, s.Token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.http.Do(request)
	check(t, err)
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(answer.Body)
	check(t, err)
	if answer.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s /api/v1/%s: %s %s", method, path, answer.Status, got)
	}
	if receive != nil {
		check(t, json.Unmarshal(got, receive))
	}
}
