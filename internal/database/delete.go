package database

import (
	"context"
	"database/sql"
	"slices"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	addEntry = `INSERT INTO trash
(kind, namespace, repository, name, deleted_at, deleted_by, manifests, tags, bytes, account_id, incarnation)
VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, COALESCE((SELECT account_id FROM namespaces WHERE name = ?), 0),
COALESCE((SELECT incarnation FROM namespaces WHERE name = ?), '')) RETURNING id, account_id`

	countEntry = `UPDATE trash SET
manifests = (SELECT COUNT(*) FROM trash_manifests m WHERE m.trash_id = trash.id),
tags = (SELECT COUNT(*) FROM trash_tags g WHERE g.trash_id = trash.id),
bytes = (SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM blobs b WHERE b.id IN
	(SELECT x.blob_id FROM trash_manifests m JOIN trash_blobs x ON x.manifest_id = m.id WHERE m.trash_id = trash.id))
WHERE id = ? RETURNING manifests, tags, bytes`

	addEntryRepository = `INSERT INTO trash_repositories (trash_id, repository) VALUES (?, ?)`

	addTrashTag = `INSERT INTO trash_tags (trash_id, repository, name, digest) VALUES (?, ?, ?, ?)`

	deleteTag = `DELETE FROM tags WHERE repository_id = ? AND name = ?`

	parentsOf = `SELECT parent_id FROM manifest_children WHERE repository_id = ? AND child = ?`
)

// Moving manifests to the trash: copies of their rows, then the rows.
var (
	trashManifests = newListed(`INSERT INTO trash_manifests
(trash_id, repository, content_id, media_type, artifact_type, size, subject, annotations, created_at, pulled_at)
SELECT CAST(? AS BIGINT), r.name, m.content_id, m.media_type, m.artifact_type, m.size, m.subject, m.annotations, m.created_at, m.pulled_at
FROM manifests m CROSS JOIN repositories r WHERE r.id = m.repository_id AND m.id IN (*)`)

	trashBlobs = newListed(`INSERT INTO trash_blobs (manifest_id, blob_id)
SELECT t.id, n.blob_id FROM manifests m CROSS JOIN repositories r CROSS JOIN trash_manifests t CROSS JOIN manifest_blobs n
WHERE r.id = m.repository_id AND t.trash_id = ? AND t.repository = r.name AND t.content_id = m.content_id
AND n.manifest_id = m.id AND m.id IN (*)`)

	trashChildren = newListed(`INSERT INTO trash_children (manifest_id, child)
SELECT t.id, n.child FROM manifests m CROSS JOIN manifest_children n CROSS JOIN repositories r CROSS JOIN trash_manifests t
WHERE n.parent_id = m.id AND r.id = m.repository_id
AND t.trash_id = ? AND t.repository = r.name AND t.content_id = m.content_id AND m.id IN (*)`)

	trashTags = newListed(`INSERT INTO trash_tags (trash_id, repository, name, digest)
SELECT CAST(? AS BIGINT), r.name, g.name, m.digest FROM manifests m CROSS JOIN tags g CROSS JOIN repositories r
WHERE g.manifest_id = m.id AND r.id = m.repository_id AND m.id IN (*)`)

	noteTagsGone = newListed(`INSERT INTO tag_moves (repository, name, moved_at, moved_by, from_digest, to_digest)
SELECT r.name, g.name, CAST(? AS BIGINT), CAST(? AS TEXT), m.digest, '' FROM manifests m CROSS JOIN tags g CROSS JOIN repositories r
WHERE g.manifest_id = m.id AND r.id = m.repository_id AND m.id IN (*)`)

	// What was counted goes with what it was counted for.
	dropTagCounts = newListed(`DELETE FROM pulls WHERE kind = 'tag' AND (repository, name) IN
	(SELECT r.name, g.name FROM manifests m CROSS JOIN tags g CROSS JOIN repositories r
	WHERE g.manifest_id = m.id AND r.id = m.repository_id AND m.id IN (*))`)

	dropDigestCounts = newListed(`DELETE FROM pulls WHERE kind = 'digest' AND (repository, name) IN
	(SELECT r.name, m.digest FROM manifests m CROSS JOIN repositories r WHERE r.id = m.repository_id AND m.id IN (*))`)

	deleteTagsOf     = newListed(`DELETE FROM tags WHERE manifest_id IN (*)`)
	deleteBlobsOf    = newListed(`DELETE FROM manifest_blobs WHERE manifest_id IN (*)`)
	deleteChildrenOf = newListed(`DELETE FROM manifest_children WHERE parent_id IN (*)`)
	deleteManifests  = newListed(`DELETE FROM manifests WHERE id IN (*)`)

	untaggedReferrers = newListed(`SELECT m.id, m.digest, m.size FROM manifests m WHERE m.repository_id = ?
AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.manifest_id = m.id) AND m.subject IN (*)`)
)

