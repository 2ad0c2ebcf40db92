// Package backup copies a registry into a folder, and back.
//
// A backup is a consistent snapshot of the catalog and the bytes of every blob
// that it names, under the keys they have. A key's bytes never change, so the
// next backup into the same folder copies only keys that are new. The snapshot
// is put in place when its blobs are: a backup that was cut off leaves the one
// before whole.
//
//	DIR/backup.json     what it is and when it was taken
//	DIR/fairlead.db     the catalog
//	DIR/blobs/          the bytes
//	DIR/secrets/        the keys and the operator's token, if asked for
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/disk"
)

const (
	infoFile    = "backup.json"
	catalogFile = "fairlead.db"
	blobFolder  = "blobs"
	secrets     = "secrets"

	keyPage = 1000
)

// Source is what is copied. It keeps still meanwhile: nothing that the catalog
// names is removed (local.Registry.Still).
type Source struct {
	// Snapshot copies the catalog into a new file.
	Snapshot func(ctx context.Context, path string) error
	// Keys yields the keys of all blobs by page.
	Keys func(ctx context.Context, after blob.Key, n int) ([]blob.Key, error)
	// Unknown gives those of the keys that the catalog does not name.
	Unknown func(ctx context.Context, keys []blob.Key) ([]blob.Key, error)
	Blobs   blob.Store
	// Secrets are files to copy, by their path below the backup's secrets
	// folder; nil for none.
	Secrets map[string]string
	// Total of blobs, for progress.
	Total int64
}

// Progress is told of a step: how much is done, of how much, and the bytes
// that were copied.
type Progress func(step string, done, total, bytes int64)

// Info is what backup.json holds.
type Info struct {
	Format int       `json:"format"`
	Taken  time.Time `json:"taken"`
	Blobs  int64     `json:"blobs"`
	Keys   bool      `json:"keys"`
}

// format of backups that this version writes and reads.
const format = 1

// Report is what a backup did.
type Report struct {
	Info
	Copied, Removed, Bytes int64
}

// Write makes or renews the backup in dir. It refuses a folder that holds
// anything but a backup.
func Write(ctx context.Context, src Source, dir string, tell Progress) (Report, error) {
	r := Report{Info: Info{Format: format, Taken: time.Now().UTC().Truncate(time.Second), Keys: len(src.Secrets) > 0}}
	if err := prepare(dir); err != nil {
		return r, err
	}
	store, err := disk.Open(filepath.Join(dir, blobFolder), disk.Options{})
	if err != nil {
		return r, fmt.Errorf("open the backup's blobs: %w", err)
	}
	defer func() { _ = store.Close() }()
	tell("catalog", 0, 0, 0)
	fresh := filepath.Join(dir, catalogFile+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("remove what an earlier backup left: %w", err)
	}
	if err := src.Snapshot(ctx, fresh); err != nil {
		return r, fmt.Errorf("snapshot of the catalog: %w", err)
	}
	if err := r.copyBlobs(ctx, src, store, tell); err != nil {
		return r, err
	}
	if err := copySecrets(src.Secrets, filepath.Join(dir, secrets)); err != nil {
		return r, err
	}
	if err := os.Rename(fresh, filepath.Join(dir, catalogFile)); err != nil {
		return r, fmt.Errorf("put the catalog in place: %w", err)
	}
	if err := writeInfo(dir, r.Info); err != nil {
		return r, err
	}
	return r, r.removeOld(ctx, src, store, tell)
}

// prepare makes the folder, or sees that it holds a backup or nothing.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the backup folder: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the backup folder: %w", err)
	}
	for _, n := range names {
		switch n.Name() {
		case infoFile, infoFile + ".new", catalogFile, catalogFile + ".new", blobFolder, secrets, "lost+found":
		default:
			return fmt.Errorf("the folder %s holds %s, which is no part of a backup: name an empty folder, or one with a backup in it", dir, n.Name())
		}
	}
	return nil
}

func (r *Report) copyBlobs(ctx context.Context, src Source, to blob.Store, tell Progress) error {
	for after := blob.Key(""); ; {
		keys, err := src.Keys(ctx, after, keyPage)
		if err != nil {
			return fmt.Errorf("list the blobs: %w", err)
		}
		for _, k := range keys {
			n, err := copyBlob(ctx, src.Blobs, to, k)
			if err != nil {
				return err
			}
			if n >= 0 {
				r.Copied++
				r.Bytes += n
			}
			r.Blobs++
			after = k
			tell("blobs", r.Blobs, max(src.Total, r.Blobs), r.Bytes)
		}
		if len(keys) < keyPage {
			return nil
		}
	}
}

// copyBlob copies a key unless it is there. It returns the bytes copied, or -1.
func copyBlob(ctx context.Context, from, to blob.Store, key blob.Key) (int64, error) {
	size, err := from.Size(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return -1, nil // lost before: fsck says so, a backup cannot bring it back
	}
	if err != nil {
		return 0, fmt.Errorf("look at blob %s: %w", key, err)
	}
	if have, err := to.Size(ctx, key); err == nil && have == size {
		// Sealed already, unless a backup was cut off right here.
		return -1, seal(ctx, to, key)
	}
	body, err := from.Open(ctx, key, 0, -1)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", key, err)
	}
	n, err := to.Append(ctx, key, 0, io.LimitReader(body, size))
	if err = errors.Join(err, body.Close()); err != nil {
		return n, fmt.Errorf("copy blob %s: %w", key, err)
	}
	if n != size {
		return n, fmt.Errorf("copy blob %s: %d bytes of %d", key, n, size)
	}
	return n, seal(ctx, to, key)
}

func seal(ctx context.Context, to blob.Store, key blob.Key) error {
	if err := to.Seal(ctx, key); err != nil {
		return fmt.Errorf("make the copy of blob %s durable: %w", key, err)
	}
	return nil
}

// removeOld drops keys of the backup that the catalog no longer names.
func (r *Report) removeOld(ctx context.Context, src Source, store blob.Store, tell Progress) error {
	var page []blob.Key
	var seen int64
	flush := func() error {
		old, err := src.Unknown(ctx, page)
		if err != nil {
			return fmt.Errorf("find blobs that are no longer needed: %w", err)
		}
		page = page[:0]
		for _, k := range old {
			if err := store.Delete(ctx, k); err != nil {
				return fmt.Errorf("remove blob %s from the backup: %w", k, err)
			}
			r.Removed++
		}
		tell("old blobs", seen, max(r.Blobs, seen), 0)
		return nil
	}
	for e, err := range store.List(ctx) {
		if err != nil {
			return fmt.Errorf("list the backup's blobs: %w", err)
		}
		seen++
		if page = append(page, e.Key); len(page) == keyPage {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func writeInfo(dir string, info Info) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, infoFile), append(b, '\n'))
}

// ReadInfo reads what a folder's backup is. It refuses a folder without one,
// and one of a newer version.
func ReadInfo(dir string) (Info, error) {
	var info Info
	b, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, os.ErrNotExist) {
		return info, fmt.Errorf("the folder %s holds no finished backup: there is no %s", dir, infoFile)
	}
	if err != nil {
		return info, fmt.Errorf("read the backup's %s: %w", infoFile, err)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("read the backup's %s: %w", infoFile, err)
	}
	if info.Format != format {
		return info, fmt.Errorf("the backup in %s has the format %d, this version reads %d: use the version that made it, or a newer one", dir, info.Format, format)
	}
	return info, nil
}
