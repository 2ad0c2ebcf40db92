package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

const (
	hasVersions   = `SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'`
	countTables   = `SELECT COUNT(*) FROM sqlite_schema`
	newestVersion = `SELECT COALESCE(MAX(version), 0) FROM schema_migrations`
	addVersions   = `CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`
	addVersion    = `INSERT INTO schema_migrations (version, applied_at) VALUES (?, ?)`
)

type migration struct {
	version int
	text    string
}

// migrations are the embedded files NNNN_what.sql, numbered from 1 without a
// gap.
func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("%s: migrations must be numbered from 1 without a gap", name)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, string(text)})
	}
	return all, nil
}

// unapplied are the migrations the database lacks. It changes nothing, and
// refuses a database that is not Fairlead's or is newer.
func unapplied(ctx context.Context, conn *sql.Conn) ([]migration, error) {
	all, err := migrations(migrationFiles)
	if err != nil {
		return nil, err
	}
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return nil, err
	}
	if version > len(all) {
		return nil, fmt.Errorf("the database has schema version %d, this fairlead knows versions up to %d: run the newer fairlead that wrote it, or restore a backup made before the upgrade", version, len(all))
	}
	return all[version:], nil
}

// migrate applies migrations, each in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn, missing []migration, now func() time.Time) error {
	for _, m := range missing {
		if err := apply(ctx, conn, m, now()); err != nil {
			return fmt.Errorf("migrate the database from schema version %d to %d: %w", m.version-1, m.version, classify(err))
		}
	}
	return nil
}

// schemaVersion is 0 for an empty database.
func schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var versioned, tables, version int
	if err := conn.QueryRowContext(ctx, hasVersions).Scan(&versioned); err != nil {
		return 0, fmt.Errorf("read the schema: %w", classify(err))
	}
	if versioned > 0 {
		err := conn.QueryRowContext(ctx, newestVersion).Scan(&version)
		if err != nil {
			return 0, fmt.Errorf("read the schema's version: %w", classify(err))
		}
		return version, nil
	}
	if err := conn.QueryRowContext(ctx, countTables).Scan(&tables); err != nil {
		return 0, fmt.Errorf("read the schema: %w", classify(err))
	}
	if tables > 0 {
		return 0, errors.New("this SQLite database belongs to another program (it has no table schema_migrations): name another file")
	}
	return 0, nil
}

func apply(ctx context.Context, conn *sql.Conn, m migration, now time.Time) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if m.version == 1 {
		if _, err := tx.ExecContext(ctx, addVersions); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, addVersion, m.version, now.UnixMicro()); err != nil {
		return err
	}
	return tx.Commit()
}
