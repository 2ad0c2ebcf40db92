package database

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Inspection is local.Inspection in SQL, but for Integrity, which each engine
// asks in its own way.
type Inspection struct {
	db  Engine
	now func() time.Time
}

// NewInspection walks over db; now is the clock it dates rows by.
func NewInspection(db Engine, now func() time.Time) *Inspection {
	return &Inspection{db: db, now: now}
}

const (
	blobPage = `SELECT id, digest, size, key, damaged_at IS NOT NULL FROM blobs WHERE id > ? ORDER BY id LIMIT ?`

	keyPage = `SELECT key FROM blobs WHERE key > ? ORDER BY key LIMIT ?`

	manifestPage        = `SELECT id FROM manifests WHERE id > ? ORDER BY id LIMIT ?`
	trashedManifestPage = `SELECT id FROM trash_manifests WHERE id > ? ORDER BY id LIMIT ?`

	markDamaged = `UPDATE blobs SET damaged_at = ? WHERE digest = ? AND key = ? AND damaged_at IS NULL`
	markGood    = `UPDATE blobs SET damaged_at = NULL WHERE digest = ? AND key = ? AND damaged_at IS NOT NULL`

	countBlobs            = `SELECT COUNT(*) FROM blobs`
	countManifests        = `SELECT COUNT(*) FROM manifests`
	countTrashedManifests = `SELECT COUNT(*) FROM trash_manifests`
)

var (
	manifestsByID = newListed(`SELECT m.id, r.name, m.digest, m.media_type, c.body FROM manifests m CROSS JOIN repositories r CROSS JOIN manifest_contents c
WHERE r.id = m.repository_id AND c.id = m.content_id AND m.id IN (*)`)

	trashedManifestsByID = newListed(`SELECT m.id, m.repository, c.digest, m.media_type, c.body FROM trash_manifests m CROSS JOIN manifest_contents c
WHERE c.id = m.content_id AND m.id IN (*)`)

	blobsOf = newListed(`SELECT n.manifest_id, b.digest FROM manifest_blobs n CROSS JOIN blobs b
WHERE b.id = n.blob_id AND n.manifest_id IN (*)`)

	blobsOfTrashed = newListed(`SELECT n.manifest_id, b.digest FROM trash_blobs n CROSS JOIN blobs b
WHERE b.id = n.blob_id AND n.manifest_id IN (*)`)
)

// BlobRows is a page of blobs by id.
func (i *Inspection) BlobRows(ctx context.Context, after int64, n int) ([]local.BlobCheck, error) {
	if n <= 0 {
		return nil, nil
	}
	var page []local.BlobCheck
	err := i.db.Rows(ctx, blobPage, []any{after, n}, func(scan func(...any) error) error {
		var b local.BlobCheck
		err := scan(&b.ID, &b.Digest, &b.Size, &b.Key, &b.Damaged)
		page = append(page, b)
		return err
	})
	if err != nil {
		return nil, failed(err, "read blob rows")
	}
	return page, nil
}

// ManifestRows is a page of manifests by id, empty at the end only. Blobs are read before bodies: a
// manifest that is deleted in between is not in the page, and one that is
// pushed in between is in a later page.
func (i *Inspection) ManifestRows(ctx context.Context, trashed bool, after int64, n int) ([]local.ManifestCheck, error) {
	if n <= 0 {
		return nil, nil
	}
	page, bodies, blobs := manifestPage, manifestsByID, blobsOf
	if trashed {
		page, bodies, blobs = trashedManifestPage, trashedManifestsByID, blobsOfTrashed
	}
	for {
		manifests, err := ids(ctx, i.db, page, after, n)
		if err != nil || len(manifests) == 0 {
			return nil, failed(err, "read manifest rows")
		}
		held, err := i.blobs(ctx, blobs, manifests)
		if err != nil {
			return nil, failed(err, "read the blobs of manifests")
		}
		checks, err := i.bodies(ctx, bodies, manifests, held)
		if err != nil || len(checks) > 0 {
			for c := range checks {
				checks[c].Trashed = trashed
			}
			return checks, failed(err, "read manifest rows")
		}
		after = manifests[len(manifests)-1] // all of the page are gone by now
	}
}

func (i *Inspection) bodies(ctx context.Context, l listed, manifests []int64, held map[int64][]oci.Digest) ([]local.ManifestCheck, error) {
	var checks []local.ManifestCheck
	err := eachID(l, nil, manifests, func(text string, args []any) error {
		return i.db.Rows(ctx, text, args, func(scan func(...any) error) error {
			var m local.ManifestCheck
			err := scan(&m.ID, &m.Repo, &m.Digest, &m.Type, &m.Bytes)
			m.Blobs = held[m.ID]
			checks = append(checks, m)
			return err
		})
	})
	slices.SortFunc(checks, func(a, b local.ManifestCheck) int { return cmp.Compare(a.ID, b.ID) })
	return checks, err
}

func (i *Inspection) blobs(ctx context.Context, l listed, manifests []int64) (map[int64][]oci.Digest, error) {
	held := make(map[int64][]oci.Digest, len(manifests))
	err := eachID(l, nil, manifests, func(text string, args []any) error {
		return i.db.Rows(ctx, text, args, func(scan func(...any) error) error {
			var id int64
			var d oci.Digest
			err := scan(&id, &d)
			held[id] = append(held[id], d)
			return err
		})
	})
	return held, err
}

// MarkDamaged marks rows that still have the key, or takes the mark away.
func (i *Inspection) MarkDamaged(ctx context.Context, rows []local.BlobRow, damaged bool) error {
	if len(rows) == 0 {
		return nil
	}
	err := i.db.Write(ctx, Durable, func(tx Queryer) error {
		for _, b := range rows {
			text, args := markGood, []any{string(b.Digest), string(b.Key)}
			if damaged {
				text, args = markDamaged, append([]any{i.now().UnixMicro()}, args...)
			}
			if _, err := tx.Exec(ctx, text, args...); err != nil {
				return err
			}
		}
		return nil
	})
	return failed(err, "mark %d blobs", len(rows))
}

// Counts reads an index of each table from end to end.
func (i *Inspection) Counts(ctx context.Context) (blobs, manifests int64, err error) {
	var trashed int64
	_, err = i.db.Row(ctx, countBlobs, nil, &blobs)
	if err == nil {
		_, err = i.db.Row(ctx, countManifests, nil, &manifests)
	}
	if err == nil {
		_, err = i.db.Row(ctx, countTrashedManifests, nil, &trashed)
	}
	return blobs, manifests + trashed, failed(err, "count rows")
}

// Keys is a page of all blobs' keys in byte order.
func (i *Inspection) Keys(ctx context.Context, after blob.Key, n int) ([]blob.Key, error) {
	keys, err := names[blob.Key](ctx, i.db, keyPage, n, string(after))
	return keys, failed(err, "list keys")
}
