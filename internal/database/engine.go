package database

import (
	"context"
	"errors"
)

// What an engine makes of its driver's errors. A full disk is not among them:
// that is an oci.Error with CodeStorageFull.
var (
	// ErrUnique: a row with this key is there already.
	ErrUnique = errors.New("the row exists already")
	// ErrBusy: somebody else holds the database's lock.
	ErrBusy = errors.New("the database is locked by another process: stop it (a backup, a shell, a second server) and try again")
	// ErrCorrupt: the file is damaged.
	ErrCorrupt = errors.New("the database file is damaged: stop the server and restore the file from a backup")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the database is closed")
)

// Durability is what a write must survive.
type Durability bool

const (
	// Relaxed writes survive a crash of the process; a power cut may take
	// the last of them.
	Relaxed Durability = false
	// Durable writes survive a power cut once Write has returned.
	Durable Durability = true
)

// Queryer runs statements. Each text is one of Statements(). Errors are
// classified: they match the package's errors or are oci.Errors, where they
// mean that.
type Queryer interface {
	// Row scans the first row into dest and tells whether there was one.
	Row(ctx context.Context, text string, args []any, dest ...any) (bool, error)
	// Rows calls each for every row; scan is valid during the call. An error
	// of each ends the query and is returned as it is.
	Rows(ctx context.Context, text string, args []any, each func(scan func(dest ...any) error) error) error
	// Exec runs a statement and tells how many rows it changed.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
}

// Engine is a SQL database of one dialect. The Queryer it embeds is for
// reading: each statement sees everything that was committed before it began.
type Engine interface {
	Queryer
	// Write runs fn in a transaction of its own: if fn returns an error
	// nothing of it is kept and Write returns that error; otherwise the
	// changes are committed, as durably as asked for, when Write returns nil.
	// fn may run on another goroutine, at the same time as no other fn. It
	// must not call Write. If ctx ends before fn began, fn does not run and
	// ctx.Err() is returned; once it began, its result is waited for.
	Write(ctx context.Context, d Durability, fn func(tx Queryer) error) error
}
