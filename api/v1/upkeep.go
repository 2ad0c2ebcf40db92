// Package v1 holds the shapes of the management API: data only. Times are
// RFC 3339 in UTC, sizes are bytes, lists are pages.
package v1

import "time"

// Progress of a long job. Total is 0 while it is not known.
type Progress struct {
	// Step says what is being done, such as "blobs".
	Step  string `json:"step"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	// Bytes that were read or written so far in this step.
	Bytes int64 `json:"bytes,omitempty"`
}

// SweepOptions of POST /api/v1/upkeep/sweep.
type SweepOptions struct {
	// DryRun counts and removes nothing.
	DryRun bool `json:"dryRun,omitempty"`
	// Untagged also moves manifests to the trash that nothing names and that
	// were neither pushed nor pulled within OlderThan.
	Untagged  bool          `json:"untagged,omitempty"`
	OlderThan time.Duration `json:"olderThan,omitempty"` // nanoseconds
}

// SweepReport is what a sweep removed, or would remove.
type SweepReport struct {
	DryRun bool `json:"dryRun,omitempty"`
	// Uploads that were abandoned, Links of repositories to blobs they do not
	// need, Blobs no repository has, Orphans: files that nothing names,
	// Expired: entries of the trash, Untagged manifests moved to the trash,
	// Moves of tags, from their history (a dry run does not count them).
	Uploads  int   `json:"uploads"`
	Links    int   `json:"links"`
	Blobs    int   `json:"blobs"`
	Orphans  int   `json:"orphans"`
	Expired  int   `json:"expired"`
	Untagged int   `json:"untagged"`
	Moves    int   `json:"moves"`
	Bytes    int64 `json:"bytes"`
}

// TrashQuery of GET /api/v1/trash. Zero fields select all.
type TrashQuery struct {
	Repository string `json:"repository,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	// Name of a tag, or a digest.
	Name string `json:"name,omitempty"`
	// Next of the page before; Limit entries at most (100; up to 1000).
	Next  string `json:"next,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// TrashEntry is one act of deleting.
type TrashEntry struct {
	ID         int64     `json:"id"`
	Kind       string    `json:"kind"` // tag, manifest, repository, namespace
	Repository string    `json:"repository,omitempty"`
	Name       string    `json:"name"`
	Deleted    time.Time `json:"deleted"`
	DeletedBy  string    `json:"deletedBy,omitempty"`
	// Expires is when it is purged.
	Expires   time.Time `json:"expires"`
	Manifests int       `json:"manifests"`
	Tags      int       `json:"tags"`
	Bytes     int64     `json:"bytes"`
}

// TrashPage is a page of the trash, newest first.
type TrashPage struct {
	Items []TrashEntry `json:"items"`
	Next  string       `json:"next,omitempty"`
}

// RestoreOptions of POST /api/v1/trash/restore: an entry by its ID, or the
// newest entry that holds the tag, digest, repository or namespace named.
type RestoreOptions struct {
	ID         int64  `json:"id,omitempty"`
	Repository string `json:"repository,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	// Overwrite moves tags that name something else by now.
	Overwrite bool `json:"overwrite,omitempty"`
}

// TagConflict is a tag that was left alone: it names something newer.
type TagConflict struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Trashed    string `json:"trashed"`
	Current    string `json:"current"`
}

// RestoreReport is what came back.
type RestoreReport struct {
	Entry     TrashEntry    `json:"entry"`
	Manifests int           `json:"manifests"`
	Tags      int           `json:"tags"`
	Conflicts []TagConflict `json:"conflicts,omitempty"`
}

// PurgeOptions of POST /api/v1/trash/purge: one entry by its ID, or all.
type PurgeOptions struct {
	ID  int64 `json:"id,omitempty"`
	All bool  `json:"all,omitempty"`
}

// PurgeReport is how many entries were forgotten. Their bytes are freed by
// the next sweeps.
type PurgeReport struct {
	Entries int `json:"entries"`
}

// HistoryQuery of GET /api/v1/history.
type HistoryQuery struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"` // "" for all tags
	Next       string `json:"next,omitempty"`
	Limit      int    `json:"limit,omitempty"`
}

// TagMove is one line of a tag's history.
type TagMove struct {
	Repository string    `json:"repository"`
	Tag        string    `json:"tag"`
	At         time.Time `json:"at"`
	By         string    `json:"by,omitempty"`
	From       string    `json:"from,omitempty"` // "" if the tag was new
	To         string    `json:"to,omitempty"`   // "" if it was deleted
}

// HistoryPage is a page of moves, newest first.
type HistoryPage struct {
	Items []TagMove `json:"items"`
	Next  string    `json:"next,omitempty"`
}

// FsckOptions of POST /api/v1/upkeep/fsck.
type FsckOptions struct {
	// Rehash reads every blob and checks its digest. It goes on where an
	// earlier one was stopped, unless Restart.
	Rehash  bool `json:"rehash,omitempty"`
	Restart bool `json:"restart,omitempty"`
	// Rate in bytes per second that Rehash reads at most; 0 is no limit.
	Rate int64 `json:"rate,omitempty"`
	// Repair does what is safe: files that nothing names go, and blobs whose
	// bytes are lost are marked, so that the next push of them heals them.
	Repair bool `json:"repair,omitempty"`
}

// FsckProblem is one thing that is not as it should be.
type FsckProblem struct {
	// Kind: missing-bytes, wrong-size, wrong-digest, wrong-manifest,
	// unknown-file, database.
	Kind       string `json:"kind"`
	Repository string `json:"repository,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Key        string `json:"key,omitempty"`
	Detail     string `json:"detail,omitempty"`
	// Loss: content that was acknowledged is gone or wrong.
	Loss     bool `json:"loss"`
	Repaired bool `json:"repaired,omitempty"`
}

// FsckReport is what was looked at and found. Problems are the first 1000;
// the counts are of all.
type FsckReport struct {
	Blobs     int64         `json:"blobs"`
	Manifests int64         `json:"manifests"`
	Files     int64         `json:"files"`
	Rehashed  int64         `json:"rehashed"` // blobs
	Bytes     int64         `json:"bytes"`    // of all blobs
	Problems  []FsckProblem `json:"problems"`
	Found     int64         `json:"found"`
	Lost      int64         `json:"lost"`
	Repaired  int64         `json:"repaired"`
}

// BackupOptions of POST /api/v1/upkeep/backup.
type BackupOptions struct {
	// Dir on the server's machine. A second backup into it copies only what
	// is new.
	Dir string `json:"dir"`
	// WithKeys also copies the secret keys and the operator's token.
	WithKeys bool `json:"withKeys,omitempty"`
}

// BackupReport is what a backup holds.
type BackupReport struct {
	Dir     string    `json:"dir"`
	Taken   time.Time `json:"taken"`
	Blobs   int64     `json:"blobs"`
	Copied  int64     `json:"copied"`  // blobs that were new
	Removed int64     `json:"removed"` // blobs that are no longer needed
	Bytes   int64     `json:"bytes"`   // copied
	Keys    bool      `json:"keys"`
}

// RemoveOptions of POST /api/v1/upkeep/remove: a repository or a namespace
// goes to the trash, with all that it has.
type RemoveOptions struct {
	Repository string `json:"repository,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
}
