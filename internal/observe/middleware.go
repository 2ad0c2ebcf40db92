package observe

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what an Observer is made of.
type Options struct {
	// Logger takes the access lines; required.
	Logger *slog.Logger
	// Proxies are trusted; none by default.
	Proxies []netip.Prefix
	// Version and Commit label fairlead_build_info.
	Version, Commit string
	// Fail answers 500 for a handler that panicked before it answered, so that
	// errors are ended in one place; by default a bare 500.
	Fail http.Handler
}

// Observer watches the server.
type Observer struct {
	log      *slog.Logger
	proxies  Proxies
	fail     http.Handler
	ids      *ids
	registry *prometheus.Registry
	http     *httpMetrics
	// Sweep and Database are fed by who does the work.
	Sweep    *Sweep
	Database *Database
}

// New makes an Observer with a metrics registry of its own.
func New(o Options) *Observer {
	if o.Fail == nil {
		o.Fail = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		})
	}
	registry := newRegistry(o.Version, o.Commit)
	return &Observer{
		log: o.Logger, proxies: o.Proxies, fail: o.Fail, ids: newIDs(),
		registry: registry,
		http:     newHTTPMetrics(registry),
		Sweep:    newSweep(registry),
		Database: newDatabase(registry),
	}
}

// exchange is all the middleware allocates for a request.
type exchange struct {
	req  Request
	resp response
	body body
}

// maxAgent is how much is kept of what a client calls itself, in bytes.
const maxAgent = 120

// Middleware gives each request its id and record, catches panics, counts, and
// writes one line when the request has ended.
func (o *Observer) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		x := &exchange{}
		x.resp.ResponseWriter = w
		x.req.ID = o.id(r)
		x.req.Client = o.proxies.Client(r)
		if agent := r.Header["User-Agent"]; len(agent) > 0 {
			x.req.Agent = agent[0][:min(len(agent[0]), maxAgent)]
		}
		w.Header()["X-Request-Id"] = []string{x.req.ID}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, &x.req))
		if r.Body != nil && r.Body != http.NoBody {
			x.body.ReadCloser = r.Body
			r.Body = &x.body
		}
		o.http.inFlight.Inc()
		aborted := o.handle(next, x, r)
		o.http.inFlight.Dec()
		o.end(x, r, start, aborted)
		if aborted {
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's only way to break a connection off
		}
	})
}

// handle runs next and says whether the connection must be broken off: after a
// panic with a half-sent answer there is no other way to tell the client.
func (o *Observer) handle(next http.Handler, x *exchange, r *http.Request) (aborted bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // a value of panic, compared as net/http does
			aborted = true
			return
		}
		x.req.Error = fmt.Errorf("panic: %v", v)
		o.log.LogAttrs(r.Context(), slog.LevelError, "a handler panicked",
			slog.String("id", x.req.ID), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		if x.resp.status != 0 {
			aborted = true
			return
		}
		o.fail.ServeHTTP(&x.resp, r)
	}()
	next.ServeHTTP(&x.resp, r)
	return false
}

// end counts the request and writes its line.
func (o *Observer) end(x *exchange, r *http.Request, start time.Time, aborted bool) {
	took := time.Since(start)
	status := x.resp.status
	if status == 0 && !aborted {
		status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	in := x.body.in.Load()
	o.http.record(x.req.Route, r.Method, status, in, x.resp.out, took)

	level := slog.LevelInfo
	switch {
	case status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage:
		level = slog.LevelError
	case x.req.Quiet:
		level = slog.LevelDebug
	}
	ctx := r.Context()
	if !o.log.Enabled(ctx, level) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0],
		slog.String("method", clip(r.Method, 32)),
		slog.String("path", clip(r.URL.Path, 1024)),
		slog.String("route", x.req.Route),
		slog.Int("status", status),
		slog.Int64("in", in),
		slog.Int64("out", x.resp.out),
		slog.Int64("us", took.Microseconds()),
		slog.String("id", x.req.ID),
	)
	for _, a := range [...]struct{ key, value string }{
		{"repo", x.req.Repo},
		{"principal", x.req.Principal},
		{"agent", clip(r.UserAgent(), 128)},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if x.req.Client.IsValid() {
		attrs = append(attrs, slog.String("client", x.req.Client.String()))
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if x.req.Error != nil {
		attrs = append(attrs, slog.String("error", clip(x.req.Error.Error(), 2048)))
	}
	// Straight to the handler: the logger would look up its caller first, which
	// is always this one.
	line := slog.NewRecord(start.Add(took), level, "request", 0)
	line.AddAttrs(attrs...)
	_ = o.log.Handler().Handle(ctx, line) // as slog.Logger does: there is no place to say it
}

// clip bounds what a client can make the log hold, in bytes.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
