package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"fairlead.dev/fairlead/internal/blob"
)

// Seal syncs the file and the folder its name stands in; see blob.Store. A
// sealed key may be sealed again.
//
// If the disk does not take the bytes of a key that was not sealed yet, Seal
// removes the key: the kernel may have dropped what it could not write, and
// a second fsync would then succeed without it. Errors beside the contract's:
// blob.ErrFull, the error of ctx (the key stays as it is), and those of the
// operating system, wrapped.
func (s *Store) Seal(ctx context.Context, key blob.Key) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("seal %s: %w", key, err)
	}
	f, err := openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return failed("seal", key, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	info, err := f.Stat()
	if err != nil {
		return failed("seal", key, err)
	}
	if !sealed(info) {
		// Before the sync, which then makes the mode durable as well.
		if err := f.Chmod(0o400); err != nil {
			return failed("seal", key, err)
		}
	}
	err = f.Sync()
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err == nil {
		return nil
	}
	if !sealed(info) {
		err = errors.Join(err, os.Remove(path))
	}
	return failed("seal", key, err)
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := openFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
