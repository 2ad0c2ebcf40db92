// Package sqlite is database.Engine on one SQLite file (modernc.org/sqlite,
// pure Go).
//
// The file is in WAL mode. Readers have connections of their own and never
// wait for the writer, nor it for them. All writes go through one connection
// with group commit, see writer: what arrives while a commit waits for the
// disk is committed together by the next one.
//
// Durable commits run under synchronous=FULL (one fsync of the WAL), relaxed
// ones under NORMAL (none; a power cut may take the last of them, but never
// leaves the file damaged or their order changed).
//
// Nothing here looks at statistics of the tables: the planner chooses by the
// schema alone, so that the plans the tests have seen are the plans that run.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"

	"fairlead.dev/fairlead/internal/database"
)

// Options of Open; the zero value is fine.
type Options struct {
	// Readers is the number of connections for reading;
	// 0 means twice the number of CPUs, at least 4.
	Readers int
	// Now is the clock that rows are dated by; nil means time.Now.
	Now func() time.Time
	// Committed, if set, is told of every commit: how many writes shared it
	// and how long it took from its beginning, or why it failed. It is called
	// between commits: it must be quick and must not use the database.
	Committed func(writes int, took time.Duration, err error)
}

// DB is an open database with the stores in it. It is safe for concurrent use.
type DB struct {
	Catalog *database.Catalog
	Uploads *database.Uploads
	Garbage *database.Garbage

	Trash      *database.Trash
	History    *database.History
	Retention  *database.Retention
	Inspection *Inspection
	Snapshot   *Snapshot
	Overview   *database.Overview

	Accounts *database.Accounts
	Audit    *database.Audit
	Tally    *database.Tally

	path    string
	now     func() time.Time
	reading *sql.DB
	reader  *reader
	writing *sql.DB
	writer  *writer
	closing sync.Once
	closed  error
}

var _ database.Engine = (*DB)(nil)

// Open opens the database file at path, creating it (mode 0600) in a folder
// that exists, and brings its schema up to date. Each of these is an error
// that says what to do: a folder that is absent or not writable, a path that
// is no regular file, a file that is no SQLite database or none of ours, one
// that a newer version has written, one that another process has locked.
// Two processes must not have the same file open; to prevent that is the
// caller's part.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := prepareFile(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db := &DB{path: path, now: opts.Now}
	if db.now == nil {
		db.now = time.Now
	}
	db.stores()
	if err := db.open(ctx, opts); err != nil {
		_ = db.Close() // the error of opening is the one to report
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return db, nil
}

func (db *DB) stores() {
	db.Catalog, db.Uploads, db.Garbage = database.NewCatalog(db, db.now), database.NewUploads(db, db.now), database.NewGarbage(db)
	db.Trash, db.History = database.NewTrash(db, db.now), database.NewHistory(db)
	db.Retention = database.NewRetention(db, db.now)
	inspection := database.NewInspection(db, db.now)
	db.Inspection = &Inspection{Inspection: inspection, db: db}
	db.Overview, db.Accounts = database.NewOverview(db), database.NewAccounts(db, db.now)
	db.Audit, db.Tally = database.NewAudit(db), database.NewTally(db)
	db.Snapshot = &Snapshot{inspection: inspection, db: db}
}

func (db *DB) open(ctx context.Context, opts Options) error {
	var err error
	if db.writing, err = pool(db.path, 1, writerPragmas); err != nil {
		return err
	}
	conn, err := db.writing.Conn(ctx)
	if err != nil {
		return classify(err)
	}
	db.writer = &writer{tx: &transaction{conn: conn, stmts: map[string]*sql.Stmt{}}, committed: opts.Committed, log: db.path + "-wal", suspect: true}
	missing, err := unapplied(ctx, conn)
	if err != nil {
		return err // before the file of another program was changed
	}
	if err := useWAL(ctx, conn); err != nil {
		return err
	}
	if err := db.writer.settle(); err != nil {
		return fmt.Errorf("make durable what the last run has left: %w", err)
	}
	if err := migrate(ctx, conn, missing, db.now); err != nil {
		return err
	}
	readers := opts.Readers
	if readers <= 0 {
		readers = max(4, 2*runtime.NumCPU())
	}
	if db.reading, err = pool(db.path, readers, readerPragmas); err != nil {
		return err
	}
	db.reader = newReader(db.reading)
	return db.Ping(ctx)
}

