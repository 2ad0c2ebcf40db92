package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// magic begins every SQLite file.
const magic = "SQLite format 3\x00"

// prepareFile makes sure that there is a file at path that only its owner can
// read, empty or of SQLite's format. The driver would do half of that, with
// errors nobody understands.
func prepareFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("this is a folder or device, not a file: name a file inside the data folder")
	}
	if err := checkMagic(path); err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("others may read the file, and that cannot be changed: %w", err)
	}
	return nil
}

func createFile(path string) error {
	dir := filepath.Dir(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s does not exist: create it", dir)
	}
	if err != nil {
		return fmt.Errorf("the file cannot be created, make the folder writable: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	// The name must survive a power cut before anything is called durable.
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// rewrite makes a write-ahead log durable as it is read, with its name. There
// are two times when it may not be. After a crash: what was written and not
// synced is read and answered again, and nothing that comes later makes it
// durable if it changes nothing. After a failed fsync: the kernel takes what
// it could not write for written, so a second fsync succeeds without it, and
// the relaxed commits in it are a hole in front of those that follow. Writing
// the same bytes again is what makes them dirty again. Nobody else may be
// writing. No log is fine.
func rewrite(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := rewriteAll(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func rewriteAll(f *os.File) error {
	buf := make([]byte, 1<<20)
	for offset := int64(0); ; offset += int64(len(buf)) {
		n, rerr := f.ReadAt(buf, offset)
		if _, err := f.WriteAt(buf[:n], offset); err != nil {
			return err
		}
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

func checkMagic(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the file cannot be written, make it and its folder writable: %w", err)
	}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if closing := f.Close(); closing != nil {
		return closing
	}
	if n == 0 && errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if string(head[:n]) != magic {
		return errors.New("this is not a SQLite database: move the file away to start with an empty one, or restore it from a backup")
	}
	return nil
}
