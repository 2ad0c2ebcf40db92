package database

import (
	"context"
	"database/sql"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	repositoriesInEntry = `SELECT repository FROM trash_repositories WHERE trash_id = ? ORDER BY repository`

	manifestsInEntry = `SELECT id FROM trash_manifests WHERE trash_id = ? AND repository = ?`

	tagsInEntry = `SELECT repository, name, digest FROM trash_tags WHERE trash_id = ? ORDER BY repository, name`

	trashedPlace = `SELECT namespace, incarnation FROM trash WHERE id = ?`

	// A manifest in whatever entry of the same owner that is not purged, the newest first.
	trashedManifest = `SELECT t.id, t.trash_id FROM manifest_contents c
JOIN trash_manifests t ON t.content_id = c.id JOIN trash e ON e.id = t.trash_id
WHERE c.digest = ? AND t.repository = ? AND e.account_id = ? AND e.purged_at IS NULL ORDER BY t.trash_id DESC LIMIT 1`

	// The tags of an entry that can come back at once: their manifest is live
	// and they name nothing else.
	noteTagsBack = `INSERT INTO tag_moves (repository, name, moved_at, moved_by, from_digest, to_digest)
SELECT g.repository, g.name, CAST(? AS BIGINT), CAST(? AS TEXT), '', g.digest FROM trash_tags g
JOIN manifest_contents c ON c.digest = g.digest
JOIN manifests m ON m.content_id = c.id AND m.repository_id = ?
WHERE g.trash_id = ? AND g.repository = ?
AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.name = g.name)`

	bringTags = `INSERT INTO tags (repository_id, name, manifest_id, updated_at)
SELECT m.repository_id, g.name, m.id, CAST(? AS BIGINT) FROM trash_tags g
JOIN manifest_contents c ON c.digest = g.digest
JOIN manifests m ON m.content_id = c.id AND m.repository_id = ?
WHERE g.trash_id = ? AND g.repository = ?
AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.name = g.name)`

	deleteTagsBack = `DELETE FROM trash_tags WHERE trash_id = ? AND repository = ?
AND EXISTS (SELECT 1 FROM tags t JOIN manifests m ON m.id = t.manifest_id
WHERE t.repository_id = ? AND t.name = trash_tags.name AND m.digest = trash_tags.digest)`

	deleteTrashTag = `DELETE FROM trash_tags WHERE trash_id = ? AND repository = ? AND name = ?`
)

// Bringing manifests back: copies of their rows, then the rows. What was
// pushed again meanwhile is there already.
var (
	bringLinks = newListed(`INSERT INTO repository_blobs (blob_id, repository_id, created_at)
SELECT x.blob_id, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM trash_blobs x WHERE x.manifest_id IN (*)
ON CONFLICT (blob_id, repository_id) DO NOTHING`)

	bringManifests = newListed(`INSERT INTO manifests
(repository_id, content_id, digest, media_type, artifact_type, size, subject, annotations, created_at, pulled_at)
SELECT CAST(? AS BIGINT), t.content_id, c.digest, t.media_type, t.artifact_type, t.size, t.subject, t.annotations, t.created_at, CAST(? AS BIGINT)
FROM trash_manifests t CROSS JOIN manifest_contents c WHERE c.id = t.content_id AND t.id IN (*)
ON CONFLICT (content_id, repository_id) DO NOTHING`)

	bringBlobs = newListed(`INSERT INTO manifest_blobs (blob_id, repository_id, manifest_id)
SELECT x.blob_id, m.repository_id, m.id FROM trash_manifests t CROSS JOIN manifests m CROSS JOIN trash_blobs x
WHERE m.content_id = t.content_id AND m.repository_id = ? AND x.manifest_id = t.id AND t.id IN (*)
ON CONFLICT (blob_id, repository_id, manifest_id) DO NOTHING`)

	bringChildren = newListed(`INSERT INTO manifest_children (repository_id, child, parent_id)
SELECT m.repository_id, x.child, m.id FROM trash_manifests t CROSS JOIN trash_children x CROSS JOIN manifests m
WHERE x.manifest_id = t.id AND m.content_id = t.content_id AND m.repository_id = ? AND t.id IN (*)
ON CONFLICT (repository_id, child, parent_id) DO NOTHING`)

	// Children that are not live.
	lostChildren = newListed(`SELECT x.child FROM trash_children x
WHERE NOT EXISTS (SELECT 1 FROM manifest_contents c
	JOIN manifests m ON m.content_id = c.id AND m.repository_id = ? WHERE c.digest = x.child)
AND x.manifest_id IN (*)`)

	// Referrers in an entry.
	trashedReferrers = newListed(`SELECT t.id, c.digest FROM trash_manifests t CROSS JOIN manifest_contents c
WHERE c.id = t.content_id AND t.trash_id = ? AND t.repository = ? AND t.subject IN (*)`)

	deleteTrashBlobs     = newListed(`DELETE FROM trash_blobs WHERE manifest_id IN (*)`)
	deleteTrashChildren  = newListed(`DELETE FROM trash_children WHERE manifest_id IN (*)`)
	deleteTrashManifests = newListed(`DELETE FROM trash_manifests WHERE id IN (*)`)
)