// trashing is one act of deleting inside its transaction.
type trashing struct {
	tx    Queryer
	act   act
	entry local.TrashEntry
}

// beginTrash writes the entry, still empty, with the repositories it is of.
func beginTrash(ctx context.Context, tx Queryer, a act, e local.TrashEntry, namespace string, repos ...oci.Repo) (*trashing, error) {
	e.Deleted, e.By = moment(a.at), a.by
	args := []any{string(e.Kind), namespace, string(e.Repo), e.Name, a.at, a.by, namespace, namespace}
	if _, err := tx.Row(ctx, addEntry, args, &e.ID, &e.AccountID); err != nil {
		return nil, err
	}
	for _, repo := range repos {
		if _, err := tx.Exec(ctx, addEntryRepository, e.ID, string(repo)); err != nil {
			return nil, err
		}
	}
	return &trashing{tx: tx, act: a, entry: e}, nil
}

// manifests moves manifests of the entry's repositories into it, with their
// tags. Whoever hides a repository sees to its links to blobs.
func (t *trashing) manifests(ctx context.Context, ids []int64) error {
	id, a := t.entry.ID, t.act
	for _, step := range []struct {
		listed
		first []any
	}{
		{trashManifests, []any{id}},
		{trashBlobs, []any{id}},
		{trashChildren, []any{id}},
		{trashTags, []any{id}},
		{noteTagsGone, []any{a.at, a.by}},
		{dropTagCounts, nil},
		{dropDigestCounts, nil},
		{deleteTagsOf, nil},
		{deleteBlobsOf, nil},
		{deleteChildrenOf, nil},
		{deleteManifests, nil},
	} {
		if _, err := execEach(ctx, t.tx, step.listed, step.first, ids); err != nil {
			return err
		}
	}
	return nil
}

// count ends the act: the entry says what it holds.
func (t *trashing) count(ctx context.Context) error {
	_, err := t.tx.Row(ctx, countEntry, []any{t.entry.ID}, &t.entry.Manifests, &t.entry.Tags, &t.entry.Bytes)
	return err
}

// execEach runs a statement for all ids and returns how many rows it changed.
func execEach(ctx context.Context, tx Queryer, l listed, first []any, ids []int64) (int, error) {
	total := 0
	err := eachID(l, first, ids, func(text string, args []any) error {
		n, err := tx.Exec(ctx, text, args...)
		total += int(n)
		return err
	})
	return total, err
}

// DeleteTag moves the tag only to the trash. It holds no manifest there.
func (c *Catalog) DeleteTag(ctx context.Context, repo oci.Repo, tag oci.Tag, keep local.Keep) error {
	err := c.db.Write(ctx, Durable, func(tx Queryer) error {
		id, err := findRepository(ctx, tx, repo)
		if err != nil {
			return err
		}
		was, err := targetOf(ctx, tx, id, tag)
		if err != nil {
			return err
		}
		if was.id == 0 {
			return manifestMissing(ctx, tx, repo, oci.Ref{Tag: tag})
		}
		if keep != nil && keep(repo, tag) {
			return immutable(repo, tag)
		}
		e := local.TrashEntry{Kind: local.TrashedTag, Repo: repo, Name: string(tag)}
		t, err := beginTrash(ctx, tx, actNow(ctx, c.now), e, namespaceOf(repo), repo)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, addTrashTag, t.entry.ID, string(repo), string(tag), string(was.digest)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteTag, id, string(tag)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropTagCount, string(repo), string(tag)); err != nil {
			return err
		}
		if err := noteMove(ctx, tx, t.act, repo, tag, was.digest, ""); err != nil {
			return err
		}
		return t.count(ctx)
	})
	return failed(err, "delete tag %s of %s", tag, repo)
}

// DeleteManifest moves the manifest, its tags and its untagged referrers to
// the trash. Links to blobs stay, until they are found to be unneeded.
func (c *Catalog) DeleteManifest(ctx context.Context, repo oci.Repo, digest oci.Digest, keep local.Keep) error {
	err := c.db.Write(ctx, Durable, func(tx Queryer) error {
		p := place{repo: repo}
		var content, manifest sql.NullInt64
		_, err := tx.Row(ctx, manifestPlace, []any{string(digest), string(repo)}, &p.id, &content, &manifest)
		if err != nil {
			return err
		}
		if !manifest.Valid {
			return manifestMissing(ctx, tx, repo, oci.Ref{Digest: digest})
		}
		f := family{q: tx, repository: p.id}
		if err := f.grow(ctx, member{id: manifest.Int64, digest: digest}); err != nil {
			return err
		}
		if err := f.mayLose(ctx, repo, keep); err != nil {
			return err
		}
		_, err = trashFamily(ctx, tx, actNow(ctx, c.now), repo, f.members)
		return err
	})
	return failed(err, "delete manifest %s of %s", digest, repo)
}

