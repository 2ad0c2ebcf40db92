package local_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
)

// cell is one thing of a registry that has a value of its own: a tag the
// digest it names, a manifest or a blob of a repository whether it is there.
type cell struct {
	kind byte // 't', 'm', 'b'
	repo oci.Repo
	name string
}

const (
	gone  = ""
	there = "there"
)

// happening is an operation as one cell sees it: it set the value, or took it
// away if it was a certain one, or saw it, at some moment between start and
// end.
type happening struct {
	start, end int64
	value      string
	only       string
	seen       bool
	maybe      bool // it may not have happened
}

// history is what many goroutines did and saw. Each cell alone must be
// explained by some order of what happened to it: what was seen was the value
// at some moment of the look.
type history struct {
	mu    sync.Mutex
	now   int64
	cells map[cell][]happening
}

func (h *history) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	return h.now
}

func (h *history) add(start int64, c cell, what happening) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	what.start, what.end = start, h.now
	if h.cells == nil {
		h.cells = map[cell][]happening{}
	}
	h.cells[c] = append(h.cells[c], what)
}

func (h *history) wrote(start int64, c cell, value string) {
	h.add(start, c, happening{value: value})
}

func (h *history) took(start int64, c cell, only string) {
	h.add(start, c, happening{value: gone, only: only})
}

// mayTake: it is not known whether that was done.
func (h *history) mayTake(start int64, c cell, only string) {
	h.add(start, c, happening{value: gone, only: only, maybe: true})
}

func (h *history) saw(start int64, c cell, value string) {
	h.add(start, c, happening{value: value, seen: true})
}

// check gives the first look that nothing explains. All cells were empty at
// the beginning.
func (h *history) check() error {
	for c, all := range h.cells {
		all = append([]happening{{start: -1, end: -1, value: gone}}, all...)
		for _, look := range all {
			if !look.seen || slices.ContainsFunc(all, func(e happening) bool { return explains(e, look, all) }) {
				continue
			}
			text := fmt.Sprintf("%c %s %s was seen as %q in [%d, %d], but", c.kind, c.repo, c.name, look.value, look.start, look.end)
			for _, e := range all {
				if e.start < look.end {
					text += fmt.Sprintf("\n\t%+v", e)
				}
			}
			return fmt.Errorf("%s", text)
		}
	}
	return nil
}

// explains tells whether the look may have met what e set: it began before the
// look ended, and nothing else came wholly between them.
func explains(e, look happening, all []happening) bool {
	if e.seen || e.value != look.value || e.start >= look.end {
		return false
	}
	if e.only != "" && !slices.ContainsFunc(all, func(x happening) bool { return x.value == e.only && x.start < e.end }) {
		return false
	}
	return !slices.ContainsFunc(all, func(x happening) bool {
		between := !x.maybe && x.start > e.end && x.end < look.start
		return between && (x.only == "" && x.value != look.value || x.only != "" && x.only == look.value)
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	c := cell{'t', "a", "v1"}
	for _, x := range []struct {
		name string
		all  []happening
		good bool
	}{
		{"nothing", []happening{{1, 2, gone, "", true, false}}, true},
		{"set and seen", []happening{{1, 2, "x", "", false, false}, {3, 4, "x", "", true, false}}, true},
		{"seen before it was acknowledged", []happening{{1, 9, "x", "", false, false}, {3, 4, "x", "", true, false}}, true},
		{"seen before it began", []happening{{5, 9, "x", "", false, false}, {3, 4, "x", "", true, false}}, false},
		{"stale", []happening{{1, 2, "x", "", false, false}, {3, 4, "y", "", false, false}, {5, 6, "x", "", true, false}}, false},
		{"at once", []happening{{1, 4, "x", "", false, false}, {2, 3, "y", "", false, false}, {5, 6, "x", "", true, false}}, true},
		{"seen new, then old", []happening{{1, 2, "x", "", false, false}, {3, 9, "y", "", false, false}, {4, 5, "y", "", true, false}, {6, 7, "x", "", true, false}}, false},
		{"taken", []happening{{1, 2, "x", "", false, false}, {3, 4, gone, "x", false, false}, {5, 6, "x", "", true, false}}, false},
		{"another taken", []happening{{1, 2, "x", "", false, false}, {3, 4, gone, "y", false, false}, {5, 6, gone, "", true, false}}, false},
		{"perhaps taken, seen", []happening{{1, 2, "x", "", false, false}, {3, 4, gone, "x", false, true}, {5, 6, "x", "", true, false}}, true},
		{"perhaps taken, gone", []happening{{1, 2, "x", "", false, false}, {3, 4, gone, "x", false, true}, {5, 6, gone, "", true, false}}, true},
		{"taken, then set", []happening{{1, 2, "x", "", false, false}, {3, 4, gone, "x", false, false}, {5, 6, "x", "", false, false}, {7, 8, "x", "", true, false}}, true},
	} {
		h := &history{cells: map[cell][]happening{c: x.all}}
		if err := h.check(); (err == nil) != x.good {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
