package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/observe"
)

// probeTime bounds one check of readiness.
const probeTime = 5 * time.Second

// check is one thing that must answer before the server is ready.
type check struct {
	name string
	ask  func(context.Context) error
}

// health answers /healthz (the process lives) and /readyz (it can work).
type health struct {
	checks   []check
	stopping atomic.Bool
}

func (h *health) live(w http.ResponseWriter, r *http.Request) {
	rec := observe.FromContext(r.Context())
	rec.Route, rec.Quiet = "healthz", true
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	rec := observe.FromContext(r.Context())
	rec.Route, rec.Quiet = "readyz", true
	ctx, cancel := context.WithTimeout(r.Context(), probeTime)
	defer cancel()
	status, report := http.StatusOK, map[string]string{"status": "ok"}
	for _, c := range h.checks {
		report[c.name] = "ok"
		if err := c.ask(ctx); err != nil {
			// The cause may name paths: it goes to the log.
			report[c.name], report["status"] = "failed", "not ready"
			rec.Error, rec.Quiet, status = err, false, http.StatusServiceUnavailable
		}
	}
	if h.stopping.Load() {
		report["status"], status = "stopping", http.StatusServiceUnavailable
	}
	answer(w, status, report)
}

func answer(w http.ResponseWriter, status int, v map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// metrics lets this machine read the metrics, and others with the operator's
// credentials: they tell who uses the registry how much.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	rec := observe.FromContext(r.Context())
	rec.Route, rec.Quiet = "metrics", true
	if !rec.Client.IsLoopback() {
		user, secret, _ := r.BasicAuth()
		p, err := s.operator.Authenticate(r.Context(), user, secret)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="`+service+`"`)
			answer(w, http.StatusUnauthorized, map[string]string{
				"error": "the metrics are for this machine, or for the user token with the operator's token as password",
			})
			return
		}
		rec.Principal = p.Name
	}
	s.observer.Handler().ServeHTTP(w, r)
}

// elsewhere answers what no surface has.
func elsewhere(w http.ResponseWriter, r *http.Request) {
	observe.FromContext(r.Context()).Route = "other"
	text := "there is nothing here: the registry is under /v2/"
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		text = "the Docker Registry protocol 1 is not spoken here: use /v2/"
	}
	answer(w, http.StatusNotFound, map[string]string{"error": text})
}
