package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Actor is noted in tag histories and the trash for what is done through the
// control socket.
const Actor = "operator"

// Options of a handler; all are required.
type Options struct {
	Upkeep Upkeep
	// Log gets a line for each request.
	Log *slog.Logger
}

// New makes the handler. Its server must have no WriteTimeout: a job may take
// hours, and each line of its answer has a limit of its own.
func New(o Options) http.Handler {
	h := &handler{log: o.Log}
	u := Checked(o.Upkeep)
	h.routes = map[string]route{
		"/api/v1/upkeep/sweep":  {http.MethodPost, job(u.Sweep)},
		"/api/v1/upkeep/fsck":   {http.MethodPost, job(u.Fsck)},
		"/api/v1/upkeep/backup": {http.MethodPost, job(u.Backup)},
		"/api/v1/upkeep/remove": {http.MethodPost, command(u.Remove)},
		"/api/v1/trash":         {http.MethodGet, list(readTrashQuery, u.Trash)},
		"/api/v1/trash/restore": {http.MethodPost, command(u.Restore)},
		"/api/v1/trash/purge":   {http.MethodPost, command(u.Purge)},
		"/api/v1/history":       {http.MethodGet, list(readHistoryQuery, u.History)},
	}
	return h
}

type handler struct {
	routes map[string]route
	log    *slog.Logger
}

type route struct {
	method string
	serve  func(*exchange) error
}

// exchange is one request and its answer.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	started bool  // the status is out
	broken  bool  // the client takes no more
	err     error // what the request failed of
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	x := &exchange{w: w, r: r.WithContext(registry.WithActor(r.Context(), Actor))}
	if err := h.dispatch(x); err != nil {
		x.fail(err)
	}
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("method", r.Method), slog.String("path", oci.Clip(r.URL.Path)),
		slog.Float64("seconds", time.Since(begun).Seconds()),
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
		if problem(x.err).Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		if r.Context().Err() != nil {
			level = slog.LevelInfo // the client went, or the server stops
		}
	}
	h.log.LogAttrs(r.Context(), level, "upkeep", attrs...)
}

func (h *handler) dispatch(x *exchange) error {
	rt, ok := h.routes[x.r.URL.Path]
	if !ok {
		return oci.Errorf(oci.CodeRouteUnknown, "the management API has no path %q", oci.Clip(x.r.URL.Path))
	}
	if x.r.Method != rt.method {
		x.w.Header().Set("Allow", rt.method)
		return oci.Errorf(oci.CodeUnsupported, "%s takes %s, not %s", x.r.URL.Path, rt.method, oci.Clip(x.r.Method))
	}
	return rt.serve(x)
}

// list serves a page of something that a query selects.
func list[Q, P any](read func(*query) Q, get func(context.Context, Q) (P, error)) func(*exchange) error {
	return func(x *exchange) error {
		q, err := parseQuery(x.r.URL.RawQuery)
		if err != nil {
			return err
		}
		v := read(q)
		if err := q.finish(); err != nil {
			return err
		}
		page, err := get(x.r.Context(), v)
		if err != nil {
			return err
		}
		return x.json(page)
	}
}

// command serves what is done at once.
func command[O, R any](do func(context.Context, O) (R, error)) func(*exchange) error {
	return func(x *exchange) error {
		o, err := readBody[O](x)
		if err != nil {
			return err
		}
		report, err := do(x.r.Context(), o)
		if err != nil {
			return err
		}
		return x.json(report)
	}
}

// job serves what takes long.
func job[O, R any](do func(context.Context, O, func(v1.Progress)) (R, error)) func(*exchange) error {
	return func(x *exchange) error {
		o, err := readBody[O](x)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(x.r.Context())
		defer cancel(nil)
		l := &lines{x: x, broken: cancel}
		report, err := do(ctx, o, l.progress)
		l.flush()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && x.r.Context().Err() == nil {
				return fmt.Errorf("the client does not take the answer: %w", cause)
			}
			return err
		}
		result, err := json.Marshal(report)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		x.line(v1.Line{Result: result})
		return nil
	}
}

func (x *exchange) json(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	x.answer(http.StatusOK, "application/json", body)
	return nil
}

func (x *exchange) answer(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if _, err := x.w.Write(body); err != nil && x.err == nil {
		x.err = fmt.Errorf("send the answer: %w", err)
	}
}
