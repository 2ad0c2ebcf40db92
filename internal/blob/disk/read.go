package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"fairlead.dev/fairlead/internal/blob"
)

// listBatch is how many names of a folder List holds in memory.
const listBatch = 256

// Open returns the *os.File at offset; see blob.Store. It goes on beyond
// length, and it outlives a Delete of the key.
func (s *Store) Open(_ context.Context, key blob.Key, offset, _ int64) (io.ReadCloser, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("read %s: the offset %d is negative", key, offset)
	}
	f, err := openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, failed("read", key, err)
	}
	if offset == 0 {
		return f, nil
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(failed("read", key, err), f.Close())
	}
	return f, nil
}

// Size of the key in bytes; see blob.Store.
func (s *Store) Size(_ context.Context, key blob.Key) (int64, error) {
	path, err := s.path(key)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, failed("measure", key, err)
	}
	return info.Size(), nil
}

// Delete removes the file; see blob.Store. Its room is free once the last
// reader has closed it. A power loss may bring the key back: delete it again.
func (s *Store) Delete(_ context.Context, key blob.Key) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("delete", key, err)
	}
	return nil
}

// URL is "": a folder offers none.
func (s *Store) URL(_ context.Context, key blob.Key) (string, error) {
	_, err := s.path(key)
	return "", err
}

// List yields the keys folder by folder; see blob.Store. Files that are not
// the store's are skipped. It ends after the first error.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		for i := range fanout {
			if !s.listFolder(ctx, folder(i), yield) {
				return
			}
		}
	}
}

// listFolder tells whether to go on with the next folder.
func (s *Store) listFolder(ctx context.Context, name string, yield func(blob.Entry, error) bool) bool {
	fail := func(err error) bool {
		yield(blob.Entry{}, fmt.Errorf("list the blob folder %s: %w", s.dir, err))
		return false
	}
	if s.closed.Load() {
		return fail(os.ErrClosed)
	}
	d, err := openFile(filepath.Join(s.dir, name), os.O_RDONLY, 0)
	if err != nil {
		return fail(err)
	}
	defer d.Close() //nolint:errcheck // only read from
	for {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		batch, rerr := d.ReadDir(listBatch)
		for _, file := range batch {
			entry, ok, err := entryOf(file, name)
			if err != nil {
				return fail(err)
			}
			if ok && !yield(entry, nil) {
				return false
			}
		}
		if errors.Is(rerr, io.EOF) {
			return true
		}
		if rerr != nil {
			return fail(rerr)
		}
	}
}

// entryOf tells by ok whether the file is a key and still there.
func entryOf(file fs.DirEntry, folder string) (e blob.Entry, ok bool, err error) {
	key := blob.Key(file.Name())
	if !key.Valid() || string(key[:2]) != folder || !file.Type().IsRegular() {
		return e, false, nil
	}
	info, err := file.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil // deleted since the folder was read
	}
	if err != nil {
		return e, false, err
	}
	return blob.Entry{Key: key, Size: info.Size(), Modified: info.ModTime()}, true, nil
}
