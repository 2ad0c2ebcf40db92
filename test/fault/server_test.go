package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/fault/layer"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
	// lastWords is how long a server on a frozen disk may go on answering
	// what needs no disk.
	lastWords = 30 * time.Millisecond
)

// errPower: the disk froze before the server did what was waited for.
var errPower = errors.New("the power was cut")

// server is a running fairlead on a disk.
type server struct {
	client
	t       *testing.T
	disk    *layer.Disk // nil if it is a real one
	data    string      // the data folder
	cmd     *exec.Cmd
	log     *buffer
	done    chan struct{} // closed when the process has ended
	exit    error
	unmount func() error
	off     sync.Once
}

// boot mounts the disk and starts a server on it. When the disk freezes, the
// server is killed. Error: errPower if that was before it was ready.
func boot(t *testing.T, disk *layer.Disk, flags ...string) (*server, error) {
	t.Helper()
	dir := t.TempDir()
	unmount, err := disk.Mount(dir, "fairlead.db")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, filepath.Join(dir, "data"), flags)
	s.disk, s.unmount = disk, unmount
	if err := disk.Watch(s.cmd); err != nil {
		t.Fatal(errors.Join(err, unmount()))
	}
	s.wait()
	t.Cleanup(s.powerOff)
	go func() {
		select {
		case <-disk.Frozen():
			time.Sleep(lastWords)
			s.powerOff()
		case <-s.done:
		}
	}()
	return s, s.ready()
}

// bootOn starts a server on a real folder.
func bootOn(t *testing.T, dir string, flags ...string) *server {
	t.Helper()
	s := newServer(t, filepath.Join(dir, "data"), flags)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.wait()
	t.Cleanup(s.powerOff)
	if err := s.ready(); err != nil {
		t.Fatal(err)
	}
	return s
}

func newServer(t *testing.T, data string, flags []string) *server {
	t.Helper()
	host := freePort(t)
	s := &server{t: t, data: data, log: &buffer{}, done: make(chan struct{})}
	s.url = "http://" + host
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute}
	s.cmd = exec.CommandContext(context.Background(), binary, append([]string{"serve", "--data", s.data, "--listen", host}, flags...)...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GOTRACEBACK=all"}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return s
}

func (s *server) wait() {
	go func() {
		s.exit = s.cmd.Wait()
		close(s.done)
	}()
}

func (s *server) ready() error {
	deadline := time.Now().Add(startLimit)
	for {
		a, err := s.do(http.MethodGet, "/readyz", nil)
		if err == nil && a.status == http.StatusOK {
			break
		}
		select {
		case <-s.frozen():
			<-s.done
			return errPower
		case <-s.done:
			return fmt.Errorf("fairlead ended before it was ready: %w\n%s", s.exit, s.log.tail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("fairlead was not ready after %s: %w, %d %s\n%s", startLimit, err, a.status, a.body, s.log.tail())
		}
	}
	token, err := s.operatorToken()
	if err != nil {
		return err
	}
	s.operator = strings.TrimSpace(string(token))
	return s.login()
}

// operatorToken: the folder of a layer is for other processes.
func (s *server) operatorToken() ([]byte, error) {
	if s.disk != nil {
		return s.disk.ReadFile("data/operator.token")
	}
	return os.ReadFile(filepath.Join(s.data, "operator.token"))
}

// frozen is closed when the disk is; never for a real one.
func (s *server) frozen() <-chan struct{} {
	if s.disk == nil {
		return nil
	}
	return s.disk.Frozen()
}

// powerOff ends disk and server at this moment, as a power cut does.
func (s *server) powerOff() {
	s.off.Do(func() {
		if s.disk != nil {
			s.disk.Freeze()
		}
		_ = s.cmd.Process.Kill() // it may have ended by itself
		if s.disk != nil {
			s.disk.Fail()
		}
		<-s.done
		s.http.CloseIdleConnections()
		if s.unmount == nil {
			return
		}
		if err := s.unmount(); err != nil {
			s.t.Errorf("unmount: %v", err)
		}
	})
	<-s.done
}

// stop ends the server as a service manager does.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		if s.exit != nil {
			s.t.Errorf("fairlead after SIGTERM: %v, want exit code 0\n%s", s.exit, s.log.tail())
		}
	case <-time.After(stopLimit):
		s.t.Errorf("fairlead did not end within %s of SIGTERM\n%s", stopLimit, s.log.tail())
	}
	s.powerOff()
	if s.log.has("panic:", "goroutine ") {
		s.t.Errorf("fairlead panicked:\n%s", s.log.tail())
	}
}

// loopback is an address of this process's own: on a shared one, a port that
// was free a moment ago may be answered by another test's server.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>16%200, pid>>8%256, 1+pid%254)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", loopback()+":0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*buffer)(nil)

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// has tells whether all of the texts stand in the log.
func (b *buffer) has(texts ...string) bool {
	log := b.String()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			return false
		}
	}
	return true
}

// tail is what the log says of failures, and its end.
func (b *buffer) tail() string {
	log := b.String()
	var text strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"ERROR"`) && text.Len() < 8000 {
			text.WriteString(line)
		}
	}
	return text.String() + "…\n" + log[max(0, len(log)-3000):]
}
