package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/oci"
)

// classify gives an error of the driver its meaning, by code. It is the only
// place that knows codes; other errors pass through.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return (&oci.Error{Code: oci.CodeStorageFull}).WithCause(err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w (%w)", database.ErrUnique, err)
	}
	switch e.Code() & 0xff { // the primary code
	case sqlite3.SQLITE_FULL:
		return (&oci.Error{Code: oci.CodeStorageFull}).WithCause(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w (%w)", database.ErrBusy, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w (%w)", database.ErrCorrupt, err)
	}
	return err
}
