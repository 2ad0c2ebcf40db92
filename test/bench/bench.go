package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run: its targets, its content and its measures.
type bench struct {
	o       options
	out     io.Writer // progress
	dir     string
	wrk     string
	source  *source
	targets []*target
	pulled  content
	tools   string // versions, for the report
}

func newBench(ctx context.Context, o options, out io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp(o.data, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the data: %w", err)
	}
	b := &bench{o: o, out: out, dir: dir, source: newSource()}
	if err := b.prepare(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

var version = regexp.MustCompile(`[0-9]+\.[0-9]+[.0-9]*`)

func (b *bench) prepare(ctx context.Context) error {
	if fs := fileSystem(b.dir); fs == "tmpfs" {
		return errors.New("the data folder lies in memory, where fsync costs nothing: name one on a disk with -data")
	}
	programs := map[string]string{}
	for _, name := range []string{"registry", "nginx", "wrk"} {
		path, err := find(b.o.root, name)
		if err != nil {
			return err
		}
		programs[name] = path
	}
	b.wrk = programs["wrk"]
	own, err := b.build(ctx)
	if err != nil {
		return err
	}
	b.tools = fmt.Sprintf("Fairlead %s; distribution %s; %s; %s", firstLine("git", "-C", b.o.root, "describe", "--tags", "--always"),
		version.FindString(firstLine(programs["registry"], "--version")), firstLine(programs["nginx"], "-v"), "wrk "+version.FindString(firstLine(b.wrk, "-v")))
	makers := []func() (*target, error){
		func() (*target, error) {
			return newFairlead(ctx, own, fairlead, filepath.Join(b.dir, "fairlead.d"), "warn")
		},
		func() (*target, error) {
			return newFairlead(ctx, own, fairleadLine, filepath.Join(b.dir, "fairlead-line.d"), "info")
		},
		func() (*target, error) {
			return newDistribution(ctx, programs["registry"], filepath.Join(b.dir, "distribution.d"))
		},
		func() (*target, error) { return newNginx(ctx, programs["nginx"], filepath.Join(b.dir, "nginx.d")) },
		func() (*target, error) { return newTarget(ctx, plain, filepath.Join(b.dir, "plain.d")) },
	}
	for _, make := range makers {
		t, err := make()
		if err != nil {
			return err
		}
		b.targets = append(b.targets, t)
	}
	return nil
}

// build gives the path of the fairlead that is measured.
func (b *bench) build(ctx context.Context) (string, error) {
	if b.o.binary != "" {
		return filepath.Abs(b.o.binary)
	}
	own := filepath.Join(b.dir, "fairlead")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", own, "./cmd/fairlead")
	cmd.Dir, cmd.Stderr = b.o.root, b.out
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build fairlead: %w", err)
	}
	return own, nil
}

// close stops what runs and removes the data.
func (b *bench) close() {
	if err := errors.Join(b.down(), os.RemoveAll(b.dir)); err != nil {
		b.say("clean up: %v", err)
	}
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, "bench: "+format+"\n", args...) }

func (b *bench) target(name string) *target {
	i := slices.IndexFunc(b.targets, func(t *target) bool { return t.name == name })
	return b.targets[i]
}

