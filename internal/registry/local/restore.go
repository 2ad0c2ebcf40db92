package local

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// DeleteRepository moves a repository to the trash. Errors: NAME_UNKNOWN,
// TAG_IMMUTABLE.
func (r *Registry) DeleteRepository(ctx context.Context, repo oci.Repo) (TrashEntry, error) {
	defer r.cache.forgetAll()
	return r.o.Trash.DeleteRepository(ctx, repo, r.o.Immutable)
}

// DeleteNamespace moves every repository of a namespace to the trash. Error:
// NAME_UNKNOWN.
func (r *Registry) DeleteNamespace(ctx context.Context, namespace string) (TrashEntry, error) {
	defer r.cache.forgetAll()
	return r.o.Trash.DeleteNamespace(ctx, namespace)
}

// Trash gives at most n entries, newest first, with IDs below before (0 for
// the newest).
func (r *Registry) Trash(ctx context.Context, f TrashFilter, before int64, n int) ([]TrashEntry, error) {
	return r.o.Trash.TrashEntries(ctx, f, before, n)
}

// Expires is when an entry will be purged.
func (r *Registry) Expires(e TrashEntry) time.Time { return e.Deleted.Add(r.o.TrashTime) }

// Restore brings an entry back; see Trash.Restore.
func (r *Registry) Restore(ctx context.Context, id int64, overwrite bool) (Restored, error) {
	defer r.cache.forgetAll()
	return r.o.Trash.Restore(ctx, id, overwrite, r.o.Immutable)
}

// Purge gives an entry up for good; the next sweep removes what it held, in
// small steps. Error: MANIFEST_UNKNOWN.
func (r *Registry) Purge(ctx context.Context, id int64) error { return r.o.Trash.Purge(ctx, id) }

// PurgeAll gives up what was deleted until now, and returns how many entries.
func (r *Registry) PurgeAll(ctx context.Context) (int, error) {
	total := 0
	for until := r.o.Now(); ; {
		n, err := r.o.Trash.PurgeBefore(ctx, until, sweepBatch)
		if total += n; err != nil {
			return total, fmt.Errorf("purge the trash: %w", err)
		}
		if n < sweepBatch {
			return total, nil
		}
	}
}

// TagMoves gives at most n moves, newest first; see History.TagMoves.
func (r *Registry) TagMoves(ctx context.Context, repo oci.Repo, tag oci.Tag, before int64, n int) ([]TagMove, error) {
	return r.o.History.TagMoves(ctx, repo, tag, before, n)
}

// Waiting counts what a sweep would remove now.
func (r *Registry) Waiting(ctx context.Context) (Waiting, error) {
	now := r.o.Now()
	return r.o.Retention.Waiting(ctx, Before{
		Uploads: now.Add(-r.o.UploadExpiry), Blobs: now.Add(-r.o.Grace), Trash: now.Add(-r.o.TrashTime),
	})
}

// Still runs fn while nothing is removed from the store: what the catalog
// names when fn begins has its bytes until fn ends.
func (r *Registry) Still(fn func() error) error {
	r.upkeep.Lock()
	defer r.upkeep.Unlock()
	return fn()
}

// Forget what is remembered of repositories, after they were changed beside
// the registry.
func (r *Registry) Forget() { r.cache.forgetAll() }
