package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/database"
)

// maxBatch bounds how many writes share a commit, and so how long the first
// of them waits for the last.
const maxBatch = 256

// maxRelaxed bounds how many relaxed commits follow each other: only durable
// ones bring the log back into the file, see setSync.
const maxRelaxed = 256

// writer is the group commit. There is no goroutine of its own: whoever
// arrives while nobody leads becomes the leader, runs everything that is
// queued (its own write first) in one transaction, commits, makes the first of
// those that have queued up meanwhile the next leader, and answers. Nobody
// leads more than one batch, so nobody waits for more than the batch under way
// and its own.
type writer struct {
	tx        *transaction
	committed func(writes int, took time.Duration, err error) // may be nil
	relaxed   bool                                            // what synchronous is set to; the leader's
	log       string                                          // the path of the write-ahead log
	unsynced  int                                             // relaxed commits since the last durable one; the leader's
	suspect   bool                                            // what is read of it may not be on the disk; the leader's

	mu     sync.Mutex
	queue  []*write
	led    bool          // somebody leads or was elected
	closed bool          // nothing more is queued
	idle   chan struct{} // closed when nobody leads any more; made by close
	stats  Stats
}

// write is one call of do. err and panicked belong to the leader until wake
// is received from.
type write struct {
	fn       func(tx database.Queryer) error
	durable  database.Durability
	wake     chan struct{} // one signal: answered, or elected
	elected  bool          // guarded by writer.mu
	err      error
	panicked any
}

// do queues fn and returns its result, see database.Engine.
func (w *writer) do(ctx context.Context, d database.Durability, fn func(tx database.Queryer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &write{fn: fn, durable: d, wake: make(chan struct{}, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return database.ErrClosed
	}
	w.queue = append(w.queue, o)
	lead := !w.led
	w.led = true
	w.mu.Unlock()
	if !lead {
		var err error
		if lead, err = w.wait(ctx, o); err != nil {
			return err
		}
	}
	if lead {
		w.lead(o)
	}
	if o.panicked != nil {
		panic(o.panicked) //nolint:forbidigo // fn's own panic, caught on the leader's goroutine, goes on where it belongs
	}
	return o.err
}

// wait returns when o was answered or elected (lead), or with the error of
// ctx if that ended before o was begun.
func (w *writer) wait(ctx context.Context, o *write) (lead bool, err error) {
	select {
	case <-o.wake:
	case <-ctx.Done():
		if w.withdraw(o) {
			return false, ctx.Err()
		}
		<-o.wake
	}
	if !o.elected {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		w.take(1) // itself: the elected is the first
		w.handOver()
		return false, err
	}
	return true, nil
}

// withdraw takes o out of the queue, unless it is elected or begun.
func (w *writer) withdraw(o *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, o)
	if i < 0 || o.elected {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// take removes at most n writes from the front of the queue.
func (w *writer) take(n int) []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = min(n, len(w.queue))
	batch := slices.Clone(w.queue[:n])
	w.queue = slices.Delete(w.queue, 0, n)
	return batch
}

// handOver ends the caller's leadership.
func (w *writer) handOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		w.queue[0].elected = true
		w.queue[0].wake <- struct{}{}
		return
	}
	w.led = false
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

func (w *writer) lead(own *write) {
	batch := w.take(maxBatch)
	w.commit(batch)
	w.handOver()
	for _, o := range batch {
		if o != own {
			o.wake <- struct{}{}
		}
	}
}

// commit runs a batch and counts it.
func (w *writer) commit(batch []*write) {
	start := time.Now()
	durable := w.unsynced >= maxRelaxed || slices.ContainsFunc(batch, func(o *write) bool { return bool(o.durable) })
	err := w.transact(batch, durable)
	if w.unsynced++; durable {
		w.unsynced = 0
	}
	took := time.Since(start)
	writes := 0
	for _, o := range batch {
		switch {
		case o.err != nil:
		case err != nil:
			o.err = fmt.Errorf("commit: %w", err)
		default:
			writes++
		}
	}
	w.count(writes, len(batch)-writes, durable, took, err)
	if w.committed != nil && (writes > 0 || err != nil) {
		w.committed(writes, took, err)
	}
}

// transact runs the batch in one transaction. Its error is everybody's; what
// one write failed with is in that write.
func (w *writer) transact(batch []*write, durable bool) error {
	if err := w.setSync(!durable); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	kept := 0
	for _, o := range batch {
		// A lone write needs no savepoint: if it fails, everything does.
		ok, err := w.step(o, len(batch) > 1)
		if err != nil {
			return w.rollback(err)
		}
		if ok {
			kept++
		}
	}
	if kept == 0 {
		return w.rollback(nil)
	}
	if err := w.control("COMMIT"); err != nil {
		w.suspect = true
		return w.rollback(err)
	}
	return nil
}

// begin begins a transaction, on a log that is on the disk as it is read.
func (w *writer) begin() error {
	if err := w.control("BEGIN IMMEDIATE"); err != nil || !w.suspect {
		return err
	}
	if err := rewrite(w.log); err != nil {
		return w.rollback(fmt.Errorf("write the log again: %w", classify(err)))
	}
	w.suspect = false
	return nil
}

// settle makes durable all that is read.
func (w *writer) settle() error {
	if err := w.begin(); err != nil {
		return err
	}
	return w.rollback(nil)
}

// step runs one write; its failure undoes nothing but itself. An error means
// that the transaction is lost (SQLite gives it up on a full disk).
func (w *writer) step(o *write, savepoint bool) (ok bool, err error) {
	if !savepoint {
		o.run(w.tx)
		return o.err == nil, nil
	}
	if err := w.control("SAVEPOINT one"); err != nil {
		return false, err
	}
	o.run(w.tx)
	if o.err != nil {
		if err := w.control("ROLLBACK TO one"); err != nil {
			return false, errors.Join(o.err, err)
		}
	}
	return o.err == nil, w.control("RELEASE one")
}

// run calls fn. Its panic must not hit whoever happens to lead.
func (o *write) run(tx database.Queryer) {
	defer func() {
		if p := recover(); p != nil {
			o.panicked, o.err = p, errors.New("the write panicked")
		}
	}()
	o.err = o.fn(tx)
}

// rollback gives up the transaction and returns err. That there may be no
// transaction any more is fine.
func (w *writer) rollback(err error) error {
	_ = w.control("ROLLBACK")
	return err
}

// setSync sets what COMMIT waits for, where that changes. A relaxed one makes
// no checkpoint: that would sync the log first, and if this failed what it
// lost would be in front of the next commit, with nobody told.
func (w *writer) setSync(relaxed bool) error {
	if w.relaxed == relaxed {
		return nil
	}
	text := "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000"
	if relaxed {
		text = "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0"
	}
	// Not kept prepared: the setting is made while the text is compiled.
	if _, err := w.tx.conn.ExecContext(context.Background(), text); err != nil {
		return classify(err)
	}
	w.relaxed = relaxed
	return nil
}

// control runs BEGIN and its kin. They belong to all writes of a batch and so
// to no caller's context.
func (w *writer) control(text string) error {
	_, err := w.tx.Exec(context.Background(), text)
	return err
}

// close refuses new writes and waits for those that are queued.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	if !w.led {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	<-idle
}
