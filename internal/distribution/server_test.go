package distribution_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/blob/disk"
	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/distribution"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/token"
)

// The tests of this package speak HTTP to the whole server as serve builds it:
// a real database, a real disk, real keys, a real operator's token, over TCP.
// Two spies look on and change nothing: one counts what is asked of the
// catalog, one remembers the registry tokens that were minted, so that every
// test ends with the proof that none of them, and no operator's token, is in
// the log.

const (
	service     = "fairlead"
	publicHost  = "https://registry.example.com"
	lifetime    = 5 * time.Minute
	manifestMax = 4 << 20
)

// config is what a test wants otherwise.
type config struct {
	limits    local.Limits
	warn      func(context.Context, access.Principal, bool) []string
	patience  time.Duration
	answer    time.Duration // the server's WriteTimeout
	dishonest bool          // the test makes the server fail: errors in the log are its own
}

type server struct {
	url      string // of the listener
	host     string
	secret   string // the operator's token
	handler  *distribution.Handler
	root     http.Handler // what is served
	blobs    *disk.Store
	blobDir  string
	db       *sqlite.DB
	registry *local.Registry
	keys     *token.FileKeys
	operator *account.Operator
	file     string // of the operator's token
	clock    *clock // of the registry tokens
	catalog  *countingCatalog
	minter   *rememberingMinter
	log      *logBuffer
}

// clock of the registry tokens: moved by hand.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func start(t testing.TB, c config) *server {
	t.Helper()
	s := &server{log: &logBuffer{}, clock: &clock{}}
	s.openStores(t, c)
	web := httptest.NewUnstartedServer(nil)
	s.host = web.Listener.Addr().String()
	s.build(t, c)
	web.Config.Handler = s.root
	web.Config.MaxHeaderBytes = 64 << 10
	web.Config.ReadHeaderTimeout = 10 * time.Second
	web.Config.WriteTimeout = c.answer
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	web.Start()
	s.url = web.URL
	t.Cleanup(func() {
		web.Close()
		s.checkLog(t, c.dishonest)
	})
	return s
}

func (s *server) openStores(t testing.TB, c config) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.file = filepath.Join(dir, "operator.token")
	s.operator, _, err = account.OpenOperator(account.OperatorOptions{File: s.file, Key: []byte(strings.Repeat("k", 32))})
	must(err)
	s.secret = readSecret(t, s.file)
	s.keys, err = token.OpenKeys(filepath.Join(dir, "keys"))
	must(err)
	s.db, err = sqlite.Open(t.Context(), filepath.Join(dir, "fairlead.db"), sqlite.Options{})
	must(err)
	t.Cleanup(func() { _ = s.db.Close() })
	s.blobDir = filepath.Join(dir, "blobs")
	s.blobs, err = disk.Open(s.blobDir, disk.Options{})
	must(err)
	t.Cleanup(func() { _ = s.blobs.Close() })
	s.catalog = &countingCatalog{Catalog: s.db.Catalog}
	if c.limits.ManifestBytes == 0 {
		c.limits.ManifestBytes = manifestMax
	}
	s.registry = local.New(local.Options{
		Blobs: s.blobs, Catalog: s.catalog, Uploads: s.db.Uploads, Garbage: s.db.Garbage,
		Trash: s.db.Trash, History: s.db.History, Retention: s.db.Retention, Inspection: s.db.Inspection,
		Limits: c.limits, UploadExpiry: time.Hour, Grace: time.Hour,
	})
}