// trashFamily makes an entry of manifests of one repository; the first gives
// it its name.
func trashFamily(ctx context.Context, tx Queryer, a act, repo oci.Repo, members []member) (local.TrashEntry, error) {
	e := local.TrashEntry{Kind: local.TrashedManifest, Repo: repo, Name: string(members[0].digest)}
	t, err := beginTrash(ctx, tx, a, e, namespaceOf(repo), repo)
	if err != nil {
		return e, err
	}
	ids := make([]int64, len(members))
	for i, m := range members {
		ids[i] = m.id
	}
	if err := t.manifests(ctx, ids); err != nil {
		return e, err
	}
	return t.entry, t.count(ctx)
}

// member is one manifest of a family.
type member struct {
	id     int64
	digest oci.Digest
	size   int64
}

// family is what goes with a manifest: its untagged referrers in the same
// repository, theirs, and whatever else more finds. Nobody goes along whom a
// live index names that stays.
type family struct {
	q          Queryer
	repository int64
	// more relatives of members, and whether one may go; may be nil.
	more func(ctx context.Context, f *family, of []member) ([]member, error)
	free func(ctx context.Context, f *family, m member) (bool, error)
	// gone before counts as going.
	gone    map[int64]bool
	members []member
	known   map[int64]bool
}

// grow finds the family of root, root first.
func (f *family) grow(ctx context.Context, root member) error {
	f.known = map[int64]bool{root.id: true}
	f.members = []member{root}
	var waiting []member
	for fresh := f.members; len(fresh) > 0; {
		found, err := f.relatives(ctx, fresh)
		if err != nil {
			return err
		}
		before := len(f.members)
		if waiting, err = f.admit(ctx, append(waiting, found...)); err != nil {
			return err
		}
		fresh = slices.Clone(f.members[before:])
	}
	return nil
}

// mayLose refuses to take a tag along that keep names.
func (f *family) mayLose(ctx context.Context, repo oci.Repo, keep local.Keep) error {
	if keep == nil {
		return nil
	}
	going := make([]int64, len(f.members))
	for i, m := range f.members {
		going[i] = m.id
	}
	tags, err := tagsByManifest(ctx, f.q, going)
	for _, of := range tags {
		for _, tag := range of {
			if keep(repo, tag) {
				return immutable(repo, tag)
			}
		}
	}
	return err
}

func (f *family) relatives(ctx context.Context, of []member) ([]member, error) {
	digests := make([]oci.Digest, len(of))
	for i, m := range of {
		digests[i] = m.digest
	}
	var found []member
	err := each(untaggedReferrers, []any{f.repository}, digests, func(text string, args []any) error {
		return f.q.Rows(ctx, text, args, scanMembers(&found))
	})
	if err != nil || f.more == nil {
		return found, err
	}
	more, err := f.more(ctx, f, of)
	return append(found, more...), err
}

func scanMembers(into *[]member) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var m member
		err := scan(&m.id, &m.digest, &m.size)
		*into = append(*into, m)
		return err
	}
}

// admit takes in those that may go and returns those that may not yet.
func (f *family) admit(ctx context.Context, waiting []member) ([]member, error) {
	for {
		var rest []member
		for _, m := range waiting {
			if f.has(m.id) {
				continue
			}
			ok, err := f.mayGo(ctx, m)
			if err != nil {
				return nil, err
			}
			if !ok {
				rest = append(rest, m)
				continue
			}
			f.known[m.id] = true
			f.members = append(f.members, m)
		}
		if len(rest) == len(waiting) {
			return rest, nil
		}
		waiting = rest
	}
}

func (f *family) has(id int64) bool { return f.known[id] || f.gone[id] }

func (f *family) mayGo(ctx context.Context, m member) (bool, error) {
	stays := false
	err := f.q.Rows(ctx, parentsOf, []any{f.repository, string(m.digest)}, func(scan func(...any) error) error {
		var parent int64
		err := scan(&parent)
		stays = stays || !f.has(parent)
		return err
	})
	if err != nil || stays || f.free == nil {
		return !stays, err
	}
	return f.free(ctx, f, m)
}
