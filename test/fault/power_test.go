package fault

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/fault/layer"
)

// lives is how often one disk loses its power.
const lives = 5

// TestPowerLoss: clients push, mount, tag, delete and pull; the power goes at
// a random moment, also while the server starts, and takes a random part of
// what was not synced. What was acknowledged is there afterwards.
//
// FAIRLEAD_ROUNDS is the number of cuts (20), FAIRLEAD_SEED repeats a seed
// that failed: the moments and the losses are the same, what runs at the same
// time may not be.
func TestPowerLoss(t *testing.T) {
	needLayer(t)
	rounds := number(t, "FAIRLEAD_ROUNDS", 20)
	seed := uint64(number(t, "FAIRLEAD_SEED", int(time.Now().UnixNano()%1_000_000)*1000))
	for first := 0; first < rounds; first += lives {
		seed := seed + uint64(first/lives)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			campaign(t, seed, min(lives, rounds-first))
		})
	}
}

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q, it must be a whole number", env, text)
	}
	return n
}

// campaign cuts the power of one disk again and again, and looks a last time.
func campaign(t *testing.T, seed uint64, cuts int) {
	r := rand.New(rand.NewPCG(seed, 1))
	disk := layer.New(layer.Options{NameOnSync: r.IntN(4) == 0})
	h := newHistory()
	for life := range cuts {
		name := fmt.Sprintf("life %d of seed %d", life, seed)
		live(t, disk, h, r, name)
		if r.IntN(4) == 0 {
			// Only the server dies. What it had written is there, and what it
			// promises from now on must not rest on it.
			disk.Thaw()
			live(t, disk, h, r, name+", continued")
		}
		disk = disk.Cut(seed + uint64(life)<<32)
		integrity(t, disk)
		if t.Failed() {
			t.Logf("%s: the disk:\n%q", name, disk.Files())
			return
		}
	}
	s, err := boot(t, disk)
	if err != nil {
		t.Fatalf("the last start: %v", err)
	}
	broken, err := promises(s, h)
	report(t, s, "the last life", broken, err)
	s.stop()
	integrity(t, disk)
}

// live is one life, from a start to a power cut.
func live(t *testing.T, disk *layer.Disk, h *history, r *rand.Rand, name string) {
	t.Helper()
	early, events := r.IntN(4) == 0, spread(r, 10, 6000)
	if early {
		events = spread(r, 1, 800)
		disk.FreezeAt(events)
	}
	began := time.Now()
	s, err := boot(t, disk)
	defer s.powerOff() // before the disk is cut or goes on
	if errors.Is(err, errPower) {
		t.Logf("%s: cut while it started, at event %d", name, events)
		return
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	broken, err := promises(s, h)
	if report(t, s, name, broken, err); t.Failed() || err != nil {
		return
	}
	checked := time.Now()
	if !early {
		disk.FreezeAt(events)
	}
	timer := time.AfterFunc(lifeTime, disk.Freeze)
	defer timer.Stop()
	c := newCrew(s, h, fmt.Sprintf("s%dl%d", r.Uint32(), events))
	c.work(r.Uint64())
	s.powerOff()
	report(t, s, name, c.faults, nil)
	t.Logf("%s: %d events; start and check %s, work %s: %v; %d promises", name, disk.Events(),
		checked.Sub(began).Round(time.Millisecond), time.Since(checked).Round(time.Millisecond), c.acts, len(h.things()))
}

// spread is a random number of which each order of magnitude is as likely.
func spread(r *rand.Rand, least, most float64) int {
	return int(least * math.Pow(most/least, r.Float64()))
}

func report(t *testing.T, s *server, name string, broken []string, err error) {
	t.Helper()
	if errors.Is(err, errPower) {
		return
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, b := range broken[:min(len(broken), 20)] {
		t.Errorf("%s: %s", name, b)
	}
	if s.log.has("panic:", "goroutine ") {
		t.Errorf("%s: fairlead panicked", name)
	}
	if t.Failed() {
		t.Logf("the server's log:\n%s", s.log.tail())
	}
}
