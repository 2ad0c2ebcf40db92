package database

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Catalog is local.Catalog in SQL.
type Catalog struct {
	db  Engine
	now func() time.Time
}

var _ local.Catalog = (*Catalog)(nil)

// NewCatalog keeps a catalog in db; now is the clock it dates rows by.
func NewCatalog(db Engine, now func() time.Time) *Catalog {
	return &Catalog{db: db, now: now}
}

const (
	repositoryByName = `SELECT id FROM repositories WHERE name = ?`

	addRepository = `INSERT INTO repositories (name, incarnation, created_at) VALUES (?, ?, ?)
ON CONFLICT (name) DO NOTHING RETURNING id`

	repositoryPage = `SELECT name FROM repositories WHERE name > ? ORDER BY name LIMIT ?`

	repositoryPageBetween = `SELECT name FROM repositories WHERE name > ? AND name < ? ORDER BY name LIMIT ?`

	// In the words of the index on them.
	providedPage = `SELECT name FROM repositories WHERE name NOT LIKE '%/%' AND name > ? ORDER BY name LIMIT ?`
)

// Repositories is a page of names in byte order.
func (c *Catalog) Repositories(ctx context.Context, in registry.Within, after oci.Repo, n int) ([]oci.Repo, error) {
	text, args := repositoryPage, []any{string(after)}
	switch {
	case in.All:
	case in.Namespace == "":
		text = providedPage
	default:
		const slash, afterSlash = "/", "0"
		text, args = repositoryPageBetween, []any{max(in.Namespace+slash, string(after)), in.Namespace + afterSlash}
	}
	page, err := names[oci.Repo](ctx, c.db, text, n, args...)
	return page, failed(err, "list repositories")
}

// names reads a page of one text column. The statement's last argument is
// the limit.
func names[T ~string](ctx context.Context, q Queryer, text string, n int, args ...any) ([]T, error) {
	if n <= 0 {
		return nil, nil
	}
	var page []T
	err := q.Rows(ctx, text, append(args, n), func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		page = append(page, T(name))
		return nil
	})
	return page, err
}

// findRepository gives the row's id. Error: NAME_UNKNOWN.
func findRepository(ctx context.Context, q Queryer, repo oci.Repo) (int64, error) {
	var id int64
	found, err := q.Row(ctx, repositoryByName, []any{string(repo)}, &id)
	if err == nil && !found {
		err = oci.Errorf(oci.CodeNameUnknown, "the repository %s does not exist: check its name, or push to it first", repo)
	}
	return id, err
}

// makeRepository gives the row's id, adding the row if need be.
func makeRepository(ctx context.Context, tx Queryer, repo oci.Repo, now time.Time) (int64, error) {
	var id int64
	found, err := tx.Row(ctx, repositoryByName, []any{string(repo)}, &id)
	if err != nil || found {
		return id, err
	}
	if err := mayMake(ctx, tx, repo); err != nil {
		return 0, err
	}
	found, err = tx.Row(ctx, addRepository, []any{string(repo), incarnation(), now.UnixMicro()}, &id)
	if err != nil || found {
		return id, err
	}
	return findRepository(ctx, tx, repo)
}

func incarnation() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// moment is a time as rows keep it.
func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// orNewest is where a list begins that goes from new to old.
func orNewest(before int64) int64 {
	if before <= 0 {
		return math.MaxInt64
	}
	return before
}

// failed says what was attempted, except of errors that are meant for the
// client, whose text is complete.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var e *oci.Error
	if errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
