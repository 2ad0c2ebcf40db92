package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/blob"
)

// sweepBatch is how many things one statement of the sweep takes.
const sweepBatch = 256

// Swept is what one sweep removed.
type Swept struct {
	Blobs   int   // that no repository had
	Uploads int   // abandoned
	Orphans int   // keys that nobody named
	Bytes   int64 // freed
}

// Run sweeps every interval until ctx ends. After a start it waits one grace
// period before it removes anything that a push under way may count on.
func (r *Registry) Run(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		swept, err := r.Sweep(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			r.o.Log.ErrorContext(ctx, "the sweep stopped early and will try again", "error", err)
		}
		if swept != (Swept{}) {
			r.o.Log.InfoContext(ctx, "swept", "blobs", swept.Blobs, "uploads", swept.Uploads, "orphans", swept.Orphans, "bytes", swept.Bytes)
		}
		if r.o.Swept != nil {
			r.o.Swept(swept, err)
		}
	}
}

// Sweep removes, in small batches, abandoned uploads, blobs that no repository
// has any more, and keys that nobody names. Rows go first, bytes second, and a
// key never comes back: a push that brings the same digest again writes a new
// one.
func (r *Registry) Sweep(ctx context.Context) (Swept, error) {
	var s Swept
	now := r.o.Now()
	if err := r.sweepUploads(ctx, now.Add(-r.o.UploadExpiry), &s); err != nil {
		return s, err
	}
	if now.Sub(r.born) < r.o.Grace {
		return s, nil
	}
	before := now.Add(-r.o.Grace)
	if err := r.sweepBlobs(ctx, before, &s); err != nil {
		return s, err
	}
	return s, r.sweepOrphans(ctx, before, &s)
}

func (r *Registry) sweepUploads(ctx context.Context, before time.Time, s *Swept) error {
	for {
		keys, err := r.o.Garbage.AbandonedUploads(ctx, before, sweepBatch)
		if err != nil {
			return fmt.Errorf("find abandoned uploads: %w", err)
		}
		for _, k := range keys {
			if err := r.remove(ctx, k, s); err != nil {
				return err
			}
			s.Uploads++
		}
		if len(keys) < sweepBatch {
			return nil
		}
	}
}

func (r *Registry) sweepBlobs(ctx context.Context, before time.Time, s *Swept) error {
	for {
		rows, err := r.o.Garbage.Forget(ctx, before, sweepBatch, nil)
		if err != nil {
			return fmt.Errorf("forget blobs without a repository: %w", err)
		}
		for _, row := range rows {
			if err := r.remove(ctx, row.Key, s); err != nil {
				return err
			}
			s.Blobs++
		}
		if len(rows) < sweepBatch {
			return nil
		}
	}
}

// sweepOrphans removes what a crash left: keys that grew before the grace
// period, that no request is writing and that no row names.
func (r *Registry) sweepOrphans(ctx context.Context, before time.Time, s *Swept) error {
	var old []blob.Key
	flush := func() error {
		orphans, err := r.o.Garbage.UnknownKeys(ctx, old)
		if err != nil {
			return fmt.Errorf("find keys that nobody names: %w", err)
		}
		old = old[:0]
		for _, k := range orphans {
			if err := r.remove(ctx, k, s); err != nil {
				return err
			}
			s.Orphans++
		}
		return nil
	}
	for e, err := range r.o.Blobs.List(ctx) {
		if err != nil {
			return fmt.Errorf("list the store: %w", err)
		}
		// Asked before the rows are: what nobody writes any more has its row
		// by then, if it ever gets one.
		if !e.Modified.Before(before) || r.load.writing(e.Key) {
			continue
		}
		if old = append(old, e.Key); len(old) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (r *Registry) remove(ctx context.Context, key blob.Key, s *Swept) error {
	size, err := r.o.Blobs.Size(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = r.o.Blobs.Delete(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("remove key %s: %w", key, err)
	}
	s.Bytes += size
	return nil
}