func (b *bench) up(ctx context.Context, core int) error {
	for _, t := range b.targets {
		if err := t.up(ctx, core); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) down() error {
	var err error
	for _, t := range b.targets {
		err = errors.Join(err, t.down())
	}
	return err
}

// all runs every measure: those of pulls with the servers on one core, then
// those of pushes with the servers on all.
func (b *bench) all(ctx context.Context) ([]result, error) {
	var results []result
	for _, group := range []struct {
		core     int
		measures []measure
	}{{0, b.pulls()}, {-1, b.pushes()}} {
		measures := slices.DeleteFunc(group.measures, func(m measure) bool { return !b.o.onlyMatches(m.name) })
		if len(measures) == 0 {
			continue
		}
		if err := b.up(ctx, group.core); err != nil {
			return nil, err
		}
		if group.core == 0 {
			b.say("putting content into each")
			if err := b.fill(ctx, measures); err != nil {
				return nil, err
			}
		}
		for _, m := range measures {
			r, err := b.measure(ctx, m)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			results = append(results, r)
		}
		if err := b.down(); err != nil {
			return nil, err
		}
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no measure is called %q", b.o.only)
	}
	return results, nil
}

// measure is one line of the table.
type measure struct {
	name string
	unit string
	// scale turns operations per second into units.
	scale float64
	// of are the targets, in the order of the first round.
	of []string
	// make prepares one sample and gives what is timed: it does a number of
	// operations. Where a tool timed them itself, took is not 0.
	make func(ctx context.Context, t *target) (run func() (ops int, took time.Duration, err error), err error)
	// counted tells to count fsyncs.
	counted bool
}

// sample is one turn of one target.
type sample struct {
	ops  int
	wall time.Duration
	cpu  time.Duration
}

func (s sample) rate() float64     { return float64(s.ops) / s.wall.Seconds() }
func (s sample) cpuPerOp() float64 { return s.cpu.Seconds() / float64(s.ops) }

// result is what a measure found: samples of each target by round.
type result struct {
	measure
	samples map[string][]sample
	memory  map[string]memory
	syncs   map[string]float64
}

func (b *bench) measure(ctx context.Context, m measure) (result, error) {
	r := result{measure: m, samples: map[string][]sample{}, memory: map[string]memory{}, syncs: map[string]float64{}}
	for _, name := range m.of {
		if t := b.target(name); t.proc != nil {
			t.proc.resetPeak()
		}
		if _, err := b.sample(ctx, m, b.target(name)); err != nil { // warms up
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	order := slices.Clone(m.of)
	for range b.o.rounds {
		for _, name := range order {
			s, err := b.sample(ctx, m, b.target(name))
			if err != nil {
				return r, fmt.Errorf("%s: %w", name, err)
			}
			r.samples[name] = append(r.samples[name], s)
		}
		slices.Reverse(order) // so that nobody always follows the same neighbour
	}
	for _, name := range m.of {
		t := b.target(name)
		if t.proc == nil {
			continue
		}
		r.memory[name] = t.proc.memory()
		if m.counted {
			if err := b.count(ctx, m, t, &r); err != nil {
				return r, fmt.Errorf("%s: count fsyncs: %w", name, err)
			}
		}
	}
	b.say("%s", r.line())
	return r, nil
}

func (b *bench) sample(ctx context.Context, m measure, t *target) (sample, error) {
	if err := ctx.Err(); err != nil {
		return sample{}, err
	}
	if err := t.signIn(ctx, repos...); err != nil {
		return sample{}, err
	}
	run, err := m.make(ctx, t)
	if err != nil {
		return sample{}, err
	}
	if m.counted {
		syscall.Sync() // what the last turn left does not burden this one
	}
	var s sample
	var before, after time.Duration
	if t.proc != nil {
		if before, err = t.proc.cpu(); err != nil {
			return s, err
		}
	}
	begin := time.Now()
	s.ops, s.wall, err = run()
	if took := time.Since(begin); s.wall == 0 {
		s.wall = took
	}
	if err != nil {
		return s, err
	}
	if t.proc != nil {
		if after, err = t.proc.cpu(); err != nil {
			return s, err
		}
	}
	s.cpu = after - before
	return s, nil
}

// count runs one more sample under strace, which is not timed.
func (b *bench) count(ctx context.Context, m measure, t *target, r *result) error {
	if err := t.signIn(ctx, repos...); err != nil {
		return err
	}
	run, err := m.make(ctx, t)
	if err != nil {
		return err
	}
	ops := 0
	n, err := t.proc.syncs(ctx, b.dir, func() (err error) {
		ops, _, err = run()
		return err
	})
	if errors.Is(err, errNoTrace) {
		return nil
	}
	r.syncs[t.name] = float64(n) / float64(max(ops, 1))
	return err
}

// line is a result for whoever waits.
func (r result) line() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s:", r.name)
	for _, name := range r.of {
		fmt.Fprintf(&s, " %s %s", name, number(r.median(name)))
	}
	return s.String() + " " + r.unit
}
