package serve_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/oci/wire"
)

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
		"fairlead_blobs_missing_total 0", "fairlead_sweep_waiting_bytes 0", `fairlead_build_info{`,
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
