package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/registry/local"
)

// Retention is local.Retention in SQL.
type Retention struct {
	db  Engine
	now func() time.Time
}

var _ local.Retention = (*Retention)(nil)

// NewRetention looks in db for what is not needed; now is the clock it dates
// rows by.
func NewRetention(db Engine, now func() time.Time) *Retention {
	return &Retention{db: db, now: now}
}

const (
	// The links and what needs them lie in the same order, so that a walk
	// over all of them reads both from one end to the other.
	linkPage = `SELECT l.blob_id, l.repository_id, l.created_at < ? AND NOT EXISTS
	(SELECT 1 FROM manifest_blobs n WHERE n.blob_id = l.blob_id AND n.repository_id = l.repository_id)
FROM repository_blobs l WHERE (l.blob_id, l.repository_id) > (?, ?)
ORDER BY l.blob_id, l.repository_id LIMIT ?`

	linkByID = `SELECT r.name, b.digest, b.size FROM repository_blobs l
JOIN blobs b ON b.id = l.blob_id JOIN repositories r ON r.id = l.repository_id
WHERE l.blob_id = ? AND l.repository_id = ?`

	deleteUnneeded = `DELETE FROM repository_blobs WHERE blob_id = (SELECT id FROM blobs WHERE digest = ?)
AND repository_id = (SELECT id FROM repositories WHERE name = ?) AND created_at < ?
AND NOT EXISTS (SELECT 1 FROM manifest_blobs n
	WHERE n.blob_id = repository_blobs.blob_id AND n.repository_id = repository_blobs.repository_id)
RETURNING blob_id`

	notePull = `UPDATE manifests SET pulled_at = ? WHERE id =
	(SELECT m.id FROM repositories r JOIN manifest_contents c ON c.digest = ?
	JOIN manifests m ON m.content_id = c.id AND m.repository_id = r.id WHERE r.name = ?)
AND (pulled_at IS NULL OR pulled_at < ?)`

	waitingUploads = `SELECT COUNT(*), CAST(COALESCE(SUM(byte_offset), 0) AS BIGINT) FROM uploads WHERE updated_at < ?`

	// unlinked_at is exact, so that nothing else need be asked.
	waitingBlobs = `SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs WHERE unlinked_at < ?`

	waitingEntries = `SELECT (SELECT COUNT(*) FROM trash WHERE deleted_at < ? AND purged_at IS NULL)
+ (SELECT COUNT(*) FROM trash WHERE purged_at IS NOT NULL)`
)

// linkCursor is a place in the order of links.
type linkCursor struct{ blob, repository int64 }

func parseLinkCursor(s string) (linkCursor, error) {
	var c linkCursor
	if s == "" {
		return c, nil
	}
	if _, err := fmt.Sscanf(s, "%d.%d", &c.blob, &c.repository); err != nil {
		return c, fmt.Errorf("the cursor %q is none of a list of links", s)
	}
	return c, nil
}

func (c linkCursor) String() string { return fmt.Sprintf("%d.%d", c.blob, c.repository) }

// examined is how many rows are looked at for each that is asked for, and
// mostLinks how many may be asked for.
const (
	examined  = 10
	mostLinks = 1 << 16
)

// UnneededLinks looks at ten times n links at most.
func (r *Retention) UnneededLinks(ctx context.Context, before time.Time, after string, n int) ([]local.Link, string, error) {
	at, err := parseLinkCursor(after)
	if err != nil || n <= 0 {
		return nil, after, err
	}
	n = min(n, mostLinks)
	var unneeded []linkCursor
	rows := 0
	args := []any{before.UnixMicro(), at.blob, at.repository, examined * n}
	err = r.db.Rows(ctx, linkPage, args, func(scan func(...any) error) error {
		var found bool
		if err := scan(&at.blob, &at.repository, &found); err != nil {
			return err
		}
		if rows++; found {
			unneeded = append(unneeded, at)
		}
		if len(unneeded) == n {
			return errEnough
		}
		return nil
	})
	full := errors.Is(err, errEnough)
	if err != nil && !full {
		return nil, "", failed(err, "look for links that nothing needs")
	}
	links, err := r.links(ctx, unneeded)
	if err != nil {
		return nil, "", failed(err, "look for links that nothing needs")
	}
	if !full && rows < examined*n {
		return links, "", nil
	}
	return links, at.String(), nil
}

// errEnough ends a query early.
var errEnough = errors.New("enough")

// links names those that are still there.
func (r *Retention) links(ctx context.Context, at []linkCursor) ([]local.Link, error) {
	var links []local.Link
	for _, c := range at {
		var l local.Link
		found, err := r.db.Row(ctx, linkByID, []any{c.blob, c.repository}, &l.Repo, &l.Digest, &l.Size)
		if err != nil {
			return nil, err
		}
		if found {
			links = append(links, l)
		}
	}
	return links, nil
}

// Unlink asks each link again before it ends it.
func (r *Retention) Unlink(ctx context.Context, before time.Time, links []local.Link) ([]local.Link, error) {
	var ended []local.Link
	err := r.db.Write(ctx, Durable, func(tx Queryer) error {
		ended = nil
		now := r.now().UnixMicro()
		for _, l := range links {
			var id int64
			gone, err := tx.Row(ctx, deleteUnneeded, []any{string(l.Digest), string(l.Repo), before.UnixMicro()}, &id)
			if err != nil {
				return err
			}
			if !gone {
				continue
			}
			if _, err := tx.Exec(ctx, markUnlinked, now, id); err != nil {
				return err
			}
			ended = append(ended, l)
		}
		return nil
	})
	if err != nil {
		return nil, failed(err, "end links that nothing needs")
	}
	return ended, nil
}

// Pulled notes pulls of manifests; of those that are gone it notes nothing.
func (r *Retention) Pulled(ctx context.Context, pulls []local.Pull) error {
	if len(pulls) == 0 {
		return nil
	}
	err := r.db.Write(ctx, Relaxed, func(tx Queryer) error {
		for _, p := range pulls {
			at := p.At.UnixMicro()
			if _, err := tx.Exec(ctx, notePull, at, string(p.Digest), string(p.Repo), at); err != nil {
				return err
			}
		}
		return nil
	})
	return failed(err, "note pulls of %d manifests", len(pulls))
}

// Waiting reads what is garbage by its indexes, and nothing else.
func (r *Retention) Waiting(ctx context.Context, before local.Before) (local.Waiting, error) {
	var w local.Waiting
	var blobs int64
	_, err := r.db.Row(ctx, waitingUploads, []any{before.Uploads.UnixMicro()}, &w.Uploads, &w.Bytes)
	if err == nil {
		_, err = r.db.Row(ctx, waitingBlobs, []any{before.Blobs.UnixMicro()}, &w.Blobs, &blobs)
	}
	if err == nil {
		_, err = r.db.Row(ctx, waitingEntries, []any{before.Trash.UnixMicro()}, &w.Entries)
	}
	if err != nil {
		return local.Waiting{}, failed(err, "count what a sweep would remove")
	}
	w.Bytes += blobs
	return w, nil
}
