package sqlite

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/account/accounttest"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/audit/audittest"
	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/registry/local/localtest"
	"fairlead.dev/fairlead/internal/tally/tallytest"
)

// open gives an empty database in a folder of its own.
func open(t testing.TB, opts Options) *DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "fairlead.db"), opts)
}

func reopen(t testing.TB, path string, opts Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// scans are the statements that may read a whole table, with the reason.
var scans = map[string]string{
	`SELECT COUNT(*), CAST(COALESCE(SUM(byte_offset), 0) AS BIGINT) FROM uploads`: "a gauge: every open upload counts, and their number is limited",
	`DELETE FROM uploads WHERE repository = ?`:                                    "a repository is deleted seldom, and the number of uploads is limited",
	`SELECT COUNT(*) FROM blobs`:                                                  "fsck's progress: it reads all of them anyway",
	`SELECT COUNT(*) FROM manifests`:                                              "fsck's progress: it reads all of them anyway",
	`SELECT COUNT(*) FROM trash_manifests`:                                        "fsck's progress: it reads all of them anyway",
}

var scan = regexp.MustCompile(`^SCAN |USE TEMP B-TREE`)

// TestPlans asks the planner how it would run every statement: by searching
// an index, whatever the tables hold, and without sorting.
func TestPlans(t *testing.T) {
	t.Parallel()
	db := open(t, Options{})
	for _, text := range database.Statements() {
		for _, step := range plan(t, db, text) {
			bad := scan.MatchString(step) && !strings.HasPrefix(step, "SCAN CONSTANT ROW") && step != "SCAN bounded" // what a LIMIT inside has left
			if _, allowed := scans[text]; bad != allowed && (bad || step != "") {
				t.Errorf("%s\nin:\n%s", step, text)
			}
		}
	}
}

// TestPlansOfLists: the length of a list changes nothing in how a statement
// is run. SQLite guesses how much each list and each table holds, and may
// prefer to walk over a table to a long list.
func TestPlansOfLists(t *testing.T) {
	t.Parallel()
	db, list := open(t, Options{}), regexp.MustCompile(`\((\?,)+\?\)`)
	seen := map[string][]string{}
	for _, text := range database.Statements() {
		format := list.ReplaceAllString(text, "(*)")
		if format == text {
			continue
		}
		steps := plan(t, db, text)
		if other, ok := seen[format]; ok && !slices.Equal(steps, other) {
			t.Errorf("with lists of %d:\n%s\notherwise:\n%s\nin:\n%s",
				strings.Count(text, "?"), strings.Join(steps, "\n"), strings.Join(other, "\n"), format)
		}
		seen[format] = steps
	}
	if len(seen) < 10 {
		t.Errorf("only %d statements with lists were found", len(seen))
	}
}

func plan(t *testing.T, db *DB, text string) []string {
	t.Helper()
	args := make([]any, strings.Count(text, "?"))
	rows, err := db.writer.tx.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	defer func() { _ = rows.Close() }()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestPlansSeesScans keeps TestPlans honest.
func TestPlansSeesScans(t *testing.T) {
	t.Parallel()
	db := open(t, Options{})
	for _, text := range []string{
		`SELECT name FROM repositories WHERE incarnation = ?`,
		`SELECT name FROM tags ORDER BY updated_at`,
		`DELETE FROM blobs WHERE size > ?`,
	} {
		if !slices.ContainsFunc(plan(t, db, text), scan.MatchString) {
			t.Errorf("no scan was seen in:\n%s", text)
		}
	}
}

// TestStores runs the contract, and compares what reaches the database with
// the list that TestPlans checks.
func TestStores(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, text := range database.Statements() {
		if listed[text] {
			t.Errorf("listed twice:\n%s", text)
		}
		listed[text] = true
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	see := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		seen[text] = true
	}
	fresh := func(t *testing.T) (*DB, *localtest.Clock) {
		clock := localtest.NewClock()
		db := open(t, Options{Now: clock.Now})
		db.reader.seen, db.writer.tx.seen = see, see
		return db, clock
	}
	contract := func(t *testing.T) {
		t.Run("account", func(t *testing.T) {
			t.Parallel()
			accounttest.Run(t, func(t *testing.T) accounttest.Stores {
				db, clock := fresh(t)
				return accounttest.Stores{Accounts: db.Accounts, Audit: db.Audit, Catalog: db.Catalog, Trash: db.Trash, Clock: clock}
			})
		})
		t.Run("audit", func(t *testing.T) {
			t.Parallel()
			audittest.Run(t, func(t *testing.T) audit.Store {
				db, _ := fresh(t)
				return db.Audit
			})
		})
		t.Run("tally", func(t *testing.T) {
			t.Parallel()
			tallytest.Run(t, func(t *testing.T) tallytest.Stores {
				db, _ := fresh(t)
				return tallytest.Stores{Tally: db.Tally, Catalog: db.Catalog, Trash: db.Trash, Overview: db.Overview, Accounts: db.Accounts}
			})
		})
		localtest.Run(t, func(t *testing.T) localtest.Stores {
			db, clock := fresh(t)
			return localtest.Stores{
				Catalog: db.Catalog, Uploads: db.Uploads, Garbage: db.Garbage,
				Trash: db.Trash, History: db.History, Retention: db.Retention,
				Inspection: db.Inspection, Snapshot: db.Snapshot, Overview: db.Overview, Clock: clock,
			}
		})
	}
	if !t.Run("contract", contract) {
		return
	}
	control := regexp.MustCompile(`^(BEGIN IMMEDIATE|COMMIT|ROLLBACK|SAVEPOINT one|ROLLBACK TO one|RELEASE one)$`)
	for text := range seen {
		if !listed[text] && !control.MatchString(text) {
			t.Errorf("not in database.Statements():\n%s", text)
		}
	}
	// Races that one writer does not have; another engine may.
	unreached := []string{
		`SELECT id FROM manifest_contents WHERE digest = ?`,
	}
	for text := range listed {
		if !seen[text] && !slices.Contains(unreached, text) && !strings.Contains(text, "(?,?,?,?") {
			t.Errorf("no test of the contract runs:\n%s", text)
		}
	}
}

func TestClockDatesRows(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 1, 2, 3, 4, 5, 6000, time.UTC)
	db := open(t, Options{Now: func() time.Time { return at }})
	var applied int64
	if err := db.writer.tx.conn.QueryRowContext(t.Context(), `SELECT applied_at FROM schema_migrations`).Scan(&applied); err != nil {
		t.Fatal(err)
	}
	if got := time.UnixMicro(applied).UTC(); !got.Equal(at) {
		t.Errorf("applied_at is %s, want %s", got, at)
	}
}
