package database

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Trash is local.Trash in SQL.
type Trash struct {
	db  Engine
	now func() time.Time
}

var _ local.Trash = (*Trash)(nil)

// NewTrash keeps a trash in db; now is the clock it dates rows by.
func NewTrash(db Engine, now func() time.Time) *Trash {
	return &Trash{db: db, now: now}
}

const (
	repositoriesBetween = `SELECT id, name FROM repositories WHERE name > ? AND name < ? ORDER BY name`

	manifestsOf = `SELECT id FROM manifests WHERE repository_id = ?`

	// Blobs that a repository holds and, once its manifests are there, the
	// trash does not.
	loneLinks = `SELECT l.blob_id FROM repository_blobs l WHERE l.repository_id = ?
AND NOT EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = l.blob_id)`

	deleteLinksOf    = `DELETE FROM repository_blobs WHERE repository_id = ?`
	endUploadsInto   = `DELETE FROM uploads WHERE repository = ?`
	deleteRepository = `DELETE FROM repositories WHERE id = ?`

	entryPage = `SELECT id FROM trash WHERE id < ? AND purged_at IS NULL ORDER BY id DESC LIMIT ?`

	entryPageOfOwner = `SELECT id FROM trash WHERE account_id = ? AND id < ? AND purged_at IS NULL ORDER BY id DESC LIMIT ?`

	// The owner is -1 for any.
	entryPageOfNamespace = `SELECT id FROM trash t WHERE namespace = ? AND ` + ownedEntry + `id < ? ORDER BY id DESC LIMIT ?`

	entryPageOfRepository = `SELECT r.trash_id FROM trash_repositories r JOIN trash t ON t.id = r.trash_id
WHERE r.repository = ? AND ` + ownedEntry + `r.trash_id < ? ORDER BY r.trash_id DESC LIMIT ?`

	ownedEntry = `(CAST(? AS BIGINT) < 0 OR t.account_id = ?) AND t.purged_at IS NULL AND `

	entryPageOfTag = `SELECT DISTINCT g.trash_id FROM trash_tags g JOIN trash t ON t.id = g.trash_id
WHERE g.name = ? AND ` + ownedEntry + `g.trash_id < ? ORDER BY g.trash_id DESC LIMIT ?`

	entryPageOfTagInNamespace = `SELECT DISTINCT g.trash_id FROM trash_tags g JOIN trash t ON t.id = g.trash_id
WHERE g.name = ? AND t.namespace = ? AND ` + ownedEntry + `g.trash_id < ? ORDER BY g.trash_id DESC LIMIT ?`

	entryPageOfTagInRepository = `SELECT DISTINCT g.trash_id FROM trash_tags g JOIN trash t ON t.id = g.trash_id
WHERE g.name = ? AND g.repository = ? AND ` + ownedEntry + `g.trash_id < ? ORDER BY g.trash_id DESC LIMIT ?`

	entryPageOfDigest = `SELECT DISTINCT m.trash_id FROM manifest_contents c
JOIN trash_manifests m ON m.content_id = c.id JOIN trash t ON t.id = m.trash_id
WHERE c.digest = ? AND ` + ownedEntry + `m.trash_id < ? ORDER BY m.trash_id DESC LIMIT ?`

	entryPageOfDigestInNamespace = `SELECT DISTINCT m.trash_id FROM manifest_contents c
JOIN trash_manifests m ON m.content_id = c.id JOIN trash t ON t.id = m.trash_id
WHERE c.digest = ? AND t.namespace = ? AND ` + ownedEntry + `m.trash_id < ? ORDER BY m.trash_id DESC LIMIT ?`

	entryPageOfDigestInRepository = `SELECT DISTINCT m.trash_id FROM manifest_contents c
JOIN trash_manifests m ON m.content_id = c.id JOIN trash t ON t.id = m.trash_id
WHERE c.digest = ? AND m.repository = ? AND ` + ownedEntry + `m.trash_id < ? ORDER BY m.trash_id DESC LIMIT ?`
)

var (
	entries = newListed(`SELECT id, kind, repository, name, deleted_at, deleted_by, manifests, tags, bytes, account_id
FROM trash WHERE purged_at IS NULL AND id IN (*)`)

	letGo = newListed(`UPDATE blobs SET unlinked_at = ? WHERE unlinked_at IS NULL
AND NOT EXISTS (SELECT 1 FROM repository_blobs l WHERE l.blob_id = blobs.id)
AND NOT EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = blobs.id)
AND id IN (*)`)
)

// namespaceOf is the first path element.
func namespaceOf(repo oci.Repo) string {
	first, _, _ := strings.Cut(string(repo), "/")
	return first
}

// DeleteRepository hides the repository in one entry.
func (t *Trash) DeleteRepository(ctx context.Context, repo oci.Repo, keep local.Keep) (local.TrashEntry, error) {
	e := local.TrashEntry{Kind: local.TrashedRepository, Repo: repo, Name: string(repo)}
	e, err := t.hide(ctx, e, namespaceOf(repo), func(tx Queryer) ([]place, error) {
		id, err := findRepository(ctx, tx, repo)
		if err != nil {
			return nil, err
		}
		p := place{repo, id}
		tag, err := keptTag(ctx, tx, p, keep)
		if err == nil && tag != "" {
			err = immutable(repo, tag)
		}
		return []place{p}, err
	})
	return e, failed(err, "delete repository %s", repo)
}

// DeleteNamespace hides all repositories of the namespace in one entry.
func (t *Trash) DeleteNamespace(ctx context.Context, namespace string) (local.TrashEntry, error) {
	e := local.TrashEntry{Kind: local.TrashedNamespace, Name: namespace}
	e, err := t.hide(ctx, e, namespace, func(tx Queryer) ([]place, error) {
		return repositoriesOf(ctx, tx, namespace)
	})
	return e, failed(err, "delete namespace %s", namespace)
}

