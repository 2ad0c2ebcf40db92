// Package database keeps Fairlead's stores in SQL, one file per domain.
//
// It imports no driver and knows no dialect. A store is a handful of constant
// statements and the code that runs them on an Engine; package sqlite is one,
// and PostgreSQL can be another, because the statements use only what both
// understand: '?' placeholders (an engine rebinds them), ON CONFLICT,
// RETURNING, times as integers of microseconds since 1970. What differs (the
// CREATE statements, opening, grouping of commits, the meaning of a driver's
// error code) lies behind Engine.
//
// Three rules keep the stores fast whatever they hold. Every statement is a
// search of an index, never a scan (a test of each engine asks its planner).
// Every list is a page that begins after a key, never an OFFSET. And every
// text is one of Statements(), so that an engine can keep it prepared; lists
// of values come in a few fixed lengths, see listed.
//
// What is live and what is in the trash lie in tables of their own: deleting
// moves rows, restoring moves them back, and nothing that answers a pull ever
// looks into the trash. A manifest in either holds its blobs and its bytes;
// blobs.unlinked_at says since when nothing holds a blob, and all that takes
// the last hold away sets it in the same transaction.
//
// Who may name bytes: a blob's key is named by its row in blobs, or by the
// row of an open upload. Rows and keys leave the database only inside a write
// transaction that has just made sure that nothing else names them; package
// local deletes the bytes afterwards, never before.
package database
