package serve_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
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

// TestFirstStart: the first start makes everything, closed to others, and says
// what to type; the second finds the same keys and the same token.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := launch(t, data, nil)
	secret := r.secret(t)
	for _, want := range []string{"docker login", "docker tag", "docker push", filepath.Join(data, "operator.token"), r.url} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("the greeting does not name %q:\n%s", want, r.out.String())
		}
	}
	if strings.Contains(r.out.String()+r.log.String(), secret) {
		t.Error("the operator's token was printed")
	}
	token := r.token(t, secret, everything)
	if res, body := r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex)); res.StatusCode != 201 {
		t.Fatalf("push: %s %s", res.Status, body)
	}
	before := snapshot(t, data)
	for name, mode := range before.modes {
		if mode.Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %s", name, mode)
		}
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	r = launch(t, data, nil)
	after := snapshot(t, data)
	for name, text := range before.secrets {
		if after.secrets[name] != text {
			t.Errorf("%s changed", name)
		}
	}
	if len(after.secrets) != len(before.secrets) || len(before.secrets) < 4 {
		t.Errorf("%d secrets before, %d after", len(before.secrets), len(after.secrets))
	}
	if strings.Contains(r.out.String(), "docker login") {
		t.Error("the second start greets as if it was the first")
	}
	// A registry token of the first life is still good.
	if res, body := r.do(t, "GET", "/v2/acme/hello/manifests/v1", token, nil); res.StatusCode != 200 || string(body) != emptyIndex {
		t.Errorf("pull after a restart: %s %s", res.Status, body)
	}
}

type shot struct {
	modes   map[string]fs.FileMode
	secrets map[string]string
}

func snapshot(t *testing.T, dir string) shot {
	t.Helper()
	s := shot{map[string]fs.FileMode{}, map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.modes[path] = info.Mode()
		if strings.Contains(path, "/keys/") && !d.IsDir() || strings.HasSuffix(path, "operator.token") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s.secrets[path] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKeysElsewhere: the keys may lie outside of the data folder.
func TestKeysElsewhere(t *testing.T) {
	t.Parallel()
	data, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	r := launch(t, data, settings{"KEYS": keys})
	r.token(t, r.secret(t))
	if _, err := os.Stat(filepath.Join(data, "keys")); err == nil {
		t.Error("there are keys in the data folder")
	}
	if len(snapshot(t, filepath.Dir(keys)).secrets) < 3 {
		t.Error("the keys are not where they should be")
	}
}

// TestOperatorTokenFile: a given token is the operator's, and none is made.
func TestOperatorTokenFile(t *testing.T) {
	t.Parallel()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "given")
	given := "a-given-secret-of-some-length"
	if err := os.WriteFile(file, []byte(given+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := launch(t, data, settings{"OPERATOR_TOKEN_FILE": file})
	r.token(t, given)
	if _, err := os.Stat(filepath.Join(data, "operator.token")); err == nil {
		t.Error("a token was made although one is given")
	}
}

// TestSecondInstance is refused, and the first goes on.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	err := fail(t, settings{"DATA": r.data, "LISTEN": "127.0.0.1:0"})
	if !strings.Contains(err.Error(), "another fairlead") || !strings.Contains(err.Error(), r.data) {
		t.Errorf("the refusal does not say why: %v", err)
	}
	r.token(t, r.secret(t))
}

// TestNewerDatabase: a database that a newer version wrote is refused and
// left alone.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.data, "fairlead.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO schema_migrations (version, applied_at) VALUES (9999, 0)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = fail(t, settings{"DATA": r.data, "LISTEN": "127.0.0.1:0"})
	if !strings.Contains(err.Error(), "9999") {
		t.Errorf("the refusal does not name the version: %v", err)
	}
}

// TestBadStarts: what cannot work is one clear error.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct {
		s    settings
		want string
	}{
		"data is a file":        {settings{"DATA": file}, "--data"},
		"keys is a file":        {settings{"DATA": t.TempDir(), "KEYS": file}, "--keys"},
		"address taken":         {settings{"DATA": t.TempDir(), "LISTEN": taken.Addr().String()}, "--listen"},
		"no such certificate":   {settings{"DATA": t.TempDir(), "TLS_CERT": file, "TLS_KEY": file}, "tls-cert"},
		"every address, no URL": {settings{"DATA": t.TempDir(), "LISTEN": "0.0.0.0:0"}, "--public-url"},
		"no operator token":     {settings{"DATA": t.TempDir(), "OPERATOR_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token"},
		"empty operator token":  {settings{"DATA": t.TempDir(), "OPERATOR_TOKEN_FILE": file}, "20"},
	} {
		if _, ok := c.s["LISTEN"]; !ok {
			c.s["LISTEN"] = "127.0.0.1:0"
		}
		if err := fail(t, c.s); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error does not name %q: %v", name, c.want, err)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		if res, body := r.do(t, "GET", path, "", nil); res.StatusCode != 200 || !strings.Contains(string(body), `"status":"ok"`) {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	token := r.token(t, r.secret(t), everything)
	r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex))
	r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	_, body := r.do(t, "GET", "/metrics", "", nil)
	for _, want := range []string{
		`fairlead_http_request_duration_seconds_count{code="201",method="PUT",route="manifest-put"} 1`,
		`fairlead_http_request_bytes_total{route="manifest-put"} ` + fmt.Sprint(len(emptyIndex)),
		"fairlead_uploads_open 1", "fairlead_sweep_bytes_freed_total 0", "fairlead_database_commit_operations_count",
		"fairlead_blobs_missing_total 0", `fairlead_build_info{`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics do not have %q", want)
		}
	}
	if res, _ := r.do(t, "GET", "/v1/_ping", "", nil); res.StatusCode != 404 {
		t.Errorf("/v1/: %s", res.Status)
	}
	if res, _ := r.do(t, "GET", "/debug/pprof/", "", nil); res.StatusCode != 404 {
		t.Errorf("profiles without being asked for: %s", res.Status)
	}
}

