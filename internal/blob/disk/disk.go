// Package disk keeps blobs in a folder of the local file system.
//
// A key is one file, DIR/ab/abcdef…: the first two digits name one of 256
// fan-out folders. All of them are made, and made durable, when the store is
// opened, so that a Seal has only two things to sync: the file, and the
// folder its name stands in. Files are 0600 while they grow and 0400 once
// sealed; that bit, which the same fsync makes durable, is what refuses a
// later Append, to root as well.
//
// Nothing is renamed, nothing is copied, and no state is held in memory: the
// folder is the store. What a crash leaves behind is an unsealed file that
// List shows and its owner resumes or deletes.
//
// A pull is one open, and one seek if it starts further in; the *os.File is
// handed to the caller as it is, so that its bytes go from the page cache to
// the socket without passing through this process.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"fairlead.dev/fairlead/internal/blob"
)

// defaultBuffer: measured, larger ones write no faster.
const defaultBuffer = 256 << 10

// fanout is the number of folders the keys are spread over.
const fanout = 256

// ErrSealed is blob.ErrSealed.
var ErrSealed = blob.ErrSealed

// Options of a Store. The zero value is good.
type Options struct {
	// Buffer is how many bytes one running Append holds in memory; 0 means
	// 256 KiB.
	Buffer int
}

// Store is a blob.Store in a folder. See blob.Store for the contract; errors
// that it does not name are those of the operating system, wrapped.
type Store struct {
	dir     string
	buffers sync.Pool // of *[]byte
	closed  atomic.Bool
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in dir, and makes it if there is none; the folder
// above dir must exist. Two stores must not be open on one dir: whoever owns
// the data folder sees to that. Errors: of the operating system, wrapped.
func Open(dir string, opts Options) (*Store, error) {
	size := opts.Buffer
	if size == 0 {
		size = defaultBuffer
	}
	if size < 0 {
		return nil, fmt.Errorf("open the blob folder %s: Buffer is %d bytes, it must be above 0", dir, size)
	}
	abs, err := filepath.Abs(dir) // a later chdir must not move the store
	if err != nil {
		return nil, fmt.Errorf("open the blob folder %s: %w", dir, err)
	}
	if err := prepare(abs); err != nil {
		return nil, fmt.Errorf("open the blob folder %s: %w", abs, err)
	}
	s := &Store{dir: abs}
	s.buffers.New = func() any { b := make([]byte, size); return &b }
	return s, nil
}

// Close ends the store: every later call fails with os.ErrClosed. Readers
// that Open returned stay usable.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// prepare makes the folders durable. The last one is made when all others
// are, so that its being there spares the next start from syncing them again.
func prepare(dir string) error {
	if _, err := mkdir(dir); err != nil {
		return err
	}
	folders := make([]string, fanout)
	incomplete := false
	for i := range folders {
		folders[i] = filepath.Join(dir, folder(i))
		if i == fanout-1 {
			break
		}
		made, err := mkdir(folders[i])
		if err != nil {
			return err
		}
		incomplete = incomplete || made // a restored backup may lack empty ones
	}
	last := folders[fanout-1]
	if _, err := os.Stat(last); incomplete || errors.Is(err, fs.ErrNotExist) {
		if err := syncFolders(dir, folders[:fanout-1]); err != nil {
			return err
		}
	}
	if _, err := mkdir(last); err != nil {
		return err
	}
	for _, d := range []string{last, dir, filepath.Dir(dir)} {
		if err := syncFolder(d); err != nil {
			return err
		}
	}
	return nil
}

// mkdir tells whether it made the folder or found it.
func mkdir(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return false, nil // if it is no folder, the next step says so
	}
	return err == nil, err
}

// folder is the name of the i-th fan-out folder.
func folder(i int) string { return fmt.Sprintf("%02x", i) }

// path is the only place where a key becomes a path.
func (s *Store) path(key blob.Key) (string, error) {
	if s.closed.Load() {
		return "", fmt.Errorf("the blob folder %s: %w", s.dir, os.ErrClosed)
	}
	if !key.Valid() {
		return "", fmt.Errorf("%.40q is not a key: a key is 32 lower-case hexadecimal digits", string(key))
	}
	return s.dir + "/" + string(key[:2]) + "/" + string(key), nil
}

// failed wraps an error of the file system.
func failed(what string, key blob.Key, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s %s: %w: %w", what, key, blob.ErrFull, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %s: %w", what, key, blob.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", what, key, err)
}

// sealed tells whether a file's mode is that of a sealed key.
func sealed(info fs.FileInfo) bool { return info.Mode().Perm()&0o200 == 0 }
