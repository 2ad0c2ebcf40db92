package keyfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fairlead.dev/fairlead/internal/keyfile"
)

func perm(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// only checks that the folder holds nothing but these names: no leftovers.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	path := filepath.Join(dir, "values.key")
	first, created, err := keyfile.Load(path)
	if err != nil || !created || len(first) != keyfile.Size {
		t.Fatalf("%d bytes, created %v, %v", len(first), created, err)
	}
	if perm(t, dir) != 0o700 || perm(t, path) != 0o600 {
		t.Errorf("folder %o, file %o", perm(t, dir), perm(t, path))
	}
	second, created, err := keyfile.Load(path)
	if err != nil || created || !bytes.Equal(first, second) {
		t.Errorf("second load: created %v, same %v, %v", created, bytes.Equal(first, second), err)
	}
	other, _, err := keyfile.Load(filepath.Join(dir, "other.key"))
	if err != nil || bytes.Equal(first, other) {
		t.Errorf("two keys are equal, or %v", err)
	}
	only(t, dir, "other.key", "values.key")
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		size int
		perm fs.FileMode
		want string
	}{
		{"empty", 0, 0o600, "does not hold 32 bytes"},
		{"short", 31, 0o600, "does not hold 32 bytes"},
		{"long by one", 33, 0o600, "does not hold 32 bytes"},
		{"long", 5000, 0o600, "this is not the file you mean"},
		{"group-readable", 32, 0o640, "chmod 600"},
		{"world-readable", 32, 0o604, "chmod 600"},
		{"group-writable", 32, 0o620, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, bytes.Repeat([]byte("$"), c.size), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.perm); err != nil {
				t.Fatal(err)
			}
			key, created, err := keyfile.Load(path)
			if err == nil || key != nil || created || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("key %q, created %v, error %v", key, created, err)
			}
			if wide := c.perm&0o077 != 0; errors.Is(err, keyfile.ErrPermissions) != wide {
				t.Errorf("ErrPermissions: %v", err)
			}
			if strings.Contains(err.Error(), "$") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe} {
		if _, err := keyfile.Read(path, 10, 0); err == nil || !strings.Contains(err.Error(), "regular") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := keyfile.Read(filepath.Join(dir, "none"), 10, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	if err := keyfile.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second Create: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "first" {
		t.Errorf("the file holds %q", b)
	}
	only(t, dir, "k")
}

func TestLoadAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, _, err := keyfile.Load(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Fatal("two processes that start together have different keys")
		}
	}
	only(t, filepath.Dir(path), "k")
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	if err := keyfile.Replace(path, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replacing nothing: %v", err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "new" || perm(t, path) != 0o600 {
		t.Errorf("the file holds %q with mode %o", b, perm(t, path))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	only(t, dir, "k", "link")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	if err := keyfile.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing nothing: %v", err)
	}
}
