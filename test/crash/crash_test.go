package crash

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// number is a setting from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

const (
	// sweepEvery so many rounds the server sweeps while it is used, without
	// grace, and is killed later.
	sweepEvery = 10
	// wholeEvery so many rounds of a long campaign everything is looked up.
	wholeEvery = 50
)

var sweeping = []string{"--sweep-interval", "1s", "--sweep-grace", "1s"}

// campaign is a test of many rounds.
type campaign struct {
	t       *testing.T
	seed    uint64
	rounds  int
	w       *world
	slowest time.Duration
	inBody  int // kills in the middle of a large upload
	before  bool
}

// TestKill: what was acknowledged survives kill -9, whenever it comes.
func TestKill(t *testing.T) {
	c := &campaign{
		t: t, rounds: int(number(t, "FAIRLEAD_ROUNDS", 20)),
		seed: number(t, "FAIRLEAD_SEED", uint64(time.Now().UnixNano())),
		w:    newWorld(filepath.Join(t.TempDir(), "data")),
	}
	t.Logf("FAIRLEAD_SEED=%d", c.seed)
	began := time.Now()
	for i := range c.rounds {
		c.round(i)
		if c.rounds > 100 && i%wholeEvery == 0 {
			t.Logf("%s: round %d, %d operations acknowledged", time.Since(began).Round(time.Second), i, c.w.ledger.acked)
		}
	}
	c.last()
	t.Logf("%d rounds, %d of them killed inside a large body: %d requests, %d operations acknowledged, %d uploads went on in a later life; %d manifests and tags and blobs known; slowest start %s; %s",
		c.rounds, c.inBody, c.w.requests.Load(), c.w.ledger.acked, c.w.resumed.Load(), len(c.w.ledger.all()), c.slowest.Round(time.Millisecond), time.Since(began).Round(time.Second))
}

// round verifies the life before it, loads the server and kills it.
func (c *campaign) round(i int) {
	sweep := i%sweepEvery == sweepEvery-1
	var flags []string
	if sweep {
		flags = sweeping
	}
	s, k := c.start(i, flags)
	// A sweep may have taken blobs of any age: what is not looked at now would
	// be missed in a later life, which does not sweep.
	whole := c.rounds <= 100 || i%wholeEvery == 0 || c.before
	c.verify(i, k, whole, sweep || c.before)
	c.before = sweep
	c.load(i, s, k.c, sweep)
	k.c.close()
	for _, line := range s.wait() {
		c.w.fault("the server's log: %s", line)
	}
	c.judge(i)
}

func (c *campaign) start(i int, flags []string) (*server, *worker) {
	c.t.Helper()
	ctx := c.t.Context()
	s, err := start(ctx, c.w.data, flags...)
	if err != nil {
		c.t.Fatalf("FAIRLEAD_SEED=%d, round %d: %v", c.seed, i, err)
	}
	c.t.Cleanup(s.kill)
	if c.slowest = max(c.slowest, s.started); s.started > startLimit && i > 0 {
		c.w.fault("the start after a crash took %s", s.started)
	}
	login, err := login(ctx, s, c.w.data)
	if err != nil {
		s.kill()
		c.t.Fatalf("FAIRLEAD_SEED=%d, round %d: %v\nthe server's log: %q", c.seed, i, err, s.wait())
	}
	return s, &worker{w: c.w, c: login, rng: random(c.seed, i, workers), life: i, large: func(int) {}}
}

func (c *campaign) verify(i int, k *worker, whole, swept bool) files {
	c.t.Helper()
	if err := c.w.verify(c.t.Context(), k, whole, swept); err != nil {
		c.w.fault("the server broke a connection: %v", err)
	}
	f, err := c.w.files()
	if err != nil {
		c.w.fault("the data folder: %v", err)
	}
	flags := []string{}
	if whole && i%wholeEvery == 0 {
		flags = append(flags, "--rehash", "--restart")
	}
	if err := fsck(c.t.Context(), c.w.data, flags...); err != nil {
		c.w.fault("%v", err)
	}
	c.judge(i)
	if testing.Verbose() && whole {
		c.t.Logf("round %d: %d sealed files, %d open, %d orphans, %d MiB", i, f.sealed, f.open, f.orphans(), f.bytes>>20)
	}
	return f
}

// judge ends the test if there was a fault.
func (c *campaign) judge(i int) {
	c.t.Helper()
	for n, f := range c.w.faults {
		if n == 20 {
			c.t.Errorf("… and %d more", len(c.w.faults)-n)
			break
		}
		c.t.Error(f)
	}
	if len(c.w.faults) > 0 {
		c.t.Fatalf("round %d after %d acknowledged operations; again with FAIRLEAD_SEED=%d", i, c.w.ledger.acked, c.seed)
	}
}

// load runs the clients until the kill has come.
func (c *campaign) load(i int, s *server, login *client, sweep bool) {
	rng := random(c.seed, i, workers+1)
	delay := 20*time.Millisecond + time.Duration(rng.Int64N(int64(380*time.Millisecond)))
	if sweep {
		delay += 2 * time.Second // the first sweep waits a second of grace
	}
	var sent atomic.Int64
	inBody, limit := !sweep && rng.IntN(3) == 0, rng.Int64N(large)
	hook := func(n int) {
		if inBody && sent.Add(int64(n)) >= limit {
			s.kill()
		}
	}
	if inBody {
		c.inBody++
		delay = 5 * time.Second // should the body never come that far
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for n := range workers {
		k := &worker{w: c.w, c: login, rng: random(c.seed, i, n), life: i, light: i%2 == 1, large: hook}
		group.Go(func() {
			if n == 0 && inBody {
				if err := k.pushLarge(ctx, repos[i%len(repos)]); err != nil {
					return
				}
			}
			k.run(ctx, s)
		})
	}
	timer := time.AfterFunc(delay, s.kill)
	defer timer.Stop()
	group.Wait()
	s.kill()
}

// last looks at everything once more, and lets the sweep tidy up: then only
// what is needed is there.
func (c *campaign) last() {
	s, k := c.start(c.rounds, sweeping)
	defer func() {
		k.c.close()
		s.kill()
		s.wait()
	}()
	f := c.verify(c.rounds, k, true, true)
	c.t.Logf("at the end: %d sealed files, %d open, %d orphans, %d MiB", f.sealed, f.open, f.orphans(), f.bytes>>20)
	for deadline := time.Now().Add(patience); f.orphans() > 0 && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
		var err error
		if f, err = c.w.files(); err != nil {
			c.t.Fatal(err)
		}
	}
	if f.orphans() > 0 {
		c.w.fault("the sweep leaves %d copies, %d files that no repository needs and %d that were begun, for %d open uploads", f.copies, f.unneeded, f.open, f.uploads)
	}
	c.verify(c.rounds, k, true, true)
}
