package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	manifestPlace = `SELECT r.id, c.id, m.id FROM repositories r
LEFT JOIN manifest_contents c ON c.digest = ?
LEFT JOIN manifests m ON m.content_id = c.id AND m.repository_id = r.id
WHERE r.name = ?`

	contentByDigest = `SELECT id FROM manifest_contents WHERE digest = ?`

	addContent = `INSERT INTO manifest_contents (digest, body) VALUES (?, ?)
ON CONFLICT (digest) DO NOTHING RETURNING id`

	addManifest = `INSERT INTO manifests
(repository_id, content_id, digest, media_type, artifact_type, size, subject, annotations, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`

	// What is pushed again is wanted as if it had been pulled.
	touchManifest = `UPDATE manifests SET pulled_at = ? WHERE id = ? AND created_at < ? AND (pulled_at IS NULL OR pulled_at < ?)`
)

// The lookups of what a manifest names; a blob that is marked damaged is not
// there. The INSERTs find and record in one
// statement: the number of rows tells whether all were there.
//
// CROSS JOIN, here and in other statements with lists, makes SQLite begin with
// the list. Left to choose, it takes a long list for more than a repository
// holds, and walks over all of that instead.
var (
	linkManifestBlobs = newListed(`INSERT INTO manifest_blobs (blob_id, repository_id, manifest_id)
SELECT b.id, l.repository_id, CAST(? AS BIGINT) FROM blobs b CROSS JOIN repository_blobs l
WHERE l.blob_id = b.id AND l.repository_id = ? AND b.damaged_at IS NULL AND b.digest IN (*)`)

	linkedOf = newListed(`SELECT b.digest FROM blobs b CROSS JOIN repository_blobs l
WHERE l.blob_id = b.id AND l.repository_id = ? AND b.damaged_at IS NULL AND b.digest IN (*)`)

	linkManifestChildren = newListed(`INSERT INTO manifest_children (repository_id, child, parent_id)
SELECT m.repository_id, m.digest, CAST(? AS BIGINT) FROM manifest_contents c CROSS JOIN manifests m
WHERE m.content_id = c.id AND m.repository_id = ? AND c.digest IN (*)`)

	childrenOf = newListed(`SELECT m.digest FROM manifest_contents c CROSS JOIN manifests m
WHERE m.content_id = c.id AND m.repository_id = ? AND c.digest IN (*)`)
)

// mostMissing bounds the Detail of MANIFEST_BLOB_UNKNOWN.
const mostMissing = 100

// putting is one PutManifest inside its transaction.
type putting struct {
	tx         Queryer
	now        time.Time
	m          local.ManifestRow
	repository int64
	manifest   int64
}

// PutManifest writes the manifest unless it is there, and moves the tags.
func (c *Catalog) PutManifest(ctx context.Context, repo oci.Repo, m local.ManifestRow, tags []oci.Tag, keep local.Keep) error {
	err := c.db.Write(ctx, Durable, func(tx Queryer) error {
		p := putting{tx: tx, now: c.now(), m: m}
		missing, err := p.place(ctx, repo)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return missingError(repo, missing)
		}
		a := act{at: p.now.UnixMicro(), by: registry.Actor(ctx)}
		for _, tag := range tags {
			to := target{p.manifest, m.Digest}
			if _, err := pointTag(ctx, tx, a, place{repo, p.repository}, tag, to, keep); err != nil {
				return err
			}
		}
		return nil
	})
	return failed(err, "write manifest %s of %s", m.Digest, repo)
}

// place finds or writes the manifest and returns what it names in vain.
func (p *putting) place(ctx context.Context, repo oci.Repo) ([]oci.Digest, error) {
	var content, manifest sql.NullInt64
	found, err := p.tx.Row(ctx, manifestPlace, []any{string(p.m.Digest), string(repo)}, &p.repository, &content, &manifest)
	if err != nil {
		return nil, err
	}
	if manifest.Valid {
		p.manifest = manifest.Int64
		old := p.now.Add(-linkAge).UnixMicro()
		if _, err := p.tx.Exec(ctx, touchManifest, p.now.UnixMicro(), p.manifest, old, old); err != nil {
			return nil, err
		}
		// Its blobs cannot have gone (they may be damaged, which is no reason
		// against another tag), its children may have.
		return p.absent(ctx, childrenOf, digestsOf(p.m.Content.Children))
	}
	if !found {
		if p.repository, err = makeRepository(ctx, p.tx, repo, p.now); err != nil {
			return nil, err
		}
	}
	if !content.Valid {
		if content.Int64, err = p.writeContent(ctx); err != nil {
			return nil, err
		}
	}
	if err := p.write(ctx, content.Int64); err != nil {
		return nil, err
	}
	missing, err := p.linkBlobs(ctx, digestsOf(p.m.Content.Blobs))
	if err != nil {
		return nil, err
	}
	children, err := p.linkChildren(ctx)
	return append(missing, children...), err
}

