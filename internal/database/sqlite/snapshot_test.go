package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// push writes a blob and an image of it under a tag of its own.
func push(t *testing.T, db *DB, n uint64) {
	t.Helper()
	b := named(n)
	if _, err := db.Catalog.LinkBlob(t.Context(), "acme/web", b, ""); err != nil {
		t.Error(err)
	}
	if err := db.Catalog.PutManifest(t.Context(), "acme/web", imageOf([]local.BlobRow{b}), []oci.Tag{tagOf(int(n), 0)}, nil); err != nil {
		t.Error(err)
	}
}

// TestSnapshotWhileWriting: the copy is one state of the database, complete
// up to what was acknowledged before it began, and writers do not wait for it.
func TestSnapshotWhileWriting(t *testing.T) {
	t.Parallel()
	db, dir := open(t, Options{}), t.TempDir()
	const before = 200
	for n := range uint64(before) {
		push(t, db, n)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(before); ; n++ {
			select {
			case <-stop:
				return
			default:
				push(t, db, n)
			}
		}
	})
	for _, name := range []string{"a.db", "with space, 100%? and '.db"} {
		path := filepath.Join(dir, name)
		if err := db.Snapshot.Snapshot(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		standsAlone(t, path, before)
	}
	close(stop)
	wg.Wait()
}

func standsAlone(t *testing.T, path string, least int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("the copy: %v, %v", info, err)
	}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a file %s beside the copy", suffix)
		}
	}
	var mode string
	if err := raw(t, path).QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "delete" {
		t.Errorf("the copy's journal mode is %s, %v: it needs a log", mode, err)
	}
	db := reopen(t, path, Options{})
	intact(t, db)
	blobs, manifests, err := db.Inspection.Counts(t.Context())
	if err != nil || manifests < int64(least) || blobs < manifests || blobs > manifests+1 {
		t.Errorf("%d blobs and %d manifests, %v: want as many, and at least %d", blobs, manifests, err, least)
	}
	for n := range least {
		if _, err := db.Catalog.Manifest(t.Context(), "acme/web", oci.Ref{Tag: tagOf(n, 0)}); err != nil {
			t.Error(err)
		}
	}
	sameSchema(t, db)
}

func TestSnapshotRefusesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	db, dir := open(t, Options{}), t.TempDir()
	push(t, db, 1)
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := db.Snapshot.Snapshot(t.Context(), there)
	if err == nil || !strings.Contains(err.Error(), "already") || !strings.Contains(err.Error(), there) {
		t.Errorf("got error %v", err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "mine" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if err := db.Snapshot.Snapshot(t.Context(), filepath.Join(dir, "none", "x.db")); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Snapshot.Snapshot(ctx, filepath.Join(dir, "cancelled")); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestIntegritySeesDamage keeps the check honest.
func TestIntegritySeesDamage(t *testing.T) {
	t.Parallel()
	db := open(t, Options{})
	for n := range uint64(100) {
		push(t, db, n)
	}
	if said, err := db.Inspection.Integrity(t.Context()); err != nil || len(said) > 0 {
		t.Fatalf("of a good one: %v, %v", said, err)
	}
	conn := raw(t, db.path)
	run(t, conn, "PRAGMA foreign_keys = OFF")
	run(t, conn, "DELETE FROM blobs")
	said, err := db.Inspection.Integrity(t.Context())
	if err != nil || len(said) != 100 || !strings.Contains(said[0], "repository_blobs") || !strings.Contains(said[0], "of blobs") {
		t.Errorf("references: %v, %v", said, err)
	}
	page := number(t, db, `SELECT rootpage FROM sqlite_schema WHERE name = 'tag_moves_name'`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	scribble(t, db.path, page)
	again := reopen(t, db.path, Options{})
	if said, err := again.Inspection.Integrity(t.Context()); err == nil && len(said) == 0 {
		t.Error("a scribbled page was not seen")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := again.Inspection.Integrity(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// scribble writes nonsense over one page.
func scribble(t *testing.T, path string, page int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("this is no page of a database"), (page-1)*4096); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
