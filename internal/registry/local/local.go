// Package local is the registry itself: what clients push lies in a blob
// store, what is known of it in a catalog.
//
// Bytes first, row second: a blob is sealed (durable) before the transaction
// that makes it a member of a repository, so a crash leaves bytes nobody names,
// which the sweep removes, and never a row without bytes. Every key is used
// once, so nothing that removes bytes races with something that writes them.
//
// A Registry is safe for concurrent use. It answers hot reads from bounded
// caches that every change invalidates before it is acknowledged.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Limits of one owner (a Fairlead token) and of single things; 0 is no limit.
type Limits struct {
	ManifestBytes     int64
	BlobBytes         int64
	ConcurrentUploads int
	OpenUploads       int
	UnfinishedBytes   int64
}

// Options of a Registry. The stores are required.
type Options struct {
	Blobs      blob.Store
	Catalog    Catalog
	Uploads    Uploads
	Garbage    Garbage
	Trash      Trash
	History    History
	Retention  Retention
	Inspection Inspection
	Limits     Limits
	// Immutable tells which tags must neither move nor go; nil means none.
	Immutable Keep
	// Room tells whether the store has room for pushes; nil means always.
	Room func(ctx context.Context) (bool, error)
	// UploadExpiry is how long an untouched upload stays open.
	UploadExpiry time.Duration
	// Grace is how long what nobody refers to is kept.
	Grace time.Duration
	// TrashTime is how long the trash holds what was deleted.
	TrashTime time.Duration
	// HistoryTime is how long it is known what tags named; 0 is for ever.
	HistoryTime time.Duration
	// Missing is told of a blob whose bytes are gone: an alarm.
	Missing func(BlobRow)
	// Swept is told what each sweep removed, and why it stopped early if so.
	Swept func(Swept, error)
	Log   *slog.Logger
	Now   func() time.Time
}

// Registry keeps images in a store and a catalog.
type Registry struct {
	o      Options
	epoch  string
	born   time.Time
	cache  *cache
	load   *ledger
	leases *leases
	pulls  *pulls
	// upkeep is held by what needs the store to keep still: a sweep, an fsck,
	// a backup; one of them at a time.
	upkeep sync.Mutex
}

var _ registry.Registry = (*Registry)(nil)

// New makes a Registry over open stores.
func New(o Options) *Registry {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Registry{
		o: o, epoch: rand.Text(), born: o.Now(), cache: newCache(), load: newLedger(),
		leases: newLeases(), pulls: &pulls{},
	}
}

// Resolve implements registry.Reader.
func (r *Registry) Resolve(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Descriptor, error) {
	m, err := r.manifest(ctx, repo, ref)
	return m.Descriptor, err
}

// Manifest implements registry.Reader. It counts as a pull.
func (r *Registry) Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error) {
	m, err := r.manifest(ctx, repo, ref)
	if err == nil {
		r.pulls.note(repo, m.Digest, r.o.Now())
	}
	return m, err
}

func (r *Registry) manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error) {
	if m, ok := r.cache.manifest(repo, ref); ok {
		return m, nil
	}
	mark := r.cache.mark(repo)
	m, err := r.o.Catalog.Manifest(ctx, repo, ref)
	if err != nil {
		return m, fmt.Errorf("manifest %s of %s: %w", ref, repo, err)
	}
	r.cache.addManifest(mark, repo, ref, m)
	return m, nil
}

// StatBlob implements registry.Reader. Who was told that a blob is there may
// push a manifest that names it, for the grace period. A blob that is marked
// damaged is not there: who asks is about to push it, which heals it.
func (r *Registry) StatBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) (oci.Descriptor, error) {
	row, err := r.leased(ctx, repo, digest)
	return oci.Descriptor{Digest: row.Digest, Size: row.Size}, err
}

// leased finds a blob and leases it.
func (r *Registry) leased(ctx context.Context, repo oci.Repo, digest oci.Digest) (BlobRow, error) {
	r.leases.answering.RLock()
	defer r.leases.answering.RUnlock()
	row, err := r.blobRow(ctx, repo, digest)
	if err != nil {
		return row, err
	}
	if row.Damaged {
		return BlobRow{}, oci.Errorf(oci.CodeBlobUnknown, "the registry has lost the bytes of the blob %s: push it again, which heals every image that has it", digest)
	}
	r.leases.add(digest, r.o.Now(), r.o.Grace)
	return row, nil
}

// lease a blob that somebody is about to be told of. A sweep that decided
// before is done with its links by the time this returns.
func (r *Registry) lease(digest oci.Digest) {
	r.leases.answering.RLock()
	defer r.leases.answering.RUnlock()
	r.leases.add(digest, r.o.Now(), r.o.Grace)
}

func (r *Registry) blobRow(ctx context.Context, repo oci.Repo, digest oci.Digest) (BlobRow, error) {
	if row, ok := r.cache.blob(repo, digest); ok {
		return row, nil
	}
	mark := r.cache.mark(repo)
	row, err := r.o.Catalog.Blob(ctx, repo, digest)
	if err != nil {
		return BlobRow{}, fmt.Errorf("blob %s of %s: %w", digest, repo, err)
	}
	if !row.Damaged { // it is healed through any repository
		r.cache.addBlob(mark, repo, row)
	}
	return row, nil
}

