package database

import (
	"context"
	"encoding/json"
	"fmt"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	manifestByTag = `SELECT m.digest, m.media_type, c.body FROM repositories r
JOIN tags t ON t.repository_id = r.id AND t.name = ?
JOIN manifests m ON m.id = t.manifest_id
JOIN manifest_contents c ON c.id = m.content_id
WHERE r.name = ?`

	manifestByDigest = `SELECT m.media_type, c.body FROM repositories r
JOIN manifest_contents c ON c.digest = ?
JOIN manifests m ON m.content_id = c.id AND m.repository_id = r.id
WHERE r.name = ?`

	tagPage = `SELECT name FROM tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?`

	referrerPage = `SELECT digest, media_type, size, artifact_type, annotations FROM manifests
WHERE repository_id = ? AND subject = ? AND digest > ? ORDER BY digest LIMIT ?`

	referrerPageOfType = `SELECT digest, media_type, size, artifact_type, annotations FROM manifests
WHERE repository_id = ? AND subject = ? AND artifact_type = ? AND digest > ? ORDER BY digest LIMIT ?`
)

// Manifest is one statement when it is there; only a miss asks further.
func (c *Catalog) Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error) {
	var m oci.Manifest
	var found bool
	var err error
	if ref.Digest != "" {
		m.Digest = ref.Digest
		found, err = c.db.Row(ctx, manifestByDigest, []any{string(ref.Digest), string(repo)}, &m.MediaType, &m.Bytes)
	} else {
		found, err = c.db.Row(ctx, manifestByTag, []any{string(ref.Tag), string(repo)}, &m.Digest, &m.MediaType, &m.Bytes)
	}
	if err != nil {
		return oci.Manifest{}, failed(err, "read manifest %s of %s", ref, repo)
	}
	if !found {
		return oci.Manifest{}, manifestMissing(ctx, c.db, repo, ref)
	}
	m.Size = int64(len(m.Bytes))
	return m, nil
}

// manifestMissing says which of repository and manifest is unknown.
func manifestMissing(ctx context.Context, q Queryer, repo oci.Repo, ref oci.Ref) error {
	if _, err := findRepository(ctx, q, repo); err != nil {
		return failed(err, "look for the repository %s", repo)
	}
	if ref.Digest != "" {
		return oci.Errorf(oci.CodeManifestUnknown, "the repository %s holds no manifest %s: check the digest, or push it again", repo, ref.Digest)
	}
	return oci.Errorf(oci.CodeManifestUnknown, "the repository %s has no tag %s: list its tags to see what there is", repo, ref.Tag)
}

// Tags is a page of names in byte order.
func (c *Catalog) Tags(ctx context.Context, repo oci.Repo, after oci.Tag, n int) ([]oci.Tag, error) {
	id, err := findRepository(ctx, c.db, repo)
	if err != nil {
		return nil, failed(err, "list tags of %s", repo)
	}
	page, err := names[oci.Tag](ctx, c.db, tagPage, n, id, string(after))
	return page, failed(err, "list tags of %s", repo)
}

// Referrers is a page by digest; what is unknown has none.
func (c *Catalog) Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, artifactType string, after oci.Digest, n int) ([]oci.Descriptor, error) {
	if n <= 0 {
		return nil, nil
	}
	var id int64
	found, err := c.db.Row(ctx, repositoryByName, []any{string(repo)}, &id)
	if err != nil || !found {
		return nil, failed(err, "list referrers in %s", repo)
	}
	text, args := referrerPage, []any{id, string(subject), string(after), n}
	if artifactType != "" {
		text, args = referrerPageOfType, []any{id, string(subject), artifactType, string(after), n}
	}
	var page []oci.Descriptor
	err = c.db.Rows(ctx, text, args, func(scan func(...any) error) error {
		d, err := scanReferrer(scan)
		page = append(page, d)
		return err
	})
	if err != nil {
		return nil, failed(err, "list referrers of %s in %s", subject, repo)
	}
	return page, nil
}

func scanReferrer(scan func(...any) error) (oci.Descriptor, error) {
	var d oci.Descriptor
	var annotations string
	if err := scan(&d.Digest, &d.MediaType, &d.Size, &d.ArtifactType, &annotations); err != nil {
		return d, err
	}
	if annotations == "" {
		return d, nil
	}
	if err := json.Unmarshal([]byte(annotations), &d.Annotations); err != nil {
		return d, fmt.Errorf("annotations of %s: %w", d.Digest, err)
	}
	return d, nil
}

// annotationsOf is what Referrers shows, as JSON.
func annotationsOf(m local.ManifestRow) (string, error) {
	if m.Content.Subject == "" || len(m.Content.Annotations) == 0 {
		return "", nil
	}
	b, err := json.Marshal(m.Content.Annotations)
	return string(b), err
}
