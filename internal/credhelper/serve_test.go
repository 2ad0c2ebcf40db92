package credhelper

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shelf is a Keeper in a file.
type shelf string

func (s shelf) load() map[string]entry {
	all := map[string]entry{}
	if b, err := os.ReadFile(string(s)); err == nil {
		_ = json.Unmarshal(b, &all)
	}
	return all
}

func (s shelf) save(all map[string]entry) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(string(s), b, 0o600)
}

func (s shelf) Get(_ context.Context, server string) (user, secret string, err error) {
	e, ok := s.load()[server]
	if !ok {
		return "", "", ErrNotFound
	}
	return e.Username, e.Secret, nil
}

func (s shelf) Store(_ context.Context, server, user, secret string) error {
	if server == "locked" {
		return errors.New("the shelf is locked:\nopen it")
	}
	all := s.load()
	all[server] = entry{server, user, secret}
	return s.save(all)
}

func (s shelf) Erase(_ context.Context, server string) error {
	all := s.load()
	if _, ok := all[server]; !ok {
		return ErrNotFound
	}
	delete(all, server)
	return s.save(all)
}

func (s shelf) List(context.Context) (map[string]string, error) {
	var users map[string]string
	for k, e := range s.load() {
		if users == nil {
			users = map[string]string{}
		}
		users[k] = e.Username
	}
	return users, nil
}

// TestMain is a helper, too: the tests run this program as
// docker-credential-shelf.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != prefix+"shelf" {
		os.Exit(m.Run())
	}
	s := Server{Version: "docker-credential-shelf (test) v1", Keeper: shelf(os.Getenv("FAIRLEAD_TEST_SHELF"))}
	if s.Serve(context.Background(), os.Args[1], os.Stdin, os.Stdout) != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// TestBothSides: a Helper talks to a Server in another process.
func TestBothSides(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, prefix+"shelf")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("FAIRLEAD_TEST_SHELF", filepath.Join(dir, "shelf.json"))
	t.Setenv("GORACE", "atexit_sleep_ms=0") // each run of the program would wait a second
	h, err := New("shelf")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const key, other = "https://registry.example/v1/", "registry.example:5000"
	if _, _, err := h.Get(ctx, key); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if users, err := h.List(ctx); err != nil || len(users) != 0 {
		t.Errorf("before: %v, %v", users, err)
	}
	for _, k := range []string{key, other} {
		if err := h.Store(ctx, k, "<token>", "se\"cr\net<&>"); err != nil {
			t.Fatal(err)
		}
	}
	if user, secret, err := h.Get(ctx, key); err != nil || user != "<token>" || secret != "se\"cr\net<&>" {
		t.Errorf("%q %q %v", user, secret, err)
	}
	users, err := h.List(ctx)
	if d := cmp.Diff(map[string]string{key: "<token>", other: "<token>"}, users); d != "" || err != nil {
		t.Error(d, err)
	}
	if err := h.Erase(ctx, key); err != nil {
		t.Error(err)
	}
	if err := h.Erase(ctx, key); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if err := h.Store(ctx, "locked", "u", "s"); err == nil || !strings.Contains(err.Error(), "docker-credential-shelf store: the shelf is locked: open it") {
		t.Errorf("locked: %v", err)
	}
}

// TestProtocol: the bytes that docker's helpers write.
func TestProtocol(t *testing.T) {
	t.Parallel()
	s := Server{Version: "docker-credential-x (fairlead) v1", Keeper: shelf(filepath.Join(t.TempDir(), "shelf"))}
	for _, c := range []struct {
		verb, stdin, stdout string
		fails               bool
	}{
		{"version", "", "docker-credential-x (fairlead) v1\n", false},
		{"list", "unused", "{}\n", false},
		{"get", "reg.io", "credentials not found in native keychain\n", true},
		{"erase", "reg.io\n", "credentials not found in native keychain\n", true},
		{"get", "", "no credentials server URL\n", true},
		{"erase", " \n", "no credentials server URL\n", true},
		{"store", `{"Username":"u","Secret":"s"}`, "no credentials server URL\n", true},
		{"store", `{"ServerURL":"reg.io","Secret":"s"}`, "no credentials username\n", true},
		{"store", `{"ServerURL":"reg.io","Secret":s3cret}`, "the request is no JSON of ServerURL, Username and Secret\n", true},
		{"store", `{"ServerURL":"reg.io","Username":"u","Secret":"s"}` + "\n", "", false},
		{"get", "reg.io\r\n", `{"ServerURL":"reg.io","Username":"u","Secret":"s"}` + "\n", false},
		{"list", "", `{"reg.io":"u"}` + "\n", false},
		{"get", strings.Repeat("a", longest+1), "the request has more than 1048576 bytes\n", true},
		{"erase", "reg.io", "", false},
		{"fetch", "", "unknown action \"fetch\": a credential helper knows get, store, erase, list and version\n", true},
	} {
		var out strings.Builder
		err := s.Serve(t.Context(), c.verb, strings.NewReader(c.stdin), &out)
		if out.String() != c.stdout || (err != nil) != c.fails {
			t.Errorf("%s %.40q: %q, %v", c.verb, c.stdin, out.String(), err)
		}
	}
	broken := errors.New("broken")
	var out strings.Builder
	if err := s.Serve(t.Context(), "get", iotest.ErrReader(broken), &out); !errors.Is(err, broken) || !strings.Contains(out.String(), "read the request") {
		t.Errorf("%v, %q", err, out.String())
	}
	r, w := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), "list", strings.NewReader(""), w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed stdout: %v", err)
	}
}

// TestHangingHelper: a helper whose child holds the pipes is given up.
func TestHangingHelper(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, prefix+"hangs"), []byte("#!/bin/sh\nsleep 20\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	h, err := New("hangs")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = h.List(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "docker-credential-hangs list gave no answer") {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
