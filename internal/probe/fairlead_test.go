package probe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
	"fairlead.dev/fairlead/internal/serve"
)

// house is a real Fairlead in this process.
type house struct {
	t              *testing.T
	host, operator string
	mu             sync.Mutex
	log            bytes.Buffer
}

func (h *house) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *house) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

var serving = regexp.MustCompile(`"msg":"serving","url":"http://([^"]+)"`)

func startHouse(t *testing.T, env ...string) *house {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	c, err := config.Load(config.Source{Env: append(env, "FAIRLEAD_DATA="+data, "FAIRLEAD_LISTEN=127.0.0.1:0", "FAIRLEAD_LOG_FORMAT=json")})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve.Run(ctx, serve.Options{Config: c, Version: "test", Out: io.Discard, Log: h}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	for range 1000 {
		if m := serving.FindStringSubmatch(h.said()); m != nil {
			h.host = m[1]
			secret, err := os.ReadFile(filepath.Join(data, "operator.token"))
			if err != nil {
				t.Fatal(err)
			}
			h.operator = strings.TrimSpace(string(secret))
			return h
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the server does not come up: %s", h.said())
	return nil
}

// do sends a request as the operator; it must succeed.
func (h *house) do(method, path, mediaType string, body []byte, into any) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.host+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	if strings.HasPrefix(path, "/v2/") {
		var token struct{ Token string }
		h.do("GET", "/token?scope=repository:acme/web:pull,push", "", nil, &token)
		req.Header.Set("Authorization", "Bearer "+token.Token)
	} else {
		req.SetBasicAuth("token", h.operator)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		h.t.Fatalf("%s %s: %s %s %v", method, path, res.Status, b, err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) manage(path string, spec map[string]any) (id, secret string) {
	h.t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	var made struct{ ID, Value string }
	h.do("POST", "/api/v1/"+path, "application/json", b, &made)
	return made.ID, made.Value
}

func (h *house) credential(spec map[string]any) (string, probe.Credential) {
	h.t.Helper()
	id, value := h.manage("tokens", spec)
	return id, probe.Credential{Username: "token", Password: value}
}

// push puts an image of one platform under a tag of acme/web.
func (h *house) push(tag string, p diagnosis.Platform) content {
	h.t.Helper()
	m, config := single(p)
	h.do("POST", "/v2/acme/web/blobs/uploads/?digest="+string(oci.DigestOf(oci.SHA256, config)), "application/octet-stream", config, nil)
	m.body = strings.Replace(m.body, `"digest"`, fmt.Sprintf(`"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,"digest"`, len(config)), 1)
	h.do("PUT", "/v2/acme/web/manifests/"+tag, m.mediaType, []byte(m.body), nil)
	return m
}

func (h *house) ask(ref string, node diagnosis.Platform, creds ...probe.Credential) diagnosis.Answer {
	h.t.Helper()
	p := probe.New(probe.Options{UserAgent: "fairlead/test"})
	defer p.Close()
	a := p.Ask(h.t.Context(), image(h.t, h.host, ref), creds, node)
	all := fmt.Sprintf("%+v", a)
	for _, c := range creds {
		if c.Password != "" && strings.Contains(all, c.Password) {
			h.t.Errorf("a token stands in the answer: %s", all)
		}
	}
	return a
}

// TestFairlead: our own registry, as it is.
func TestFairlead(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	h.manage("accounts", map[string]any{"name": "acme"})
	h.manage("namespaces", map[string]any{"name": "acme", "account": "acme"})
	h.manage("accounts", map[string]any{"name": "other"})
	_, reader := h.credential(map[string]any{"account": "acme"})
	gone, revoked := h.credential(map[string]any{"account": "acme"})
	h.do("DELETE", "/api/v1/tokens/"+gone, "", nil, nil)
	_, stranger := h.credential(map[string]any{"account": "other"})
	arm := diagnosis.Platform{OS: "linux", Architecture: "arm64"}
	m := h.push("v1", arm)
	h.push("v2", arm)
	h.push("nightly", arm)

	begun := time.Now()
	a := h.ask("v1", arm, reader, revoked, stranger, probe.Credential{})
	t.Logf("4 credentials and none: %s", time.Since(begun))
	want := []diagnosis.Outcome{diagnosis.Pulls, diagnosis.Unauthorized, diagnosis.Forbidden, diagnosis.Unauthorized, diagnosis.Unauthorized}
	if diff := cmp.Diff(want, outcomes(a)); diff != "" {
		t.Errorf("%s\n%+v", diff, a)
	}
	if !a.Fairlead || a.Server != "Fairlead" || a.Scheme != "http" || a.Ping.Status != 401 {
		t.Errorf("%+v", a)
	}
	at := a.Attempts[0]
	if string(at.Digest) != m.digest() || at.List || !cmp.Equal(at.Platforms, []diagnosis.Platform{arm}) || at.Scope != "repository:acme/web:pull" {
		t.Errorf("%+v", at)
	}
	if at := a.Attempts[2]; at.Scope != diagnosis.ScopeNone || !strings.Contains(last(at).Message, "has no right to pull from") {
		t.Errorf("%+v", at)
	}
	if a := h.ask("v1", diagnosis.Platform{OS: "linux", Architecture: "amd64"}, reader); a.Attempts[0].Outcome != diagnosis.NoPlatform {
		t.Errorf("%+v", a.Attempts[0])
	}
	if a := h.ask("v3", arm, reader); a.Attempts[0].Outcome != diagnosis.NotFound || !cmp.Equal(a.Tags, []string{"v1", "v2", "nightly"}) || a.RepositoryUnknown {
		t.Errorf("%+v", a)
	}
	i := image(t, h.host, "v1")
	i.Repository = "acme/wep"
	p := probe.New(probe.Options{})
	defer p.Close()
	if a := p.Ask(t.Context(), i, []probe.Credential{reader}, diagnosis.Platform{}); a.Attempts[0].Outcome != diagnosis.NotFound || !a.RepositoryUnknown {
		t.Errorf("%+v", a)
	}
}

// TestFairleadPublic: who is nobody pulls what is public, and a stale token
// beside it does not.
func TestFairleadPublic(t *testing.T) {
	t.Parallel()
	h := startHouse(t, "FAIRLEAD_ANONYMOUS_PUBLIC=true")
	h.manage("accounts", map[string]any{"name": "acme"})
	h.manage("namespaces", map[string]any{"name": "acme", "account": "acme"})
	h.do("PATCH", "/api/v1/namespaces/acme", "application/json", []byte(`{"visibility":"public"}`), nil)
	h.push("v1", diagnosis.Platform{OS: "linux", Architecture: "amd64"})
	a := h.ask("v1", diagnosis.Platform{}, probe.Credential{Username: "token", Password: "flt_not-a-token-of-ours"}, probe.Credential{})
	if diff := cmp.Diff([]diagnosis.Outcome{diagnosis.Unauthorized, diagnosis.Pulls, diagnosis.Pulls}, outcomes(a)); diff != "" || !a.Fairlead {
		t.Errorf("%s\n%+v", diff, a)
	}
}
