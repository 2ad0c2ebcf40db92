package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	blobOfRepository = `SELECT b.size, b.key, b.damaged_at IS NOT NULL FROM repositories r
JOIN blobs b ON b.digest = ?
JOIN repository_blobs l ON l.blob_id = b.id AND l.repository_id = r.id
WHERE r.name = ?`

	blobByDigest = `SELECT id, size, key, unlinked_at, damaged_at FROM blobs WHERE digest = ?`

	addBlob = `INSERT INTO blobs (digest, size, key, created_at) VALUES (?, ?, ?, ?)
ON CONFLICT (digest) DO NOTHING RETURNING id`

	addLink = `INSERT INTO repository_blobs (blob_id, repository_id, created_at) VALUES (?, ?, ?)
ON CONFLICT (blob_id, repository_id) DO UPDATE SET created_at = excluded.created_at
WHERE repository_blobs.created_at < ?`

	markLinked = `UPDATE blobs SET unlinked_at = NULL WHERE id = ?`

	replaceBlob = `UPDATE blobs SET size = ?, key = ?, unlinked_at = NULL, damaged_at = NULL WHERE id = ?`

	linkedBlob = `SELECT b.id FROM blobs b
JOIN repository_blobs l ON l.blob_id = b.id AND l.repository_id = ?
WHERE b.digest = ?`

	manifestNeeding = `SELECT m.digest FROM manifest_blobs n JOIN manifests m ON m.id = n.manifest_id
WHERE n.blob_id = ? AND n.repository_id = ? LIMIT 1`

	deleteLink = `DELETE FROM repository_blobs WHERE blob_id = ? AND repository_id = ?`

	markUnlinked = `UPDATE blobs SET unlinked_at = ? WHERE id = ?
AND NOT EXISTS (SELECT 1 FROM repository_blobs l WHERE l.blob_id = blobs.id)
AND NOT EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = blobs.id)`
)

// linkAge is how old a link or a manifest must be to be dated anew when it is
// pushed again: what comes back soon costs no write.
const linkAge = 10 * time.Minute

// Blob is one statement when it is there; only a miss asks further.
func (c *Catalog) Blob(ctx context.Context, repo oci.Repo, digest oci.Digest) (local.BlobRow, error) {
	row := local.BlobRow{Digest: digest}
	found, err := c.db.Row(ctx, blobOfRepository, []any{string(digest), string(repo)}, &row.Size, &row.Key, &row.Damaged)
	if err != nil {
		return local.BlobRow{}, failed(err, "find blob %s of %s", digest, repo)
	}
	if !found {
		return local.BlobRow{}, blobMissing(ctx, c.db, repo, digest)
	}
	return row, nil
}

// blobMissing says which of repository and blob is unknown.
func blobMissing(ctx context.Context, q Queryer, repo oci.Repo, digest oci.Digest) error {
	if _, err := findRepository(ctx, q, repo); err != nil {
		return failed(err, "look for the repository %s", repo)
	}
	return oci.Errorf(oci.CodeBlobUnknown, "the repository %s holds no blob %s: check the digest, or push it again", repo, digest)
}

// LinkBlob makes the blob a member and ends the upload.
func (c *Catalog) LinkBlob(ctx context.Context, repo oci.Repo, b local.BlobRow, uploadID string) (local.BlobRow, error) {
	var row local.BlobRow
	err := c.db.Write(ctx, Durable, func(tx Queryer) error {
		var err error
		row, err = c.link(ctx, tx, repo, b, uploadID)
		return err
	})
	if err != nil {
		return local.BlobRow{}, failed(err, "link blob %s to %s", b.Digest, repo)
	}
	return row, nil
}

func (c *Catalog) link(ctx context.Context, tx Queryer, repo oci.Repo, b local.BlobRow, uploadID string) (local.BlobRow, error) {
	now := c.now()
	if uploadID != "" {
		n, err := tx.Exec(ctx, endUploadOf, uploadID, string(repo))
		if err != nil {
			return b, err
		}
		if n == 0 {
			return b, uploadMissing(repo)
		}
	}
	repository, err := makeRepository(ctx, tx, repo, now)
	if err != nil {
		return b, err
	}
	id, b, err := placeBlob(ctx, tx, b, now.UnixMicro())
	if err != nil {
		return b, err
	}
	_, err = tx.Exec(ctx, addLink, id, repository, now.UnixMicro(), now.Add(-linkAge).UnixMicro())
	return b, err
}

// placeBlob finds or writes the blob's row. One that was garbage is garbage
// no more, since the caller links it in the same transaction; a damaged one is
// healed by the caller's bytes.
func placeBlob(ctx context.Context, tx Queryer, b local.BlobRow, now int64) (int64, local.BlobRow, error) {
	var id int64
	if b.Key != "" {
		added, err := tx.Row(ctx, addBlob, []any{string(b.Digest), b.Size, string(b.Key), now}, &id)
		if err != nil || added {
			return id, b, err
		}
	}
	row := local.BlobRow{Digest: b.Digest}
	var unlinked, damaged sql.NullInt64
	found, err := tx.Row(ctx, blobByDigest, []any{string(b.Digest)}, &id, &row.Size, &row.Key, &unlinked, &damaged)
	switch {
	case err != nil:
		return 0, row, err
	case !found && b.Key != "":
		return 0, row, fmt.Errorf("blob %s neither written nor found", b.Digest)
	case damaged.Valid && b.Key != "":
		_, err = tx.Exec(ctx, replaceBlob, b.Size, string(b.Key), id)
		return id, b, err
	case !found || damaged.Valid:
		return 0, row, oci.Errorf(oci.CodeBlobUnknown, "the registry holds no blob %s: push it", b.Digest)
	case unlinked.Valid:
		_, err = tx.Exec(ctx, markLinked, id)
	}
	return id, row, err
}

// UnlinkBlob ends the membership unless a manifest needs the blob.
func (c *Catalog) UnlinkBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) error {
	err := c.db.Write(ctx, Durable, func(tx Queryer) error {
		repository, err := findRepository(ctx, tx, repo)
		if err != nil {
			return err
		}
		var id int64
		found, err := tx.Row(ctx, linkedBlob, []any{repository, string(digest)}, &id)
		if err != nil {
			return err
		}
		if !found {
			return blobMissing(ctx, tx, repo, digest)
		}
		var manifest oci.Digest
		needed, err := tx.Row(ctx, manifestNeeding, []any{id, repository}, &manifest)
		if err != nil {
			return err
		}
		if needed {
			return oci.Errorf(oci.CodeUnsupported, "the manifest %s of %s needs the blob %s: delete the manifest first", manifest, repo, digest)
		}
		if _, err := tx.Exec(ctx, deleteLink, id, repository); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, markUnlinked, c.now().UnixMicro(), id)
		return err
	})
	return failed(err, "unlink blob %s from %s", digest, repo)
}
