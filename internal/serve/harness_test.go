package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/serve"
)

// output collects what the server writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is a server in this process.
type running struct {
	url      string
	data     string
	out, log output
	stop     context.CancelFunc
	ended    chan error
	client   *http.Client
}

// settings are environment variables without their prefix.
type settings map[string]string

func load(t *testing.T, s settings) config.Config {
	t.Helper()
	var env []string
	for k, v := range s {
		env = append(env, "FAIRLEAD_"+k+"="+v)
	}
	c, err := config.Load(config.Source{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func launch(t *testing.T, data string, s settings) *running {
	t.Helper()
	all := settings{"DATA": data, "LISTEN": "127.0.0.1:0", "LOG_FORMAT": "json"}
	for k, v := range s {
		all[k] = v
	}
	r := &running{data: data, ended: make(chan error, 1), client: &http.Client{Transport: &http.Transport{}}}
	c := load(t, all)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() {
		r.ended <- serve.Run(ctx, serve.Options{Config: c, Version: "test", Out: &r.out, Log: &r.log})
	}()
	t.Cleanup(func() {
		cancel()
		r.client.CloseIdleConnections()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(40 * time.Second):
			t.Error("the server does not stop")
		}
	})
	r.url = r.await(t)
	return r
}

var serving = regexp.MustCompile(`"msg":"serving","url":"([^"]+)"`)

// await waits for the line that says where the server is.
func (r *running) await(t *testing.T) string {
	t.Helper()
	for range 1000 {
		if m := serving.FindStringSubmatch(r.log.String()); m != nil {
			return m[1]
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			t.Fatalf("the server ended: %v\n%s", err, r.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("the server does not come up:\n%s", r.log.String())
	return ""
}

// end stops the server and gives what Run returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	r.client.CloseIdleConnections()
	select {
	case err := <-r.ended:
		r.ended <- nil
		return err
	case <-time.After(40 * time.Second):
		t.Fatal("the server does not stop")
		return nil
	}
}

// fail starts a server that must not come up.
func fail(t *testing.T, s settings) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var log output
	err := serve.Run(ctx, serve.Options{Config: load(t, s), Out: io.Discard, Log: &log})
	if err == nil {
		t.Fatalf("the server came up:\n%s", log.String())
	}
	return err
}

func (r *running) secret(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// do sends a request and reads the answer.
func (r *running) do(t *testing.T, method, target, token string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	if !strings.HasPrefix(target, "http") {
		target = r.url + target
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPut && strings.Contains(target, "/manifests/") {
		req.Header.Set("Content-Type", oci.MediaTypeImageIndex)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// token signs in as the operator.
func (r *running) token(t *testing.T, secret string, scopes ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	q := req.URL.Query()
	for _, s := range scopes {
		q.Add("scope", s)
	}
	req.URL.RawQuery = q.Encode()
	req.SetBasicAuth("token", secret)
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || res.StatusCode != 200 {
		t.Fatalf("sign in: %s %v", res.Status, err)
	}
	return a.Token
}

const everything = "repository:acme/hello:pull,push,delete"

const emptyIndex = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
