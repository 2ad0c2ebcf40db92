package database

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	newestManifest = `SELECT COALESCE(MAX(id), 0) FROM manifests`

	// A window of ids, from new to old: an index comes before its children.
	untaggedBetween = `SELECT m.id, m.digest, m.size, m.repository_id, r.name FROM manifests m
JOIN repositories r ON r.id = m.repository_id
WHERE m.id < ? AND m.id >= ? AND m.created_at < ? AND (m.pulled_at IS NULL OR m.pulled_at < ?)
AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.manifest_id = m.id)
AND NOT EXISTS (SELECT 1 FROM manifest_children c WHERE c.repository_id = m.repository_id AND c.child = m.digest)
AND NOT EXISTS (SELECT 1 FROM manifest_contents k
	JOIN manifests s ON s.content_id = k.id AND s.repository_id = m.repository_id WHERE k.digest = m.subject)
ORDER BY m.id DESC`

	liveSubject = `SELECT s.id FROM manifests m JOIN manifest_contents k ON k.digest = m.subject
JOIN manifests s ON s.content_id = k.id AND s.repository_id = m.repository_id WHERE m.id = ?`
)

var untaggedChildren = newListed(`SELECT m.id, m.digest, m.size FROM manifest_children c CROSS JOIN manifest_contents k CROSS JOIN manifests m
WHERE k.digest = c.child AND m.content_id = k.id AND m.repository_id = c.repository_id
AND m.created_at < ? AND (m.pulled_at IS NULL OR m.pulled_at < ?)
AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.manifest_id = m.id) AND c.parent_id IN (*)`)

// window is how many ids one statement looks at, windows how many statements
// look at before a call returns.
const (
	window  = 1024
	windows = 16
)

// sweeper is who the trash says has deleted what was untagged.
const sweeper = "sweep"

// stale is an old untagged manifest and where it lies.
type stale struct {
	member
	place
}

// TrashUntagged looks for them by reading, and looks again inside the
// transaction that moves them.
func (r *Retention) TrashUntagged(ctx context.Context, before time.Time, after string, n int, dry bool) ([]local.Link, string, error) {
	found, next, err := r.untagged(ctx, before.UnixMicro(), after, n)
	if err != nil {
		return nil, "", failed(err, "look for untagged manifests")
	}
	if len(found) == 0 {
		return nil, next, nil
	}
	var moved []local.Link
	if dry {
		moved, err = r.wouldGo(ctx, before.UnixMicro(), found)
	} else {
		err = r.db.Write(ctx, Durable, func(tx Queryer) error {
			var err error
			moved, err = r.trash(ctx, tx, before.UnixMicro(), found)
			return err
		})
	}
	if err != nil {
		return nil, "", failed(err, "move untagged manifests to the trash")
	}
	return moved, next, nil
}

// untagged finds at most n in a bounded number of windows.
func (r *Retention) untagged(ctx context.Context, before int64, after string, n int) (found []stale, next string, err error) {
	top := int64(math.MaxInt64)
	if after != "" {
		if top, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", fmt.Errorf("the cursor %q is none of a list of manifests", after)
		}
	}
	if n <= 0 {
		return nil, after, nil
	}
	var newest int64
	if _, err := r.db.Row(ctx, newestManifest, nil, &newest); err != nil {
		return nil, "", err
	}
	top = min(top, newest+1)
	for range windows {
		if top <= 1 {
			return found, "", nil
		}
		low := max(top-window, 1)
		page, err := staleBetween(ctx, r.db, low, top, before)
		if err != nil {
			return nil, "", err
		}
		found, top = append(found, page...), low
		if len(found) >= n {
			found = found[:n]
			top = found[n-1].member.id
			break
		}
	}
	if top <= 1 {
		return found, "", nil
	}
	return found, strconv.FormatInt(top, 10), nil
}

func staleBetween(ctx context.Context, q Queryer, low, top, before int64) ([]stale, error) {
	var page []stale
	err := q.Rows(ctx, untaggedBetween, []any{top, low, before, before}, func(scan func(...any) error) error {
		var s stale
		err := scan(&s.member.id, &s.digest, &s.size, &s.place.id, &s.repo)
		page = append(page, s)
		return err
	})
	return page, err
}

// wouldGo is what trash would move, as far as it can be told without moving.
func (r *Retention) wouldGo(ctx context.Context, before int64, found []stale) ([]local.Link, error) {
	gone := map[int64]bool{}
	var links []local.Link
	for _, s := range found {
		f := staleFamily(r.db, s.place, before)
		f.gone = gone
		if err := f.grow(ctx, s.member); err != nil {
			return nil, err
		}
		for _, m := range f.members {
			gone[m.id] = true
		}
		links = append(links, f.links(s.repo)...)
	}
	return links, nil
}

func (r *Retention) trash(ctx context.Context, tx Queryer, before int64, found []stale) ([]local.Link, error) {
	var links []local.Link
	for _, s := range found {
		// It may have been tagged, pulled or deleted meanwhile.
		still, err := staleBetween(ctx, tx, s.member.id, s.member.id+1, before)
		if err != nil {
			return nil, err
		}
		if len(still) == 0 {
			continue
		}
		s = still[0]
		f := staleFamily(tx, s.place, before)
		if err := f.grow(ctx, s.member); err != nil {
			return nil, err
		}
		a := act{at: r.now().UnixMicro(), by: sweeper}
		if _, err := trashFamily(ctx, tx, a, s.repo, f.members); err != nil {
			return nil, err
		}
		links = append(links, f.links(s.repo)...)
	}
	return links, nil
}

// staleFamily takes an index's children along, too, if they are as old and
// untagged, and no referrers of what stays.
func staleFamily(q Queryer, p place, before int64) *family {
	return &family{
		q: q, repository: p.id,
		more: func(ctx context.Context, f *family, of []member) ([]member, error) {
			parents := make([]int64, len(of))
			for i, m := range of {
				parents[i] = m.id
			}
			var found []member
			err := eachID(untaggedChildren, []any{before, before}, parents, func(text string, args []any) error {
				return f.q.Rows(ctx, text, args, scanMembers(&found))
			})
			return found, err
		},
		free: func(ctx context.Context, f *family, m member) (bool, error) {
			var subject int64
			found, err := f.q.Row(ctx, liveSubject, []any{m.id}, &subject)
			return !found || f.has(subject), err
		},
	}
}

func (f *family) links(repo oci.Repo) []local.Link {
	links := make([]local.Link, len(f.members))
	for i, m := range f.members {
		links[i] = local.Link{Repo: repo, Digest: m.digest, Size: m.size}
	}
	return links
}
