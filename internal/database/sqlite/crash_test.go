package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// crashVariable makes this test binary a child that writes to the database it
// names until it is killed.
const crashVariable = "FAIRLEAD_TEST_WRITE_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashRepo is one writer's repository.
func crashRepo(w int) oci.Repo { return oci.Repo(fmt.Sprint("crash/w", w)) }

// writeUntilKilled pushes images of one layer with several writers and prints
// a line for each that was acknowledged.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	start := rand.Uint64() // each child writes its own
	failed := make(chan error)
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				if err := crashPush(ctx, db, start, w, i); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(start, w, i)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// crashNumber names the layer of a push.
func crashNumber(start uint64, w, i int) uint64 { return start + uint64(w)<<32 + uint64(i) }

func crashTag(start uint64, i int) oci.Tag { return oci.Tag(fmt.Sprint("t", start, "-", i)) }

func crashUpload(start uint64, w, i int) local.UploadRow {
	return local.UploadRow{
		ID: fmt.Sprint(start, "-", w, "-", i), Repo: crashRepo(w), Owner: "crash",
		Key: named(0).Key, Algorithm: oci.SHA256, Epoch: "1",
	}
}

// crashPush leaves a layer, an image of it, its tag, and an upload that has
// been begun and advanced.
func crashPush(ctx context.Context, db *DB, start uint64, w, i int) error {
	b := named(crashNumber(start, w, i))
	if _, err := db.Catalog.LinkBlob(ctx, crashRepo(w), b, ""); err != nil {
		return err
	}
	up := crashUpload(start, w, i)
	if err := db.Uploads.Begin(ctx, up); err != nil {
		return err
	}
	up.Offset = int64(i)
	if err := db.Uploads.Advance(ctx, up, 0); err != nil {
		return err
	}
	return db.Catalog.PutManifest(ctx, crashRepo(w), imageOf([]local.BlobRow{b}), []oci.Tag{crashTag(start, i)}, nil)
}

// TestKilled: what was acknowledged is there after kill -9, several times on
// one file.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fairlead.db")
	for round := range 3 {
		lines := killedAfter(t, path, 100)
		t.Logf("round %d: %d pushes acknowledged", round, len(lines))
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			checkPush(t, db, line)
		}
		intact(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkPush(t *testing.T, db *DB, line string) {
	t.Helper()
	var start uint64
	var w, i int
	if _, err := fmt.Sscan(line, &start, &w, &i); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	b := named(crashNumber(start, w, i))
	if _, err := db.Catalog.Blob(t.Context(), crashRepo(w), b.Digest); err != nil {
		t.Errorf("push %s: %v", line, err)
	}
	m, err := db.Catalog.Manifest(t.Context(), crashRepo(w), oci.Ref{Tag: crashTag(start, i)})
	if err != nil || m.Digest != imageOf([]local.BlobRow{b}).Digest {
		t.Errorf("push %s: got manifest %s, %v", line, m.Digest, err)
	}
	up := crashUpload(start, w, i)
	row, err := db.Uploads.Load(t.Context(), up.Repo, up.Owner, up.ID)
	if err != nil || row.Offset != int64(i) {
		t.Errorf("push %s: the upload stands at %d, %v", line, row.Offset, err)
	}
}

// intact asks SQLite to look at the whole file.
func intact(t *testing.T, db *DB) {
	t.Helper()
	for _, check := range []string{"PRAGMA integrity_check", `SELECT "table" FROM pragma_foreign_key_check`} {
		for _, said := range texts(t, db.reading, check) {
			if said != "ok" {
				t.Errorf("%s: %s", check, said)
			}
		}
	}
}

// killedAfter runs the child until it has printed n lines, kills it, and
// returns all lines that it came to print.
func killedAfter(t *testing.T, path string, n int) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashVariable+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for in := bufio.NewReader(out); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			break // an unfinished line acknowledges nothing
		}
		if lines = append(lines, line); len(lines) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(lines) < n {
		t.Fatalf("the child ended after %d lines: %s", len(lines), stderr.String())
	}
	return lines
}
