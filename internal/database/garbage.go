package database

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Garbage is local.Garbage in SQL.
type Garbage struct {
	db Engine
}

var _ local.Garbage = (*Garbage)(nil)

// NewGarbage looks for garbage in db.
func NewGarbage(db Engine) *Garbage { return &Garbage{db: db} }

// A blob is garbage when unlinked_at says so. That neither a repository nor
// the trash holds it and no open upload names its key is asked again all the
// same: what Forget returns is deleted for good.
const (
	unlinkedBlobs = `SELECT b.id, b.digest, b.size, b.key, b.unlinked_at FROM blobs b
WHERE b.unlinked_at < ? AND (b.unlinked_at, b.id) > (?, ?)
AND NOT EXISTS (SELECT 1 FROM repository_blobs l WHERE l.blob_id = b.id)
AND NOT EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = b.id)
AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.key = b.key)
ORDER BY b.unlinked_at, b.id LIMIT ?`

	deleteBlob = `DELETE FROM blobs WHERE id = ?`

	abandonedUploads = `SELECT id, key FROM uploads WHERE updated_at < ? ORDER BY updated_at LIMIT ?`
)

var (
	blobKeys  = newListed(`SELECT key FROM blobs WHERE key IN (*)`)
	namedKeys = newListed(`SELECT key FROM blobs WHERE key IN (*) UNION ALL SELECT key FROM uploads WHERE key IN (*)`)
)

// unlinkedPage is how many candidates Forget reads at a time.
const unlinkedPage = 256

type unlinked struct {
	local.BlobRow
	id, since int64
}

// Forget removes rows of garbage. It is durable before it returns: the bytes
// are deleted next.
func (g *Garbage) Forget(ctx context.Context, before time.Time, n int, keep func(oci.Digest) bool) ([]local.BlobRow, error) {
	var gone []local.BlobRow
	err := g.db.Write(ctx, Durable, func(tx Queryer) error {
		gone = nil
		var last unlinked
		for len(gone) < n {
			page, err := unlinkedAfter(ctx, tx, before, last)
			if err != nil {
				return err
			}
			for _, b := range page {
				last = b
				if len(gone) == n || keep != nil && keep(b.Digest) {
					continue
				}
				if _, err := tx.Exec(ctx, deleteBlob, b.id); err != nil {
					return err
				}
				gone = append(gone, b.BlobRow)
			}
			if len(page) < unlinkedPage {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, failed(err, "forget unlinked blobs")
	}
	return gone, nil
}

func unlinkedAfter(ctx context.Context, tx Queryer, before time.Time, last unlinked) ([]unlinked, error) {
	var page []unlinked
	args := []any{before.UnixMicro(), last.since, last.id, unlinkedPage}
	err := tx.Rows(ctx, unlinkedBlobs, args, func(scan func(...any) error) error {
		var b unlinked
		err := scan(&b.id, &b.Digest, &b.Size, &b.Key, &b.since)
		page = append(page, b)
		return err
	})
	return page, err
}

// AbandonedUploads removes rows of uploads that nobody goes on with.
func (g *Garbage) AbandonedUploads(ctx context.Context, before time.Time, n int) ([]blob.Key, error) {
	if n <= 0 {
		return nil, nil
	}
	var keys []blob.Key
	err := g.db.Write(ctx, Durable, func(tx Queryer) error {
		keys = nil
		var ids []string
		err := tx.Rows(ctx, abandonedUploads, []any{before.UnixMicro(), n}, func(scan func(...any) error) error {
			var id string
			var key blob.Key
			err := scan(&id, &key)
			ids, keys = append(ids, id), append(keys, key)
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.Exec(ctx, endUpload, id); err != nil {
				return err
			}
		}
		keys, err = without(ctx, tx, blobKeys, keys)
		return err
	})
	if err != nil {
		return nil, failed(err, "forget abandoned uploads")
	}
	return keys, nil
}

// UnknownKeys asks for blobs and uploads in one statement: a key that moves
// from an upload to a blob meanwhile is seen in one of the two.
func (g *Garbage) UnknownKeys(ctx context.Context, keys []blob.Key) ([]blob.Key, error) {
	unknown, err := without(ctx, g.db, namedKeys, keys)
	return unknown, failed(err, "look for keys that nothing names")
}

// without returns the keys that the statement does not find.
func without(ctx context.Context, q Queryer, l listed, keys []blob.Key) ([]blob.Key, error) {
	named := make(map[blob.Key]bool)
	err := each(l, nil, keys, func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var key blob.Key
			err := scan(&key)
			named[key] = true
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var unknown []blob.Key
	for _, k := range keys {
		if !named[k] {
			unknown = append(unknown, k)
		}
	}
	return unknown, nil
}