func (t *Trash) hide(ctx context.Context, e local.TrashEntry, namespace string, find func(tx Queryer) ([]place, error)) (local.TrashEntry, error) {
	var hidden local.TrashEntry
	err := t.db.Write(ctx, Durable, func(tx Queryer) error {
		places, err := find(tx)
		if err != nil {
			return err
		}
		hidden, err = hide(ctx, tx, actNow(ctx, t.now), e, namespace, places)
		return err
	})
	if err != nil {
		return local.TrashEntry{}, err
	}
	return hidden, nil
}

// hide moves repositories into one entry.
func hide(ctx context.Context, tx Queryer, a act, e local.TrashEntry, namespace string, places []place) (local.TrashEntry, error) {
	repos := make([]oci.Repo, len(places))
	for i, p := range places {
		repos[i] = p.repo
	}
	act, err := beginTrash(ctx, tx, a, e, namespace, repos...)
	if err != nil {
		return e, err
	}
	for _, p := range places {
		if err := act.repository(ctx, p); err != nil {
			return e, err
		}
	}
	err = act.count(ctx)
	return act.entry, err
}

// repositoriesOf gives those whose first path element is namespace. Error:
// NAME_UNKNOWN when there is none.
func repositoriesOf(ctx context.Context, q Queryer, namespace string) ([]place, error) {
	unknown := oci.Errorf(oci.CodeNameUnknown, "the namespace %q has no repository: check its name (it is what stands before the first slash)", namespace)
	if namespace != namespaceOf(oci.Repo(namespace)) {
		return nil, unknown
	}
	var places []place
	own := place{repo: oci.Repo(namespace)}
	found, err := q.Row(ctx, repositoryByName, []any{namespace}, &own.id)
	if err != nil {
		return nil, err
	}
	if found {
		places = append(places, own)
	}
	const slash, afterSlash = "/", "0"
	err = q.Rows(ctx, repositoriesBetween, []any{namespace + slash, namespace + afterSlash}, func(scan func(...any) error) error {
		var p place
		err := scan(&p.id, &p.repo)
		places = append(places, p)
		return err
	})
	if err == nil && len(places) == 0 {
		err = unknown
	}
	return places, err
}

// repository moves all that a repository has into the entry and ends it. What
// is being uploaded into it ends, too: its bytes are nobody's any more.
func (t *trashing) repository(ctx context.Context, p place) error {
	manifests, err := ids(ctx, t.tx, manifestsOf, p.id)
	if err != nil {
		return err
	}
	if err := t.manifests(ctx, manifests); err != nil {
		return err
	}
	lone, err := ids(ctx, t.tx, loneLinks, p.id)
	if err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, deleteLinksOf, p.id); err != nil {
		return err
	}
	if _, err := execEach(ctx, t.tx, letGo, []any{t.act.at}, lone); err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, endUploadsInto, string(p.repo)); err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, dropCounts, string(p.repo)); err != nil {
		return err
	}
	_, err = t.tx.Exec(ctx, deleteRepository, p.id)
	return err
}

// ids reads a column of rows' ids.
func ids(ctx context.Context, q Queryer, text string, args ...any) ([]int64, error) {
	var all []int64
	err := q.Rows(ctx, text, args, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		all = append(all, id)
		return err
	})
	return all, err
}

// TrashEntries is a page of entries, newest first.
func (t *Trash) TrashEntries(ctx context.Context, f local.TrashFilter, before int64, n int) ([]local.TrashEntry, error) {
	if n <= 0 {
		return nil, nil
	}
	text, args := entryPageFor(f)
	page, err := ids(ctx, t.db, text, append(args, orNewest(before), n)...)
	if err != nil {
		return nil, failed(err, "list the trash")
	}
	all, err := readEntries(ctx, t.db, page)
	return all, failed(err, "list the trash")
}

// entryPageFor chooses the index to search by what is asked for. A digest is
// told from a tag by its colon, which no tag has.
func entryPageFor(f local.TrashFilter) (text string, args []any) {
	texts := [3]string{entryPage, entryPageOfNamespace, entryPageOfRepository}
	if f.Name != "" {
		args = []any{f.Name}
		texts = [3]string{entryPageOfTag, entryPageOfTagInNamespace, entryPageOfTagInRepository}
		if strings.Contains(f.Name, ":") {
			texts = [3]string{entryPageOfDigest, entryPageOfDigestInNamespace, entryPageOfDigestInRepository}
		}
	}
	owner := int64(-1)
	if f.Scoped {
		owner = f.AccountID
	}
	switch {
	case f.Repo != "":
		return texts[2], append(args, string(f.Repo), owner, owner)
	case f.Namespace != "":
		return texts[1], append(args, f.Namespace, owner, owner)
	case f.Name != "":
		return texts[0], append(args, owner, owner)
	case f.Scoped:
		return entryPageOfOwner, []any{owner}
	}
	return texts[0], args
}

// readEntries gives those of the entries that are there and not purged, newest
// first.
func readEntries(ctx context.Context, q Queryer, ids []int64) ([]local.TrashEntry, error) {
	var all []local.TrashEntry
	err := eachID(entries, nil, ids, func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var e local.TrashEntry
			var at int64
			err := scan(&e.ID, &e.Kind, &e.Repo, &e.Name, &at, &e.By, &e.Manifests, &e.Tags, &e.Bytes, &e.AccountID)
			e.Deleted = moment(at)
			all = append(all, e)
			return err
		})
	})
	slices.SortFunc(all, func(a, b local.TrashEntry) int { return cmp.Compare(b.ID, a.ID) })
	return all, err
}