func (p *putting) writeContent(ctx context.Context) (int64, error) {
	var id int64
	found, err := p.tx.Row(ctx, addContent, []any{string(p.m.Digest), p.m.Bytes}, &id)
	if err != nil || found {
		return id, err
	}
	found, err = p.tx.Row(ctx, contentByDigest, []any{string(p.m.Digest)}, &id)
	if err == nil && !found {
		err = fmt.Errorf("content %s neither written nor found", p.m.Digest)
	}
	return id, err
}

func (p *putting) write(ctx context.Context, content int64) error {
	annotations, err := annotationsOf(p.m)
	if err != nil {
		return fmt.Errorf("encode annotations: %w", err)
	}
	subject := sql.NullString{String: string(p.m.Content.Subject), Valid: p.m.Content.Subject != ""}
	_, err = p.tx.Row(ctx, addManifest, []any{
		p.repository, content, string(p.m.Digest), p.m.MediaType, p.m.Content.ArtifactType,
		len(p.m.Bytes), subject, annotations, p.now.UnixMicro(),
	}, &p.manifest)
	return err
}

// linkBlobs records the blobs the manifest needs and returns those that the
// repository lacks.
func (p *putting) linkBlobs(ctx context.Context, blobs []oci.Digest) ([]oci.Digest, error) {
	n, err := p.record(ctx, linkManifestBlobs, blobs)
	if err != nil || n == len(blobs) {
		return nil, err
	}
	return p.absent(ctx, linkedOf, blobs)
}

// linkChildren records the manifests an index names and returns those that
// the repository lacks.
func (p *putting) linkChildren(ctx context.Context) ([]oci.Digest, error) {
	children := digestsOf(p.m.Content.Children)
	n, err := p.record(ctx, linkManifestChildren, children)
	if err != nil || n == len(children) {
		return nil, err
	}
	return p.absent(ctx, childrenOf, children)
}

// record runs an INSERT for all digests and returns how many it found.
func (p *putting) record(ctx context.Context, l listed, digests []oci.Digest) (int, error) {
	total := 0
	err := each(l, []any{p.manifest, p.repository}, digests, func(text string, args []any) error {
		n, err := p.tx.Exec(ctx, text, args...)
		total += int(n)
		return err
	})
	return total, err
}

// absent runs a SELECT for all digests and returns those it did not find, in
// their order.
func (p *putting) absent(ctx context.Context, l listed, digests []oci.Digest) ([]oci.Digest, error) {
	found := make(map[oci.Digest]bool, len(digests))
	err := each(l, []any{p.repository}, digests, func(text string, args []any) error {
		return p.tx.Rows(ctx, text, args, func(scan func(...any) error) error {
			var d oci.Digest
			err := scan(&d)
			found[d] = true
			return err
		})
	})
	var absent []oci.Digest
	for _, d := range digests {
		if !found[d] {
			absent = append(absent, d)
		}
	}
	return absent, err
}

func missingError(repo oci.Repo, missing []oci.Digest) error {
	others := ""
	if n := len(missing) - 1; n > 0 {
		others = fmt.Sprintf(" (and %d more)", n)
	}
	return oci.Errorf(oci.CodeManifestBlobUnknown,
		"the manifest names %s%s, which the repository %s does not hold: push what it names first, then the manifest",
		missing[0], others, repo).WithDetail(missing[:min(len(missing), mostMissing)])
}

// digestsOf names each digest once.
func digestsOf(descriptors []oci.Descriptor) []oci.Digest {
	digests := make([]oci.Digest, 0, len(descriptors))
	seen := make(map[oci.Digest]bool, len(descriptors))
	for _, d := range descriptors {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			digests = append(digests, d.Digest)
		}
	}
	return digests
}
