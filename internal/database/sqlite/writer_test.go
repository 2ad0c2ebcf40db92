package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	scratch = `CREATE TABLE scratch (n INTEGER PRIMARY KEY, text TEXT) STRICT`
	scribe  = `INSERT INTO scratch (n) VALUES (?)`
	tally   = `SELECT COUNT(*) FROM scratch`
)

// scratched has an empty table that the stores know nothing of.
func scratched(t *testing.T, opts Options) *DB {
	t.Helper()
	db := open(t, opts)
	if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scratch)); err != nil {
		t.Fatal(err)
	}
	return db
}

func doing(ctx context.Context, text string, args ...any) func(database.Queryer) error {
	return func(tx database.Queryer) error {
		_, err := tx.Exec(ctx, text, args...)
		return err
	}
}

func count(t *testing.T, db *DB) int {
	t.Helper()
	var n int
	if _, err := db.Row(t.Context(), tally, nil, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// blocked begins a write that lasts until release is called, so that what is
// written meanwhile queues up. queued waits for that many in the queue.
func blocked(t *testing.T, db *DB) (release func() error) {
	t.Helper()
	running, done, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		result <- db.Write(context.Background(), database.Relaxed, func(database.Queryer) error {
			close(running)
			<-done
			return nil
		})
	}()
	<-running
	return func() error { close(done); return <-result }
}

func queued(t *testing.T, db *DB, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); db.Stats().Queued != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d writes are queued, want %d", db.Stats().Queued, n)
		}
	}
}

func TestCommitsAreShared(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	before := db.Stats()
	const writers, each = 64, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scribe, w*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := db.Stats()
	writes, commits := after.Writes-before.Writes, after.Commits-before.Commits
	t.Logf("%d durable writes in %d commits", writes, commits)
	if writes != writers*each || count(t, db) != writers*each {
		t.Errorf("%d writes and %d rows, want %d", writes, count(t, db), writers*each)
	}
	if commits > writes/4 {
		t.Errorf("%d commits for %d writes: they are not shared", commits, writes)
	}
	if after.Durable-before.Durable != commits {
		t.Errorf("%d of %d commits were durable, want all", after.Durable-before.Durable, commits)
	}
}

// together queues the writes while another holds the writer, in order, and
// returns their errors.
func together(t *testing.T, db *DB, fns ...func(database.Queryer) error) []error {
	t.Helper()
	release := blocked(t, db)
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = db.Write(context.Background(), database.Durable, fn) })
		queued(t, db, i+1)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	return errs
}

func TestFailureStaysWithItsWrite(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	before := db.Stats()
	refused := errors.New("refused")
	ctx := t.Context()
	errs := together(
		t, db,
		doing(ctx, scribe, 1),
		func(tx database.Queryer) error { // fails by itself, having written
			return errors.Join(doing(ctx, scribe, 2)(tx), refused)
		},
		doing(ctx, scribe, 1), // fails in the database
		doing(ctx, scribe, 3),
		doing(ctx, `INSERT INTO nowhere VALUES (1)`),
		doing(ctx, scribe, 2), // sees nothing of the one that failed
	)
	if errs[0] != nil || errs[3] != nil || errs[5] != nil {
		t.Errorf("writes failed for others: %v", errs)
	}
	if !errors.Is(errs[1], refused) || !errors.Is(errs[2], database.ErrUnique) || errs[4] == nil {
		t.Errorf("failures were lost: %v", errs)
	}
	if n := count(t, db); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	after := db.Stats()
	if commits := after.Commits - before.Commits; commits != 2 {
		t.Errorf("%d commits, want 2: the one that was held up and one for all six", commits)
	}
	if failed := after.Failed - before.Failed; failed != 3 {
		t.Errorf("%d writes are counted as failed, want 3", failed)
	}
}

func TestLoneFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	refused := errors.New("refused")
	err := db.Write(t.Context(), database.Durable, func(tx database.Queryer) error {
		return errors.Join(doing(t.Context(), scribe, 1)(tx), refused)
	})
	if !errors.Is(err, refused) {
		t.Errorf("got error %v", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scribe, 1)); err != nil {
		t.Error(err)
	}
}

func TestPanicHitsItsCaller(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	var caught atomic.Value
	release := blocked(t, db)
	var wg sync.WaitGroup
	wg.Go(func() { // will lead
		if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scribe, 1)); err != nil {
			t.Error(err)
		}
	})
	queued(t, db, 1)
	wg.Go(func() {
		defer func() { caught.Store(recover()) }()
		_ = db.Write(t.Context(), database.Durable, func(database.Queryer) error { panic("mine") })
	})
	queued(t, db, 2)
	if err := release(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if caught.Load() != "mine" {
		t.Errorf("the caller recovered %v", caught.Load())
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestCancelledBeforeItBegan(t *testing.T) {
	t.Parallel()
	for name, position := range map[string]int{"next leader": 0, "follower": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := scratched(t, Options{})
			release := blocked(t, db)
			ctx, cancel := context.WithCancel(t.Context())
			errs := make([]error, 3)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					c := t.Context()
					if i == position {
						c = ctx
					}
					errs[i] = db.Write(c, database.Durable, doing(t.Context(), scribe, i))
				})
				queued(t, db, i+1)
			}
			cancel()
			queued(t, db, 2) // it went away at once
			if err := release(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			for i, err := range errs {
				if i == position != errors.Is(err, context.Canceled) || i != position && err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
			if n := count(t, db); n != 2 {
				t.Errorf("%d rows, want 2", n)
			}
		})
	}
}

