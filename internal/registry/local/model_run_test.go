package local_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
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

// TestModel: the registry answers as a naive one does, whatever happens in
// whatever order. FAIRLEAD_SEED chooses the first seed, FAIRLEAD_SEEDS how
// many, FAIRLEAD_STEPS how long each runs.
func TestModel(t *testing.T) {
	t.Parallel()
	first := setting(t, "FAIRLEAD_SEED", uint64(time.Now().UnixNano()))
	for i := range setting(t, "FAIRLEAD_SEEDS", 2) {
		seed := first + i
		steps := steps(seed, int(setting(t, "FAIRLEAD_STEPS", 2000)))
		done, err := run(t, steps)
		if err == nil {
			continue
		}
		t.Errorf("FAIRLEAD_SEED=%d FAIRLEAD_SEEDS=1, step %d: %v", seed, done, err)
		short, err := shrink(t, steps[:done+1], time.Minute)
		t.Errorf("the same in %d steps: %v", len(short), err)
		for _, s := range short {
			t.Logf("%+v", s)
		}
		return
	}
}

func steps(seed uint64, n int) []step {
	rng := rand.New(rand.NewPCG(seed, 0))
	list := make([]step, n)
	hot := step{}
	for i := range list {
		if i%50 == 0 {
			hot = step{a: rng.IntN(1000), b: rng.IntN(1000), c: rng.IntN(1000), d: rng.IntN(1000)}
		}
		// For a while, most happens to the same things.
		choose := func(hot int) int {
			if rng.IntN(3) > 0 {
				return hot
			}
			return rng.IntN(1000)
		}
		list[i] = step{kinds[rng.IntN(len(kinds))], choose(hot.a), choose(hot.b), choose(hot.c), choose(hot.d)}
	}
	return list
}

// run gives the step that went wrong.
func run(t *testing.T, steps []step) (int, error) {
	t.Helper()
	p := settle(t, nil)
	defer p.stop()
	d := &duel{p: p, m: newModel(p.Now()), s: newStock(t)}
	for i, s := range steps {
		if err := d.do(s); err != nil {
			return i, fmt.Errorf("%s: %w", s.kind, err)
		}
		if i%250 == 249 || i == len(steps)-1 {
			if err := d.audit(); err != nil {
				return i, fmt.Errorf("audit: %w", err)
			}
		}
	}
	return 0, nil
}

// audit compares everything.
func (d *duel) audit() error {
	for i, repo := range d.s.repos {
		for n, x := range d.s.manifests {
			for _, digest := range []oci.Digest{digestOf(x, 0), digestOf(x, 1)} {
				if err := d.get(repo, oci.Ref{Digest: digest}); err != nil {
					return err
				}
			}
			for c := range 3 {
				if err := d.do(step{kind: "list referrers", a: i, b: n, c: c, d: 7}); err != nil {
					return err
				}
			}
		}
		for _, tag := range d.s.tags {
			if err := d.get(repo, oci.Ref{Tag: tag}); err != nil {
				return err
			}
		}
		for n := range d.s.blobs {
			if err := d.do(step{kind: "stat", a: i, b: n}); err != nil {
				return err
			}
		}
		if err := d.do(step{kind: "list tags", a: i, d: 7}); err != nil {
			return err
		}
	}
	return d.do(step{kind: "keys"})
}

// shrink leaves out what is not needed for a failure, as time allows.
func shrink(t *testing.T, steps []step, limit time.Duration) ([]step, error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	_, last := run(t, steps)
	for size := len(steps) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(steps) && time.Now().Before(deadline); {
			fewer := slices.Concat(steps[:i], steps[i+size:])
			if _, err := run(t, fewer); err != nil {
				steps, last = fewer, err
			} else {
				i += size
			}
		}
	}
	return steps, last
}
