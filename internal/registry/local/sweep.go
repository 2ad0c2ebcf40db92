package local

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
)

// sweepBatch is how many things one transaction of the sweep takes: a push that
// comes meanwhile waits for no more than these.
const sweepBatch = 128

// eraseRows is how many rows of the trash one transaction removes.
const eraseRows = 512

// removers is how many files are deleted at a time.
const removers = 8

// keysBatch is how many keys are asked about at once, which only reads.
const keysBatch = 256

// After each batch the sweep rests so many times as long as the batch took,
// so that it costs running pushes less than a tenth, on a slow disk as on a
// fast one. While it writes rows, every push waits; while it reads, or removes
// files, they share the disk and the processors with it.
const (
	restOfWrites = 9
	restOfFiles  = 3
	longestRest  = 5 * time.Second
)

// SweepOptions of one sweep.
type SweepOptions struct {
	// DryRun counts and removes nothing.
	DryRun bool
	// UntaggedBefore, if set, also moves manifests to the trash that nothing
	// names and that were neither pushed nor pulled since.
	UntaggedBefore time.Time
	// Progress is told of steps; nil is nobody.
	Progress Progress
}

// Progress of a long job: which step, how much of it is done, of how much (0
// if unknown), and the bytes that were read or written.
type Progress func(step string, done, total, bytes int64)

func (p Progress) tell(step string, done, total, bytes int64) {
	if p != nil {
		p(step, done, total, bytes)
	}
}

// Swept is what one sweep removed, or would remove.
type Swept struct {
	Uploads  int   // abandoned
	Expired  int   // entries of the trash
	Untagged int   // manifests moved to the trash
	Links    int   // of repositories to blobs they do not need
	Blobs    int   // that no repository has
	Orphans  int   // keys that nobody named
	Moves    int   // of tags, from their history
	Bytes    int64 // freed
}

// Run sweeps every interval and writes down what was pulled, until ctx ends.
// After a start the sweep waits one grace period before it removes anything
// that a push under way may count on.
func (r *Registry) Run(ctx context.Context, interval time.Duration) error {
	sweep := time.NewTicker(interval)
	defer sweep.Stop()
	notes := time.NewTicker(pullNotes)
	defer notes.Stop()
	defer r.writePulls(context.WithoutCancel(ctx))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-notes.C:
			r.writePulls(ctx)
		case <-sweep.C:
			r.scheduledSweep(ctx)
		}
	}
}

func (r *Registry) scheduledSweep(ctx context.Context) {
	if !r.upkeep.TryLock() {
		return // a backup or an fsck is running; the next sweep comes soon
	}
	defer r.upkeep.Unlock()
	swept, err := r.sweep(ctx, SweepOptions{})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.o.Log.ErrorContext(ctx, "the sweep stopped early and will try again", "error", err)
	}
	if swept != (Swept{}) {
		r.o.Log.InfoContext(ctx, "swept", "uploads", swept.Uploads, "expired", swept.Expired, "links", swept.Links,
			"blobs", swept.Blobs, "orphans", swept.Orphans, "moves", swept.Moves, "bytes", swept.Bytes)
	}
	if r.o.Swept != nil {
		r.o.Swept(swept, err)
	}
}

// Sweep removes, in small batches, what nobody needs: expired and purged entries
// of the trash, old moves of tags, abandoned uploads, links of repositories to blobs that none of their
// manifests names, blobs that no repository has any more, and keys that nobody
// names. Rows go first, bytes second, and a key never comes back: a push that
// brings the same digest again writes a new one.
func (r *Registry) Sweep(ctx context.Context, o SweepOptions) (Swept, error) {
	r.upkeep.Lock()
	defer r.upkeep.Unlock()
	s, err := r.sweep(ctx, o)
	if r.o.Swept != nil && !o.DryRun {
		r.o.Swept(s, err)
	}
	return s, err
}

// sweeping is one sweep.
type sweeping struct {
	*Registry
	o      SweepOptions
	before Before
	done   Swept
}

func (r *Registry) sweep(ctx context.Context, o SweepOptions) (Swept, error) {
	now := r.o.Now()
	s := &sweeping{Registry: r, o: o, before: Before{
		Uploads: now.Add(-r.o.UploadExpiry), Blobs: now.Add(-r.o.Grace), Trash: now.Add(-r.o.TrashTime),
	}}
	steps := []func(context.Context) error{s.untagged}
	if o.DryRun {
		steps = append(steps, s.waiting)
	} else {
		steps = append(steps, s.trash, s.erase, s.moves, s.uploads)
	}
	// What a push that began before this start was told is not known here.
	if now.Sub(r.born) >= r.o.Grace || o.DryRun {
		steps = append(steps, s.links)
		if !o.DryRun {
			steps = append(steps, s.blobs)
		}
		steps = append(steps, s.orphans)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return s.done, err
		}
	}
	return s.done, nil
}