// OpenBlob implements registry.Reader. A row whose bytes are missing, or known
// to be damaged, is an internal error and an alarm, never BLOB_UNKNOWN: a
// client that took it for "not there" would hide the loss.
func (r *Registry) OpenBlob(ctx context.Context, repo oci.Repo, digest oci.Digest, rng registry.Range) (*registry.Blob, error) {
	row, err := r.blobRow(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	if row.Damaged {
		r.alarm(row)
		return nil, fmt.Errorf("the bytes of blob %s (key %s) are damaged: %w", digest, row.Key, errDamaged)
	}
	url, err := r.o.Blobs.URL(ctx, row.Key)
	if err != nil {
		return nil, fmt.Errorf("offer blob %s by URL: %w", digest, err)
	}
	if url != "" {
		return &registry.Blob{Size: row.Size, URL: url}, nil
	}
	body, err := r.o.Blobs.Open(ctx, row.Key, rng.Offset, rng.Length)
	if errors.Is(err, blob.ErrNotFound) {
		r.alarm(row)
	}
	if err != nil {
		return nil, fmt.Errorf("open the bytes of blob %s (key %s): %w", digest, row.Key, err)
	}
	return &registry.Blob{Size: row.Size, Body: body}, nil
}

// errDamaged is the cause of a read of bytes that fsck found wrong or missing.
var errDamaged = errors.New("an fsck marked them; a push of the blob, or the file from a backup and fsck --rehash, heals it")

func (r *Registry) alarm(row BlobRow) {
	if r.o.Missing != nil {
		r.o.Missing(row)
	}
}

// Mount implements registry.Writer.
func (r *Registry) Mount(ctx context.Context, to, from oci.Repo, digest oci.Digest) (oci.Descriptor, error) {
	if _, err := r.leased(ctx, from, digest); err != nil {
		if errors.Is(err, oci.ErrNameUnknown) {
			err = oci.ErrBlobUnknown
		}
		return oci.Descriptor{}, err
	}
	defer r.cache.forgetBlob(to, digest)
	row, err := r.o.Catalog.LinkBlob(ctx, to, BlobRow{Digest: digest}, "")
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("mount %s from %s to %s: %w", digest, from, to, err)
	}
	return oci.Descriptor{Digest: digest, Size: row.Size}, nil
}

// DeleteManifest implements registry.Deleter.
func (r *Registry) DeleteManifest(ctx context.Context, repo oci.Repo, ref oci.Ref) error {
	if ref.Digest == "" {
		defer r.cache.forgetTag(repo, ref.Tag)
		return r.o.Catalog.DeleteTag(ctx, repo, ref.Tag, r.o.Immutable)
	}
	defer r.cache.forgetManifests(repo)
	return r.o.Catalog.DeleteManifest(ctx, repo, ref.Digest, r.o.Immutable)
}

// DeleteBlob implements registry.Deleter.
func (r *Registry) DeleteBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) error {
	defer r.cache.forgetBlob(repo, digest)
	return r.o.Catalog.UnlinkBlob(ctx, repo, digest)
}

// Repositories implements registry.Lister.
func (r *Registry) Repositories(ctx context.Context, in registry.Within, after oci.Repo) iter.Seq2[oci.Repo, error] {
	return paged(firstPage, lastPage, after, func(after oci.Repo, n int) ([]oci.Repo, error) {
		return r.o.Catalog.Repositories(ctx, in, after, n)
	}, func(r oci.Repo) oci.Repo { return r })
}

// Tags implements registry.Lister.
func (r *Registry) Tags(ctx context.Context, repo oci.Repo, after oci.Tag) iter.Seq2[oci.Tag, error] {
	return paged(firstPage, lastPage, after, func(after oci.Tag, n int) ([]oci.Tag, error) {
		return r.o.Catalog.Tags(ctx, repo, after, n)
	}, func(t oci.Tag) oci.Tag { return t })
}

// Referrers implements registry.Lister.
func (r *Registry) Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, f registry.Filter) iter.Seq2[oci.Descriptor, error] {
	return paged(referrerPage, referrerPage, f.After, func(after oci.Digest, n int) ([]oci.Descriptor, error) {
		return r.o.Catalog.Referrers(ctx, repo, subject, f.ArtifactType, after, n)
	}, func(d oci.Descriptor) oci.Digest { return d.Digest })
}

// Pages grow from the first size to the last, so that a short list costs
// little and a long one few statements. Those of referrers stay small: each
// may carry annotations as large as a manifest.
const (
	firstPage    = 128
	lastPage     = 4096
	referrerPage = 16
)

// paged walks pages of a list.
func paged[T any, C comparable](first, last int, after C, page func(after C, n int) ([]T, error), cursor func(T) C) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for n := first; ; n = min(2*n, last) {
			items, err := page(after, n)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
			}
			if len(items) < n {
				return
			}
			after = cursor(items[len(items)-1])
		}
	}
}

// Peek reads a manifest without counting it as a pull. Errors: as Manifest.
func (r *Registry) Peek(ctx context.Context, repo oci.Repo, digest oci.Digest) (oci.Manifest, error) {
	return r.manifest(ctx, repo, oci.Ref{Digest: digest})
}
