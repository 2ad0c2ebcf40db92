package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
	// tick is the unit of utime and stime in /proc/PID/stat: a second / 100
	// on every Linux.
	tick = 10 * time.Millisecond
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	exit error         // how; read it after done
	log  string
}

// start runs a program; core is -1 or the one it may use. What it says goes to
// the file log.
func start(core int, dir, log string, env []string, program string, args ...string) (*process, error) {
	if core >= 0 && os.Getenv(pinned) != "" {
		args = append([]string{"-c", strconv.Itoa(core), program}, args...)
		program = "taskset"
	} else if os.Getenv(pinned) != "" {
		args = append([]string{"-c", "0-" + strconv.Itoa(cpus()-1), program}, args...)
		program = "taskset"
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // the child has its own
	p := &process{cmd: exec.CommandContext(context.Background(), program, args...), done: make(chan struct{}), log: log}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		p.exit = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits until url answers at all.
func (p *process) ready(ctx context.Context, url string) error {
	deadline := time.Now().Add(startLimit)
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		a, err := http.DefaultClient.Do(r)
		if err == nil {
			return a.Body.Close()
		}
		select {
		case <-p.done:
			said, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s ended before it was ready (%w):\n%s", p.cmd.Path, p.exit, said)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was not ready after %s: %w", p.cmd.Path, startLimit, err)
		}
	}
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.cmd.Path, stopLimit)
	}
}

// pids are the process and its children (nginx has workers).
func (p *process) pids() []int {
	pid := p.cmd.Process.Pid
	all := []int{pid}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for f := range strings.FieldsSeq(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// cpu is the time that the server has used so far.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p.pids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		ticks, err := ticksOf(b)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// ticksOf reads utime and stime, fields 14 and 15; the name before them may
// hold anything, so counting begins behind its last bracket.
func ticksOf(stat []byte) (int64, error) {
	i := bytes.LastIndexByte(stat, ')')
	f := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(f) < 13 {
		return 0, errors.New("/proc/PID/stat is not readable")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return user + system, errors.Join(err1, err2)
}

// memory of the process in bytes: now, and the most since the last call of
// resetPeak.
type memory struct{ now, peak int64 }

func (p *process) memory() memory {
	var m memory
	for _, pid := range p.pids() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		m.now += kilobytes(b, "VmRSS:") << 10
		m.peak += kilobytes(b, "VmHWM:") << 10
	}
	return m
}

func kilobytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		f := strings.Fields(string(line))
		if len(f) >= 2 && f[0] == name {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

func (p *process) resetPeak() {
	for _, pid := range p.pids() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // else the peak is that of its life
	}
}

var syncCall = regexp.MustCompile(`(?m)^\d+ +(?:fsync|fdatasync|syncfs|sync)\(`)

// errNoTrace: this machine cannot count.
var errNoTrace = errors.New("strace is missing or not allowed")

// syncs counts what the server asks the disk for while f runs.
func (p *process) syncs(ctx context.Context, dir string, f func() error) (int, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return 0, errNoTrace
	}
	out := filepath.Join(dir, "strace.out")
	pid := p.cmd.Process.Pid
	cmd := exec.CommandContext(ctx, strace, "-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-o", out, "-p", strconv.Itoa(pid))
	if err := cmd.Start(); err != nil {
		return 0, errNoTrace
	}
	end := func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // ends by the signal
		return nil
	}
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		if traced(pid) {
			break
		}
	}
	if !traced(pid) {
		return 0, errors.Join(errNoTrace, end())
	}
	if err := errors.Join(f(), end()); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(out)
	return len(syncCall.FindAll(b, -1)), err
}

// traced tells whether every thread is watched.
func traced(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err == nil && kilobytes(b, "TracerPid:") == 0 {
			return false
		}
	}
	return len(tasks) > 0
}

func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("look for a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// clean drops what would configure the servers behind our back.
func clean(env []string) []string {
	var out []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "FAIRLEAD_") && !strings.HasPrefix(kv, "REGISTRY_") && !strings.HasPrefix(kv, "OTEL_") {
			out = append(out, kv)
		}
	}
	return out
}
