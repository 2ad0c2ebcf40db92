// Package serve builds the graph of the server, runs it and stops it. It is
// the only place that knows every part, and the only one that starts
// goroutines.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/blob/disk"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/distribution"
	"fairlead.dev/fairlead/internal/keyfile"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/socket"
	"fairlead.dev/fairlead/internal/token"
)

// service names this registry in challenges and registry tokens.
const service = "fairlead"

// What lies in the data folder.
const (
	databaseFile = "fairlead.db"
	blobFolder   = "blobs"
	operatorFile = "operator.token"
	socketFile   = "control.sock"
)

// Options is what a server is started with.
type Options struct {
	Config  config.Config
	Version string
	Commit  string
	// Out takes the greeting, Log the log.
	Out, Log io.Writer
	// Interactive says that Log is a terminal.
	Interactive bool
}

// Run serves until ctx is cancelled, then stops gracefully: new work is
// refused, running pushes and pulls end, up to the configured limit.
func Run(ctx context.Context, o Options) (err error) {
	s := &server{o: o, c: o.Config, log: newLogger(o)}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.run(ctx)
}

func newLogger(o Options) *slog.Logger {
	text := o.Config.LogFormat == config.LogText || o.Config.LogFormat == config.LogAuto && o.Interactive
	return observe.NewLogger(o.Log, o.Config.LogLevel, text)
}

// server holds what Run opened, in the order it is closed again (reversed).
type server struct {
	o        Options
	c        config.Config
	log      *slog.Logger
	closers  []func() error
	first    bool // the data folder was made by this start
	operator *account.Operator
	keys     *token.FileKeys
	values   *account.ValueKeys
	house    *house
	database *sqlite.DB
	blobs    *disk.Store
	room     *room
	observer *observe.Observer
	registry *local.Registry
	handler  *distribution.Handler
	health   *health
	cert     *certificate
	listener net.Listener
	profiles net.Listener
	control  net.Listener
}

func (s *server) close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// open touches the world, in an order in which nothing is made before the
// data folder is ours.
func (s *server) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.openFolder, s.openSecrets, s.openStores, s.openListeners,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.build()
}

func (s *server) openFolder(context.Context) error {
	unlock, err := openData(s.c.Data)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, unlock)
	return nil
}

func (s *server) openSecrets(context.Context) error {
	if err := os.MkdirAll(s.c.Keys, 0o700); err != nil {
		return fmt.Errorf("make the folder of the keys: %w; choose another with --keys", err)
	}
	values, _, err := keyfile.Load(filepath.Join(s.c.Keys, "token-values.key"))
	if err != nil {
		return err
	}
	// Nothing is encrypted yet; the key is made with the others so that every
	// backup of the keys folder is whole.
	if _, _, err := keyfile.Load(filepath.Join(s.c.Keys, "encryption.key")); err != nil {
		return err
	}
	if s.keys, err = token.OpenKeys(filepath.Join(s.c.Keys, "registry-tokens")); err != nil {
		return err
	}
	if s.values, err = account.OpenValueKeys(filepath.Join(s.c.Keys, "token-values")); err != nil {
		return err
	}
	file, given := s.c.OperatorTokenFile, true
	if file == "" {
		file, given = filepath.Join(s.c.Data, operatorFile), false
	}
	s.operator, s.first, err = account.OpenOperator(account.OperatorOptions{File: file, Given: given, Key: values, Log: s.log})
	return err
}

func (s *server) openStores(ctx context.Context) error {
	s.observer = observe.New(observe.Options{
		Logger: s.log, Proxies: s.c.Proxies(), Version: s.o.Version, Commit: s.o.Commit,
		Fail: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.Panicked(w, r) }),
	})
	var err error
	s.database, err = sqlite.Open(ctx, filepath.Join(s.c.Data, databaseFile), sqlite.Options{Committed: s.observer.Database.Committed})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.database.Close)
	if s.blobs, err = disk.Open(filepath.Join(s.c.Data, blobFolder), disk.Options{}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.blobs.Close)
	s.room = &room{free: s.blobs.Free, min: s.c.MinFreeDisk}
	return nil
}

func (s *server) openListeners(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if s.c.TLS() {
		if s.cert, err = openCertificate(s.c.TLSCert, s.c.TLSKey, s.log); err != nil {
			return err
		}
	}
	if s.listener, err = lc.Listen(ctx, "tcp", s.c.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w; choose another address with --listen", s.c.Listen, err)
	}
	s.closers = append(s.closers, ignoreClosed(s.listener.Close))
	if s.control, err = socket.Listen(ctx, filepath.Join(s.c.Data, socketFile), s.log); err != nil {
		return err
	}
	s.closers = append(s.closers, ignoreClosed(s.control.Close))
	if s.c.PprofListen == "" {
		return nil
	}
	if s.profiles, err = lc.Listen(ctx, "tcp", s.c.PprofListen); err != nil {
		return fmt.Errorf("listen on %s for profiles: %w; choose another address with --pprof-listen", s.c.PprofListen, err)
	}
	s.closers = append(s.closers, ignoreClosed(s.profiles.Close))
	return nil
}

