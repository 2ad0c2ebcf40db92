package database

import (
	"context"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	entriesBefore = `SELECT id FROM trash WHERE deleted_at < ? AND purged_at IS NULL ORDER BY deleted_at, id LIMIT ?`

	purgeEntry = `UPDATE trash SET purged_at = ? WHERE id = ? AND purged_at IS NULL`

	purgedEntry = `SELECT id FROM trash WHERE purged_at IS NOT NULL ORDER BY purged_at, id LIMIT 1`

	// Manifests of an entry, and how many rows go with each.
	heldByEntry = `SELECT m.id, m.content_id,
1 + (SELECT COUNT(*) FROM trash_blobs x WHERE x.manifest_id = m.id) + (SELECT COUNT(*) FROM trash_children c WHERE c.manifest_id = m.id)
FROM trash_manifests m WHERE m.trash_id = ? ORDER BY m.repository, m.content_id LIMIT ?`

	deleteSomeTags = `DELETE FROM trash_tags WHERE trash_id = ? AND (repository, name) IN
(SELECT repository, name FROM trash_tags WHERE trash_id = ? ORDER BY repository, name LIMIT ?)`

	deleteSomeRepositories = `DELETE FROM trash_repositories WHERE trash_id = ? AND repository IN
(SELECT repository FROM trash_repositories WHERE trash_id = ? ORDER BY repository LIMIT ?)`

	deleteEntryRepositories = `DELETE FROM trash_repositories WHERE trash_id = ?`
	deleteEntry             = `DELETE FROM trash WHERE id = ?`
)

var (
	blobIDsOfTrashed = newListed(`SELECT blob_id FROM trash_blobs WHERE manifest_id IN (*)`)

	deleteContents = newListed(`DELETE FROM manifest_contents WHERE
NOT EXISTS (SELECT 1 FROM manifests m WHERE m.content_id = manifest_contents.id)
AND NOT EXISTS (SELECT 1 FROM trash_manifests t WHERE t.content_id = manifest_contents.id)
AND id IN (*)`)
)

// Purge gives an entry up.
func (t *Trash) Purge(ctx context.Context, id int64) error {
	err := t.db.Write(ctx, Durable, func(tx Queryer) error {
		if _, err := findEntry(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, purgeEntry, t.now().UnixMicro(), id)
		return err
	})
	return failed(err, "purge trash entry %d", id)
}

// PurgeBefore gives old entries up.
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
			if _, err := tx.Exec(ctx, purgeEntry, t.now().UnixMicro(), id); err != nil {
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

// Erase removes rows of purged entries.
func (t *Trash) Erase(ctx context.Context, n int) (bool, error) {
	var id int64
	more, err := t.db.Row(ctx, purgedEntry, nil, &id) // mostly there is none, and nothing to write
	if err != nil || !more {
		return false, failed(err, "look for purged trash")
	}
	err = t.db.Write(ctx, Durable, func(tx Queryer) error {
		e := erasing{tx: tx, now: t.now().UnixMicro(), left: n}
		var err error
		more, err = e.entries(ctx)
		return err
	})
	return more && err == nil, failed(err, "remove purged trash")
}

// erasing is one Erase inside its transaction; left is how many rows more it
// may remove.
type erasing struct {
	tx   Queryer
	now  int64
	left int
}

// entries removes what it may and tells whether something is left.
func (e *erasing) entries(ctx context.Context) (more bool, err error) {
	for e.left > 0 {
		var id int64
		found, err := e.tx.Row(ctx, purgedEntry, nil, &id)
		if err != nil || !found {
			return false, err
		}
		if err := e.entry(ctx, id); err != nil {
			return false, err
		}
	}
	var id int64
	return e.tx.Row(ctx, purgedEntry, nil, &id)
}

// entry removes the entry's manifests, then the rest, its own row last.
func (e *erasing) entry(ctx context.Context, id int64) error {
	if err := e.manifests(ctx, id); err != nil {
		return err
	}
	for _, text := range []string{deleteSomeTags, deleteSomeRepositories} {
		if e.left <= 0 {
			return nil
		}
		n, err := e.tx.Exec(ctx, text, id, id, e.left)
		if err != nil {
			return err
		}
		e.left -= int(n)
	}
	if e.left <= 0 {
		return nil
	}
	e.left--
	_, err := e.tx.Exec(ctx, deleteEntry, id)
	return err
}

// manifests removes manifests with what each holds, then bytes of theirs that
// nobody names, and lets go of blobs that nobody holds.
func (e *erasing) manifests(ctx context.Context, entry int64) error {
	manifests, contents, err := e.held(ctx, entry)
	if err != nil {
		return err
	}
	var blobs []int64
	err = eachID(blobIDsOfTrashed, nil, manifests, func(text string, args []any) error {
		some, err := ids(ctx, e.tx, text, args...)
		blobs = append(blobs, some...)
		return err
	})
	if err != nil {
		return err
	}
	for _, step := range []struct {
		listed
		first []any
		ids   []int64
	}{
		{deleteTrashBlobs, nil, manifests},
		{deleteTrashChildren, nil, manifests},
		{deleteTrashManifests, nil, manifests},
		{deleteContents, nil, contents},
		{letGo, []any{e.now}, unique(blobs)},
	} {
		if _, err := execEach(ctx, e.tx, step.listed, step.first, step.ids); err != nil {
			return err
		}
	}
	return nil
}

// held gives manifests of the entry until their rows are as many as may go. The
// last may have more: a manifest goes whole, as it came.
func (e *erasing) held(ctx context.Context, entry int64) (manifests, contents []int64, err error) {
	err = e.tx.Rows(ctx, heldByEntry, []any{entry, e.left}, func(scan func(...any) error) error {
		var manifest, content int64
		var rows int
		if err := scan(&manifest, &content, &rows); err != nil {
			return err
		}
		manifests, contents = append(manifests, manifest), append(contents, content)
		if e.left -= rows; e.left <= 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return manifests, contents, err
}

// deleteRows removes an entry that holds neither manifests nor tags any more.
func deleteRows(ctx context.Context, tx Queryer, entry int64) error {
	for _, text := range []string{deleteEntryRepositories, deleteEntry} {
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