// rest sleeps in proportion to how long the batch has written rows, and done
// other things, until now.
func rest(ctx context.Context, wrote, others time.Duration) error {
	t := time.NewTimer(min(wrote*restOfWrites+others*restOfFiles, longestRest))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// untagged moves manifests that nothing names to the trash.
func (s *sweeping) untagged(ctx context.Context) error {
	if s.o.UntaggedBefore.IsZero() {
		return nil
	}
	s.writePulls(ctx) // what was pulled a moment ago counts
	for cursor := ""; ; {
		start := time.Now()
		moved, next, err := s.Registry.o.Retention.TrashUntagged(ctx, s.o.UntaggedBefore, cursor, sweepBatch, s.o.DryRun)
		if err != nil {
			return fmt.Errorf("find untagged manifests: %w", err)
		}
		for _, m := range moved {
			s.cache.forgetManifests(m.Repo)
		}
		s.done.Untagged += len(moved)
		s.o.Progress.tell("untagged manifests", int64(s.done.Untagged), 0, 0)
		if next == "" {
			return nil
		}
		cursor = next
		if err := rest(ctx, time.Since(start), 0); err != nil {
			return err
		}
	}
}

// waiting counts for a dry run.
func (s *sweeping) waiting(ctx context.Context) error {
	w, err := s.Registry.o.Retention.Waiting(ctx, s.before)
	if err != nil {
		return fmt.Errorf("count what a sweep would remove: %w", err)
	}
	s.done.Uploads, s.done.Blobs, s.done.Expired, s.done.Bytes = w.Uploads, w.Blobs, w.Entries, w.Bytes
	return nil
}

func (s *sweeping) trash(ctx context.Context) error {
	for {
		start := time.Now()
		n, err := s.Registry.o.Trash.PurgeBefore(ctx, s.before.Trash, sweepBatch)
		if err != nil {
			return fmt.Errorf("purge the trash: %w", err)
		}
		s.done.Expired += n
		s.o.Progress.tell("trash", int64(s.done.Expired), 0, 0)
		if n < sweepBatch {
			return nil
		}
		if err := rest(ctx, time.Since(start), 0); err != nil {
			return err
		}
	}
}

// erase removes what purged entries held.
func (s *sweeping) erase(ctx context.Context) error {
	for {
		start := time.Now()
		more, err := s.Registry.o.Trash.Erase(ctx, eraseRows)
		if err != nil {
			return fmt.Errorf("empty the trash: %w", err)
		}
		if !more {
			return nil
		}
		s.o.Progress.tell("trash", int64(s.done.Expired), 0, 0)
		if err := rest(ctx, time.Since(start), 0); err != nil {
			return err
		}
	}
}

// moves forgets what tags named long ago.
func (s *sweeping) moves(ctx context.Context) error {
	if s.Registry.o.HistoryTime <= 0 {
		return nil
	}
	for cursor, before := int64(0), s.Registry.o.Now().Add(-s.Registry.o.HistoryTime); ; {
		start := time.Now()
		n, next, err := s.Registry.o.History.ForgetMoves(ctx, before, cursor, sweepBatch)
		if err != nil {
			return fmt.Errorf("forget old moves of tags: %w", err)
		}
		s.done.Moves += n
		s.o.Progress.tell("tag history", int64(s.done.Moves), 0, 0)
		if next == 0 {
			return nil
		}
		cursor = next
		if err := rest(ctx, time.Since(start), 0); err != nil {
			return err
		}
	}
}

func (s *sweeping) uploads(ctx context.Context) error {
	for {
		start := time.Now()
		keys, err := s.Registry.o.Garbage.AbandonedUploads(ctx, s.before.Uploads, sweepBatch)
		if err != nil {
			return fmt.Errorf("find abandoned uploads: %w", err)
		}
		wrote := time.Since(start)
		if err := s.remove(ctx, keys); err != nil {
			return err
		}
		s.done.Uploads += len(keys)
		s.o.Progress.tell("uploads", int64(s.done.Uploads), 0, s.done.Bytes)
		if len(keys) < sweepBatch {
			return nil
		}
		if err := rest(ctx, wrote, time.Since(start)-wrote); err != nil {
			return err
		}
	}
}

// links ends what repositories hold of blobs that none of their manifests
// names and nobody was told of lately.
func (s *sweeping) links(ctx context.Context) error {
	cursor := ""
	for {
		start := time.Now()
		found, next, err := s.Registry.o.Retention.UnneededLinks(ctx, s.before.Blobs, cursor, sweepBatch)
		if err != nil {
			return fmt.Errorf("find blobs that no manifest needs: %w", err)
		}
		looked := time.Since(start)
		if err := s.unlink(ctx, found); err != nil {
			return err
		}
		wrote := time.Since(start) - looked
		s.o.Progress.tell("unneeded blobs", int64(s.done.Links), 0, s.done.Bytes)
		if next == "" {
			return nil
		}
		cursor = next
		if err := rest(ctx, wrote, looked); err != nil {
			return err
		}
	}
}

func (s *sweeping) unlink(ctx context.Context, found []Link) error {
	if len(found) == 0 {
		return nil
	}
	// From here to the end of the links nobody is told that a blob is there.
	s.leases.answering.Lock()
	defer s.leases.answering.Unlock()
	now := s.Registry.o.Now()
	free := found[:0]
	for _, l := range found {
		if !s.leases.holds(l.Digest, now) {
			free = append(free, l)
		}
	}
	if s.o.DryRun || len(free) == 0 {
		s.done.Links += len(free)
		return nil
	}
	ended, err := s.Registry.o.Retention.Unlink(ctx, s.before.Blobs, free)
	for _, l := range free {
		s.cache.forgetBlob(l.Repo, l.Digest)
	}
	if err != nil {
		return fmt.Errorf("end links to blobs that no manifest needs: %w", err)
	}
	s.done.Links += len(ended)
	return nil
}

func (s *sweeping) blobs(ctx context.Context) error {
	keep := func(d oci.Digest) bool { return s.leases.holds(d, s.Registry.o.Now()) }
	for {
		start := time.Now()
		rows, err := s.Registry.o.Garbage.Forget(ctx, s.before.Blobs, sweepBatch, keep)
		if err != nil {
			return fmt.Errorf("forget blobs without a repository: %w", err)
		}
		wrote := time.Since(start)
		keys := make([]blob.Key, len(rows))
		for i, row := range rows {
			keys[i] = row.Key
		}
		if err := s.remove(ctx, keys); err != nil {
			return err
		}
		s.done.Blobs += len(rows)
		s.o.Progress.tell("blobs", int64(s.done.Blobs), 0, s.done.Bytes)
		if len(rows) < sweepBatch {
			return nil
		}
		if err := rest(ctx, wrote, time.Since(start)-wrote); err != nil {
			return err
		}
	}
}

// orphans removes what a crash left: keys that grew before the grace period,
// that no request is writing and that no row names.
func (s *sweeping) orphans(ctx context.Context) error {
	start := time.Now()
	return s.unknownKeys(ctx, s.before.Blobs, func(keys []blob.Key) error {
		s.done.Orphans += len(keys)
		if s.o.DryRun {
			return nil
		}
		return s.remove(ctx, keys)
	}, func(seen int64) error {
		took := time.Since(start)
		s.o.Progress.tell("files", seen, 0, s.done.Bytes)
		err := rest(ctx, 0, took)
		start = time.Now()
		return err
	})
}

// unknownKeys walks the store for keys older than before that nothing names.
func (r *Registry) unknownKeys(ctx context.Context, before time.Time, found func([]blob.Key) error, seen func(int64) error) error {
	var old []blob.Key
	var n int64
	flush := func() error {
		unknown, err := r.o.Garbage.UnknownKeys(ctx, old)
		if err != nil {
			return fmt.Errorf("find keys that nobody names: %w", err)
		}
		old = old[:0]
		if err := found(unknown); err != nil {
			return err
		}
		return seen(n)
	}
	for e, err := range r.o.Blobs.List(ctx) {
		if err != nil {
			return fmt.Errorf("list the store: %w", err)
		}
		n++
		// Asked before the rows are: what nobody writes any more has its row
		// by then, if it ever gets one.
		if !e.Modified.Before(before) || r.load.writing(e.Key) {
			continue
		}
		if old = append(old, e.Key); len(old) == keysBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// remove deletes several keys at a time: while pushes sync the disk, each
// deletion waits for a commit of the file system, and one commit serves many.
func (s *sweeping) remove(ctx context.Context, keys []blob.Key) error {
	var freed atomic.Int64
	var work errgroup.Group
	work.SetLimit(removers)
	for _, key := range keys {
		work.Go(func() error {
			size, err := s.Registry.o.Blobs.Size(ctx, key)
			if errors.Is(err, blob.ErrNotFound) {
				return nil
			}
			if err == nil {
				err = s.Registry.o.Blobs.Delete(ctx, key)
			}
			if err != nil {
				return fmt.Errorf("remove key %s: %w", key, err)
			}
			freed.Add(size)
			return nil
		})
	}
	err := work.Wait()
	s.done.Bytes += freed.Load()
	return err
}
