package observe_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"fairlead.dev/fairlead/internal/observe"
)

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkMiddleware is the cost of being watched: id, record, metrics, line.
func BenchmarkMiddleware(b *testing.B) {
	for name, log := range map[string]*slog.Logger{
		"json": observe.NewLogger(io.Discard, slog.LevelInfo, false),
		"text": observe.NewLogger(io.Discard, slog.LevelInfo, true),
		"off":  observe.NewLogger(io.Discard, slog.LevelError, false),
	} {
		b.Run(name, func(b *testing.B) {
			o := observe.New(observe.Options{Logger: log})
			h := o.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := observe.FromContext(r.Context())
				q.Route, q.Principal, q.Repo = "manifest", "operator", "team/app"
				w.WriteHeader(http.StatusOK)
			}))
			r := httptest.NewRequest(http.MethodGet, "/v2/team/app/manifests/v1", nil)
			r.Header.Set("User-Agent", "containerd/v2.1.4")
			w := nowhere{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
