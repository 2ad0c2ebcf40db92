package harness

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// User is the user name that goes with every token.
const User = "token"

const (
	startLimit = 20 * time.Second
	stopLimit  = 45 * time.Second
)

// binary is the program under test: written by Main before any test runs.
var binary string

// Main builds fairlead, runs the tests and gives their exit code.
// FAIRLEAD_BINARY names a program that was built already.
func Main(m *testing.M) int {
	if binary = os.Getenv("FAIRLEAD_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "fairlead-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binary:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "fairlead")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "./cmd/fairlead")
	if build.Dir, err = Root(); err != nil {
		fmt.Fprintln(os.Stderr, "looking for the sources of fairlead:", err)
		return 1
	}
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building fairlead:", err)
		return 1
	}
	return m.Run()
}

// Binary is the path of the program under test.
func Binary() string { return binary }

// Root is the folder of the module that the program is built from: some folder
// above the tests, which may be those of another module.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module fairlead.dev/fairlead\n") {
			return dir, nil
		}
	}
	return "", errors.New("no folder above has the go.mod of fairlead.dev/fairlead")
}

// Server is a running fairlead.
type Server struct {
	// Host is what clients call it: 127.0.0.1:PORT.
	Host string
	// URL begins with http or https and has no slash at its end.
	URL string
	// Token is the operator's: the password of User.
	Token string

	t       testing.TB
	secrets *secrets
	http    *http.Client
	cmd     *exec.Cmd
	log     *Record
	done    chan error
}

// Start runs a server over plain HTTP until the test ends.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	return start(t, "http", flags)
}

// StartTLS runs a server over TLS until the test ends.
func StartTLS(t testing.TB, cert, key string, flags ...string) *Server {
	t.Helper()
	return start(t, "https", append([]string{"--tls-cert", cert, "--tls-key", key}, flags...))
}

func start(t testing.TB, scheme string, flags []string) *Server {
	t.Helper()
	host := freePort(t)
	data := filepath.Join(t.TempDir(), "data")
	s := &Server{
		Host: host,
		URL:  scheme + "://" + host,
		t:    t,
		log:  &Record{},

		secrets: &secrets{},
		done:    make(chan error, 1),
		// The harness asks only whether the server is up; whether its
		// certificate is good is for the clients to say.
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	}
	s.cmd = exec.CommandContext(context.Background(), binary, append([]string{"serve", "--data", data, "--listen", host}, flags...)...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append(clean(os.Environ()), "HOME="+t.TempDir())
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting fairlead: %v", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(s.stop)
	s.waitReady()
	token, err := os.ReadFile(filepath.Join(data, "operator.token"))
	if err != nil {
		t.Fatalf("reading the operator's token: %v", err)
	}
	s.Token = strings.TrimSpace(string(token))
	if s.Token == "" {
		t.Fatal("operator.token is empty")
	}
	s.secrets.add(s.Token)
	return s
}

// Ref is a reference in this registry.
func (s *Server) Ref(name string) string { return s.Host + "/" + name }

func (s *Server) waitReady() {
	s.t.Helper()
	deadline := time.Now().Add(startLimit)
	for {
		answer, err := s.ready()
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("GET /readyz: %s", answer.Status)
		}
		select {
		case exit := <-s.done:
			s.done <- exit
			s.t.Fatalf("fairlead ended before it was ready: %v", exit)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("fairlead was not ready after %s: %v", startLimit, err)
		}
	}
}

func (s *Server) ready() (*http.Response, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+"/readyz", nil)
	if err != nil {
		return nil, err
	}
	return s.http.Do(request)
}

// stop ends the server as a service manager does, and judges its whole life.
func (s *Server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("fairlead serve after SIGTERM: %v, want exit code 0", err)
		}
	case <-time.After(stopLimit):
		_ = s.cmd.Process.Kill()
		s.t.Errorf("fairlead serve did not end within %s of SIGTERM: %v", stopLimit, <-s.done)
	}
	log := s.log.String()
	if s.secrets.in(log) {
		s.t.Error("the server's log holds a token")
	}
	for _, line := range faults(log) {
		s.t.Errorf("the server failed: %s", line)
	}
	if s.t.Failed() {
		s.t.Logf("the server's log:\n%s", tail(log, 20_000))
	}
}

// faults are the lines of a log that tell of a failure of the server's own:
// whatever a client does, it is answered, and not with an internal error.
func faults(log string) []string {
	var found []string
	for line, e := range entries(log) {
		// A client that gave up reads no answer: its request has no fault.
		left := e.Status == http.StatusServiceUnavailable && strings.Contains(e.Error, context.Canceled.Error())
		if e.Level == "ERROR" || e.Status >= http.StatusInternalServerError && !left {
			found = append(found, line)
		}
	}
	return found
}

// Answered counts the requests that the server answered with a status.
func (s *Server) Answered(method, path string, status int) int {
	n := 0
	for _, e := range entries(s.log.String()) {
		if e.Method == method && e.Path == path && e.Status == status {
			n++
		}
	}
	return n
}

// Stored counts the manifests that the server took into a repository.
func (s *Server) Stored(repo string) int { return s.created(repo, "manifest-put", http.StatusCreated) }

// Begun counts the uploads that were begun in a repository.
func (s *Server) Begun(repo string) int { return s.created(repo, "upload-begin", http.StatusAccepted) }

func (s *Server) created(repo, route string, status int) int {
	n := 0
	for _, e := range entries(s.settled()) {
		if e.Repo == repo && e.Route == route && e.Status == status {
			n++
		}
	}
	return n
}

// settled is the log once nothing was added for a while: a request's line is
// written after its answer, so that a client may be ahead of it.
func (s *Server) settled() string {
	const still, most = 100 * time.Millisecond, 5 * time.Second
	text := s.log.String()
	for end := time.Now().Add(most); time.Now().Before(end); {
		time.Sleep(still)
		next := s.log.String()
		if len(next) == len(text) {
			break
		}
		text = next
	}
	return text
}

// entry is what the tests look at in a line of the server's log.
type entry struct {
	Level, Method, Path string
	Route, Repo, Error  string
	Status              int
	In                  int64
}

// Received is how many bytes of blobs clients sent to a repository, and how
// many blobs they mounted there instead.
func (s *Server) Received(repo string) (sent int64, mounted int) {
	for _, e := range entries(s.settled()) {
		switch {
		case e.Repo != repo:
		case e.Route == "upload-mount" && e.Status == http.StatusCreated:
			mounted++
		case strings.HasPrefix(e.Route, "upload-"):
			sent += e.In
		}
	}
	return sent, mounted
}

func entries(log string) iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) {
		for line := range strings.Lines(log) {
			var e entry
			if json.Unmarshal([]byte(line), &e) != nil {
				continue // the greeting
			}
			if !yield(line, e) {
				return
			}
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l := listen(t)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	return l
}