func (s *server) build(t testing.TB, c config) {
	t.Helper()
	logger := observe.NewLogger(s.log, slog.LevelDebug, false)
	s.minter = &rememberingMinter{Minter: token.NewMinter(token.MinterOptions{Service: service, Keys: s.keys, Lifetime: lifetime, Now: s.clock.Now})}
	var hosts []*url.URL
	for _, h := range []string{publicHost, "http://" + s.host} {
		u, err := url.Parse(h)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, u)
	}
	s.handler = distribution.New(distribution.Options{
		View:          func(v guard.Viewer) registry.Registry { return guard.New(s.registry, v) },
		Policy:        access.NewPolicy(access.Options{}),
		Verifier:      token.NewVerifier(token.VerifierOptions{Service: service, Keys: s.keys, Alive: func(p access.Principal) bool { return s.operator.Alive(p.TokenID) }, Now: s.clock.Now}),
		Minter:        s.minter,
		Authenticator: s.operator,
		KeySet: func(ctx context.Context) ([]byte, error) {
			keys, err := s.keys.Trusted(ctx)
			return token.JWKS(keys), err
		},
		Hosts: hosts, Service: service,
		Warn: c.warn, Patience: c.patience, Log: logger,
		Audit: func(ctx context.Context, e guard.Event) {
			logger.DebugContext(ctx, "audit", "event", e)
		},
	})
	s.root = observe.New(observe.Options{Logger: logger}).Middleware(s.handler)
}

func readSecret(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// rotate replaces the operator's token and gives the new one.
func (s *server) rotate(t testing.TB) string {
	t.Helper()
	if err := account.RotateOperator(s.file); err != nil {
		t.Fatal(err)
	}
	s.minter.remember(s.secret)
	s.secret = readSecret(t, s.file)
	return s.secret
}

// watch lets the server notice a rotation.
func (s *server) watch(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.operator.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// checkLog: no secret is in the log, and nothing failed inside.
func (s *server) checkLog(t testing.TB, dishonest bool) {
	t.Helper()
	out := s.log.String()
	secrets := append(s.minter.all(), s.secret)
	for _, secret := range secrets {
		parts := []string{secret, base64.StdEncoding.EncodeToString([]byte("token:" + secret))}
		if i := strings.LastIndexByte(secret, '.'); i > 0 {
			parts = append(parts, secret[i+1:]) // the signature
		}
		for _, p := range parts {
			if strings.Contains(out, p) {
				t.Errorf("a secret is in the log")
			}
		}
	}
	if !dishonest && strings.Contains(out, `"level":"ERROR"`) {
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("the server failed: %s", line)
			}
		}
	}
}

// logBuffer is a log that may be written and read at the same time.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

// rememberingMinter remembers what the log must not hold.
type rememberingMinter struct {
	*token.Minter
	mu   sync.Mutex
	seen []string
}

func (m *rememberingMinter) Mint(ctx context.Context, p access.Principal, scopes []oci.Scope) (string, token.Claims, error) {
	raw, c, err := m.Minter.Mint(ctx, p, scopes)
	if err == nil {
		m.remember(raw)
	}
	return raw, c, err
}

func (m *rememberingMinter) remember(secret string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, secret)
}

func (m *rememberingMinter) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.seen...)
}

// countingCatalog counts what is asked of the database about blobs and
// manifests.
type countingCatalog struct {
	local.Catalog
	asked atomic.Int64
}

func (c *countingCatalog) LinkBlob(ctx context.Context, repo oci.Repo, b local.BlobRow, id string) (local.BlobRow, error) {
	c.asked.Add(1)
	return c.Catalog.LinkBlob(ctx, repo, b, id)
}

func (c *countingCatalog) Blob(ctx context.Context, repo oci.Repo, d oci.Digest) (local.BlobRow, error) {
	c.asked.Add(1)
	return c.Catalog.Blob(ctx, repo, d)
}

func (c *countingCatalog) Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error) {
	c.asked.Add(1)
	return c.Catalog.Manifest(ctx, repo, ref)
}

func (c *countingCatalog) Repositories(ctx context.Context, in registry.Within, after oci.Repo, n int) ([]oci.Repo, error) {
	c.asked.Add(1)
	return c.Catalog.Repositories(ctx, in, after, n)
}

func (c *countingCatalog) Tags(ctx context.Context, repo oci.Repo, after oci.Tag, n int) ([]oci.Tag, error) {
	c.asked.Add(1)
	return c.Catalog.Tags(ctx, repo, after, n)
}

func (c *countingCatalog) Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, artifactType string, after oci.Digest, n int) ([]oci.Descriptor, error) {
	c.asked.Add(1)
	return c.Catalog.Referrers(ctx, repo, subject, artifactType, after, n)
}
