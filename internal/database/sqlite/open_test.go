package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"fairlead.dev/fairlead/internal/database"
)

// refused opens a path that cannot be opened and wants the error to say all
// of says.
func refused(t *testing.T, path string, says ...string) {
	t.Helper()
	_ = refusal(t, path, says...)
}

func refusal(t *testing.T, path string, says ...string) error {
	t.Helper()
	db, err := Open(t.Context(), path, Options{})
	if err == nil {
		_ = db.Close()
		t.Fatalf("%s was opened", path)
	}
	for _, s := range append(says, path) {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error %q does not say %q", err, s)
		}
	}
	return err
}

func TestOpenMakesAPrivateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "with space, 100%? and #.db")
	db := reopen(t, path, Options{})
	if err := db.Write(t.Context(), database.Durable, doing(t.Context(), scratch)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode(); mode != 0o600 {
			t.Errorf("%s has mode %s, want 0600", name, mode)
		}
	}
}

func TestOpenTightensTheMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fairlead.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	reopen(t, path, Options{})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the mode is %s, want 0600", info.Mode())
	}
}

func TestOpenRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	db := reopen(t, "fairlead.db", Options{})
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("fairlead.db"); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, dir, "not a file")
	refused(t, filepath.Join(dir, "none", "fairlead.db"), "does not exist", "create it")
	for name, content := range map[string]string{
		"text": "no database, but a text that is longer than sixteen bytes", "short": "x",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "not a SQLite database")
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("the file was changed to %q, %v", got, err)
		}
	}
}

func TestOpenRefusesAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	dir := "/sys" // not even root may
	if os.Geteuid() != 0 {
		dir = t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, filepath.Join(dir, "fairlead.db"), "make the folder writable")
}

func TestOpenRefusesADamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fairlead.db")
	if err := os.WriteFile(path, []byte(magic+strings.Repeat("damage", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := refusal(t, path, "backup"); !errors.Is(err, database.ErrCorrupt) {
		t.Errorf("got error %v, want ErrCorrupt", err)
	}
}

// raw opens a file as SQLite, not as ours.
func raw(t *testing.T, path string) *sql.Conn {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := pool(path, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), p.Close()); err != nil && !errors.Is(err, sql.ErrConnDone) {
			t.Error(err)
		}
	})
	return conn
}

func run(t *testing.T, conn *sql.Conn, text string, args ...any) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesAnotherProgramsDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.db")
	conn := raw(t, path)
	run(t, conn, `CREATE TABLE theirs (n INTEGER)`)
	refused(t, path, "another program")
	var mode string
	if err := conn.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "delete" {
		t.Errorf("the journal mode was changed to %s, %v", mode, err)
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fairlead.db")
	if err := reopen(t, path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	run(t, raw(t, path), addVersion, 4711, 0)
	known, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, path, "4711", "up to "+string(rune('0'+len(known))), "newer fairlead")
}

func TestOpenRefusesALockedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fairlead.db")
	conn := raw(t, path)
	run(t, conn, "BEGIN EXCLUSIVE")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	db, err := Open(ctx, path, Options{})
	if err == nil {
		_ = db.Close()
	}
	if !errors.Is(err, database.ErrBusy) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got error %v, want ErrBusy", err)
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	db := open(t, Options{})
	for range 2 {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(db.path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log was not brought into the file: %v", err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("a closed database answers")
	}
}

func TestMigrationsAreNumbered(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]fstest.MapFS{
		"gap":       {"migrations/0001_a.sql": {}, "migrations/0003_c.sql": {}},
		"twice":     {"migrations/0001_a.sql": {}, "migrations/0001_b.sql": {}},
		"no number": {"migrations/first.sql": {}},
		"from zero": {"migrations/0000_a.sql": {}},
	} {
		if _, err := migrations(files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	conn := raw(t, filepath.Join(t.TempDir(), "fairlead.db"))
	err := migrate(t.Context(), conn, []migration{
		{1, `CREATE TABLE first (n INTEGER)`},
		{2, `CREATE TABLE second (n INTEGER); CREATE TABLE first (n INTEGER)`},
	}, time.Now)
	if err == nil || !strings.Contains(err.Error(), "from schema version 1 to 2") {
		t.Errorf("got error %v", err)
	}
	version, err := schemaVersion(t.Context(), conn)
	if err != nil || version != 1 {
		t.Errorf("version %d, %v, want 1", version, err)
	}
	var second int
	if err := conn.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sqlite_schema WHERE name = 'second'`).Scan(&second); err != nil || second != 0 {
		t.Errorf("half of the migration stayed (%d, %v)", second, err)
	}
}
