// Package keyfile keeps secrets in files: keys, and the operator's token.
//
// A file is there whole or not at all, survives power loss once written, and
// is readable by its owner only. What others may read is refused rather than
// used, with the command that mends it. Errors name the path and never what
// lies in it.
package keyfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Size of a key in bytes.
const Size = 32

// Private forbids group and others every access; it is the right argument of
// Read for files that Fairlead made. World forbids others only, for files that
// are given to Fairlead (a mounted secret is often readable by a group).
const (
	Private fs.FileMode = 0o077
	World   fs.FileMode = 0o007
)

// ErrPermissions is wrapped by refusals to use a file that others can read.
var ErrPermissions = errors.New("the file's permissions are too wide")

// Load reads the key in a file: Size random bytes. If there is no such file,
// it is made, with its folder.
// Errors: ErrPermissions; the size is wrong; the file cannot be made.
func Load(path string) (key []byte, created bool, err error) {
	key, err = Read(path, Size+1, Private)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, Size)
		_, _ = rand.Read(key) // never fails (crypto/rand)
		err = Create(path, key)
		if err == nil {
			return key, true, nil
		}
		if errors.Is(err, fs.ErrExist) { // somebody else was first
			key, err = Read(path, Size+1, Private)
		}
	}
	if err != nil {
		return nil, false, err
	}
	if len(key) != Size {
		return nil, false, fmt.Errorf("the key file %s does not hold %d bytes: restore it from a backup (without this key nothing that was made with it is valid)", path, Size)
	}
	return key, false, nil
}

// Read reads at most most bytes of a regular file on which none of the
// forbidden permission bits is set.
// Errors: ErrPermissions, fs.ErrNotExist, too large, no regular file.
func Read(path string, most int64, forbidden fs.FileMode) ([]byte, error) {
	// O_NONBLOCK: opening a pipe must not wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open secret file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secret file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: a secret must lie in one", path)
	}
	if perm := info.Mode().Perm(); perm&forbidden != 0 {
		return nil, fmt.Errorf("%w: %s is open to others (mode %04o): run chmod 600 %[2]s", ErrPermissions, path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read secret file: %w", err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s holds more than %d bytes: this is not the file you mean", path, most)
	}
	return b, nil
}

// Create writes a new file (0600) and its folder (0700), durably. An existing
// file is left as it is. Error: fs.ErrExist.
func Create(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of a secret file: %w", err)
	}
	return place(path, data, nil)
}

// Replace puts new content in the place of an existing file, durably and at
// once: a reader sees the old or the new. The owner stays, so that root may
// replace a secret that a service reads. Error: fs.ErrNotExist.
func Replace(path string, data []byte) error {
	// A link stays a link: its target is replaced.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("replace secret file: %w", err)
	}
	old, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("replace secret file: %w", err)
	}
	return place(path, data, old)
}

// place writes beside path and moves it there; old is the file to be
// replaced, nil if there must be none.
func place(path string, data []byte, old fs.FileInfo) (err error) {
	tmp, err := write(path, data, old)
	if err != nil {
		return fmt.Errorf("write secret file: %w", err)
	}
	if old != nil {
		err = os.Rename(tmp, path)
	} else {
		err = create(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // the first error is the one to report
		return fmt.Errorf("write secret file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write secret file: %w", err)
	}
	return nil
}

// write makes a durable temporary file beside path.
func write(path string, data []byte, old fs.FileInfo) (string, error) {
	var suffix [8]byte
	_, _ = rand.Read(suffix[:]) // never fails (crypto/rand)
	dir, base := filepath.Split(path)
	tmp := filepath.Join(dir, "."+base+".new-"+hex.EncodeToString(suffix[:]))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = keepOwner(f, old)
	}
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		_ = os.Remove(tmp) // the first error is the one to report
		return "", err
	}
	return tmp, nil
}

// keepOwner gives f the owner of the file it will replace.
func keepOwner(f *os.File, old fs.FileInfo) error {
	if old == nil {
		return nil
	}
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok || int(was.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(was.Uid), int(was.Gid))
}

// create moves tmp to path unless there is something. A hard link is the one
// way that never overwrites; where the file system has none, the check before
// the rename must do.
func create(tmp, path string) error {
	err := os.Link(tmp, path)
	if err == nil {
		return os.Remove(tmp)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return os.Rename(tmp, path)
}

// Remove deletes a file, durably. Error: fs.ErrNotExist.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove secret file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("remove secret file: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if err2 := d.Close(); err == nil {
		err = err2
	}
	return err
}
