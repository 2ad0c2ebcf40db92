// Bench measures Fairlead beside CNCF distribution and the physical limits of
// the machine: nginx serving the same bytes as files, and plain writes with
// fsync. Everything runs as its own process on the same file system, with the
// same content, in rounds that take turns, so that what disturbs the machine
// disturbs all of them; medians and the median of each round's ratio are
// reported.
//
// Clients have a core of their own. Servers of the pulls have one, too, so
// that requests per second are requests per second of one core; pushes, which
// wait for the disk most of the time, may use every core. CPU time is the
// server's, user and system, as the kernel counts it.
//
//	go run . -update    # the long run; writes the table into docs/performance.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options is what the command line says.
type options struct {
	root   string
	data   string
	update bool
	long   bool
	rounds int
	span   time.Duration
	only   string
	binary string
	raw    string
	quick  bool
	args   []string // those that say what was measured, for the report
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	if err := onOwnCore(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx, o, os.Stderr)
	if err != nil {
		return err
	}
	defer b.close()
	before := load()
	results, err := b.all(ctx)
	if err != nil {
		return err
	}
	report := newReport(o, b.tools, results, before)
	if _, err := io.WriteString(os.Stdout, report.markdown()); err != nil {
		return err
	}
	if o.raw != "" {
		if err := os.WriteFile(o.raw, []byte(report.benchfmt()), 0o644); err != nil {
			return fmt.Errorf("write the single results: %w", err)
		}
	}
	if o.update {
		return report.update(filepath.Join(o.root, "docs", "performance.md"))
	}
	return nil
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.root, "root", "../..", "the repository's root")
	f.StringVar(&o.data, "data", "", "folder for the data, on a real disk (default: bin in the root)")
	f.BoolVar(&o.update, "update", false, "the long run; its table goes into docs/performance.md")
	f.BoolVar(&o.long, "long", false, "the long run, only printed")
	f.IntVar(&o.rounds, "rounds", 0, "rounds (default: 3, long: 7)")
	f.DurationVar(&o.span, "span", 0, "time of one sample of small pulls (default: 1s, long: 3s)")
	f.StringVar(&o.only, "only", "", "comma-separated parts of the names of the measures to run")
	f.StringVar(&o.binary, "fairlead", "", "the fairlead to measure (default: one built from the root)")
	f.StringVar(&o.raw, "raw", "", "file for the single results, as benchstat reads them")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	f.Visit(func(g *flag.Flag) {
		switch g.Name {
		case "update", "long":
			o.args = append(o.args, "-"+g.Name)
		case "rounds", "span", "only":
			o.args = append(o.args, "-"+g.Name, "'"+g.Value.String()+"'")
		}
	})
	o.quick = !o.update && !o.long
	if o.rounds == 0 {
		o.rounds = pick(o.quick, 3, 7)
	}
	if o.span == 0 {
		o.span = pick(o.quick, time.Second, 3*time.Second)
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	if o.data == "" {
		o.data = filepath.Join(o.root, "bin")
	}
	if o.rounds < 1 || o.span < 100*time.Millisecond {
		return o, errors.New("rounds must be at least 1 and span at least 100ms")
	}
	return o, nil
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// pinned is set in the environment of the process that runs on its own core.
const pinned = "BENCH_PINNED"

// onOwnCore starts this program again on the last core, so that its runtime
// knows from the start that there is one. Without taskset or a second core
// everything shares what there is.
func onOwnCore() error {
	if os.Getenv(pinned) != "" || cpus() < 2 {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return nil //nolint:nilerr // said in the report: nothing is pinned
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := append(os.Environ(), pinned+"="+strconv.Itoa(cpus()))
	args := append([]string{taskset, "-c", strconv.Itoa(cpus() - 1), self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, env)
}

// onlyMatches tells whether a measure was asked for.
func (o options) onlyMatches(name string) bool {
	if o.only == "" {
		return true
	}
	for part := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}
