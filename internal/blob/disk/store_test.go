package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/disk"
)

// put makes a key that holds content.
func put(t *testing.T, s *disk.Store, content string, seal bool) blob.Key {
	t.Helper()
	key := blob.NewKey()
	if _, err := s.Append(t.Context(), key, 0, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if seal {
		if err := s.Seal(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestLayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blobs")
	s := open(t, dir)
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) != 256 || folders[0].Name() != "00" || folders[255].Name() != "ff" {
		t.Fatalf("%d folders from %s to %s, want 256 from 00 to ff",
			len(folders), folders[0].Name(), folders[len(folders)-1].Name())
	}
	for _, path := range []string{dir, filepath.Join(dir, "a0")} {
		if got := mode(t, path); got != fs.ModeDir|0o700 {
			t.Errorf("the mode of %s is %s", path, got)
		}
	}
	growing, done := put(t, s, "x", false), put(t, s, "x", true)
	for key, want := range map[blob.Key]fs.FileMode{growing: 0o600, done: 0o400} {
		if got := mode(t, filepath.Join(dir, string(key[:2]), string(key))); got != want {
			t.Errorf("the mode of the file is %s, want %s", got, want)
		}
	}
}

func TestReopenKeepsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	growing, done := put(t, s, "first ", false), put(t, s, "sealed", true)
	s = open(t, dir)
	if n, err := s.Append(t.Context(), growing, 6, strings.NewReader("second")); err != nil || n != 12 {
		t.Fatalf("resume in a new process: length %d, error %v", n, err)
	}
	_, err := s.Append(t.Context(), done, 6, strings.NewReader("more"))
	if !errors.Is(err, disk.ErrSealed) {
		t.Fatalf("append to a sealed key: %v, want ErrSealed", err)
	}
}

// TestReopenHeals: backups like to leave empty folders out.
func TestReopenHeals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	for _, lost := range []string{"00", "7f", "ff"} {
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	for _, prefix := range []string{"00", "7f", "ff"} {
		key := blob.Key(prefix) + blob.NewKey()[2:]
		if _, err := s.Append(t.Context(), key, 0, strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	}
}

// TestLostFolder: without its folder a new key is no ErrNotFound, which would
// tell the caller that the upload is gone.
func TestLostFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	key := blob.NewKey()
	if err := os.Remove(filepath.Join(dir, string(key[:2]))); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(t.Context(), key, 0, strings.NewReader("x"))
	if err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("append without the folder: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		opts disk.Options
		says string
	}{
		"a file":           {dir: file, says: file},
		"no parent":        {dir: filepath.Join(dir, "absent", "blobs"), says: "absent"},
		"a negative limit": {dir: dir, opts: disk.Options{Buffer: -1}, says: "Buffer"},
	} {
		s, err := disk.Open(c.dir, c.opts)
		if err == nil {
			_ = s.Close() // it must not have been opened at all
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not name %q", name, err, c.says)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	key := put(t, s, "x", true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	errs := map[string]error{"Seal": s.Seal(ctx, key), "Delete": s.Delete(ctx, key)}
	_, errs["Append"] = s.Append(ctx, blob.NewKey(), 0, strings.NewReader("x"))
	_, errs["Open"] = s.Open(ctx, key, 0, -1)
	_, errs["Size"] = s.Size(ctx, key)
	_, errs["URL"] = s.URL(ctx, key)
	_, _, errs["Free"] = s.Free(ctx)
	for _, err := range s.List(ctx) {
		errs["List"] = err
	}
	if len(errs) != 8 {
		t.Errorf("%d methods answered, want 8", len(errs))
	}
	for method, err := range errs {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want os.ErrClosed", method, err)
		}
	}
}

// TestTraversal: a key that is no key reaches no file, even one that is there.
func TestTraversal(t *testing.T) {
	t.Parallel()
	dir := deep(t)
	s := open(t, filepath.Join(dir, "blobs"))
	outside := filepath.Join(dir, "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"../secret", "../../secret", outside, "..", "00/../../secret"} {
		key, ctx := blob.Key(bad), t.Context()
		_, appendErr := s.Append(ctx, key, 0, strings.NewReader("overwritten"))
		rc, openErr := s.Open(ctx, key, 0, -1)
		if openErr == nil {
			_ = rc.Close() // it must not have been opened at all
		}
		for _, err := range []error{appendErr, openErr, s.Seal(ctx, key), s.Delete(ctx, key)} {
			if err == nil || errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "is not a key") {
				t.Errorf("the key %q: %v, want that it is not a key", bad, err)
			}
		}
	}
	got, err := os.ReadFile(outside)
	if err != nil || string(got) != "secret" || mode(t, outside) != 0o600 {
		t.Errorf("the file outside is now %q, %s (%v)", got, mode(t, outside), err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("the folder above now holds %v (%v)", names, err)
	}
}

func TestListSkipsForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	key := put(t, s, "ours", true)
	other := "00"
	if string(key[:2]) == other {
		other = "01"
	}
	inThis := filepath.Join(dir, string(key[:2]))
	for _, path := range []string{
		filepath.Join(dir, "lost+found"),
		filepath.Join(inThis, ".DS_Store"),
		filepath.Join(inThis, string(key)+".tmp"),
		filepath.Join(inThis, other+strings.Repeat("0", 30)), // a key of another folder
	} {
		if err := os.WriteFile(path, []byte("foreign"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(inThis, string(key[:2])+strings.Repeat("e", 30)), 0o700); err != nil {
		t.Fatal(err)
	}
	var got []blob.Key
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Key)
	}
	if want := []blob.Key{key}; !slices.Equal(got, want) {
		t.Errorf("the list holds %s, want only %s", got, want)
	}
}

// TestListMany crosses the batches that a folder is read in, and loses files
// between the reading of a batch and its yielding.
func TestListMany(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	names := map[blob.Key]bool{}
	for range 700 {
		key := "7f" + blob.NewKey()[2:]
		if err := os.WriteFile(filepath.Join(dir, "7f", string(key)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		names[key] = true
	}
	seen := 0
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !names[e.Key] {
			t.Fatalf("%s was yielded twice, or after it was deleted", e.Key)
		}
		delete(names, e.Key)
		if seen++; seen != 10 {
			continue
		}
		gone := 0
		for key := range names { // most of what is in memory by now
			if gone++; gone > 600 {
				break
			}
			delete(names, key)
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(names) != 0 || seen != 100 {
		t.Errorf("%d keys were seen, want 100; %d were left out", seen, len(names))
	}
}

func TestModifiedIsLastGrowth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	key := put(t, s, "x", false)
	then := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(dir, string(key[:2]), string(key)), then, then); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(t.Context(), key); err != nil { // does not grow it
		t.Fatal(err)
	}
	for e, err := range s.List(t.Context()) {
		if err != nil || !e.Modified.Equal(then) {
			t.Errorf("the key last grew at %s, want %s (%v)", e.Modified, then, err)
		}
	}
}

// TestReaderOutlivesDelete: a pull that has begun is not cut by the sweep.
func TestReaderOutlivesDelete(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	key := put(t, s, "still here", true)
	rc, err := s.Open(t.Context(), key, 6, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(rc); err != nil || string(b) != "here" {
		t.Errorf("read %q after the delete, error %v", b, err)
	}
}

func TestReaderWithoutProgress(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	_, err := s.Append(t.Context(), blob.NewKey(), 0, idle{})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that yields nothing: %v, want io.ErrNoProgress", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// TestSmallBuffer crosses many buffers' ends.
func TestSmallBuffer(t *testing.T) {
	t.Parallel()
	s, err := disk.Open(t.TempDir(), disk.Options{Buffer: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	want := bytes.Repeat([]byte("0123456789"), 50)
	key := put(t, s, string(want), true)
	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %q, error %v", got, err)
	}
}
