package socket

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer, self uint32
		ok         bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}} {
		if err := allowed(c.peer, c.self); (err == nil) != c.ok {
			t.Errorf("user %d on the socket of %d: %v", c.peer, c.self, err)
		}
	}
}

// TestAStrangerIsRefused: although the socket was opened to all, another user
// gets no byte. Root can become that user; others see admit's table only.
func TestAStrangerIsRefused(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("FAIRLEAD_TEST_SOCKET"); path != "" {
		hearNothing(t, path)
		return
	}
	if os.Geteuid() != 0 {
		t.Log("not root: allowed's table is all that is checked")
		return
	}
	dir, err := os.MkdirTemp("/tmp", "fairlead-socket-") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	echo(t, path)
	program := filepath.Join(dir, "stranger")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(dir, 0o755), os.Chmod(path, 0o777), os.WriteFile(program, self, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestAStrangerIsRefused$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_SOCKET="+path, "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	hear(t, path)
}

func hearNothing(t *testing.T, path string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if n, err := c.Read(make([]byte, 5)); err == nil || n > 0 {
		t.Errorf("user %d read %d bytes", os.Geteuid(), n)
	}
}
