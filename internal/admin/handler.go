package admin

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Actor is noted in tag histories and the trash for what is done through the
// control socket.
const Actor = "operator"

// routeName labels all of this surface in the metrics.
const routeName = "api"

// Options of a handler. It needs Upkeep or Service, or both.
type Options struct {
	// Service is asked for everybody; nil where only the upkeep is offered.
	Service Service
	// Authenticate says who asks; required with Service. Errors: UNAUTHORIZED,
	// TOOMANYREQUESTS.
	Authenticate func(*http.Request) (access.Principal, error)
	// Upkeep is for the control socket; nil elsewhere, and then its paths are
	// not there and causes of internal errors go to the log only.
	Upkeep Upkeep
	// Version of the server, for whoami: only who signed in is told.
	Version string
	// Log gets a line for each request; nil where a middleware writes it.
	Log *slog.Logger
}

// New makes the handler of everything below /api/v1. Its server must have no
// WriteTimeout when it has an Upkeep: a job may take hours, and each line of
// its answer has a limit of its own.
func New(o Options) http.Handler {
	h := &handler{o: o, routes: map[string]map[string]operation{}, origin: http.NewCrossOriginProtection()}
	if o.Upkeep != nil {
		h.o.Upkeep = Checked(o.Upkeep)
	}
	for _, op := range operations() {
		if !op.offered(o) {
			continue
		}
		if h.routes[op.path] == nil {
			h.routes[op.path] = map[string]operation{}
		}
		h.routes[op.path][op.method] = op
	}
	h.document = sync.OnceValues(publish)
	return h
}

type handler struct {
	o        Options
	routes   map[string]map[string]operation // by path, by method
	origin   *http.CrossOriginProtection
	document func() (*published, error)
}

// exchange is one request and its answer.
type exchange struct {
	*handler
	w       http.ResponseWriter
	r       *http.Request
	who     access.Principal
	item    string // what the path names
	status  int    // to answer with; 0 is 200
	started bool   // the status is out
	broken  bool   // the client takes no more
	err     error  // what the request failed of
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	record := observe.FromContext(r.Context())
	record.Route = routeName
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	x := &exchange{handler: h, w: w, r: r}
	if h.o.Upkeep != nil {
		x.actor(Actor)
	}
	if err := h.dispatch(x); err != nil {
		x.fail(err)
	}
	record.Principal, record.Error = x.who.Name, x.err
	if h.o.Log != nil {
		h.line(x, time.Since(begun))
	}
}

// line is written where no middleware does.
func (h *handler) line(x *exchange, took time.Duration) {
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("method", oci.Clip(x.r.Method)), slog.String("path", oci.Clip(x.r.URL.Path)),
		slog.Float64("seconds", took.Seconds()),
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
		if x.problem(x.err).Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		if x.r.Context().Err() != nil {
			level = slog.LevelInfo // the client went, or the server stops
		}
	}
	h.o.Log.LogAttrs(x.r.Context(), level, "upkeep", attrs...)
}

// actor is noted in histories for what the request does.
func (x *exchange) actor(name string) {
	x.r = x.r.WithContext(registry.WithActor(x.r.Context(), name))
}

func (h *handler) dispatch(x *exchange) error {
	methods, item, err := h.find(x.r.URL)
	if err != nil {
		return err
	}
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	op, ok := methods[method]
	if !ok {
		allow := allowed(methods)
		x.w.Header().Set("Allow", allow)
		return oci.Errorf(oci.CodeUnsupported, "%s takes %s, not %s", oci.Clip(x.r.URL.Path), allow, oci.Clip(x.r.Method))
	}
	x.item = item
	if h.o.Service != nil && op.door != open {
		// A browser sends what it has signed in with wherever a page bids it.
		if err := h.origin.Check(x.r); err != nil {
			return oci.Errorf(oci.CodeDenied, "a page of another site sent this request").WithCause(err)
		}
		if x.who, err = h.authenticate(x.r); err != nil {
			return err
		}
		x.actor(x.who.Name)
	}
	return op.serve(x)
}

func (h *handler) authenticate(r *http.Request) (access.Principal, error) {
	p := access.Principal{Kind: access.Anonymous}
	var err error
	if h.o.Authenticate != nil {
		p, err = h.o.Authenticate(r)
	}
	if err == nil && (p.Kind == access.Anonymous || p.Kind == "") {
		err = oci.Errorf(oci.CodeUnauthorized, "sign in with a token: as the password of Basic authentication, or as a Bearer token")
	}
	if err != nil {
		return access.Principal{}, err
	}
	return p, nil
}

// find gives what a path takes, by method, and the item it names. A name may
// be escaped; an escaped slash does not divide.
func (h *handler) find(u *url.URL) (map[string]operation, string, error) {
	path := u.EscapedPath()
	if path == "/api/v1" {
		path += "/"
	}
	if m, ok := h.routes[path]; ok && !strings.Contains(path, "{") {
		return m, "", nil
	}
	for pattern, m := range h.routes {
		before, rest, ok := strings.Cut(pattern, "{")
		if !ok {
			continue
		}
		_, after, _ := strings.Cut(rest, "}")
		item, ok := strings.CutPrefix(path, before)
		if !ok {
			continue
		}
		item, ok = strings.CutSuffix(item, after)
		if !ok || item == "" || strings.Contains(item, "/") {
			continue
		}
		name, err := url.PathUnescape(item)
		if err != nil || !plain(name) {
			return nil, "", invalid("the name in the path is not understood: %q", oci.Clip(item))
		}
		return m, name, nil
	}
	return nil, "", oci.Errorf(oci.CodeRouteUnknown, "the management API has no path %q", oci.Clip(u.Path))
}