// TestMetricsAreNotForStrangers: behind a trusted proxy the client counts.
func TestMetricsAreNotForStrangers(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"TRUSTED_PROXIES": "127.0.0.1"})
	get := func(secret string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		if secret != "" {
			req.SetBasicAuth("token", secret)
		}
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := get(""); got != 401 {
		t.Errorf("a stranger gets %d", got)
	}
	if got := get("wrong"); got != 401 {
		t.Errorf("a wrong token gets %d", got)
	}
	if got := get(r.secret(t)); got != 200 {
		t.Errorf("the operator gets %d", got)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := launch(t, t.TempDir(), settings{"PPROF_LISTEN": address})
	if res, _ := r.do(t, "GET", "http://"+address+"/debug/pprof/", "", nil); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	if res, _ := r.do(t, "GET", "http://"+address+"/v2/", "", nil); res.StatusCode != 404 {
		t.Errorf("the registry is on the profiles' address: %s", res.Status)
	}
}

// TestDiskRoom: too little free disk refuses pushes with a clear error, and
// the server is not ready; pulls go on.
func TestDiskRoom(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := launch(t, data, nil)
	token := r.token(t, r.secret(t), everything)
	r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex))
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	r = launch(t, data, settings{"MIN_FREE_DISK": "99.99%"})
	for _, c := range [][2]string{{"PUT", "/v2/acme/hello/manifests/v2"}, {"POST", "/v2/acme/hello/blobs/uploads/"}} {
		res, body := r.do(t, c[0], c[1], token, strings.NewReader(emptyIndex))
		if res.StatusCode != 507 || !strings.Contains(string(body), "min-free-disk") {
			t.Errorf("%s: %s %s", c[0], res.Status, body)
		}
	}
	if res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", token, nil); res.StatusCode != 200 {
		t.Errorf("pull: %s", res.Status)
	}
	if res, body := r.do(t, "GET", "/readyz", "", nil); res.StatusCode != 503 || !strings.Contains(string(body), `"disk":"failed"`) {
		t.Errorf("readyz: %s %s", res.Status, body)
	}
}

// TestPublicURLs: the host that was asked answers, if it is one of ours; any
// other Host header changes nothing.
func TestPublicURLs(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"PUBLIC_URL": "https://one.example,https://two.example:8443"})
	address := regexp.MustCompile(`"listen":"([^"]+)"`).FindStringSubmatch(r.log.String())
	if address == nil {
		t.Fatalf("the log does not say where the server listens:\n%s", r.log.String())
	}
	for host, want := range map[string]string{
		"one.example": "https://one.example", "two.example:8443": "https://two.example:8443",
		"TWO.example:8443": "https://two.example:8443", "evil.example": "https://one.example",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address[1]+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		c, err := wire.ParseChallenge(res.Header.Get("WWW-Authenticate"))
		if err != nil || c.Realm != want+"/token" {
			t.Errorf("%s is sent to %q (%v)", host, c.Realm, err)
		}
	}
}

