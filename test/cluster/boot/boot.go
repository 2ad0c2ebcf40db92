// Package boot is the first process of a node: it lives in PID and mount
// namespaces of its own, and when it ends, for whatever reason, the kernel
// ends every process of the node, and its mounts go with the last of them.
package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Plan is what the first process does; its file is JSON.
type Plan struct {
	// Hide are folders that get an empty file system in memory: what is
	// written there ends with the node.
	Hide []string
	// Settings are the kernel's settings under /proc/sys that the node may
	// change; it changes a copy.
	Settings []string
	// Copies is a folder for them.
	Copies string
	// Hosts is a file that the node sees as /etc/hosts.
	Hosts string
	// Run are programs that live as long as the node.
	Run []Program
}

// Program that the first process starts.
type Program struct {
	// Needs is a file that must be there before the program is started.
	Needs string
	// Args are the program, found in PATH, and its arguments.
	Args []string
	// Log is a file that gets what it says.
	Log string
}

// needLimit bounds the wait for a file that a program needs.
const needLimit = time.Minute

// Run does what the plan in a file says until a signal ends it, or one of the
// programs. It must be process 1.
func Run(file string) error {
	if os.Getpid() != 1 {
		return errors.New("it must be process 1, in namespaces of its own")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var plan Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := seclude(plan); err != nil {
		return err
	}
	names := map[int]string{}
	ended := make(chan error, 1)
	for _, p := range plan.Run {
		pid, err := start(p)
		if err != nil {
			return err
		}
		names[pid] = filepath.Base(p.Args[0])
	}
	go func() { ended <- reap(names) }()
	select {
	case <-stop:
		return nil
	case err := <-ended:
		return err
	}
}

// seclude keeps what the node mounts and writes away from the machine.
func seclude(plan Plan) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, dir := range plan.Hide {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("hiding %s: %w", dir, err)
		}
	}
	if err := syscall.Mount(plan.Hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("covering /etc/hosts: %w", err)
	}
	for _, setting := range plan.Settings {
		path := filepath.Join("/proc/sys", setting)
		value, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // this kernel has no such setting
		}
		if err != nil {
			return err
		}
		file := filepath.Join(plan.Copies, strings.ReplaceAll(setting, "/", "."))
		if err := os.WriteFile(file, value, 0o600); err != nil {
			return err
		}
		if err := syscall.Mount(file, path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering %s: %w", path, err)
		}
	}
	return nil
}

func start(p Program) (pid int, err error) {
	for end := time.Now().Add(needLimit); p.Needs != ""; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(p.Needs); err == nil {
			break
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("%s: %s did not appear within %s", p.Args[0], p.Needs, needLimit)
		}
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// reap buries what ended, until one of the programs did: every orphan of the
// node is a child of process 1.
func reap(names map[int]string) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for the node's programs: %w", err)
		}
		if name, ours := names[pid]; ours {
			return fmt.Errorf("%s ended: exit code %d, signal %d", name, status.ExitStatus(), status.Signal())
		}
	}
}