// Settings of the connections. A checkpoint of 4000 pages (16 MB of log) takes
// the committer some tens of milliseconds at worst; the log file is cut back to
// 32 MB when a burst or a long reader has let it grow.
var (
	commonPragmas = []string{"busy_timeout(5000)", "foreign_keys(1)", "temp_store(memory)", "trusted_schema(0)"}
	writerPragmas = []string{"cache_size(-16384)", "wal_autocheckpoint(4000)", "journal_size_limit(33554432)", "synchronous(full)"}
	readerPragmas = []string{"cache_size(-4096)", "mmap_size(268435456)", "query_only(1)"}
)

// pool opens at most size connections, kept for good.
func pool(path string, size int, pragmas []string) (*sql.DB, error) {
	query := url.Values{"mode": {"rw"}, "_dqs": {"0"}, "_defensive": {"1"}, "_error_rc": {"1"}}
	query["_pragma"] = append(append([]string{}, commonPragmas...), pragmas...)
	u := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("name the file to the driver: %w", err)
	}
	p := sql.OpenDB(connector)
	p.SetMaxOpenConns(size)
	p.SetMaxIdleConns(size)
	return p, nil
}

// useWAL is tried on the writer only: the mode is a property of the file.
func useWAL(ctx context.Context, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return fmt.Errorf("set the journal mode: %w", classify(err))
	}
	if mode != "wal" {
		return fmt.Errorf("the file system cannot hold a write-ahead log (journal mode is %q): put the data folder on a local disk", mode)
	}
	return nil
}

// Close ends the writes that have begun, refuses others (ErrClosed), and
// brings the log into the file. Closing again is fine.
func (db *DB) Close() error {
	db.closing.Do(func() {
		if err := db.close(); err != nil {
			db.closed = fmt.Errorf("close database %s: %w", db.path, classify(err))
		}
	})
	return db.closed
}

func (db *DB) close() error {
	var errs []error
	if db.writer != nil {
		db.writer.close()
	}
	if db.reading != nil {
		errs = append(errs, db.reading.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.tx.close())
	}
	if db.writing != nil { // last: its closing writes the log back
		errs = append(errs, db.writing.Close())
	}
	return errors.Join(errs...)
}

// Ping tells whether the database answers, by reading it.
func (db *DB) Ping(ctx context.Context) error {
	var version int
	if err := db.reading.QueryRowContext(ctx, newestVersion).Scan(&version); err != nil {
		return fmt.Errorf("read the database: %w", classify(err))
	}
	return nil
}

// Row reads, see database.Queryer.
func (db *DB) Row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	return db.reader.Row(ctx, text, args, dest...)
}

// Rows reads, see database.Queryer.
func (db *DB) Rows(ctx context.Context, text string, args []any, each func(scan func(dest ...any) error) error) error {
	return db.reader.Rows(ctx, text, args, each)
}

// Exec outside of Write is refused by the reader's connection.
func (db *DB) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return db.reader.Exec(ctx, text, args...)
}

// Write runs fn in a transaction, see database.Engine.
func (db *DB) Write(ctx context.Context, d database.Durability, fn func(tx database.Queryer) error) error {
	return db.writer.do(ctx, d, fn)
}

// Stats since Open.
func (db *DB) Stats() Stats {
	s := db.writer.snapshot()
	s.Readers = db.reading.Stats().InUse
	return s
}
