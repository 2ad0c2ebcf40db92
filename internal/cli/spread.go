package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/kube"
)

const (
	// hands is how many writes to a cluster are under way at a time: what one
	// person's command may take of an API server that others use, too.
	hands = 8
	// mostLines are printed one by one; more are counted.
	mostLines = 10
)

// place is where something is written: a namespace, or one service account
// in it.
type place struct{ namespace, account string }

func (p place) String() string {
	if p.account == "" {
		return p.namespace
	}
	return p.namespace + "/" + p.account
}

// outcome is what became of many writes.
type outcome struct {
	places   int
	counts   map[kube.Result]int
	lines    []string // of the first ones
	failures failures
}

// spread writes to every place, several at a time, and shows how far it is.
// An error that comes with a place is about that place; one without ends it.
func spread(ctx context.Context, e env, what string, places iter.Seq2[place, error], do func(context.Context, place) (kube.Result, error)) (*outcome, error) {
	o := &outcome{counts: map[kube.Result]int{}}
	m := newMeter(e, what)
	defer m.end()
	var mu sync.Mutex
	took := func(p place, r kube.Result, err error) {
		mu.Lock()
		defer mu.Unlock()
		if o.places++; o.places > 1 {
			m.show(v1.Progress{Step: "written", Done: int64(o.places)})
		}
		if err != nil {
			o.failures.add(p.String(), err)
			return
		}
		o.counts[r]++
		if len(o.lines) <= mostLines {
			o.lines = append(o.lines, fmt.Sprintf("%s: %s", p, r))
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(hands)
	var fatal error
	for p, err := range places {
		if gctx.Err() != nil {
			break
		}
		if err != nil && p == (place{}) {
			fatal = err
			break
		}
		if err != nil {
			took(p, "", err)
			continue
		}
		g.Go(func() error {
			r, err := do(gctx, p)
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			took(p, r, err)
			return nil
		})
	}
	return o, errors.Join(g.Wait(), fatal)
}

// say says what was done, place by place or in numbers. place is what the
// places are: namespace.
func (o *outcome) say(w io.Writer, subject, unit string) {
	total := o.counts[kube.Created] + o.counts[kube.Changed] + o.counts[kube.Unchanged]
	switch {
	case total == 0:
		if o.failures.n == 0 {
			fmt.Fprintf(w, "There is no %s to write to.\n", unit)
		}
		return
	case total <= mostLines:
		for _, l := range sortedLines(o.lines) {
			fmt.Fprintf(w, "%s in %s.\n", subject, l)
		}
		return
	}
	var parts []string
	for _, r := range []kube.Result{kube.Created, kube.Changed, kube.Unchanged} {
		if n := o.counts[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s in %d", r, n))
		}
	}
	fmt.Fprintf(w, "%s: %s %ss.\n", subject, strings.Join(parts, ", "), unit)
}

// error is what failed; nil if nothing did.
func (o *outcome) error() error { return o.failures.error(o.places) }

// failures are what went wrong in some of many places.
type failures struct {
	n     int
	first error
	lines []string
}

func (f *failures) add(place string, err error) {
	if f.n++; f.first == nil {
		f.first = err
	}
	if len(f.lines) < mostLines {
		f.lines = append(f.lines, "  "+place+": "+err.Error())
	}
}

// error is one error of all, with the first one's hint and exit code; nil if
// nothing failed. It is the first itself if there was one place only.
func (f *failures) error(places int) error {
	switch {
	case f.n == 0:
		return nil
	case f.n == 1 && places == 1:
		return f.first
	}
	lines := sortedLines(f.lines)
	if more := f.n - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return &manyError{text: fmt.Sprintf("it failed in %s:\n%s", count(f.n, "place"), strings.Join(lines, "\n")), first: f.first}
}

// manyError says several failures; it is the first one to whoever asks what to
// do.
type manyError struct {
	text  string
	first error
}

func (e *manyError) Error() string { return e.text }
func (e *manyError) Unwrap() error { return e.first }

func sortedLines(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}
