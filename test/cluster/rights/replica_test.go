package rights_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

var errNotYet = errors.New("not yet")

// TestLeaderElection: of two replicas one writes; the other takes over when
// the first is killed, hangs or ends, and whoever was taken over from ends.
func TestLeaderElection(t *testing.T) {
	s := newSite(t)
	s.source("hub", "robot", "*")
	s.policy("{host: registry.example, secret: {name: hub}}")
	one, two := s.keeper.Controller("--leader-elect"), s.keeper.Controller("--leader-elect")
	one.Ready()
	two.Ready() // who waits is ready, too: its caches are filled

	leads := func(p *harness.Controller) bool { return strings.Contains(p.Log(), "Successfully acquired lease") }
	await := func(among ...*harness.Controller) (leader *harness.Controller) {
		t.Helper()
		harness.Until(t, "one leads", func() error {
			for _, p := range among {
				if leads(p) {
					leader = p
					return nil
				}
			}
			return errNotYet
		})
		return leader
	}
	// served makes a namespace; it must get two writes, and all by the leader.
	served := func(leader *harness.Controller, idle *harness.Controller) {
		t.Helper()
		ns := s.chosen()
		has(t, ns, "registry.example")
		time.Sleep(time.Second) // for one who would write again
		if n := len(writes(s.c.Asked(t), ns.Name)); n != 2 {
			t.Errorf("the namespace got %d writes, want 2", n)
		}
		if n := written(t, leader); n == 0 {
			t.Error("the leader counts no writes")
		}
		if idle != nil && written(t, idle) != 0 {
			t.Errorf("who does not lead wrote: %v", written(t, idle))
		}
	}
	leader := await(one, two)
	idle := one
	if leader == one {
		idle = two
	}
	served(leader, idle)

	began := time.Now()
	leader.Kill()
	await(idle)
	t.Logf("after a kill the other led in %s", time.Since(began).Round(time.Second))
	served(idle, nil)

	// One that hangs comes back to find itself replaced.
	third := s.keeper.Controller("--leader-elect")
	third.Ready()
	if err := idle.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(third)
	served(third, nil)
	if err := idle.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(30 * time.Second); err == nil {
		t.Error("who lost the lead ended without an error")
	}

	fourth := s.keeper.Controller("--leader-elect")
	fourth.Ready()
	began = time.Now()
	third.Stop()
	await(fourth)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("who ends gave the lead up after %s", took)
	}
	served(fourth, nil)
}

// writes to secrets and service accounts of a namespace.
func writes(asked []harness.Asked, namespace string) (out []harness.Asked) {
	for _, r := range asked {
		if r.Writes() && r.ObjectRef.Namespace == namespace {
			out = append(out, r)
		}
	}
	return out
}

// written is how many writes a controller counts.
func written(t *testing.T, p *harness.Controller) (n float64) {
	t.Helper()
	_, page := p.Page(p.Metrics)
	for name, value := range values(t, page) {
		if strings.HasPrefix(name, "fairlead_controller_writes_total{") {
			n += value
		}
	}
	return n
}

// values of a page of metrics, by name and labels.
func values(t *testing.T, page string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			t.Fatalf("metrics: %q", line)
		}
		var v float64
		if _, err := fmt.Sscan(line[at+1:], &v); err != nil {
			t.Fatalf("metrics: %q: %v", line, err)
		}
		out[line[:at]] = v
	}
	return out
}