// TestRotation: a rotated operator token, and the registry tokens it gave, are
// refused within 2 seconds (and a second of slack).
func TestRotation(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex))
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	upload := res.Header.Get("Location")
	if err := account.RotateOperator(filepath.Join(r.data, "operator.token")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for {
		res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", token, nil)
		if res.StatusCode == 401 {
			break
		}
		if time.Since(start) > 3*time.Second {
			t.Fatalf("after 3 s the old registry token still gets %s", res.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if res, _ := r.do(t, "PATCH", upload, token, strings.NewReader("x")); res.StatusCode != 401 {
		t.Errorf("the old token goes on with its upload: %s", res.Status)
	}
	again := r.token(t, r.secret(t), everything)
	if res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", again, nil); res.StatusCode != 200 {
		t.Errorf("the new token gets %s", res.Status)
	}
	if res, _ := r.do(t, "GET", upload, again, nil); res.StatusCode != 404 {
		t.Errorf("the new token sees the old one's upload: %s", res.Status)
	}
}

// TestGracefulStop: a push that is under way ends, new work is refused, and
// Run returns nil.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	upload := res.Header.Get("Location")
	body, feed := io.Pipe()
	patched := make(chan *http.Response, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, upload, body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := r.client.Do(req)
		if err != nil {
			t.Errorf("the running upload was cut: %v", err)
			patched <- nil
			return
		}
		res.Body.Close()
		patched <- res
	}()
	if _, err := io.WriteString(feed, "first half, "); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for range 200 {
		if res, _ := r.do(t, "GET", "/readyz", "", nil); res.StatusCode == 503 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range [][2]string{{"GET", "/v2/acme/hello/tags/list"}, {"POST", "/v2/acme/hello/blobs/uploads/"}} {
		if res, _ := r.do(t, c[0], c[1], token, nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("new work while stopping: %s %s", c[1], res.Status)
		}
	}
	if _, err := io.WriteString(feed, "second half"); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if res := <-patched; res == nil || res.StatusCode != 202 {
		t.Fatalf("PATCH: %v", res)
	}
	digest := oci.DigestOf(oci.SHA256, []byte("first half, second half"))
	if res, body := r.do(t, "PUT", upload+"?digest="+string(digest), token, nil); res.StatusCode != 201 {
		t.Errorf("PUT: %s %s", res.Status, body)
	}
	if res, body := r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex)); res.StatusCode != 201 {
		t.Errorf("manifest: %s %s", res.Status, body)
	}
	if err := r.end(t); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestStopHasALimit: a client that never ends does not hold the server.
func TestStopHasALimit(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"SHUTDOWN_TIMEOUT": "1s"})
	token := r.token(t, r.secret(t), everything)
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, res.Header.Get("Location"), body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if res, err := r.client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	if _, err := io.WriteString(feed, "and then nothing"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.end(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// TestCertificateReload: a new certificate is used without a restart, and a
// broken one leaves the former in use.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, cert, key, 1)
	r := launch(t, t.TempDir(), settings{"TLS_CERT": cert, "TLS_KEY": key})
	if !strings.HasPrefix(r.url, "https://") {
		t.Fatal(r.url)
	}
	address := strings.TrimPrefix(r.url, "https://")
	serial := func() int64 {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is what is looked at
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	writePair(t, cert, key, 2)
	for start := time.Now(); serial() != 2; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the new certificate is not used")
		}
	}
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !strings.Contains(r.log.String(), "not usable"); time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the broken certificate is not reported")
		}
	}
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after a broken one", got)
	}
}

func writePair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOneLinePerRequest, with neither the operator's token nor a registry
// token in it.
func TestOneLinePerRequest(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"LOG_LEVEL": "debug"})
	secret := r.secret(t)
	token := r.token(t, secret, everything)
	r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex))
	r.do(t, "GET", "/v2/acme/hello/manifests/none", token, nil)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for line := range strings.Lines(r.log.String()) {
		var l struct {
			Msg, Route string
			Status     int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		if l.Msg == "request" {
			lines[fmt.Sprint(l.Route, " ", l.Status)]++
		}
	}
	for _, want := range []string{"token 200", "manifest-put 201", "manifest-get 404"} {
		if lines[want] != 1 {
			t.Errorf("%d lines for %q: %v", lines[want], want, lines)
		}
	}
	for _, s := range []string{secret, token} {
		if strings.Contains(r.log.String(), s) {
			t.Error("a secret is in the log")
		}
	}
}
