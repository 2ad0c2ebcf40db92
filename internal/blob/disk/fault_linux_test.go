package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/disk"
)

// mountTmpfs mounts a file system with so much room.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("FAIRLEAD_REQUIRE_FUSE") == "1" { // where test/fault must mount, this can
			t.Fatalf("mount a tmpfs: %v", err)
		}
		t.Skipf("this machine does not let root mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(mountTmpfs(t, "size=4m"), "blobs"))
	key := blob.NewKey()
	n, err := s.Append(t.Context(), key, 0, bytes.NewReader(make([]byte, 8<<20)))
	if !errors.Is(err, blob.ErrFull) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("append 8 MiB to a disk of 4: %v, want ErrFull", err)
	}
	size, err := s.Size(t.Context(), key)
	if err != nil || size != n || n < 1<<20 || n > 4<<20 {
		t.Fatalf("the length returned is %d, the size is %d (%v), both should be what there was room for", n, size, err)
	}
	if free, total, err := s.Free(t.Context()); err != nil || free != 0 || total != 4<<20 {
		t.Errorf("free %d of %d bytes (%v), want 0 of %d", free, total, err, 4<<20)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if free, _, err := s.Free(t.Context()); err != nil || free < 2<<20 {
		t.Errorf("free %d bytes after the delete (%v)", free, err)
	}
	put(t, s, "there is room again", true)
}

// TestNoInodes: a disk may have room for bytes and none for a name.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(mountTmpfs(t, "size=4m,nr_inodes=260"), "blobs"))
	for range 10 {
		if _, err := s.Append(t.Context(), blob.NewKey(), 0, bytes.NewReader(nil)); err != nil {
			if !errors.Is(err, blob.ErrFull) {
				t.Fatalf("no inode left: %v, want ErrFull", err)
			}
			return
		}
	}
	t.Fatal("10 files fit into 260 inodes beside 257 folders")
}

// run runs a tool that needs loop devices; without them the test is skipped.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Skipf("this machine can not use a file as a disk: %v: %v: %s", args, err, out)
	}
}

// newImage makes a sparse file with an empty file system.
func newImage(t *testing.T, image string, size int64, mkfs string) {
	t.Helper()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	run(t, mkfs, "-q", image)
}

// mountImage uses a file as a disk.
func mountImage(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestPowerLoss: what the disk holds when Seal has returned is enough to read
// the key back, although the file system was never unmounted or synced.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "size=64m")
	image, after := filepath.Join(dir, "image"), filepath.Join(dir, "after")
	newImage(t, image, 16<<20, "mkfs.ext4")
	s := open(t, filepath.Join(mountImage(t, image), "blobs"))
	small := put(t, s, "small", true)
	content := strings.Repeat("fairlead", 400_000) // above one early writeback
	large := put(t, s, content, true)
	state, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(after, state, 0o600); err != nil {
		t.Fatal(err)
	}

	s = open(t, filepath.Join(mountImage(t, after), "blobs"))
	for key, want := range map[blob.Key]string{small: "small", large: content} {
		rc, err := s.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Errorf("a sealed key is lost: %v", err)
			continue
		}
		got, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil || string(got) != want {
			t.Errorf("%d bytes were sealed, %d came back, equal: %t (%v)", len(want), len(got), string(got) == want, err)
		}
		if _, err := s.Append(t.Context(), key, 0, strings.NewReader("x")); !errors.Is(err, disk.ErrSealed) {
			t.Errorf("append after the power loss: %v, want ErrSealed", err)
		}
	}
}

// TestFailedSyncIsNotRetried: a kernel that could not write pages out drops
// them and forgets; a second fsync must not turn that into a success.
func TestFailedSyncIsNotRetried(t *testing.T) {
	t.Parallel()
	image := filepath.Join(mountTmpfs(t, "size=4m"), "image")
	newImage(t, image, 64<<20, "mkfs.ext2") // a disk that takes less than it says
	s := open(t, filepath.Join(mountImage(t, image), "blobs"))
	key := blob.NewKey()
	content := bytes.Repeat([]byte("fairlead"), 2<<20)
	if _, err := s.Append(t.Context(), key, 0, bytes.NewReader(content)); err != nil {
		t.Fatalf("append into the page cache: %v", err)
	}
	err := s.Seal(t.Context(), key)
	if err == nil {
		t.Fatal("16 MiB were sealed on a disk of 4")
	}
	t.Logf("the first seal: %v", err)
	if errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the first seal: %v, but the key was there", err)
	}
	if err := s.Seal(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the second seal: %v, want ErrNotFound", err)
	}
}

// TestReadOnlyDisk: no error of the contract, and not taken for a sealed key.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "size=4m")
	s := open(t, filepath.Join(dir, "blobs"))
	key := put(t, s, "x", false)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(t.Context(), key, 1, strings.NewReader("y"))
	if !errors.Is(err, unix.EROFS) || errors.Is(err, disk.ErrSealed) || errors.Is(err, blob.ErrFull) {
		t.Errorf("append on a read-only disk: %v, want EROFS", err)
	}
}

// TestSealedForOrdinaryUser: without root's rights the kernel refuses first,
// and the answer is the same.
func TestSealedForOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	result := make(chan error)
	go func() {
		// The thread stays without its rights, and ends with this goroutine.
		runtime.LockOSThread()
		result <- sealWithoutRights(t, dir)
	}()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func sealWithoutRights(t *testing.T, dir string) error {
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	s, err := disk.Open(filepath.Join(dir, "blobs"), disk.Options{})
	if err != nil {
		return err
	}
	key := blob.NewKey()
	if _, err := s.Append(t.Context(), key, 0, strings.NewReader("sealed")); err != nil {
		return err
	}
	for range 2 {
		if err := s.Seal(t.Context(), key); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "blobs", string(key[:2]), string(key))
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("this test runs with root's rights: opened %v, error %w", f, err)
	}
	n, err := s.Append(t.Context(), key, 6, strings.NewReader("more"))
	if !errors.Is(err, disk.ErrSealed) || n != 6 {
		return fmt.Errorf("append to a sealed key: length %d, error %w; want 6, ErrSealed", n, err)
	}
	return s.Delete(t.Context(), key)
}
