package local

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
)

// TrashKind is what was deleted.
type TrashKind string

// The kinds.
const (
	TrashedTag        TrashKind = "tag"
	TrashedManifest   TrashKind = "manifest"
	TrashedRepository TrashKind = "repository"
	TrashedNamespace  TrashKind = "namespace"
)

// TrashEntry is one act of deleting. What it hid is restored or purged as one.
type TrashEntry struct {
	ID   int64
	Kind TrashKind
	// Repo is "" for a namespace.
	Repo oci.Repo
	// Name of the tag, the manifest's digest, the repository or namespace.
	Name    string
	Deleted time.Time
	// By is who deleted it; "" if nobody said.
	By string
	// AccountID of who owned the namespace then; 0 for nobody.
	AccountID int64
	// Manifests and Tags that it holds; Bytes of the blobs those manifests
	// name, each blob once.
	Manifests, Tags int
	Bytes           int64
}

// TrashFilter selects entries; zero fields select all.
type TrashFilter struct {
	// Repo, or every repository of Namespace and the namespace itself. The
	// entry of a namespace is one of each repository it holds, too.
	Repo      oci.Repo
	Namespace string
	// Name of a tag or a digest: entries that hold it.
	Name string
	// AccountID, if Scoped: entries of that owner only.
	AccountID int64
	Scoped    bool
}

// TagConflict is a tag that was not restored: it names something else by now
// (Current), or the manifest it named was purged (Current is "").
type TagConflict struct {
	Repo             oci.Repo
	Tag              oci.Tag
	Trashed, Current oci.Digest
}

// Restored is what came back. What was there already is not counted.
type Restored struct {
	Manifests, Tags int
	Conflicts       []TagConflict
}

// Trash holds what was deleted, hidden at once, until it is restored or its
// time is over. Each method is one transaction. What the trash holds is in no
// list and answers no pull, and its blobs are kept.
type Trash interface {
	// DeleteRepository hides the repository with all that it has. Error:
	// NAME_UNKNOWN, TAG_IMMUTABLE when it has a tag that keep names.
	DeleteRepository(ctx context.Context, repo oci.Repo, keep Keep) (TrashEntry, error)
	// DeleteNamespace hides every repository whose first path element is
	// namespace. Error: NAME_UNKNOWN when there is none.
	DeleteNamespace(ctx context.Context, namespace string) (TrashEntry, error)
	// TrashEntries gives at most n, newest first, with IDs below before (0 for
	// the newest).
	TrashEntries(ctx context.Context, f TrashFilter, before int64, n int) ([]TrashEntry, error)
	// Restore brings an entry back: manifests with their referrers that went
	// with them, links to blobs, tags. A tag that names another manifest by
	// now is left alone and reported, unless overwrite; then the entry stays
	// in the trash, holding what was not restored. Repositories come back if
	// need be. A tag whose manifest is in another entry, and an index whose
	// children are, bring those back, too, with their referrers in that
	// entry. For TrashUntagged a restored manifest counts as pulled.
	// Nothing is brought back from entries of another owner of the namespace,
	// nor into a namespace that somebody else owns by now, nor into one that
	// was removed: but the entry of a namespace brings that back, too, in the
	// life it had, if its owner still has the name.
	// Errors: MANIFEST_UNKNOWN when there is no such entry, CONFLICT when the
	// namespace is in the way, TAG_IMMUTABLE when a tag that keep names would
	// be overwritten.
	Restore(ctx context.Context, id int64, overwrite bool, keep Keep) (Restored, error)
	// Purge gives an entry up for good: from now on it is in no list and
	// nothing of it is restored. What it holds is Erase's. Error:
	// MANIFEST_UNKNOWN.
	Purge(ctx context.Context, id int64) error
	// PurgeBefore gives up at most n entries deleted before, the oldest first,
	// and returns how many.
	PurgeBefore(ctx context.Context, before time.Time, n int) (int, error)
	// Erase removes about n rows of what was purged (a manifest goes whole), so
	// that no write waits long for it, and tells whether there is more. Blobs
	// that nothing else holds are Garbage.Forget's from then on.
	Erase(ctx context.Context, n int) (more bool, err error)
}

// TagMove is one line of a tag's history.
type TagMove struct {
	ID   int64
	Repo oci.Repo
	Tag  oci.Tag
	At   time.Time
	By   string
	// From and To: "" where the tag did not exist.
	From, To oci.Digest
}

