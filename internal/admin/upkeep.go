package admin

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
)

// Upkeep is the care of one registry's data. The functions that take progress
// are long jobs: they call it from one goroutine at a time, as often as they
// like, and end soon after ctx ends. A nil progress is allowed.
//
// Bad options are an oci.Error with what to do in its text.
type Upkeep interface {
	// Sweep removes what nobody needs.
	Sweep(ctx context.Context, o v1.SweepOptions, progress func(v1.Progress)) (v1.SweepReport, error)
	// Trash lists what was deleted and can come back, newest first.
	Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error)
	// Restore brings an entry back. Conflicts are no error. Error:
	// MANIFEST_UNKNOWN when the trash holds no such thing.
	Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error)
	// Purge forgets for good. Error: MANIFEST_UNKNOWN when there is no such
	// entry.
	Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error)
	// Remove moves a repository or a namespace to the trash. Error:
	// NAME_UNKNOWN.
	Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error)
	// History lists what tags named, newest first. A repository that is gone
	// has one, too.
	History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error)
	// Fsck holds the catalog and the store against each other. Problems are
	// no error.
	Fsck(ctx context.Context, o v1.FsckOptions, progress func(v1.Progress)) (v1.FsckReport, error)
	// Backup copies the registry into a folder.
	Backup(ctx context.Context, o v1.BackupOptions, progress func(v1.Progress)) (v1.BackupReport, error)

	ServerKeys
}

// ServerKeys make token values and sign registry tokens.
type ServerKeys interface {
	// Keys lists them, the current ones first.
	Keys(ctx context.Context) (v1.ServerKeys, error)
	// RotateKeys makes new ones; the former stay good for what they made.
	RotateKeys(ctx context.Context) (v1.ServerKeys, error)
	// RetireKey ends one. Errors: NOT_FOUND; CONFLICT for a current key, and
	// for one that makes tokens' values, unless they are to be revoked.
	RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error)
}
