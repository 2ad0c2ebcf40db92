package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"fairlead.dev/fairlead/internal/pullplan"
)

// statusPause gathers changes of many namespaces into one write of a status.
const statusPause = 300 * time.Millisecond

// board has each policy's verdict in each namespace, and wakes the policies
// whose verdicts change.
type board struct {
	mu       sync.Mutex
	verdicts map[pullplan.ID]map[string]note
	waits    map[pullplan.ID]wait
	queue    workqueue.TypedRateLimitingInterface[pullplan.ID]
}

// statusLate is how long a status waits for verdicts of all namespaces: in one
// whose writes all come too late, or are refused, there may be none for long.
const statusLate = 10 * time.Second

// wait of a status for verdicts.
type wait struct {
	generation int64
	end        time.Time
}

type note struct {
	generation int64
	reason     pullplan.Reason
	message    string
}

func newBoard() *board {
	return &board{verdicts: map[pullplan.ID]map[string]note{}, waits: map[pullplan.ID]wait{}}
}

// wakes gives the board the queue of the policies.
func (b *board) wakes(q workqueue.TypedRateLimitingInterface[pullplan.ID]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = q
}

func (b *board) wake(id pullplan.ID) {
	if b.queue != nil {
		b.queue.AddAfter(id, statusPause)
	}
}

// set replaces all that is known of a namespace, and gives the verdicts whose
// reasons are new.
func (b *board) set(namespace string, generations map[pullplan.ID]int64, verdicts []pullplan.Verdict) (news []pullplan.Verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := map[pullplan.ID]bool{}
	for _, v := range verdicts {
		now[v.Policy] = true
		n := note{generations[v.Policy], v.Reason, v.Message}
		if b.verdicts[v.Policy] == nil {
			b.verdicts[v.Policy] = map[string]note{}
		}
		before := b.verdicts[v.Policy][namespace]
		if before.reason != n.reason {
			news = append(news, v)
		}
		if before != n {
			b.verdicts[v.Policy][namespace] = n
			b.wake(v.Policy)
		}
	}
	for id := range b.verdicts {
		if !now[id] {
			b.remove(id, namespace)
		}
	}
	return news
}

func (b *board) remove(id pullplan.ID, namespace string) {
	if _, is := b.verdicts[id][namespace]; is {
		delete(b.verdicts[id], namespace)
		b.wake(id)
	}
}

func (b *board) drop(namespace string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.verdicts {
		b.remove(id, namespace)
	}
}

// of gives the note about a policy in a namespace, if there is one of this
// generation.
func (b *board) of(id pullplan.ID, namespace string, generation int64) (note, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, is := b.verdicts[id][namespace]
	return n, is && n.generation == generation
}

func (b *board) forget(id pullplan.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.verdicts, id)
	delete(b.waits, id)
}

// late says, once in statusLate, that a status waited that long for verdicts.
func (b *board) late(id pullplan.ID, generation int64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	w, is := b.waits[id]
	if is && w.generation == generation && now.Before(w.end) {
		return false
	}
	b.waits[id] = wait{generation, now.Add(statusLate)}
	return is && w.generation == generation
}

// whole says that a status has all verdicts.
func (b *board) whole(id pullplan.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waits, id)
}

// nudge wakes a policy whose pods changed.
func (b *board) nudge(id pullplan.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake(id)
}
