package observe_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"fairlead.dev/fairlead/internal/observe"
)

// spyListener hands out connections that note what is read from by ReadFrom.
type spyListener struct {
	net.Listener
	fromFile *atomic.Int64
}

type spyConn struct {
	*net.TCPConn
	fromFile *atomic.Int64
}

func (l spyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return spyConn{c.(*net.TCPConn), l.fromFile}, nil
}

func (c spyConn) ReadFrom(src io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(src)
	inner := src
	if l, ok := src.(*io.LimitedReader); ok {
		inner = l.R
	}
	if _, ok := inner.(syscall.Conn); ok { // an *os.File, or what its WriteTo makes of it
		c.fromFile.Add(n)
	}
	return n, err
}

// TestFilesReachTheSocket proves over a real connection that the middleware
// does not hide ReadFrom: the kernel copies the file, not we.
func TestFilesReachTheSocket(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = f.Close() }() // only read
		w.Header().Set("Content-Length", "1048576")
		var src io.Reader = f
		if r.URL.Path == "/limited" {
			src = io.LimitReader(f, size)
		}
		if n, err := io.Copy(w, src); n != size || err != nil {
			t.Errorf("copied %d, %v", n, err)
		}
	})
	for _, url := range []string{"/whole", "/limited"} {
		var fromFile atomic.Int64
		base, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o := observe.New(observe.Options{Logger: slog.New(slog.DiscardHandler)})
		srv := &http.Server{Handler: o.Middleware(handler)}
		go func() { _ = srv.Serve(spyListener{base, &fromFile}) }()
		resp, err := http.Get("http://" + base.Addr().String() + url)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			t.Errorf("%s: read %d, %v", url, n, err)
		}
		resp.Body.Close()
		_ = srv.Close()
		if got := fromFile.Load(); got < size-8192 { // net/http sniffs no more than its buffer
			t.Errorf("%s: %d of %d bytes came straight from the file", url, got, size)
		}
	}
}

// TestFlushAndController: the abilities that streaming needs survive.
func TestFlushAndController(t *testing.T) {
	t.Parallel()
	o := observe.New(observe.Options{Logger: slog.New(slog.DiscardHandler)})
	flushed := make(chan error, 1)
	srv := &http.Server{Handler: o.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		w.(http.Flusher).Flush()
		if err := c.EnableFullDuplex(); err != nil {
			flushed <- err
			return
		}
		flushed <- c.Flush()
	}))}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}