// ignoreClosed: a graceful stop has closed the listener already.
func ignoreClosed(f func() error) func() error {
	return func() error {
		if err := f(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// buildRegistry makes the registry over the open stores.
func (s *server) buildRegistry() error {
	missing, err := s.observer.Counter("blobs_missing_total", "Reads of blobs whose bytes are gone from the store: restore them from a backup.")
	if err != nil {
		return err
	}
	s.registry = local.New(local.Options{
		Blobs: s.blobs, Catalog: s.database.Catalog, Uploads: s.database.Uploads, Garbage: s.database.Garbage,
		Trash: s.database.Trash, History: s.database.History, Retention: s.database.Retention, Inspection: s.database.Inspection,
		Limits: local.Limits{
			ManifestBytes: int64(s.c.MaxManifestSize), BlobBytes: int64(s.c.MaxBlobSize),
			ConcurrentUploads: s.c.MaxConcurrentUploads, OpenUploads: s.c.MaxOpenUploads,
			UnfinishedBytes: int64(s.c.MaxUnfinishedBytes),
		},
		Room:         s.room.enough,
		UploadExpiry: s.c.UploadExpiry, Grace: s.c.SweepGrace, TrashTime: s.c.TrashRetention, HistoryTime: s.c.HistoryRetention,
		Missing: func(row local.BlobRow) {
			missing()
			s.log.Error("the bytes of a blob are missing: restore them from a backup", "digest", row.Digest, "key", row.Key)
		},
		Swept: s.swept,
		Immutable: func(repo oci.Repo, tag oci.Tag) bool {
			return s.house != nil && s.house.directory.Immutable(repo, tag)
		},
		Log: s.log,
	})
	return nil
}

// build makes the values that need nothing but each other.
func (s *server) build() error {
	hosts, err := publicHosts(s.c, s.listener.Addr())
	if err != nil {
		return err
	}
	if err := s.buildRegistry(); err != nil {
		return err
	}
	if err := s.buildHouse(); err != nil {
		return err
	}
	s.openDoors()
	s.handler = distribution.New(distribution.Options{
		View:          func(v guard.Viewer) registry.Registry { return guard.New(s.registry, v) },
		Policy:        s.house.policy,
		Verifier:      token.NewVerifier(token.VerifierOptions{Service: service, Keys: s.keys, Alive: s.house.signIn.Alive, Known: s.house.signIn.Known}),
		Minter:        token.NewMinter(token.MinterOptions{Service: service, Keys: s.keys, Lifetime: s.c.TokenLifetime}),
		Authenticator: s.house.gate,
		Anonymous:     s.c.AnonymousPublic,
		Pulled:        s.pulled,
		KeySet:        s.keySet,
		Hosts:         hosts,
		Service:       service,
		Warn:          s.warnings,
		Audit:         s.audit,
		Log:           s.log,
	})
	s.health = &health{checks: []check{
		{"database", s.database.Ping},
		{"store", func(ctx context.Context) error { _, _, err := s.blobs.Free(ctx); return err }},
		{"disk", s.diskHasRoom},
	}}
	err = s.observer.Gauge("sweep_waiting_bytes", "Bytes that a sweep would free now; -1 when they cannot be counted.", func() float64 {
		w, err := s.registry.Waiting(context.Background())
		if err != nil {
			return -1
		}
		return float64(w.Bytes)
	})
	if err != nil {
		return err
	}
	return s.observer.Gauge("uploads_open", "Uploads that were begun and not ended.", func() float64 {
		use, err := s.database.Uploads.Usage(context.Background(), "")
		if err != nil {
			return -1
		}
		return float64(use.Uploads)
	})
}

func (s *server) swept(done local.Swept, err error) {
	s.observer.Sweep.Freed(done.Blobs+done.Orphans, done.Uploads, done.Bytes)
	s.observer.Sweep.Ended(time.Now(), err)
}

func (s *server) diskHasRoom(ctx context.Context) error {
	ok, err := s.room.enough(ctx)
	if err == nil && !ok {
		err = errors.New("less of the disk is free than min-free-disk asks for: pushes are refused")
	}
	return err
}

func (s *server) keySet(ctx context.Context) ([]byte, error) {
	keys, err := s.keys.Trusted(ctx)
	if err != nil {
		return nil, err
	}
	return token.JWKS(keys), nil
}

func (s *server) warnings(ctx context.Context, p access.Principal, write bool) []string {
	var out []string
	if now := time.Now(); !p.WarnFrom.IsZero() && now.After(p.WarnFrom) {
		out = append(out, fmt.Sprintf("The token %s will expire in %s.", p.Name, p.Expires.Sub(now).Round(time.Second)))
	}
	if write && s.room.scarce(ctx) {
		out = append(out, "The registry's disk is getting full: pushes will soon be refused. Tell its operator.")
	}
	return out
}

// routes is the server's surface.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health.live)
	mux.HandleFunc("GET /readyz", s.health.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.Handle("/token", s.handler)
	mux.Handle("/api/", s.house.api)
	mux.Handle("/.well-known/jwks.json", s.handler)
	mux.HandleFunc("/", elsewhere)
	// ServeMux would clean the path and redirect; the protocol's grammar
	// reads it as it came.
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p == "/v2" || len(p) >= 4 && p[:4] == "/v2/" {
			s.handler.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return s.observer.Middleware(all)
}

// run serves on the open listeners until ctx ends.
func (s *server) run(ctx context.Context) error {
	web := s.webServer()
	group, gctx := errgroup.WithContext(ctx)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group.Go(func() error { return s.serveHTTP(web) })
	group.Go(func() error { return s.registry.Run(work, s.c.SweepInterval) })
	group.Go(func() error { return s.operator.Run(work) })
	group.Go(func() error { return s.house.directory.Run(work) })
	group.Go(func() error { return s.house.audit.Run(work) })
	group.Go(func() error { return s.house.tally.Run(work) })
	group.Go(func() error { return s.forgetTokens(work) })
	group.Go(func() error { return s.serveControl(work) })
	if s.cert != nil {
		group.Go(func() error { return s.cert.Run(work) })
	}
	if s.profiles != nil {
		group.Go(func() error { return serveProfiles(work, s.profiles) })
	}
	s.greet()
	group.Go(func() error {
		<-gctx.Done()
		defer stopWork()
		return s.stop(web)
	})
	return group.Wait()
}
