package local

import (
	"context"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
)

// turnWait is how long a request waits for another one that is still writing
// to the same upload. A client that resumes after a cut comes back before the
// server has noticed the cut.
const turnWait = 5 * time.Second

// ledger knows what is being written at this moment: who writes how much, and
// which upload is in whose hands.
type ledger struct {
	mu     sync.Mutex
	owners map[string]*ownerLoad
	turns  map[string]chan struct{}
	keys   map[blob.Key]bool
	begins map[string]int // uploads being begun, by owner
	held   map[blob.Key]bool
}

// ownerLoad is what one owner has in flight; bytes are those that no row
// counts yet.
type ownerLoad struct {
	writers int
	bytes   int64
}

func newLedger() *ledger {
	return &ledger{owners: map[string]*ownerLoad{}, turns: map[string]chan struct{}{}, keys: map[blob.Key]bool{}, begins: map[string]int{}, held: map[blob.Key]bool{}}
}

// begin counts in an upload that is being begun, until done is called, and
// tells how many others of the owner are. Who then counts the rows never
// counts too few, however many begin at once.
func (l *ledger) begin(owner string) (others int, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others = l.begins[owner]
	l.begins[owner]++
	return others, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.begins[owner]--; l.begins[owner] == 0 {
			delete(l.begins, owner)
		}
	}
}

// enter counts a writer in, unless limit writers of the owner are at work.
func (l *ledger) enter(owner string, key blob.Key, limit int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.owners[owner]
	if o == nil {
		o = &ownerLoad{}
		l.owners[owner] = o
	}
	if limit > 0 && o.writers >= limit {
		return oci.Errorf(oci.CodeTooManyRequests, "%d uploads of this token are running, no more are allowed at once: wait for one to end (max-concurrent-uploads)", o.writers)
	}
	o.writers++
	l.keys[key] = true
	return nil
}

// leave counts a writer and the bytes it still had in flight out.
func (l *ledger) leave(owner string, key blob.Key, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
	o := l.owners[owner]
	o.writers--
	o.bytes -= bytes
	if o.writers == 0 {
		delete(l.owners, owner)
	}
}

// grow adds bytes in flight and returns the owner's sum.
func (l *ledger) grow(owner string, bytes int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.owners[owner]
	o.bytes += bytes
	return o.bytes
}

// hold keeps a key that no row names from the sweep, until release.
func (l *ledger) hold(key blob.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[key] = true
}

func (l *ledger) release(key blob.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, key)
}

// writing tells whether a request is appending to the key, or holds it.
func (l *ledger) writing(key blob.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[key] || l.held[key]
}

// turn waits until nobody else works on the upload and returns the function
// that ends the turn.
func (l *ledger) turn(ctx context.Context, id string) (func(), error) {
	timeout := time.NewTimer(turnWait)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		busy := l.turns[id]
		if busy == nil {
			mine := make(chan struct{})
			l.turns[id] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.turns, id)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout.C:
			return nil, oci.Errorf(oci.CodeTooManyRequests, "another request is still writing to this upload: try again in a moment")
		}
	}
}