// restoring is one Restore inside its transaction.
type restoring struct {
	tx        Queryer
	act       act
	owner     int64
	overwrite bool
	keep      local.Keep
	out       local.Restored
	// lenders are the other entries that something was taken from.
	lenders map[int64]bool
}

// Restore brings an entry back.
func (t *Trash) Restore(ctx context.Context, id int64, overwrite bool, keep local.Keep) (local.Restored, error) {
	var out local.Restored
	err := t.db.Write(ctx, Durable, func(tx Queryer) error {
		e, err := findEntry(ctx, tx, id)
		if err != nil {
			return err
		}
		r := restoring{tx: tx, act: actNow(ctx, t.now), owner: e.AccountID, overwrite: overwrite, keep: keep, lenders: map[int64]bool{}}
		if err := r.reclaim(ctx, e); err != nil {
			return err
		}
		if err := r.entry(ctx, e); err != nil {
			return err
		}
		out = r.out
		return nil
	})
	if err != nil {
		return local.Restored{}, failed(err, "restore trash entry %d", id)
	}
	return out, nil
}

func (r *restoring) entry(ctx context.Context, e local.TrashEntry) error {
	whole := e.Kind == local.TrashedRepository || e.Kind == local.TrashedNamespace
	var repos []oci.Repo
	err := r.tx.Rows(ctx, repositoriesInEntry, []any{e.ID}, func(scan func(...any) error) error {
		var repo oci.Repo
		err := scan(&repo)
		repos = append(repos, repo)
		return err
	})
	if err != nil {
		return err
	}
	for _, repo := range repos {
		if err := r.repository(ctx, e.ID, repo, whole); err != nil {
			return err
		}
	}
	if err := r.tags(ctx, e.ID); err != nil {
		return err
	}
	r.lenders[e.ID] = true
	for id := range r.lenders {
		if err := r.settle(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// settle counts what an entry still holds, and ends it if that is nothing.
func (r *restoring) settle(ctx context.Context, entry int64) error {
	var manifests, tags int
	var bytes int64
	if _, err := r.tx.Row(ctx, countEntry, []any{entry}, &manifests, &tags, &bytes); err != nil {
		return err
	}
	if manifests+tags > 0 {
		return nil
	}
	return deleteRows(ctx, r.tx, entry)
}

// repository brings back what the entry holds of one repository, except tags
// that need a closer look. An empty repository comes back with whole.
func (r *restoring) repository(ctx context.Context, entry int64, repo oci.Repo, whole bool) error {
	manifests, err := ids(ctx, r.tx, manifestsInEntry, entry, string(repo))
	if err != nil {
		return err
	}
	p := place{repo: repo}
	if whole || len(manifests) > 0 {
		p.id, err = makeRepository(ctx, r.tx, repo, moment(r.act.at))
	} else {
		_, err = r.tx.Row(ctx, repositoryByName, []any{string(repo)}, &p.id)
	}
	if err != nil || p.id == 0 {
		return err
	}
	if err := r.manifests(ctx, p, manifests); err != nil {
		return err
	}
	if _, err := r.tx.Exec(ctx, noteTagsBack, r.act.at, r.act.by, p.id, entry, string(repo)); err != nil {
		return err
	}
	n, err := r.tx.Exec(ctx, bringTags, r.act.at, p.id, entry, string(repo))
	if err != nil {
		return err
	}
	r.out.Tags += int(n)
	_, err = r.tx.Exec(ctx, deleteTagsBack, entry, string(repo), p.id)
	return err
}

// manifests brings manifests back into the repository, with the children they
// need that lie in other entries. They count as pulled now, or the next sweep
// of what is old and untagged would take them again.
func (r *restoring) manifests(ctx context.Context, p place, manifests []int64) error {
	if len(manifests) == 0 {
		return nil
	}
	if _, err := execEach(ctx, r.tx, bringLinks, []any{p.id, r.act.at}, manifests); err != nil {
		return err
	}
	n, err := execEach(ctx, r.tx, bringManifests, []any{p.id, r.act.at}, manifests)
	if err != nil {
		return err
	}
	r.out.Manifests += n
	for _, l := range []listed{bringBlobs, bringChildren} {
		if _, err := execEach(ctx, r.tx, l, []any{p.id}, manifests); err != nil {
			return err
		}
	}
	lost, err := r.lost(ctx, p, manifests)
	if err != nil {
		return err
	}
	for _, l := range []listed{deleteTrashBlobs, deleteTrashChildren, deleteTrashManifests} {
		if _, err := execEach(ctx, r.tx, l, nil, manifests); err != nil {
			return err
		}
	}
	for _, child := range lost {
		if _, err := r.manifest(ctx, &p, child); err != nil { // several may name it
			return err
		}
	}
	return nil
}

// lost are the children of these manifests that are not live.
func (r *restoring) lost(ctx context.Context, p place, manifests []int64) ([]oci.Digest, error) {
	var lost []oci.Digest
	err := eachID(lostChildren, []any{p.id}, manifests, func(text string, args []any) error {
		return r.tx.Rows(ctx, text, args, func(scan func(...any) error) error {
			var d oci.Digest
			err := scan(&d)
			lost = append(lost, d)
			return err
		})
	})
	return lost, err
}

// borrow brings a manifest back from whatever entry holds it, with its
// referrers in that entry, and tells whether there is one.
func (r *restoring) borrow(ctx context.Context, repo oci.Repo, digest oci.Digest) (bool, error) {
	var id, lender int64
	found, err := r.tx.Row(ctx, trashedManifest, []any{string(digest), string(repo), r.owner}, &id, &lender)
	if err != nil || !found {
		return false, err
	}
	manifests := []int64{id}
	seen := map[int64]bool{id: true}
	for fresh := []oci.Digest{digest}; len(fresh) > 0; {
		subjects := fresh
		fresh = nil
		err := each(trashedReferrers, []any{lender, string(repo)}, subjects, func(text string, args []any) error {
			return r.tx.Rows(ctx, text, args, func(scan func(...any) error) error {
				var id int64
				var d oci.Digest
				err := scan(&id, &d)
				if !seen[id] {
					seen[id] = true
					manifests, fresh = append(manifests, id), append(fresh, d)
				}
				return err
			})
		})
		if err != nil {
			return false, err
		}
	}
	r.lenders[lender] = true
	p := place{repo: repo}
	if p.id, err = makeRepository(ctx, r.tx, repo, moment(r.act.at)); err != nil {
		return false, err
	}
	return true, r.manifests(ctx, p, manifests)
}

// trashedTag is a tag in an entry.
type trashedTag struct {
	repo   oci.Repo
	name   oci.Tag
	digest oci.Digest
}

// tags looks at those that did not simply come back with their repository.
func (r *restoring) tags(ctx context.Context, entry int64) error {
	var left []trashedTag
	err := r.tx.Rows(ctx, tagsInEntry, []any{entry}, func(scan func(...any) error) error {
		var t trashedTag
		err := scan(&t.repo, &t.name, &t.digest)
		left = append(left, t)
		return err
	})
	if err != nil {
		return err
	}
	for _, t := range left {
		current, back, err := r.tag(ctx, t)
		if err != nil {
			return err
		}
		if !back {
			r.out.Conflicts = append(r.out.Conflicts, local.TagConflict{Repo: t.repo, Tag: t.name, Trashed: t.digest, Current: current})
			continue
		}
		if _, err := r.tx.Exec(ctx, deleteTrashTag, entry, string(t.repo), string(t.name)); err != nil {
			return err
		}
	}
	return nil
}

// tag brings a tag back, and its manifest if need be. If it may not (current
// is what it names) or cannot (current is ""), back is false.
func (r *restoring) tag(ctx context.Context, t trashedTag) (current oci.Digest, back bool, err error) {
	p := place{repo: t.repo}
	if _, err := r.tx.Row(ctx, repositoryByName, []any{string(t.repo)}, &p.id); err != nil {
		return "", false, err
	}
	is, err := targetOf(ctx, r.tx, p.id, t.name)
	if err != nil || is.digest == t.digest {
		return "", true, err
	}
	if is.id != 0 && !r.overwrite {
		return is.digest, false, nil
	}
	to, err := r.manifest(ctx, &p, t.digest)
	if err != nil || to.id == 0 {
		return "", false, err
	}
	if _, err := pointTag(ctx, r.tx, r.act, p, t.name, to, r.keep); err != nil {
		return "", false, err
	}
	r.out.Tags++
	return "", true, nil
}

// manifest finds a live one or brings it back; the id is 0 if it is nowhere.
func (r *restoring) manifest(ctx context.Context, p *place, digest oci.Digest) (target, error) {
	for range 2 {
		var content, id sql.NullInt64
		if _, err := r.tx.Row(ctx, manifestPlace, []any{string(digest), string(p.repo)}, &p.id, &content, &id); err != nil {
			return target{}, err
		}
		if id.Valid {
			return target{id.Int64, digest}, nil
		}
		if back, err := r.borrow(ctx, p.repo, digest); err != nil || !back {
			return target{}, err
		}
	}
	return target{}, nil
}
