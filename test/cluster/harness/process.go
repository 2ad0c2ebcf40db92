package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
)

// process is a part of the cluster: it does not outlive the tests.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan error
}

// launch starts a program, its output in DIR/logs/NAME.log. namespaces are
// flags of clone, path is the PATH unless it is ours.
func launch(dir, name, path string, namespaces uintptr, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, "logs", name+".log"), done: make(chan error, 1)}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.CommandContext(context.Background(), args[0], args[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = cleanEnvironment(dir)
	if path != "" {
		p.cmd.Env = append(p.cmd.Env, "PATH="+path)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: namespaces}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// stop ends it, and has it ended when it returns.
func (p *process) stop(patience time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done: //nolint:errcheck // it was told to end; how it did says nothing
	case <-time.After(patience):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done //nolint:errcheck // it was killed
	}
}

// alive tells why the process is gone, with the end of its log.
func (p *process) alive() error {
	select {
	case err := <-p.done:
		p.done <- err
		text, readErr := os.ReadFile(p.log)
		return fmt.Errorf("%s ended: %w; the end of its log:\n%s", p.name, errors.Join(err, readErr), tail(string(text), 4_000))
	default:
		return nil
	}
}

// Record is what a process says.
type Record = harness.Record

// await asks until the answer is nil, no longer than limit, and not when one
// of the processes is gone.
func await(what string, limit time.Duration, ready func() error, needs ...*process) error {
	end := time.Now().Add(limit)
	for {
		began := time.Now()
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range needs {
			if gone := p.alive(); gone != nil {
				return gone
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		}
		// Questions that take long, such as kubectl's, leave the cores to what
		// is waited for.
		time.Sleep(max(20*time.Millisecond, time.Since(began)))
	}
}

// cleanEnvironment is ours without what would change a program's behaviour
// behind our back.
func cleanEnvironment(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		for _, prefix := range []string{"FAIRLEAD_", "DOCKER_", "CONTAINER", "REGISTRY_", "KUBE", "XDG_", "SSL_CERT_", "GODEBUG"} {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
		return strings.HasSuffix(key, "_PROXY") || key == "HOME"
	})
	return append(env, "HOME="+home)
}

// freePorts finds ports of 127.0.0.1, all different.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
