package database

import (
	"context"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Overview is local.Overview in SQL.
type Overview struct {
	db Engine
}

var _ local.Overview = (*Overview)(nil)

// NewOverview lists what is in db.
func NewOverview(db Engine) *Overview { return &Overview{db: db} }

const (
	// Each number is a search for this repository alone. Blobs are those that
	// a manifest needs: links that nothing needs are the sweep's.
	repositoryInfo = `SELECT r.name, r.created_at, (SELECT COUNT(*) FROM tags t WHERE t.repository_id = r.id),
(SELECT COALESCE(MAX(t.updated_at), 0) FROM tags t WHERE t.repository_id = r.id),
(SELECT COUNT(*) FROM manifests m WHERE m.repository_id = r.id),
(SELECT COALESCE(MAX(m.created_at), 0) FROM manifests m WHERE m.repository_id = r.id),
(SELECT CAST(COALESCE(SUM(m.size), 0) AS BIGINT) FROM manifests m WHERE m.repository_id = r.id),
(SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM repository_blobs l CROSS JOIN blobs b
	WHERE l.repository_id = r.id AND b.id = l.blob_id AND EXISTS
	(SELECT 1 FROM manifest_blobs n WHERE n.blob_id = l.blob_id AND n.repository_id = l.repository_id)),
COALESCE(p.total, 0), COALESCE(p.last_at, 0) FROM repositories r
LEFT JOIN pulls p ON p.repository = r.name AND p.kind = 'repository' AND p.name = '' `

	repositoryNamed    = repositoryInfo + `WHERE r.name = ?`
	repositoriesInfo   = repositoryInfo + `WHERE r.name > ? AND r.name < ? ORDER BY r.name LIMIT ?`
	imageInfo          = `SELECT r.name, t.name, m.id, m.digest, m.media_type, m.artifact_type, m.created_at, t.updated_at, `
	pullsOfTag         = `COALESCE(p.total, 0), COALESCE(p.last_at, 0) FROM repositories r CROSS JOIN tags t CROSS JOIN manifests m `
	joinTag            = `LEFT JOIN pulls p ON p.repository = r.name AND p.kind = 'tag' AND p.name = t.name `
	imagesOfRepository = imageInfo + pullsOfTag + joinTag + `WHERE t.repository_id = r.id AND m.id = t.manifest_id
AND r.name = ? AND t.name > ? ORDER BY t.name LIMIT ?`
	imagesBetween = imageInfo + pullsOfTag + joinTag + `WHERE t.repository_id = r.id AND m.id = t.manifest_id
AND r.name > ? AND r.name < ? ORDER BY r.name, t.name LIMIT ?`

	digestInfo = `SELECT m.id, m.digest, m.media_type, m.artifact_type, m.created_at, COALESCE(m.subject, ''),
(SELECT COUNT(*) FROM manifest_children c WHERE c.repository_id = m.repository_id AND c.child = m.digest),
(SELECT COUNT(*) FROM manifests s WHERE s.repository_id = m.repository_id AND s.subject = m.digest),
COALESCE(p.total, 0), COALESCE(p.last_at, 0) FROM manifests m
LEFT JOIN pulls p ON p.repository = ? AND p.kind = 'digest' AND p.name = m.digest
WHERE m.repository_id = ? AND m.id < ? ORDER BY m.id DESC LIMIT ?`
)

// span is where a list goes on: the repository called like the place itself,
// if it is still to come, then those between two names.
type span struct {
	own          string
	above, below string
}

// spanAfter is what of a place comes after a repository.
func spanAfter(p local.Place, after oci.Repo) span {
	s := span{above: string(after), below: last}
	if p.Prefix == "" {
		return s
	}
	const slash, afterSlash = "/", "0"
	if string(after) < p.Prefix {
		s.own = p.Prefix
	}
	s.above, s.below = max(p.Prefix+slash, string(after)), p.Prefix+afterSlash
	return s
}

// counted hides what was counted before the place began.
func (o *Overview) counted(p local.Place, total, at int64) (int64, time.Time) {
	if total == 0 || moment(at).Before(p.Since) {
		return 0, time.Time{}
	}
	return total, moment(at)
}

// RepositoryPage is a page in the order of names.
func (o *Overview) RepositoryPage(ctx context.Context, p local.Place, after oci.Repo, n int) ([]local.RepositoryInfo, error) {
	var page []local.RepositoryInfo
	read := func(text string, args ...any) error {
		return o.db.Rows(ctx, text, args, func(scan func(...any) error) error {
			var r local.RepositoryInfo
			var created, moved, pushed, manifests, blobs, total, at int64
			err := scan(&r.Repo, &created, &r.Tags, &moved, &r.Manifests, &pushed, &manifests, &blobs, &total, &at)
			r.Created, r.Updated, r.Bytes = moment(created), moment(max(created, moved, pushed)), manifests+blobs
			r.Pulls, r.LastPull = o.counted(p, total, at)
			page = append(page, r)
			return err
		})
	}
	s := spanAfter(p, after)
	var err error
	if s.own != "" && n > 0 {
		err = read(repositoryNamed, s.own)
	}
	if left := n - len(page); err == nil && left > 0 {
		err = read(repositoriesInfo, s.above, s.below, left)
	}
	if err != nil {
		return nil, failed(err, "list repositories")
	}
	return page, nil
}

// images is a page of images with their manifests' rows.
type images struct {
	page []local.ImageInfo
	ids  []int64
}

// ImagePage ends the repository it is in, then goes on to the next ones.
func (o *Overview) ImagePage(ctx context.Context, p local.Place, repo oci.Repo, tag oci.Tag, n int) ([]local.ImageInfo, error) {
	var all images
	s := spanAfter(p, repo)
	within := p.Prefix == "" || string(repo) == p.Prefix || strings.HasPrefix(string(repo), p.Prefix+"/")
	for _, part := range []struct {
		skip bool
		text string
		args []any
	}{
		{repo == "" || !within, imagesOfRepository, []any{string(repo), string(tag)}},
		{s.own == "", imagesOfRepository, []any{s.own, ""}},
		{false, imagesBetween, []any{s.above, s.below}},
	} {
		left := n - len(all.page)
		if part.skip || left <= 0 {
			continue
		}
		if err := o.images(ctx, p, &all, part.text, append(part.args, left)); err != nil {
			return nil, failed(err, "list images")
		}
	}
	sizes, err := sizesOf(ctx, o.db, all.ids)
	if err != nil {
		return nil, failed(err, "measure images")
	}
	for i, id := range all.ids {
		all.page[i].Size = sizes[id]
	}
	return all.page, nil
}

func (o *Overview) images(ctx context.Context, p local.Place, into *images, text string, args []any) error {
	return o.db.Rows(ctx, text, args, func(scan func(...any) error) error {
		var i local.ImageInfo
		var id, pushed, moved, total, at int64
		err := scan(&i.Repo, &i.Tag, &id, &i.Digest, &i.MediaType, &i.Artifact, &pushed, &moved, &total, &at)
		i.Pushed, i.Updated = moment(pushed), moment(moved)
		i.Pulls, i.LastPull = o.counted(p, total, at)
		into.page, into.ids = append(into.page, i), append(into.ids, id)
		return err
	})
}

// DigestPage is a page of manifests, newest first.
func (o *Overview) DigestPage(ctx context.Context, repo oci.Repo, before int64, n int) ([]local.DigestInfo, int64, error) {
	id, err := findRepository(ctx, o.db, repo)
	if err != nil || n <= 0 {
		return nil, before, failed(err, "list digests of %s", repo)
	}
	var page []local.DigestInfo
	var rows []int64
	err = o.db.Rows(ctx, digestInfo, []any{string(repo), id, orNewest(before), n}, func(scan func(...any) error) error {
		d := local.DigestInfo{Repo: repo}
		var row, pushed, total, at int64
		err := scan(&row, &d.Digest, &d.MediaType, &d.Artifact, &pushed, &d.Subject, &d.Parents, &d.Referrers, &total, &at)
		d.Pushed = moment(pushed)
		d.Pulls, d.LastPull = o.counted(local.Place{}, total, at)
		page, rows = append(page, d), append(rows, row)
		return err
	})
	if err != nil {
		return nil, 0, failed(err, "list digests of %s", repo)
	}
	sizes, err := sizesOf(ctx, o.db, rows)
	if err != nil {
		return nil, 0, failed(err, "measure digests of %s", repo)
	}
	tags, err := tagsByManifest(ctx, o.db, rows)
	if err != nil {
		return nil, 0, failed(err, "list digests of %s", repo)
	}
	for i, row := range rows {
		page[i].Size, page[i].Tags = sizes[row], tags[row]
	}
	if len(page) < n {
		return page, 0, nil
	}
	return page, rows[n-1], nil
}

// TagsOf a manifest, in byte order.
func (o *Overview) TagsOf(ctx context.Context, repo oci.Repo, digest oci.Digest) ([]oci.Tag, error) {
	id, err := manifestID(ctx, o.db, repo, digest)
	if err == nil && id == 0 {
		err = manifestMissing(ctx, o.db, repo, oci.Ref{Digest: digest})
	}
	if err != nil {
		return nil, failed(err, "list the tags of %s in %s", digest, repo)
	}
	tags, err := tagsByManifest(ctx, o.db, []int64{id})
	return tags[id], failed(err, "list the tags of %s in %s", digest, repo)
}
