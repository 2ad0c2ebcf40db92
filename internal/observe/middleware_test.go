package observe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/observe"
)

// watch serves one request and gives the answer and the log's lines.
func watch(t *testing.T, o observe.Options, level slog.Level, h http.HandlerFunc, r *http.Request) (*httptest.ResponseRecorder, []map[string]any) {
	t.Helper()
	var log bytes.Buffer
	o.Logger = observe.NewLogger(&log, level, false)
	w := httptest.NewRecorder()
	observe.New(o).Middleware(h).ServeHTTP(w, r)
	var lines []map[string]any
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		lines = append(lines, m)
	}
	return w, lines
}

func TestAccessLine(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPut, "/v2/team/app/manifests/v1?secret=hunter2", strings.NewReader("hello"))
	r.Header.Set("Authorization", "Bearer hunter2")
	r.Header.Set("Cookie", "hunter2")
	r.Header.Set("User-Agent", "docker/29")
	w, lines := watch(t, observe.Options{}, slog.LevelInfo, func(w http.ResponseWriter, r *http.Request) {
		q := observe.FromContext(r.Context())
		q.Route, q.Principal, q.Repo, q.Error = "manifest", "operator", "team/app", errors.New("the cause")
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}, r)
	if len(lines) != 1 {
		t.Fatalf("want one line, got %v", lines)
	}
	got := lines[0]
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request", "method": "PUT", "path": "/v2/team/app/manifests/v1", "route": "manifest",
		"status": 418.0, "in": 5.0, "out": 15.0, "principal": "operator", "repo": "team/app", "error": "the cause",
		"client": "192.0.2.1", "agent": "docker/29", "id": w.Header().Get("X-Request-Id"),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if _, ok := got["us"].(float64); !ok {
		t.Errorf("no duration in %v", got)
	}
	if all, _ := json.Marshal(got); bytes.Contains(all, []byte("hunter2")) {
		t.Errorf("a secret is logged: %s", all)
	}
}

func TestQuietLine(t *testing.T) {
	t.Parallel()
	quiet := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			observe.FromContext(r.Context()).Quiet = true
			w.WriteHeader(status)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	if _, lines := watch(t, observe.Options{}, slog.LevelInfo, quiet(200), r); len(lines) != 0 {
		t.Errorf("a quiet request is logged: %v", lines)
	}
	if _, lines := watch(t, observe.Options{}, slog.LevelDebug, quiet(200), r); len(lines) != 1 {
		t.Errorf("a quiet request is not logged at debug level: %v", lines)
	}
	if _, lines := watch(t, observe.Options{}, slog.LevelInfo, quiet(500), r); len(lines) != 1 || lines[0]["level"] != "ERROR" {
		t.Errorf("a quiet failure is not logged as an error: %v", lines)
	}
}

// TestLogInjection: a path with a line break stays in one line, a long one is
// cut.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	for _, text := range []bool{true, false} {
		var log bytes.Buffer
		o := observe.New(observe.Options{Logger: observe.NewLogger(&log, slog.LevelInfo, text)})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = "/\nlevel=ERROR msg=forged " + strings.Repeat("x", 1<<16)
		r.Header.Set("User-Agent", "a\nb"+strings.Repeat("y", 1<<16))
		o.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if n := strings.Count(log.String(), "\n"); n != 1 || log.Len() > 2048 {
			t.Errorf("text %v: %d lines, %d bytes", text, n, log.Len())
		}
	}
}

func TestPanicBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	fail := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "id "+observe.FromContext(r.Context()).ID)
	})
	w, lines := watch(t, observe.Options{Fail: fail}, slog.LevelInfo, func(http.ResponseWriter, *http.Request) {
		panic("a bug")
	}, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 500 || w.Body.String() != "id "+w.Header().Get("X-Request-Id") {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
	if len(lines) != 2 || !strings.Contains(lines[0]["stack"].(string), "TestPanicBeforeTheAnswer") ||
		lines[1]["status"] != 500.0 || !strings.Contains(lines[1]["error"].(string), "a bug") {
		t.Errorf("logged %v", lines)
	}
}

// TestPanicAmidTheAnswer: the client must not take half an answer for a whole.
func TestPanicAmidTheAnswer(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := observe.New(observe.Options{Logger: observe.NewLogger(&log, slog.LevelInfo, false)})
	for name, cause := range map[string]any{"bug": "a bug", "abort": http.ErrAbortHandler} {
		srv := httptest.NewUnstartedServer(o.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			panic(cause)
		})))
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		srv.Start()
		resp, err := srv.Client().Get(srv.URL)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: half an answer was taken for a whole", name)
		}
		srv.Close()
	}
	if strings.Count(log.String(), `"aborted":true`) != 2 {
		t.Errorf("the lines do not say that the connections were broken off:\n%s", &log)
	}
}

// TestInformationalStatus: 103 is not the answer.
func TestInformationalStatus(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := observe.New(observe.Options{Logger: observe.NewLogger(&log, slog.LevelInfo, false)})
	srv := httptest.NewServer(o.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})))
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	srv.Close()
	if !strings.Contains(log.String(), `"status":418`) || !strings.Contains(log.String(), `"out":15`) {
		t.Errorf("logged %s", &log)
	}
}

func TestRecordOutsideOfARequest(t *testing.T) {
	t.Parallel()
	observe.FromContext(t.Context()).Route = "nowhere" // must not panic
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	o := observe.New(observe.Options{Logger: slog.New(slog.DiscardHandler), Version: "v1.2.3", Commit: "abc"})
	h := o.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observe.FromContext(r.Context()).Route = "blob"
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "12345")
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPatch, "/x", strings.NewReader("abc")))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/x", nil))
	o.Sweep.Freed(2, 1, 4096)
	o.Database.Committed(7, 0, nil)
	o.Database.Committed(7, 0, errors.New("disk full"))
	if err := o.Gauge("open_uploads", "Uploads that are open.", func() float64 { return 3 }); err != nil {
		t.Fatal(err)
	}
	if err := o.Gauge("open_uploads", "again", func() float64 { return 0 }); err == nil {
		t.Error("a name was given twice")
	}
	missing, err := o.Counter("blobs_missing_total", "Blobs whose bytes are gone.")
	if err != nil {
		t.Fatal(err)
	}
	missing()
	if _, err := o.Counter("blobs_missing_total", "again"); err == nil {
		t.Error("a counter's name was given twice")
	}
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`fairlead_http_request_duration_seconds_count{code="200",method="PATCH",route="blob"} 1`,
		`fairlead_http_request_duration_seconds_count{code="200",method="other",route="blob"} 1`,
		`fairlead_http_request_bytes_total{route="blob"} 3`,
		`fairlead_http_response_bytes_total{route="blob"} 10`,
		`fairlead_http_requests_in_flight 0`,
		`fairlead_build_info{commit="abc",go="go`,
		`fairlead_sweep_blobs_freed_total 2`, `fairlead_sweep_bytes_freed_total 4096`, `fairlead_sweep_uploads_expired_total 1`,
		`fairlead_database_commit_operations_count 1`, `fairlead_database_commit_operations_sum 7`, `fairlead_database_commit_failures_total 1`,
		`fairlead_open_uploads 3`, `fairlead_blobs_missing_total 1`, `go_goroutines`, `process_resident_memory_bytes`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}
