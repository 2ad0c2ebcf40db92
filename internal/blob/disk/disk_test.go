package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/blobtest"
	"fairlead.dev/fairlead/internal/blob/disk"
)

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, deep(t)) })
}

// deep is a folder so far down that a store which follows the keys of an
// attacker, "../..", still ends up in the test's own folder.
func deep(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "1", "2", "3", "4", "5", "6")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
