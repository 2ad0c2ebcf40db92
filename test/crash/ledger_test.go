package crash

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
)

// key is one thing of the registry that has a value of its own.
type key struct {
	kind byte // 't' a tag, 'm' a manifest, 'b' a blob of a repository
	repo string
	name string
}

func (k key) String() string { return fmt.Sprintf("%c %s %s", k.kind, k.repo, k.name) }

const (
	absent  = ""
	present = "present" // a tag's value is a digest instead
)

// write is what an operation does to a key: it sets the value, or (only) takes
// it away if it was that one, as the deletion of a manifest does to its tags.
type write struct {
	key   key
	value string
	only  string
}

// event is a write, or a look that saw the value: both say that the key had
// it at some moment between start and end.
type event struct {
	start, end int64
	value      string
	only       string
	seen       bool // by a look
	certain    bool // acknowledged, or seen
}

// ledger remembers what clients were told. Values follow from times: of
// operations that overlap, either may be the last.
type ledger struct {
	mu     sync.Mutex
	now    int64
	events map[key][]*event
	base   map[key]string // as seen when nothing was under way
	acked  int
}

func newLedger() *ledger {
	return &ledger{events: map[key][]*event{}, base: map[key]string{}}
}

// operation under way.
type operation struct {
	l      *ledger
	events []*event
	keys   []key
}

const underWay = math.MaxInt64

// begin is called before the request is sent.
func (l *ledger) begin(writes ...write) *operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now++
	o := &operation{l: l}
	for _, w := range writes {
		e := &event{start: l.now, end: underWay, value: w.value, only: w.only}
		l.events[w.key] = append(l.events[w.key], e)
		o.events, o.keys = append(o.events, e), append(o.keys, w.key)
	}
	return o
}

// done: the server acknowledged it.
func (o *operation) done() {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	o.l.now++
	o.l.acked++
	for _, e := range o.events {
		e.end, e.certain = o.l.now, true
	}
}

// refused: the server said that it did nothing.
func (o *operation) refused() {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	for i, k := range o.keys {
		list := o.l.events[k]
		for j, e := range list {
			if e == o.events[i] {
				o.l.events[k] = append(list[:j:j], list[j+1:]...)
				break
			}
		}
	}
}

// look is called before a read; what it saw is told when the answer is there.
func (l *ledger) look() func(k key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now++
	start := l.now
	return func(k key, value string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now++
		l.events[k] = append(l.events[k], &event{start: start, end: l.now, value: value, seen: true, certain: true})
	}
}

// settle says why the key cannot have the value now, when nothing is under
// way, or why a look cannot have seen what it saw; the value is the new base.
func (l *ledger) settle(k key, value string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := append([]*event{{start: -1, end: -1, value: l.base[k], certain: true}}, l.events[k]...)
	before := l.base[k]
	l.base[k] = value
	delete(l.events, k)
	looks := []*event{{start: underWay, end: underWay, value: value}}
	for _, e := range events {
		if e.seen {
			looks = append(looks, e)
		}
	}
	for _, look := range looks {
		ok := false
		for _, e := range events {
			ok = ok || e.explains(look, events)
		}
		if ok {
			continue
		}
		text := fmt.Sprintf("%s is %s, it was %s when all was quiet", k, shown(value), shown(before))
		if look.seen {
			text = fmt.Sprintf("%s was seen as %s in [%d, %d]", k, shown(look.value), look.start, look.end)
		}
		for _, e := range events {
			text += "\n\t" + e.String()
		}
		return errors.New(text)
	}
	return nil
}

func shown(value string) string {
	if value == absent {
		return "absent"
	}
	return value
}

func (e *event) String() string {
	text := fmt.Sprintf("[%d, %d] %s", e.start, e.end, shown(e.value))
	switch {
	case e.seen:
		text += " seen"
	case e.end == underWay:
		text = fmt.Sprintf("[%d, under way] %s", e.start, shown(e.value))
	case !e.certain:
		text += ", uncertain"
	}
	if e.only != "" {
		text += " if it was " + e.only
	}
	return text
}

