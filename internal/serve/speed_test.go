package serve

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/oci"
)

// bare is a server without a listener's noise: requests go to its routes.
type bare struct {
	*server
	routes http.Handler
	op     access.Principal
}

// newBare opens a server in dir, in which fill may have made rows before.
func newBare(t testing.TB, dir string) *bare {
	t.Helper()
	c, err := config.Load(config.Source{Env: []string{"FAIRLEAD_DATA=" + dir, "FAIRLEAD_LISTEN=127.0.0.1:0", "FAIRLEAD_LOG_LEVEL=error", "FAIRLEAD_ANONYMOUS_PUBLIC=true"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{o: Options{Config: c, Log: io.Discard, Out: io.Discard}, c: c}
	s.log = newLogger(s.o)
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	p, _ := operatorAsks(nil)
	return &bare{s, (&server{observer: s.observer, handler: s.handler, health: s.health, house: s.house}).routes(), p}
}

func (b *bare) do(t testing.TB, r *http.Request) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	b.routes.ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// tenant makes an account with a namespace and a read-only token, and gives
// the token's value.
func (b *bare) tenant(t testing.TB, name string, public bool) string {
	t.Helper()
	ctx := context.Background()
	if _, _, _, _, err := b.house.registrar.AddAccount(ctx, b.op, name, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.house.registrar.AddNamespace(ctx, b.op, account.NamespaceSpec{Name: name, Account: name, Public: public}); err != nil {
		t.Fatal(err)
	}
	_, value, _, err := b.house.registrar.AddToken(ctx, b.op, account.TokenSpec{Account: name, All: true})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func request(method, target, value string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, target, nil)
	if value != "" {
		r.SetBasicAuth(access.UserName, value)
	}
	return r
}

// exchanging trades a Fairlead token ("" for none) for a registry token.
func exchanging(value, repo string) *http.Request {
	return request("GET", "/token?service=fairlead&scope=repository:"+repo+":pull", value)
}

func (b *bare) exchange(t testing.TB, value, repo string) string {
	t.Helper()
	var a struct{ Token string }
	if err := json.Unmarshal(b.do(t, exchanging(value, repo)), &a); err != nil {
		t.Fatal(err)
	}
	return a.Token
}

// blob puts one of 1 KiB into the repository.
func (b *bare) blob(t testing.TB, repo oci.Repo) oci.Digest {
	t.Helper()
	body := bytes.Repeat([]byte{7}, 1024)
	digest := oci.DigestOf(oci.SHA256, body)
	secret, err := os.ReadFile(filepath.Join(b.c.Data, operatorFile))
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Token string }
	raw := b.do(t, request("GET", "/token?service=fairlead&scope=repository:"+string(repo)+":pull,push", strings.TrimSpace(string(secret))))
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), "POST", "/v2/"+string(repo)+"/blobs/uploads/?digest="+string(digest), bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.Token)
	r.Header.Set("Content-Type", "application/octet-stream")
	b.do(t, r)
	return digest
}

// pulling gets the blob with a registry token.
func pulling(repo oci.Repo, digest oci.Digest, token string) *http.Request {
	r := request("GET", "/v2/"+string(repo)+"/blobs/"+string(digest), "")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// crowd is what others have: 1,000,000 tokens and 100,000 namespaces.
var crowd = []string{
	`INSERT INTO accounts (name, description, created_at, created_by, changed) SELECT 'a' || i, '', 1, 'operator', 1 FROM n WHERE i <= 1000`,
	`INSERT INTO namespaces (name, account_id, incarnation, public, immutable, created_at, created_by, version, changed)
	SELECT printf('n%06d', i), (SELECT MIN(id) FROM accounts) + i % 1000, 'life', 0, '[]', 1, 'x', 1, 1 FROM n WHERE i <= 100000`,
	`INSERT INTO tokens (id, account_id, level, reach, description, cluster, created_at, created_by, revoked_by,
	generation, key_id, former_key_id, request_key, last_address, last_client, pulls)
	SELECT printf('%012d', i), (SELECT MIN(id) FROM accounts) + i % 1000, 'readonly', '{"all":true}', '', '', 1, 'x', '', 1, 'k', '', '', '', '', 0 FROM n`,
	`UPDATE directory SET counter = counter + 1`,
}

func fill(t testing.TB, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range crowd {
		if !strings.HasPrefix(text, "UPDATE") {
			text = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) ` + text
		}
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// median of how long a call takes, in batches.
func median(call func()) time.Duration {
	const batches, calls = 41, 50
	took := make([]time.Duration, batches)
	for i := range took {
		begun := time.Now()
		for range calls {
			call()
		}
		took[i] = time.Since(begun) / calls
	}
	slices.Sort(took)
	return took[batches/2]
}

// TestSpeedOfTokens measures what the token exchange and an authorised pull
// cost, beside a signature and an anonymous pull of the same run, among few
// tenants and among many.
func TestSpeedOfTokens(t *testing.T) { //nolint:paralleltest // it measures
	if os.Getenv("FAIRLEAD_BENCH") != "1" {
		t.Skip("make bench runs it: it measures")
	}
	few, dir := newBare(t, t.TempDir()), t.TempDir()
	first := newBare(t, dir)
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	first.closers = nil
	fill(t, dir)
	many := newBare(t, dir)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 512)
	houses := map[string]*bare{"few": few, "many": many}
	got := map[string]time.Duration{}
	type made struct {
		value, token, anonymous string
		digest                  oci.Digest
	}
	tenants := map[string]made{}
	for name, b := range houses {
		m := made{value: b.tenant(t, "acme", false), digest: b.blob(t, "acme/web")}
		b.tenant(t, "open", true)
		if d := b.blob(t, "open/web"); d != m.digest {
			t.Fatal(d)
		}
		m.token, m.anonymous = b.exchange(t, m.value, "acme/web"), b.exchange(t, "", "open/web")
		tenants[name] = m
	}
	for range 5 { // in turns, so that a busy machine is busy for all; the best counts
		keep := func(what string, d time.Duration) {
			if was, ok := got[what]; !ok || d < was {
				got[what] = d
			}
		}
		keep("signature", median(func() { ed25519.Sign(key, message) }))
		for name, b := range houses {
			m := tenants[name]
			for what, r := range map[string]*http.Request{
				"exchange, ":        exchanging(m.value, "acme/web"),
				"authorised pull, ": pulling("acme/web", m.digest, m.token),
				"anonymous pull, ":  pulling("open/web", m.digest, m.anonymous),
			} {
				keep(what+name, median(func() { b.do(t, r) }))
			}
		}
	}
	for what, d := range got {
		t.Logf("%-22s %s", what, d)
	}
	ratio := func(a, b string, most float64) {
		r := float64(got[a]) / float64(got[b])
		t.Logf("%s / %s = %.2f (at most %.2f wanted)", a, b, r, most)
		if r > 2*most { // a bound for the suite, with slack for the machine
			t.Errorf("%s costs %.2f times %s", a, r, b)
		}
	}
	ratio("exchange, few", "signature", 3)
	ratio("exchange, many", "exchange, few", 1.1)
	ratio("authorised pull, few", "anonymous pull, few", 1.1)
	ratio("authorised pull, many", "authorised pull, few", 1.1)
}

// BenchmarkTokens is for profiles: the exchange, and pulls of 1 KiB.
func BenchmarkTokens(b *testing.B) {
	s := newBare(b, b.TempDir())
	value, digest := s.tenant(b, "acme", false), s.blob(b, "acme/web")
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 512)
	b.Run("signature", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(key, message)
		}
	})
	for name, r := range map[string]*http.Request{
		"exchange": exchanging(value, "acme/web"),
		"pull":     pulling("acme/web", digest, s.exchange(b, value, "acme/web")),
		"whoami":   request("GET", "/api/v1/whoami", value),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.do(b, r)
			}
		})
	}
}
