package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/client"
)

// seen is what a server was sent.
type seen struct {
	what, body string
	header     http.Header
}

// answering serves one answer to everything, and gives what was sent last.
func answering(t *testing.T, status int, contentType, body string) (*client.Client, *seen) {
	t.Helper()
	last := &seen{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*last = seen{r.Method + " " + r.URL.RequestURI(), string(b), r.Header.Clone()}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return dial(t, srv.URL), last
}

func dial(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Server: url, Token: func() (string, error) { return "flt_x", nil }, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestRequests: every method sends what the API takes.
func TestRequests(t *testing.T) {
	t.Parallel()
	c, last := answering(t, http.StatusCreated, "application/json", `{}`)
	ctx, public := t.Context(), "public"
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	ref := v1.ImageRef{Repository: "acme/web", Reference: "1.0"}
	one := func(_ any, err error) error { return err }
	for want, do := range map[string]func() error{
		"GET /api/v1/whoami":                              func() error { return one(c.Whoami(ctx)) },
		`POST /api/v1/accounts {"name":"acme"}`:           func() error { return one(c.AddAccount(ctx, v1.AccountSpec{Name: "acme"})) },
		"GET /api/v1/accounts/a%2Fb":                      func() error { return one(c.Account(ctx, "a/b")) },
		"GET /api/v1/accounts?limit=5&next=n":             func() error { return one(c.Accounts(ctx, "n", 5)) },
		"DELETE /api/v1/accounts/acme":                    func() error { return c.RemoveAccount(ctx, "acme") },
		`POST /api/v1/namespaces {"name":"acme"}`:         func() error { return one(c.AddNamespace(ctx, v1.NamespaceSpec{Name: "acme"})) },
		"GET /api/v1/namespaces/acme":                     func() error { return one(c.Namespace(ctx, "acme")) },
		"GET /api/v1/namespaces?account=a&limit=1&next=n": func() error { return one(c.Namespaces(ctx, "a", "n", 1)) },
		"DELETE /api/v1/namespaces/acme?dryRun=true":      func() error { return one(c.RemoveNamespace(ctx, "acme", true)) },
		`PATCH /api/v1/namespaces/acme {"visibility":"public"}`: func() error {
			return one(c.SetNamespace(ctx, "acme", v1.NamespaceChange{Visibility: &public}, 7))
		},
		`POST /api/v1/tokens {"access":"readonly"}`: func() error { return one(c.AddToken(ctx, v1.TokenSpec{Access: "readonly"}, "key")) },
		"GET /api/v1/tokens/t1":                     func() error { return one(c.Token(ctx, "t1")) },
		"GET /api/v1/tokens/t1/value":               func() error { return one(c.TokenValue(ctx, "t1")) },
		"GET /api/v1/tokens?account=a&cluster=c&ended=true&limit=3": func() error {
			return one(c.Tokens(ctx, v1.TokenQuery{Account: "a", Cluster: "c", Ended: true, Limit: 3}))
		},
		`POST /api/v1/tokens/t1/rotate {"overlap":"1h"}`: func() error { return one(c.RotateToken(ctx, "t1", v1.RotateOptions{Overlap: "1h"})) },
		"DELETE /api/v1/tokens/t1":                       func() error { return one(c.RevokeToken(ctx, "t1")) },
		"GET /api/v1/repositories?includePublic=true&namespace=acme": func() error {
			return one(c.Repositories(ctx, v1.PlaceQuery{Namespace: "acme", IncludePublic: true}))
		},
		"DELETE /api/v1/repositories?repository=acme%2Fweb":                     func() error { return one(c.RemoveRepository(ctx, "acme/web", false)) },
		"GET /api/v1/images?repository=acme%2Fweb":                              func() error { return one(c.Images(ctx, v1.PlaceQuery{Repository: "acme/web"})) },
		"GET /api/v1/images/inspect?reference=1.0&repository=acme%2Fweb":        func() error { return one(c.Inspect(ctx, ref)) },
		"DELETE /api/v1/images?dryRun=true&reference=1.0&repository=acme%2Fweb": func() error { return one(c.RemoveImage(ctx, ref, true)) },
		`POST /api/v1/images/tag {"repository":"acme/web","reference":"1.0","tag":"x"}`: func() error {
			return one(c.Tag(ctx, v1.TagOptions{ImageRef: ref, Tag: "x"}))
		},
		`POST /api/v1/images/copy {"from":{"repository":"acme/web","reference":"1.0"},"to":{"repository":"acme/web","reference":"1.0"}}`: func() error {
			return one(c.Copy(ctx, v1.CopyOptions{From: ref, To: ref}))
		},
		"GET /api/v1/digests?repository=acme%2Fweb": func() error { return one(c.Digests(ctx, v1.DigestQuery{Repository: "acme/web"})) },
		"GET /api/v1/usage?namespace=acme":          func() error { return one(c.Usage(ctx, v1.UsageQuery{Namespace: "acme"})) },
		"GET /api/v1/audit?action=token.&since=2026-07-01T11%3A00%3A00Z&tokenId=t1": func() error {
			return one(c.Audit(ctx, v1.AuditQuery{Action: "token.", TokenID: "t1", Since: at}))
		},
		"GET /api/v1/upkeep/keys":                    func() error { return one(c.Keys(ctx)) },
		"POST /api/v1/upkeep/keys/rotate":            func() error { return one(c.RotateKeys(ctx)) },
		`POST /api/v1/upkeep/keys/retire {"id":"k"}`: func() error { return one(c.RetireKey(ctx, v1.RetireOptions{ID: "k"})) },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, strings.TrimSpace(last.what+" "+last.body)); diff != "" {
			t.Errorf("%s:\n%s", want, diff)
		}
		h := last.header
		if h.Get("User-Agent") != "fairlead/v1" || h.Get("Authorization") != "Basic dG9rZW46Zmx0X3g=" {
			t.Errorf("%s: header %v", want, h)
		}
		if strings.HasPrefix(want, "PATCH") && h.Get("If-Match") != `"7"` || strings.HasPrefix(want, "POST /api/v1/tokens {") && h.Get("Idempotency-Key") != "key" {
			t.Errorf("%s: header %v", want, h)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	c, last := answering(t, http.StatusOK, "application/jsonl", "{\"id\":2}\n{\"id\":1}\n")
	var ids []int64
	err := c.ExportAudit(t.Context(), v1.AuditQuery{}, func(l v1.AuditLine) error { ids = append(ids, l.ID); return nil })
	if err != nil || len(ids) != 2 || last.header.Get("Accept") != "application/jsonl" {
		t.Errorf("%v, %v, %v", ids, err, last.header)
	}
	full := errors.New("the disk is full")
	if err := c.ExportAudit(t.Context(), v1.AuditQuery{}, func(v1.AuditLine) error { return full }); !errors.Is(err, full) {
		t.Errorf("stopped: %v", err)
	}
	c, _ = answering(t, http.StatusOK, "application/jsonl", "{\"id\":2}\n{\"id")
	if err := c.ExportAudit(t.Context(), v1.AuditQuery{}, func(v1.AuditLine) error { return nil }); !errors.Is(err, client.ErrCutOff) {
		t.Errorf("cut: %v", err)
	}
}

func TestProblemOverHTTP(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(v1.Problem{Title: "Forbidden", Status: 403, Detail: "the token is read-only", Code: "DENIED"})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := answering(t, http.StatusForbidden, v1.ProblemType, string(body))
	var e *client.Error
	if err := c.RemoveAccount(t.Context(), "a"); !errors.As(err, &e) || e.Code != "DENIED" || err.Error() != "the token is read-only" {
		t.Errorf("%v", err)
	}
	var reach *client.ReachError
	if _, err := dial(t, "http://127.0.0.1:1").Whoami(t.Context()); !errors.As(err, &reach) || !strings.HasPrefix(err.Error(), "reach http://127.0.0.1:1: ") {
		t.Errorf("%v", err)
	}
}

// TestTheTokenStays: no answer makes the client send the token elsewhere, nor
// change something by another request.
func TestTheTokenStays(t *testing.T) {
	t.Parallel()
	foreign := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { foreign++ }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/whoami":
			http.Redirect(w, r, other.URL+"/api/v1/whoami", http.StatusTemporaryRedirect)
		case "/api/v1/accounts":
			http.Redirect(w, r, "/api/v1/elsewhere", http.StatusTemporaryRedirect)
		default:
			_, _ = io.WriteString(w, `{"items":[{"name":"acme"}]}`)
		}
	}))
	defer srv.Close()
	c := dial(t, srv.URL)
	if _, err := c.Whoami(t.Context()); err == nil || !strings.Contains(err.Error(), "where the token is not sent") || foreign > 0 {
		t.Errorf("another host: %v, %d requests", err, foreign)
	}
	if p, err := c.Accounts(t.Context(), "", 0); err != nil || len(p.Items) != 1 {
		t.Errorf("the same host: %v", err)
	}
	if _, err := c.AddAccount(t.Context(), v1.AccountSpec{}); err == nil {
		t.Error("a change was sent on")
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://Registry.Example": "https://registry.example", "registry.example": "https://registry.example",
		"127.0.0.1:5000": "http://127.0.0.1:5000", "localhost:5000/": "http://localhost:5000", "[::1]:5000": "http://[::1]:5000",
		"http://registry.example:80/": "http://registry.example:80", "https://registry.example:443": "https://registry.example", "https://[::1]:443": "https://[::1]",
	} {
		if u, err := client.ParseServer(text); err != nil || u.String() != want {
			t.Errorf("%q is %v, %v; want %s", text, u, err, want)
		}
	}
	for _, text := range []string{"", "flt_secret", "ftp://a", "https://", "https://u:flt_secret@a", "https://a/v2", "https://a?x", "https://a b"} {
		if u, err := client.ParseServer(text); err == nil || strings.Contains(err.Error(), "flt_") {
			t.Errorf("%q is %v, %v", text, u, err)
		}
	}
	for server, allowed := range map[string]bool{"http://registry.example": false, "http://127.0.0.1": true, "http://localhost:1": true, "http://127.0.0.1.example": false} {
		if _, err := client.New(client.Options{Server: server}); (err == nil) != allowed {
			t.Errorf("%s: %v", server, err)
		}
		if _, err := client.New(client.Options{Server: server, InsecureHTTP: true}); err != nil {
			t.Errorf("%s, allowed: %v", server, err)
		}
	}
	if _, err := client.New(client.Options{Server: "https://a", CA: []byte("no PEM")}); err == nil {
		t.Error("a CA without a certificate is taken")
	}
}
