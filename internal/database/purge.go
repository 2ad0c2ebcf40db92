package database

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	entriesBefore = `SELECT id FROM trash WHERE deleted_at < ? ORDER BY deleted_at, id LIMIT ?`

	blobsInEntry = `SELECT x.blob_id FROM trash_manifests m JOIN trash_blobs x ON x.manifest_id = m.id WHERE m.trash_id = ?`

	contentsInEntry = `SELECT content_id FROM trash_manifests WHERE trash_id = ?`

	deleteEntryBlobs = `DELETE FROM trash_blobs WHERE manifest_id IN (SELECT id FROM trash_manifests WHERE trash_id = ?)`

	deleteEntryChildren = `DELETE FROM trash_children WHERE manifest_id IN (SELECT id FROM trash_manifests WHERE trash_id = ?)`

	deleteEntryManifests    = `DELETE FROM trash_manifests WHERE trash_id = ?`
	deleteEntryTags         = `DELETE FROM trash_tags WHERE trash_id = ?`
	deleteEntryRepositories = `DELETE FROM trash_repositories WHERE trash_id = ?`
	deleteEntry             = `DELETE FROM trash WHERE id = ?`
)

var deleteContents = newListed(`DELETE FROM manifest_contents WHERE
NOT EXISTS (SELECT 1 FROM manifests m WHERE m.content_id = manifest_contents.id)
AND NOT EXISTS (SELECT 1 FROM trash_manifests t WHERE t.content_id = manifest_contents.id)
AND id IN (*)`)

// Purge forgets an entry.
func (t *Trash) Purge(ctx context.Context, id int64) error {
	err := t.db.Write(ctx, Durable, func(tx Queryer) error {
		if _, err := findEntry(ctx, tx, id); err != nil {
			return err
		}
		return purge(ctx, tx, t.now().UnixMicro(), id)
	})
	return failed(err, "purge trash entry %d", id)
}

// PurgeBefore forgets old entries.
func (t *Trash) PurgeBefore(ctx context.Context, before time.Time, n int) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	purged := 0
	err := t.db.Write(ctx, Durable, func(tx Queryer) error {
		old, err := ids(ctx, tx, entriesBefore, before.UnixMicro(), n)
		if err != nil {
			return err
		}
		for _, id := range old {
			if err := purge(ctx, tx, t.now().UnixMicro(), id); err != nil {
				return err
			}
		}
		purged = len(old)
		return nil
	})
	if err != nil {
		return 0, failed(err, "purge old trash")
	}
	return purged, nil
}

// findEntry reads an entry. Error: MANIFEST_UNKNOWN.
func findEntry(ctx context.Context, q Queryer, id int64) (local.TrashEntry, error) {
	found, err := readEntries(ctx, q, []int64{id})
	if err != nil {
		return local.TrashEntry{}, err
	}
	if len(found) == 0 {
		return local.TrashEntry{}, oci.Errorf(oci.CodeManifestUnknown, "the trash has no entry %d: it was restored or purged; list the trash to see what there is", id)
	}
	return found[0], nil
}

// purge removes the entry's rows, then manifests' bytes that nobody names,
// and lets go of blobs that nobody holds.
func purge(ctx context.Context, tx Queryer, now, entry int64) error {
	blobs, err := ids(ctx, tx, blobsInEntry, entry)
	if err != nil {
		return err
	}
	contents, err := ids(ctx, tx, contentsInEntry, entry)
	if err != nil {
		return err
	}
	if err := deleteRows(ctx, tx, entry); err != nil {
		return err
	}
	if _, err := execEach(ctx, tx, deleteContents, nil, unique(contents)); err != nil {
		return err
	}
	_, err = execEach(ctx, tx, letGo, []any{now}, unique(blobs))
	return err
}

// deleteRows removes the entry with all that is left in it.
func deleteRows(ctx context.Context, tx Queryer, entry int64) error {
	for _, text := range []string{
		deleteEntryBlobs, deleteEntryChildren, deleteEntryManifests, deleteEntryTags, deleteEntryRepositories, deleteEntry,
	} {
		if _, err := tx.Exec(ctx, text, entry); err != nil {
			return err
		}
	}
	return nil
}

func unique(ids []int64) []int64 {
	seen := make(map[int64]bool, len(ids))
	once := ids[:0]
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			once = append(once, id)
		}
	}
	return once
}
