package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/socket"
)

// TestAPIScripts: the commands against a server that answers by a script.
func TestAPIScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/api",
		Setup: func(e *testscript.Env) error {
			e.Values[apisKey{}] = map[string]*scripted{}
			plainWorld(e)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exitCode,
			"api":  startAPI,
			"sent": sentToAPI,
			"host": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("HOST", hostOf(ts.Getenv("SERVER"))) },
		},
	})
}

type apisKey struct{}

// scripted answers requests as a file says, and remembers them.
type scripted struct {
	answers map[string]answer
	token   string // the only one that is taken; "" takes all

	mu   sync.Mutex
	sent []sentRequest
}

type answer struct {
	Status int               `json:"status"` // 200
	Body   json.RawMessage   `json:"body"`
	Code   string            `json:"code"` // of a problem
	Detail string            `json:"detail"`
	Lines  []json.RawMessage `json:"lines"` // of JSON lines
	Cut    bool              `json:"cut"`   // the connection breaks after them
	Moved  string            `json:"moved"` // to this URL
}

type sentRequest struct {
	what, body string
	header     http.Header
}

// startAPI is "api VAR ANSWERS [TOKEN]": it serves, and $VAR is the URL. "api
// DIR/ ANSWERS" serves on the control socket of a data folder.
func startAPI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: api VAR|DIR/ ANSWERS [TOKEN]")
	}
	s := &scripted{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &s.answers))
	if len(args) == 3 {
		s.token = args[2]
	}
	ts.Value(apisKey{}).(map[string]*scripted)[args[0]] = s
	if !strings.HasSuffix(args[0], "/") {
		srv := httptest.NewServer(s)
		ts.Defer(srv.Close)
		ts.Setenv(args[0], srv.URL)
		return
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	l, err := socket.Listen(context.Background(), filepath.Join(dir, controlSocket), slog.New(slog.DiscardHandler))
	ts.Check(err)
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	ts.Defer(func() { _ = srv.Close() })
}

// sentToAPI is "sent VAR WHAT [BODY]": the last request was this one, such as
// 'GET /api/v1/tokens?limit=100'. WHAT of the form NAME:VALUE is a header of
// it. With "!", no request was this one.
func sentToAPI(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(apisKey{}).(map[string]*scripted)[args[0]]
	s.mu.Lock()
	defer s.mu.Unlock()
	if neg {
		for _, r := range s.sent {
			if len(args) == 1 || strings.HasPrefix(r.what, args[1]) {
				ts.Fatalf("sent %s", r.what)
			}
		}
		return
	}
	if len(s.sent) == 0 {
		ts.Fatalf("nothing was sent")
	}
	last := s.sent[len(s.sent)-1]
	if name, value, ok := strings.Cut(args[1], ": "); ok {
		if got := last.header.Get(name); !regexp.MustCompile("^(?:" + value + ")$").MatchString(got) {
			ts.Fatalf("sent %s: %q", name, got)
		}
		return
	}
	if last.what != args[1] {
		ts.Fatalf("sent %s, want %s", last.what, args[1])
	}
	if len(args) < 3 {
		return
	}
	var got, want any
	ts.Check(json.Unmarshal([]byte(args[2]), &want))
	if err := json.Unmarshal([]byte(last.body), &got); err != nil || cmp.Diff(want, got) != "" {
		ts.Fatalf("sent %s, want %s (%v)", last.body, args[2], err)
	}
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	what := r.Method + " " + r.URL.Path
	long := what
	if r.URL.RawQuery != "" {
		long += "?" + r.URL.RawQuery
	}
	s.mu.Lock()
	s.sent = append(s.sent, sentRequest{long, string(body), r.Header.Clone()})
	s.mu.Unlock()
	if _, value, _ := r.BasicAuth(); s.token != "" && value != s.token {
		s.fail(w, answer{Status: 401, Code: "UNAUTHORIZED", Detail: "the token is not known here"})
		return
	}
	if strings.HasSuffix(r.Header.Get("Accept"), "jsonl") { // "LINES /path" is what a stream of lines has
		what, long = strings.Replace(what, "GET", "LINES", 1), strings.Replace(long, "GET", "LINES", 1)
	}
	a, ok := s.answers[long]
	if !ok {
		a, ok = s.answers[what]
	}
	switch {
	case !ok:
		s.fail(w, answer{Status: 404, Code: "ROUTE_UNKNOWN", Detail: "the management API has no path " + r.URL.Path})
	case a.Moved != "":
		http.Redirect(w, r, a.Moved, http.StatusFound)
	case a.Detail != "":
		s.fail(w, a)
	case a.Lines != nil:
		w.Header().Set("Content-Type", "application/jsonl")
		for _, l := range a.Lines {
			fmt.Fprintln(w, moments(string(l)))
		}
		if a.Cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	default:
		w.Header().Set("Content-Type", "application/json")
		if a.Status != 0 {
			w.WriteHeader(a.Status)
		}
		_, _ = io.WriteString(w, moments(string(a.Body)))
	}
}

func (s *scripted) fail(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", v1.ProblemType)
	w.WriteHeader(a.Status)
	_ = json.NewEncoder(w).Encode(v1.Problem{Title: http.StatusText(a.Status), Status: a.Status, Detail: a.Detail, Code: a.Code})
}

var moveable = regexp.MustCompile(`"@([-+][0-9hms]+)"`)

// moments replaces "@-3h" by the time three hours ago.
func moments(text string) string {
	return moveable.ReplaceAllStringFunc(text, func(m string) string {
		d, err := time.ParseDuration(strings.Trim(m, `"@`))
		if err != nil {
			return m
		}
		return `"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"`
	})
}

// fakeClient is docker and podman: it writes what it was given beside the
// script, and fails where a file says so.
func fakeClient() {
	name := filepath.Base(os.Args[0])
	stdin, _ := io.ReadAll(os.Stdin)
	_ = os.WriteFile(name+".given", []byte(strings.Join(os.Args[1:], " ")+"\n"+string(stdin)+"\n"), 0o600)
	if _, err := os.Stat(name + ".broken"); err == nil {
		fmt.Fprintln(os.Stderr, "Error: unauthorized")
		os.Exit(125)
	}
	fmt.Fprintln(os.Stdout, "Login Succeeded")
}

// fakeHelper is docker-credential-fake: it keeps entries in a file.
func fakeHelper() {
	const file = "helper.json"
	entries := map[string]map[string]string{}
	if b, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(b, &entries)
	}
	stdin, _ := io.ReadAll(os.Stdin)
	switch os.Args[1] {
	case "store":
		var e map[string]string
		_ = json.Unmarshal(stdin, &e)
		entries[e["ServerURL"]] = e
	case "get", "erase":
		e, ok := entries[string(stdin)]
		if !ok {
			fmt.Fprintln(os.Stdout, "credentials not found in native keychain")
			os.Exit(1)
		}
		if os.Args[1] == "get" {
			_ = json.NewEncoder(os.Stdout).Encode(e)
			return
		}
		delete(entries, string(stdin))
	}
	b, _ := json.Marshal(entries)
	_ = os.WriteFile(file, b, 0o600)
}
