package socket

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// echo listens at path and answers one connection.
func echo(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := Listen(t.Context(), path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a second Close changes nothing
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	return l
}

func hear(t *testing.T, path string) {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("heard %q, %v", b, err)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"short": "d",
		"long":  strings.Repeat("a-long-name/", 12),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), dir, "control.sock")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			l := echo(t, path)
			info, err := os.Stat(path)
			if err != nil || info.Mode() != fs.ModeSocket|mode {
				t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
			}
			hear(t, path)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := Dial(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close: %v, want fs.ErrNotExist", err)
			}
		})
	}
}

// TestTheModeIsThereFromTheStart: between bind and chmod nobody else may
// connect, whatever the umask is.
func TestTheModeIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	lc := net.ListenConfig{Control: restrict}
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("born with mode %v, %v", info.Mode(), err)
	}
}

// TestStaleSocket: what a killed server left refuses and is replaced.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.sock")
	old, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), path); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a stale socket: %v, want ECONNREFUSED", err)
	}
	echo(t, path)
	hear(t, path)
}

func TestAFileIsNotReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(t.Context(), path, quiet()); err == nil || !strings.Contains(err.Error(), "is no socket: move it away") {
		t.Errorf("Listen: %v, %v", l, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

func TestDialCanBeCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "control.sock")
	echo(t, path)
	if _, err := Dial(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
}
