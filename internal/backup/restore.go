package backup

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead.dev/fairlead/internal/blob/disk"
)

// Target is where a backup is restored to.
type Target struct {
	// Catalog is the database file and Blobs the folder of the bytes; neither
	// may exist.
	Catalog, Blobs string
	// Secrets gives the place of a secret by its path in the backup.
	Secrets func(name string) string
}

// Restore copies the backup in dir. The catalog is put in place last: a
// restore that was cut off leaves no registry behind that looks whole.
func Restore(ctx context.Context, dir string, to Target, tell Progress) (Report, error) {
	info, err := ReadInfo(dir)
	r := Report{Info: info}
	if err != nil {
		return r, err
	}
	for _, path := range []string{to.Catalog, to.Blobs} {
		if _, err := os.Lstat(path); err == nil {
			return r, fmt.Errorf("%s exists: restore into an empty data folder", path)
		}
	}
	from, err := disk.Open(filepath.Join(dir, blobFolder), disk.Options{})
	if err != nil {
		return r, fmt.Errorf("open the backup's blobs: %w", err)
	}
	defer func() { _ = from.Close() }()
	store, err := disk.Open(to.Blobs, disk.Options{})
	if err != nil {
		return r, fmt.Errorf("make the folder of the blobs: %w", err)
	}
	defer func() { _ = store.Close() }()
	for e, err := range from.List(ctx) {
		if err != nil {
			return r, fmt.Errorf("list the backup's blobs: %w", err)
		}
		n, err := copyBlob(ctx, from, store, e.Key)
		if err != nil {
			return r, err
		}
		r.Copied++
		r.Bytes += max(n, 0)
		tell("blobs", r.Copied, max(info.Blobs, r.Copied), r.Bytes)
	}
	if err := restoreSecrets(filepath.Join(dir, secrets), to.Secrets); err != nil {
		return r, err
	}
	if err := copyFile(filepath.Join(dir, catalogFile), to.Catalog+".restored"); err != nil {
		return r, fmt.Errorf("copy the catalog: %w", err)
	}
	if err := os.Rename(to.Catalog+".restored", to.Catalog); err != nil {
		return r, fmt.Errorf("put the catalog in place: %w", err)
	}
	return r, syncFolder(filepath.Dir(to.Catalog))
}

func restoreSecrets(dir string, place func(string) string) error {
	if _, err := os.Lstat(dir); err != nil {
		return nil // a backup without keys
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		to := place(name)
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s exists: restore into an empty data folder", to)
		}
		if err := copyFile(path, to); err != nil {
			return fmt.Errorf("restore the secret %s: %w", name, err)
		}
		return nil
	})
}