func TestCancelledAfterItBegan(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Write(ctx, database.Durable, func(tx database.Queryer) error {
		cancel()
		return doing(ctx, scribe, 1)(tx)
	})
	if err != nil {
		t.Error(err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestCancelledWhenElected: it hands the leadership on instead of leading.
func TestCancelledWhenElected(t *testing.T) {
	t.Parallel()
	w := &writer{led: true}
	elected, next := &write{wake: make(chan struct{}, 1)}, &write{wake: make(chan struct{}, 1)}
	w.queue = []*write{elected, next}
	w.handOver()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lead, err := w.wait(ctx, elected)
	if lead || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", lead, err)
	}
	if lead, err := w.wait(t.Context(), next); !lead || err != nil {
		t.Errorf("the next one got %v, %v", lead, err)
	}
}

// TestCancelStorm: whoever is elected while its context ends passes the
// leadership on.
func TestCancelStorm(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	var wg sync.WaitGroup
	var kept atomic.Int64
	for i := range 400 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%40)*200*time.Microsecond)
			defer cancel()
			switch err := db.Write(ctx, database.Durable, doing(t.Context(), scribe, i)); {
			case err == nil:
				kept.Add(1)
			case !errors.Is(err, context.DeadlineExceeded):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db); int64(n) != kept.Load() {
		t.Errorf("%d rows, %d writes were told they are kept", n, kept.Load())
	}
	if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scribe, 1000)); err != nil {
		t.Error(err)
	}
	t.Logf("%d of 400 kept", kept.Load())
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	var sizes []int
	db := scratched(t, Options{Committed: func(n int, _ time.Duration, _ error) { sizes = append(sizes, n) }})
	fns := make([]func(database.Queryer) error, maxBatch+10)
	for i := range fns {
		fns[i] = doing(t.Context(), scribe, i)
	}
	if err := errors.Join(together(t, db, fns...)...); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if want := []int{1, 1, maxBatch, 10}; !slices.Equal(sizes, want) {
		t.Errorf("commits of %v, want %v", sizes, want)
	}
}

func TestSyncFollowsTheBatch(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	wants := func(want string) {
		t.Helper()
		var got string
		if err := db.writer.tx.conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("synchronous is %s, want %s", got, want)
		}
	}
	const normal, full = "1", "2"
	wants(full)
	for i, d := range []database.Durability{database.Relaxed, database.Durable, database.Durable, database.Relaxed, database.Durable} {
		if err := db.Write(t.Context(), d, doing(t.Context(), scribe, i)); err != nil {
			t.Fatal(err)
		}
		wants(map[database.Durability]string{database.Relaxed: normal, database.Durable: full}[d])
	}
	release := blocked(t, db) // relaxed
	var wg sync.WaitGroup
	for i, d := range []database.Durability{database.Relaxed, database.Durable, database.Relaxed} {
		wg.Go(func() {
			if err := db.Write(t.Context(), d, doing(t.Context(), scribe, 10+i)); err != nil {
				t.Error(err)
			}
		})
		queued(t, db, i+1)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	wants(full)
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	var failures atomic.Int64
	db := scratched(t, Options{Committed: func(_ int, _ time.Duration, err error) {
		if err != nil {
			failures.Add(1)
		}
	}})
	limit := func(pages int) {
		t.Helper()
		if _, err := db.writer.tx.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	big := func(n int) func(database.Queryer) error {
		return doing(t.Context(), `INSERT INTO scratch (n, text) VALUES (?, hex(zeroblob(100000)))`, n)
	}
	limit(1) // no more than there are
	var full *oci.Error
	err := db.Write(t.Context(), database.Durable, big(1))
	if !errors.As(err, &full) || full.Code != oci.CodeStorageFull {
		t.Errorf("got error %v, want STORAGE_FULL", err)
	}
	errs := together(t, db, doing(t.Context(), scribe, 2), big(3), doing(t.Context(), scribe, 4))
	if !errors.As(errs[1], &full) || full.Code != oci.CodeStorageFull {
		t.Errorf("got error %v, want STORAGE_FULL", errs[1])
	}
	kept := 0
	for _, i := range []int{0, 2} { // whether they survive is SQLite's, but it is told
		if errs[i] == nil {
			kept++
		} else if !errors.As(errs[i], &full) {
			t.Errorf("got error %v, want STORAGE_FULL", errs[i])
		}
	}
	if n := count(t, db); n != kept {
		t.Errorf("%d rows, %d writes were told they are kept", n, kept)
	}
	limit(1 << 30)
	if err := db.Write(t.Context(), database.Durable, big(5)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	t.Logf("%d rows kept beside the failure, %d transactions failed", kept, failures.Load())
}

func TestCloseWaitsForWrites(t *testing.T) {
	t.Parallel()
	path := ""
	func() {
		db := scratched(t, Options{})
		path = db.path
		release := blocked(t, db)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if err := db.Write(context.Background(), database.Durable, doing(t.Context(), scribe, i)); err != nil {
					t.Error(err)
				}
			})
		}
		queued(t, db, 10)
		closed := make(chan error)
		go func() { closed <- db.Close() }()
		for {
			db.writer.mu.Lock()
			refuses := db.writer.closed
			db.writer.mu.Unlock()
			if refuses {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scribe, 11)); !errors.Is(err, database.ErrClosed) {
			t.Errorf("got error %v, want ErrClosed", err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}()
	if n := count(t, reopen(t, path, Options{})); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
}

func TestReaderDoesNotWrite(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	if _, err := db.Exec(t.Context(), scribe, 1); err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	db := scratched(t, Options{})
	release := blocked(t, db)
	if n := count(t, db); n != 0 { // would hang
		t.Errorf("%d rows, want none", n)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
