package sqlite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestRewrite: the log is written again as it is; test/fault has the disks
// that this is for.
func TestRewrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := rewrite(path); err != nil {
		t.Fatalf("no log: %v", err)
	}
	for _, size := range []int{0, 1, 1 << 20, 5<<19 + 7} {
		want := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{}).Read(want)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rewrite(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes became %d others (%v)", size, len(got), err)
		}
	}
	if err := rewrite(filepath.Dir(path)); err == nil {
		t.Error("a folder was written")
	}
}