// History tells what tags named.
type History interface {
	// TagMoves gives at most n moves of the repository's tag ("" for all its
	// tags), newest first, with IDs below before (0 for the newest). The
	// repository need not exist any more.
	TagMoves(ctx context.Context, repo oci.Repo, tag oci.Tag, before int64, n int) ([]TagMove, error)
	// ForgetMoves forgets at most n moves made before, with IDs above after,
	// save the newest of each tag that is there; and tells how many, and where
	// to go on (0 when the end was reached).
	ForgetMoves(ctx context.Context, before time.Time, after int64, n int) (forgotten int, next int64, err error)
}

// Link is a blob's membership in a repository.
type Link struct {
	Repo   oci.Repo
	Digest oci.Digest
	Size   int64
}

// Before are the times that garbage must be older than.
type Before struct {
	Uploads, Blobs, Trash time.Time
}

// Waiting is what a sweep would remove.
type Waiting struct {
	Uploads, Blobs, Entries int
	// Bytes of those uploads and blobs. What only the trash holds is not
	// counted: it becomes garbage when its entry is purged.
	Bytes int64
}

// Retention removes what nobody needs from repositories. Each method is one
// transaction.
type Retention interface {
	// UnneededLinks gives at most n links of repositories to blobs that no
	// live manifest of the repository names, made before; and where to go on
	// (a cursor; "" when the end was reached). after "" is the beginning.
	UnneededLinks(ctx context.Context, before time.Time, after string, n int) (links []Link, next string, err error)
	// Unlink ends those of the links that are still unneeded and made before,
	// and returns them.
	Unlink(ctx context.Context, before time.Time, links []Link) ([]Link, error)
	// TrashUntagged moves at most n manifests to the trash, an entry each,
	// that have no tag, are no child of a live index, are no referrer of a
	// live subject, and were pushed before and not pulled since. With each go
	// its referrers, and of an index the children of which all that is true
	// (but for the index): they come on top of n. It returns all it moved, or
	// with dry what it would move, and where to go on (a cursor; "" when the
	// end was reached). after "" is the beginning.
	TrashUntagged(ctx context.Context, before time.Time, after string, n int, dry bool) (moved []Link, next string, err error)
	// Pulled notes when manifests were last pulled. Relaxed: a crash may lose
	// the last notes.
	Pulled(ctx context.Context, pulls []Pull) error
	// Waiting counts what a sweep would remove.
	Waiting(ctx context.Context, before Before) (Waiting, error)
}

// Pull is when a manifest was last pulled.
type Pull struct {
	Repo   oci.Repo
	Digest oci.Digest
	At     time.Time
}

// ManifestCheck is a manifest as fsck looks at it.
type ManifestCheck struct {
	ID     int64
	Repo   oci.Repo
	Digest oci.Digest
	Type   string
	Bytes  []byte
	// Blobs that the catalog holds for it.
	Blobs []oci.Digest
	// Trashed manifests hold their blobs as live ones do.
	Trashed bool
}

// BlobCheck is a blob row as fsck looks at it.
type BlobCheck struct {
	BlobRow
	ID int64
}

// Inspection walks the catalog for fsck, by ascending ID.
type Inspection interface {
	// BlobRows gives at most n with IDs above after.
	BlobRows(ctx context.Context, after int64, n int) ([]BlobCheck, error)
	// ManifestRows gives at most n with IDs above after, live ones; trashed
	// ones when trashed is set. Fewer than n may be given before the end, none
	// only there.
	ManifestRows(ctx context.Context, trashed bool, after int64, n int) ([]ManifestCheck, error)
	// MarkDamaged notes blobs whose bytes are missing or wrong (or are good
	// again), unless a row has another key by now. The next push of the digest
	// then brings a new key: LinkBlob takes the pusher's instead of keeping
	// the row's.
	MarkDamaged(ctx context.Context, rows []BlobRow, damaged bool) error
	// Integrity asks the database itself; the result is what it complains of.
	Integrity(ctx context.Context) ([]string, error)
	// Counts of rows, for progress; manifests with those in the trash.
	Counts(ctx context.Context) (blobs, manifests int64, err error)
}

// Snapshot copies the catalog consistently into a new file, while writes go
// on.
type Snapshot interface {
	// Snapshot makes the file at path: durable, complete without a log, for
	// its owner's eyes only. There must be none yet; none is left by an error.
	Snapshot(ctx context.Context, path string) error
	// Keys are those of all blobs, at most n in byte order after the given
	// one ("" for the beginning), for a copy of the store.
	Keys(ctx context.Context, after blob.Key, n int) ([]blob.Key, error)
}
