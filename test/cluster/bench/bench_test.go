package bench_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestCounts: two writes for a namespace, one for a rotation, none in between.
func TestCounts(t *testing.T) {
	w := newWorld(t)
	w.source("robot1")
	w.policy()
	w.system.Account(harness.Keeper).Controller("--leader-elect").Ready()

	since := w.now()
	names, _ := w.namespaces("few", 20, 0)
	w.await("secret and list", harness.SecretName, names, time.Minute, whole)
	time.Sleep(2 * time.Second)
	w.exactly(w.counts(harness.Keeper, since), names, 2)

	since = w.now()
	w.source("robot2")
	w.await("the rotation", harness.SecretName, names, time.Minute, rotated)
	time.Sleep(2 * time.Second)
	w.exactly(w.counts(harness.Keeper, since), names, 1)

	since = w.now()
	time.Sleep(5 * time.Second)
	if c := w.counts(harness.Keeper, since); len(c.writes) > 0 {
		t.Errorf("it writes while nothing changes: %v", c.writes)
	}
}

// The sizes and the goals of TestBench.
const (
	many, pollers = 500, 100
	most          = 2_000
	steady        = 10 * time.Minute

	goalP50, goalP99 = 20 * time.Millisecond, 150 * time.Millisecond
	goalMemory       = 80_000_000
	// goalRatio is how much longer the poller takes, whatever else runs.
	goalRatio = 25
)

// TestBench measures, for docs/performance.md; FAIRLEAD_BENCH=1 runs it, in a
// quarter of an hour. Counts that are wrong fail it, and goals that are missed:
// those of time on a machine that has little else to do, and the ratio to the
// poller on any.
func TestBench(t *testing.T) {
	if os.Getenv("FAIRLEAD_BENCH") != "1" {
		t.Skip("FAIRLEAD_BENCH=1 runs it")
	}
	w := newWorld(t)
	w.source("robot1")
	w.policy()
	p := w.system.Account(harness.Keeper).Controller("--leader-elect")
	p.Ready()
	first, _ := w.namespaces("first", 1, 0)
	w.await("secret and list", harness.SecretName, first, time.Minute, whole) // it leads, and works
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.poller(ctx)
	before := load(t)

	since, began := w.now(), time.Now()
	names, polled := w.namespaces("many", many, many/pollers)
	made := time.Since(began)
	var took, slow []time.Duration
	for _, s := range w.await("secret and list", harness.SecretName, names, 3*time.Minute, whole) {
		took = append(took, s.took())
	}
	for _, s := range w.await("the poller's secret and list", polls, polled, 3*time.Minute, whole) {
		slow = append(slow, s.took())
	}
	p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
	t.Logf("%d namespaces made in %s; from the account to secret and list: p50 %s, p99 %s, greatest %s", len(names)+len(polled), made, p50, p99, quantile(took, 1))
	ratio50, ratio99 := float64(quantile(slow, 0.5))/float64(p50), float64(quantile(slow, 0.99))/float64(p99)
	t.Logf("the poller, in %d: p50 %s, p99 %s: %.0f and %.0f times the controller's", len(polled), quantile(slow, 0.5), quantile(slow, 0.99), ratio50, ratio99)
	if ratio50 < goalRatio || ratio99 < goalRatio {
		t.Errorf("the poller takes less than %d times as long", goalRatio)
	}
	if (p50 > goalP50 || p99 > goalP99) && before < float64(runtime.NumCPU()) {
		t.Errorf("the goals are p50 %s, p99 %s", goalP50, goalP99)
	}
	time.Sleep(5 * time.Second)
	c := w.counts(harness.Keeper, since)
	w.exactly(c, names, 2)
	t.Logf("requests of the controller up to then: %d", c.all)

	w.rotate(names)
	w.rest(steady)
	cancel()
	w.memory(p, names)
	load(t)
}

// rotate gives all namespaces another credential.
func (w *world) rotate(names []string) {
	w.t.Helper()
	since := w.now()
	began := time.Now() // kubectl's half second is in it
	w.source("robot2")
	applied := time.Now()
	var last time.Time
	for _, s := range w.await("the rotation", harness.SecretName, names, time.Minute, rotated) {
		if s.rotated.After(last) {
			last = s.rotated
		}
	}
	w.t.Logf("%d rotations: the last %s after kubectl apply ended, %s after it began", len(names), last.Sub(applied), last.Sub(began))
	time.Sleep(2 * time.Second)
	w.exactly(w.counts(harness.Keeper, since), names, 1)
}

// rest counts what is written while nothing changes.
func (w *world) rest(limit time.Duration) {
	w.t.Helper()
	since := w.now()
	time.Sleep(limit)
	c, poll := w.counts(harness.Keeper, since), w.counts(polls, since)
	w.t.Logf("in %s without a change: %d writes, %d requests (the lease, mostly); the poller: %d writes, %d requests", limit, len(c.writes), c.all, len(poll.writes), poll.all)
	if len(c.writes) > 0 {
		w.t.Errorf("it writes while nothing changes: %v", c.writes)
	}
}

// memory of the process with many namespaces.
func (w *world) memory(p *harness.Controller, names []string) {
	w.t.Helper()
	more, _ := w.namespaces("more", most-len(names), 0)
	w.await("secret and list", harness.SecretName, more, 10*time.Minute, whole)
	time.Sleep(30 * time.Second)
	rss, peak := resident(w.t, p.Cmd.Process.Pid)
	w.t.Logf("memory with %d namespaces: %.1f MB, at most %.1f MB", most, mega(rss), mega(peak))
	if rss > goalMemory {
		w.t.Errorf("the goal is %.0f MB", mega(goalMemory))
	}
}

func mega(n int) float64 { return float64(n) / 1e6 }

var field = regexp.MustCompile(`(?m)^(VmRSS|VmHWM|RssAnon|RssFile):\s+(\d+) kB$`)

// resident memory in bytes, now and at most.
func resident(t *testing.T, pid int) (now, peak int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	for _, m := range field.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		of[m[1]] = n << 10
	}
	t.Logf("of it %.1f MB are its own, %.1f MB the program's file", mega(of["RssAnon"]), mega(of["RssFile"]))
	return of["VmRSS"], of["VmHWM"]
}

// load of the machine in the last minute.
func load(t *testing.T) (minute float64) {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &minute); err != nil {
		t.Fatal(err)
	}
	t.Logf("load %.1f, %d cores", minute, runtime.NumCPU())
	return minute
}