// explains tells whether the look can have met what e wrote: nothing that is
// certain came wholly between the two.
func (e *event) explains(look *event, all []*event) bool {
	if e.seen || e.value != look.value || e.start >= look.end {
		return false
	}
	if e.only != "" && !slices.ContainsFunc(all, func(x *event) bool { return x.value == e.only && x.start < e.end }) {
		return false // nobody had set what it takes away
	}
	return !slices.ContainsFunc(all, func(x *event) bool {
		between := x.certain && x.start > e.end && x.end < look.start
		return between && (x.only == "" && x.value != look.value || x.only != "" && x.only == look.value)
	})
}

// touched are the keys that something was done to since they were settled.
func (l *ledger) touched() []key {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make([]key, 0, len(l.events))
	for k := range l.events {
		keys = append(keys, k)
	}
	return keys
}

// all keys that ever were.
func (l *ledger) all() []key {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make([]key, 0, len(l.base)+len(l.events))
	for k := range l.base {
		keys = append(keys, k)
	}
	for k := range l.events {
		if _, ok := l.base[k]; !ok {
			keys = append(keys, k)
		}
	}
	return keys
}

func (l *ledger) settled(k key) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base[k]
}

// TestLedger: what may be found after a crash, and what may not.
func TestLedger(t *testing.T) {
	t.Parallel()
	k := key{'t', "r", "v1"}
	set := func(v string) write { return write{key: k, value: v} }
	for _, c := range []struct {
		name string
		run  func(l *ledger)
		may  []string
		not  []string
	}{
		{"nothing happened", func(*ledger) {}, []string{"old"}, []string{absent, "a"}},
		{"acknowledged", func(l *ledger) { l.begin(set("a")).done() }, []string{"a"}, []string{"old", absent}},
		{"refused", func(l *ledger) { l.begin(set("a")).refused() }, []string{"old"}, []string{"a"}},
		{"under way", func(l *ledger) { l.begin(set("a")) }, []string{"old", "a"}, []string{absent}},
		{"one after the other", func(l *ledger) { l.begin(set("a")).done(); l.begin(set("b")).done() }, []string{"b"}, []string{"a", "old"}},
		{"at once", func(l *ledger) {
			a, b := l.begin(set("a")), l.begin(set("b"))
			a.done()
			b.done()
		}, []string{"a", "b"}, []string{"old", absent}},
		{"deleted", func(l *ledger) { l.begin(set(absent)).done() }, []string{absent}, []string{"old"}},
		{"deleted, then pushed", func(l *ledger) { l.begin(set(absent)).done(); l.begin(set("a")) }, []string{absent, "a"}, []string{"old"}},
		{"its manifest deleted", func(l *ledger) { l.begin(write{k, absent, "old"}).done() }, []string{absent}, []string{"old"}},
		{"another manifest deleted", func(l *ledger) { l.begin(write{k, absent, "x"}).done() }, []string{"old"}, []string{absent}},
		{"its manifest being deleted", func(l *ledger) { l.begin(write{k, absent, "old"}) }, []string{absent, "old"}, []string{"a"}},
		{"its manifest deleted before the tag moved", func(l *ledger) {
			l.begin(write{k, absent, "old"}).done()
			l.begin(set("a")).done()
		}, []string{"a"}, []string{"old", absent}},
		{"seen by a pull before the acknowledgement", func(l *ledger) {
			l.begin(set("a"))
			l.look()(k, "a")
		}, []string{"a"}, []string{"old", absent}},
		{"seen, then moved", func(l *ledger) {
			l.look()(k, "old")
			l.begin(set("a")).done()
		}, []string{"a"}, []string{"old"}},
		{"seen though nobody wrote it", func(l *ledger) { l.look()(k, "a") }, nil, []string{"a", "old"}},
		{"seen after it was gone", func(l *ledger) {
			l.begin(set("a")).done()
			l.look()(k, "old")
		}, nil, []string{"a", "old"}},
	} {
		check := func(value string) error {
			l := newLedger()
			l.base[k] = "old"
			c.run(l)
			return l.settle(k, value)
		}
		for _, v := range c.may {
			if err := check(v); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for _, v := range c.not {
			if check(v) == nil {
				t.Errorf("%s: the value %s passes", c.name, shown(v))
			}
		}
	}
}
