package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Snapshot is local.Snapshot on SQLite.
type Snapshot struct {
	inspection *database.Inspection
	db         *DB
}

var _ local.Snapshot = (*Snapshot)(nil)

// copyInto reads one state of the database from end to end and writes it
// without gaps and without a log. Nobody waits for it; the log grows while it
// runs, because a reader keeps it from beginning anew.
const copyInto = `VACUUM INTO ?`

var snapshotPragmas = []string{"cache_size(-16384)", "mmap_size(268435456)"}

// Snapshot copies the database into a new file.
func (s *Snapshot) Snapshot(ctx context.Context, path string) error {
	if err := s.copy(ctx, path); err != nil {
		return fmt.Errorf("copy the database to %s: %w", path, err)
	}
	return nil
}

func (s *Snapshot) copy(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// Made here, so that nobody else can read it at any time: SQLite fills an
	// empty file.
	if err := createFile(path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return errors.New("there is a file of that name already: name another, or move it away")
		}
		return err
	}
	err = s.fill(ctx, path)
	if err == nil {
		err = syncFile(path)
	}
	if err != nil {
		_ = os.Remove(path) // the error that made it useless is the one to report
		_ = os.Remove(path + "-journal")
	}
	return err
}

func (s *Snapshot) fill(ctx context.Context, path string) error {
	p, err := pool(s.db.path, 1, snapshotPragmas)
	if err != nil {
		return err
	}
	_, err = p.ExecContext(ctx, copyInto, path)
	return classify(errors.Join(err, p.Close()))
}

// syncFile makes what was written durable; createFile has done so for the
// name.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Keys is a page of all blobs' keys.
func (s *Snapshot) Keys(ctx context.Context, after blob.Key, n int) ([]blob.Key, error) {
	return s.inspection.Keys(ctx, after, n)
}
