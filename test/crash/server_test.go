package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// startLimit is how quick a start after a crash must be.
	startLimit = 2 * time.Second
	// patience is how long a start is waited for before it is given up.
	patience = 30 * time.Second
)

// program is the program under test: written by TestMain before any test runs.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if program = os.Getenv("FAIRLEAD_BINARY"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "fairlead-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binary:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "fairlead")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "./cmd/fairlead")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building fairlead:", err)
		return 1
	}
	return m.Run()
}

// server is one life of a fairlead process.
type server struct {
	url     string
	started time.Duration // from exec to ready
	cmd     *exec.Cmd
	log     bytes.Buffer // read after the end only
	killed  atomic.Bool
	once    sync.Once
	ended   chan struct{}
	err     error
}

// start runs fairlead on data and waits until it is ready.
func start(ctx context.Context, data string, flags ...string) (*server, error) {
	host, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + host, ended: make(chan struct{})}
	args := append([]string{"serve", "--data", data, "--listen", host, "--log-level", "warn", "--log-format", "json", "--max-open-uploads", "1000000"}, flags...)
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	s.cmd.Dir = filepath.Dir(data)
	s.cmd.Env = []string{"HOME=" + filepath.Dir(data), "PATH=" + os.Getenv("PATH")}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start fairlead: %w", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.waitReady(ctx); err != nil {
		s.kill()
		s.wait()
		return nil, fmt.Errorf("%w\n%s", err, s.log.String())
	}
	s.started = time.Since(began)
	return s, nil
}

func (s *server) waitReady(ctx context.Context) error {
	deadline := time.After(patience)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("GET /readyz: %s", resp.Status)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("fairlead ended before it was ready: %w", s.err)
		case <-deadline:
			return fmt.Errorf("fairlead is not ready after %s: %w", patience, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// fsck asks fairlead itself whether database and files agree, while it serves.
// Files that nothing names are what a kill may leave; the sweep's to take.
func fsck(ctx context.Context, data string, flags ...string) error {
	c := exec.CommandContext(ctx, program, append([]string{"fsck", "--data", data, "-o", "json"}, flags...)...)
	c.Env = []string{"HOME=" + filepath.Dir(data), "PATH=" + os.Getenv("PATH")}
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	var report struct {
		Lost     int
		Problems []struct{ Kind string }
	}
	if json.Unmarshal(out, &report) != nil {
		return fmt.Errorf("fairlead fsck: %w\n%s%s", err, out, said.String())
	}
	for _, p := range report.Problems {
		if p.Kind != "unknown-file" {
			return fmt.Errorf("fairlead fsck: %s", out)
		}
	}
	if report.Lost > 0 {
		return fmt.Errorf("fairlead fsck: %s", out)
	}
	return nil
}

// kill sends SIGKILL, once.
func (s *server) kill() {
	s.once.Do(func() {
		s.killed.Store(true)
		_ = s.cmd.Process.Kill() // an error means that it has ended
	})
}

// wait for the end after kill, and give what the log complains about.
func (s *server) wait() []string {
	<-s.ended
	var faults []string
	for line := range strings.Lines(s.log.String()) {
		var e struct {
			Level  string `json:"level"`
			Status int    `json:"status"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && (e.Level == "ERROR" || e.Status >= 500) || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			faults = append(faults, strings.TrimSpace(line))
		}
	}
	return faults
}

// loopback is an address of this process's own: on a shared one, a port that
// was free a moment ago may be answered by another test's server.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>16%200, pid>>8%256, 1+pid%254)
}

func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback()+":0")
	if err != nil { // other systems have the one address only
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("look for a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
