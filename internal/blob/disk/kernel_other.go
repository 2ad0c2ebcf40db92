//go:build !linux

package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
)

func startWriteback(*os.File, int64, int64) {}

// syncFolders makes the folders in dir durable.
func syncFolders(_ string, folders []string) error {
	for _, f := range folders {
		if err := syncFolder(f); err != nil {
			return err
		}
	}
	return nil
}

// Free fails with errors.ErrUnsupported on this platform.
func (s *Store) Free(_ context.Context) (freeBytes, totalBytes uint64, err error) {
	return 0, 0, fmt.Errorf("the room in %s: %w", s.dir, errors.ErrUnsupported)
}
