package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"path/filepath"
	"time"

	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/distribution"
)

const (
	headerTime = 10 * time.Second // to send a request's head
	idleTime   = 2 * time.Minute  // between two requests of one connection
	answerTime = 2 * time.Minute  // for an answer to leave; package distribution gives long ones more
	maxHeader  = 64 << 10         // bytes of a request's head
	stopPoll   = 50 * time.Millisecond
)

// webServer bounds what a stranger can hold open. Bodies have no time limit
// as a whole: each stretch of one has (package distribution).
func (s *server) webServer() *http.Server {
	web := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		WriteTimeout:      answerTime,
		ConnContext:       distribution.ConnContext,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.cert != nil {
		web.TLSConfig = s.cert.config()
	}
	return web
}

func (s *server) serveHTTP(web *http.Server) error {
	var err error
	if s.cert != nil {
		err = web.ServeTLS(s.listener, "", "")
	} else {
		err = web.Serve(s.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
}

// stop ends the server in this order: readiness goes, new work is refused,
// running pushes end, connections close. What is not done after the limit is
// cut off; nothing that was acknowledged depends on it.
func (s *server) stop(web *http.Server) error {
	s.log.Info("stopping: new work is refused, running pushes may end", "limit", s.c.ShutdownTimeout.String())
	s.health.stopping.Store(true)
	s.handler.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), s.c.ShutdownTimeout)
	defer cancel()
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for s.handler.Pushing() && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	err := web.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some requests were still running and are cut off")
		err = web.Close()
	}
	s.log.Info("stopped")
	return err
}

// serveControl serves the management API on the socket in the data folder. A
// job that runs when the server stops is cut off; it can be begun again.
func (s *server) serveControl(ctx context.Context) error {
	web := &http.Server{
		Handler: s.observer.Middleware(admin.New(admin.Options{
			Upkeep: s.upkeep(), Service: s.house.desk, Authenticate: operatorAsks, Version: s.o.Version,
		})),
		ReadHeaderTimeout: headerTime,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = web.Close() })
	defer stop()
	if err := web.Serve(s.control); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// serveProfiles serves Go's profiles on their own loopback listener.
func serveProfiles(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: headerTime}
	stop := context.AfterFunc(ctx, func() { _ = web.Close() })
	defer stop()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles: %w", err)
	}
	return nil
}

// publicHosts are the URLs clients reach the server by: the configured ones,
// or those of the loopback address that is listened on.
func publicHosts(c config.Config, listen net.Addr) ([]*url.URL, error) {
	if len(c.PublicURL) > 0 {
		out := make([]*url.URL, len(c.PublicURL))
		for i, o := range c.PublicURL {
			out[i] = &url.URL{Scheme: o.Scheme, Host: o.Host}
		}
		return out, nil
	}
	a, ok := listen.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("listen on %s: set public-url to the URL that clients use", listen)
	}
	scheme := "http"
	if c.TLS() {
		scheme = "https"
	}
	port := fmt.Sprint(a.Port)
	host := func(name string) *url.URL {
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(name, port)}
	}
	if a.IP.IsUnspecified() {
		return nil, fmt.Errorf("the server listens on every address (%s), so it cannot know the URL that clients use: set --public-url, such as --public-url=https://registry.example.com", c.Listen)
	}
	out := []*url.URL{host(a.IP.String())}
	if a.IP.IsLoopback() {
		out = append(out, host("localhost"), host("127.0.0.1"), host("::1"))
	}
	return out, nil
}

// greet says where the server is and, on the first start, what to type next.
func (s *server) greet() {
	hosts, err := publicHosts(s.c, s.listener.Addr())
	if err != nil || len(hosts) == 0 {
		return
	}
	s.log.Info("serving", "url", hosts[0].String(), "listen", s.listener.Addr().String(), "data", s.c.Data, "version", s.o.Version)
	if !s.first {
		return
	}
	file := filepath.Join(s.c.Data, operatorFile)
	_, _ = fmt.Fprintf(s.o.Out, `
Fairlead serves %[1]s

The operator's token was made and lies in %[2]s.
It is the one secret that lies in clear, readable by you only. Type next:

  docker login %[3]s --username token --password-stdin < %[2]s
  docker tag IMAGE %[3]s/acme/hello
  docker push %[3]s/acme/hello

`, hosts[0], file, hosts[0].Host)
}
