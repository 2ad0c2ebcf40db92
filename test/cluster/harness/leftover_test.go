package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child says that this is the test binary that TestNothingLeft runs.
const child = "FAIRLEAD_TEST_CHILD"

// TestLived is what the child runs: a cluster with a pod that runs. With
// "killed" it waits there for its end.
func TestLived(t *testing.T) {
	way := os.Getenv(child)
	if way == "" {
		t.Skip("TestNothingLeft runs it in a process of its own")
	}
	c := Node(t)
	ns := c.Namespace(t)
	s := StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	ns.PullSecret("pull", Operator(s))
	ns.Apply(Pod("app", Operator(s).Push(t, "acme-web/app:v1", c.App(t, way)), "pull"))
	ns.Running("app")
	if way == "killed" {
		if err := os.WriteFile(filepath.Join(c.dir, "lives"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {}
	}
}

// TestNothingLeft ends a test binary well, and kills another.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	Node(t)
	before := machine(t)
	for _, way := range []string{"ended", "killed"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLived$", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), child+"="+way, "FAIRLEAD_BINARY="+FairleadBinary(), "FAIRLEAD_KEEP=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s%d-", prefix, cmd.Process.Pid)
		if way == "killed" {
			waitLives(t, name)
			if len(left(t, name)) == 0 {
				t.Fatal("the look for what is left does not even see a cluster that lives")
			}
			_ = cmd.Process.Kill()
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && (way == "ended" || !errors.As(err, &exit)) {
			t.Fatalf("the test binary that should have %s: %v\n%s", way, err, out.String())
		}
		if way == "killed" {
			// Processes and mounts go by themselves, the rest with the next cluster.
			if err := await("its processes are gone", stopLimit, func() error {
				if ps := processes(t, name); len(ps) > 0 {
					return fmt.Errorf("still there: %q", ps)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if err := sweep(); err != nil {
				t.Error(err)
			}
		}
		if found := left(t, name); len(found) > 0 {
			t.Errorf("a test binary that %s left:\n%s", way, strings.Join(found, "\n"))
		}
	}
	if after := machine(t); after != before {
		t.Errorf("the machine's settings were\n%s\nand are\n%s", before, after)
	}
}

func waitLives(t *testing.T, name string) {
	t.Helper()
	if err := await("the child's cluster runs a pod", 2*time.Minute, func() error {
		found, err := filepath.Glob(filepath.Join(place, name+"*", "lives"))
		if len(found) == 0 {
			err = errors.Join(err, errors.New("not yet"))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// left is all that has a cluster's name.
func left(t *testing.T, name string) []string {
	t.Helper()
	found, err := groupsCalled(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(place, name+"*"))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, name) {
			found = append(found, "mount "+line)
		}
	}
	return append(append(found, dirs...), processes(t, name)...)
}

// processes are those that were started with a cluster's name, or live in its
// control groups.
func processes(t *testing.T, name string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range dirs {
		for _, file := range []string{"cmdline", "cgroup"} {
			// A process that just ended has no files any more.
			text, _ := os.ReadFile(filepath.Join(dir, file))
			if strings.Contains(string(text), name) {
				found = append(found, dir+" "+strings.ReplaceAll(string(text), "\x00", " "))
			}
		}
	}
	return found
}

// machine are the settings that a kubelet would change.
func machine(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, setting := range settings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", setting))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", setting, strings.TrimSpace(string(value)))
	}
	return b.String()
}
