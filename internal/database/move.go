package database

import (
	"context"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	tagTarget = `SELECT t.manifest_id, m.digest FROM tags t
JOIN manifests m ON m.id = t.manifest_id
WHERE t.repository_id = ? AND t.name = ?`

	addTag = `INSERT INTO tags (repository_id, name, manifest_id, updated_at) VALUES (?, ?, ?, ?)
ON CONFLICT (repository_id, name) DO UPDATE SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at`

	addMove = `INSERT INTO tag_moves (repository, name, moved_at, moved_by, from_digest, to_digest)
VALUES (?, ?, ?, ?, ?, ?)`

	movePage = `SELECT id, name, moved_at, moved_by, from_digest, to_digest FROM tag_moves
WHERE repository = ? AND id < ? ORDER BY id DESC LIMIT ?`

	movePageOfTag = `SELECT id, name, moved_at, moved_by, from_digest, to_digest FROM tag_moves
WHERE repository = ? AND name = ? AND id < ? ORDER BY id DESC LIMIT ?`

	// Whether a move may be forgotten: it is not the newest of a tag that is
	// there.
	forgettable = `(EXISTS (SELECT 1 FROM tag_moves n WHERE n.repository = v.repository AND n.name = v.name AND n.id > v.id)
OR NOT EXISTS (SELECT 1 FROM repositories r JOIN tags t ON t.repository_id = r.id WHERE r.name = v.repository AND t.name = v.name))`

	oldMoves = `SELECT v.id, v.moved_at < ?, v.moved_at < ? AND ` + forgettable + `
FROM tag_moves v WHERE v.id > ? ORDER BY v.id LIMIT ?`

	// Asked again: a tag may have come back.
	deleteOldMove = `DELETE FROM tag_moves WHERE id IN (SELECT v.id FROM tag_moves v WHERE v.id = ? AND ` + forgettable + `)`
)

// act is who does what a transaction does, and when.
type act struct {
	at int64 // microseconds since 1970
	by string
}

func actNow(ctx context.Context, now func() time.Time) act {
	return act{at: now().UnixMicro(), by: registry.Actor(ctx)}
}

// place is a repository inside a transaction.
type place struct {
	repo oci.Repo
	id   int64
}

// target is the manifest that a tag names; id is 0 where there is no tag.
type target struct {
	id     int64
	digest oci.Digest
}

func targetOf(ctx context.Context, q Queryer, repository int64, tag oci.Tag) (target, error) {
	var t target
	_, err := q.Row(ctx, tagTarget, []any{repository, string(tag)}, &t.id, &t.digest)
	return t, err
}

// pointTag lets the tag name the manifest and notes that it moved. A tag that
// names it already costs one search and writes nothing. Error: TAG_IMMUTABLE
// for a tag that keep names.
func pointTag(ctx context.Context, tx Queryer, a act, p place, tag oci.Tag, to target, keep local.Keep) (moved bool, err error) {
	from, err := targetOf(ctx, tx, p.id, tag)
	if err != nil || from.id == to.id {
		return false, err
	}
	if from.id != 0 && keep != nil && keep(p.repo, tag) {
		return false, immutable(p.repo, tag)
	}
	if _, err := tx.Exec(ctx, addTag, p.id, string(tag), to.id, a.at); err != nil {
		return false, err
	}
	return true, noteMove(ctx, tx, a, p.repo, tag, from.digest, to.digest)
}

func immutable(repo oci.Repo, tag oci.Tag) error {
	return oci.Errorf(oci.CodeTagImmutable, "the tag %s of %s is immutable, it can neither move nor be deleted: push under another tag, or have an admin of the namespace change its rules", tag, repo)
}

func noteMove(ctx context.Context, tx Queryer, a act, repo oci.Repo, tag oci.Tag, from, to oci.Digest) error {
	_, err := tx.Exec(ctx, addMove, string(repo), string(tag), a.at, a.by, string(from), string(to))
	return err
}

// History is local.History in SQL.
type History struct {
	db Engine
}

var _ local.History = (*History)(nil)

// NewHistory reads the history in db.
func NewHistory(db Engine) *History { return &History{db: db} }

// TagMoves is a page of moves, newest first.
func (h *History) TagMoves(ctx context.Context, repo oci.Repo, tag oci.Tag, before int64, n int) ([]local.TagMove, error) {
	if n <= 0 {
		return nil, nil
	}
	before = orNewest(before)
	text, args := movePage, []any{string(repo), before, n}
	if tag != "" {
		text, args = movePageOfTag, []any{string(repo), string(tag), before, n}
	}
	var page []local.TagMove
	err := h.db.Rows(ctx, text, args, func(scan func(...any) error) error {
		m := local.TagMove{Repo: repo}
		var at int64
		err := scan(&m.ID, &m.Tag, &at, &m.By, &m.From, &m.To)
		m.At = moment(at)
		page = append(page, m)
		return err
	})
	if err != nil {
		return nil, failed(err, "read the tag history of %s", repo)
	}
	return page, nil
}

// ForgetMoves looks at ten times n moves at most. Moves are noted one after the
// other, so that where all are young the end is reached.
func (h *History) ForgetMoves(ctx context.Context, before time.Time, after int64, n int) (int, int64, error) {
	if n <= 0 {
		return 0, after, nil
	}
	rows, young := 0, true
	var old []int64
	args := []any{before.UnixMicro(), before.UnixMicro(), after, examined * n}
	err := h.db.Rows(ctx, oldMoves, args, func(scan func(...any) error) error {
		var past, free bool
		if err := scan(&after, &past, &free); err != nil {
			return err
		}
		if rows++; free {
			old = append(old, after)
		}
		if young = young && !past; len(old) == n {
			return errEnough
		}
		return nil
	})
	full := errors.Is(err, errEnough)
	if err != nil && !full {
		return 0, 0, failed(err, "look for old moves of tags")
	}
	if young || !full && rows < examined*n {
		after = 0
	}
	forgotten, err := h.forget(ctx, old)
	return forgotten, after, failed(err, "forget old moves of tags")
}

func (h *History) forget(ctx context.Context, moves []int64) (int, error) {
	if len(moves) == 0 {
		return 0, nil
	}
	forgotten := 0
	err := h.db.Write(ctx, Durable, func(tx Queryer) error {
		forgotten = 0
		for _, id := range moves {
			n, err := tx.Exec(ctx, deleteOldMove, id)
			if err != nil {
				return err
			}
			forgotten += int(n)
		}
		return nil
	})
	return forgotten, err
}
