package distribution_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/distribution"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
)

// TestPanicIsAnInternalError: the client gets the specification's JSON with
// the request's id, and nothing of the cause.
func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	h := distribution.New(distribution.Options{
		View: func(guard.Viewer) registry.Registry { panic("a secret cause") },
	})
	o := observe.New(observe.Options{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Fail: http.HandlerFunc(h.Panicked),
	})
	w := httptest.NewRecorder()
	o.Middleware(h).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/a/tags/list", nil))
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if id := w.Header().Get("X-Request-Id"); w.Code != 500 || id == "" || !strings.Contains(body.Errors[0].Message, id) {
		t.Errorf("%d, id %q: %s", w.Code, id, w.Body)
	}
	if strings.Contains(w.Body.String(), "secret cause") {
		t.Error("the cause is told to the client")
	}
}
