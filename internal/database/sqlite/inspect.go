package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Inspection is local.Inspection on SQLite.
type Inspection struct {
	*database.Inspection
	db *DB
}

var _ local.Inspection = (*Inspection)(nil)

const (
	checkPages = `PRAGMA integrity_check`
	checkKeys  = `SELECT "table", rowid, parent FROM pragma_foreign_key_check`
)

// Integrity has SQLite look at every page, index and reference. It reads the
// whole file; writes go on meanwhile.
func (i *Inspection) Integrity(ctx context.Context) ([]string, error) {
	var said []string
	err := i.ask(ctx, checkPages, func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		if line != "ok" {
			said = append(said, line)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check the database's integrity: %w", classify(err))
	}
	err = i.ask(ctx, checkKeys, func(rows *sql.Rows) error {
		var table, parent string
		var id sql.NullInt64 // NULL in a table without row ids
		err := rows.Scan(&table, &id, &parent)
		said = append(said, fmt.Sprintf("a row of %s (%d) names a row of %s that is not there", table, id.Int64, parent))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check the database's references: %w", classify(err))
	}
	return said, nil
}

// ask runs a query that takes long, and so can be cancelled.
func (i *Inspection) ask(ctx context.Context, text string, each func(rows *sql.Rows) error) error {
	rows, err := i.db.reading.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has said what went wrong
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
