package database

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Uploads is local.Uploads in SQL.
type Uploads struct {
	db  Engine
	now func() time.Time
}

var _ local.Uploads = (*Uploads)(nil)

// NewUploads keeps uploads in db; now is the clock that dates their last
// touch.
func NewUploads(db Engine, now func() time.Time) *Uploads {
	return &Uploads{db: db, now: now}
}

const (
	addUpload = `INSERT INTO uploads
(id, repository, owner, key, algorithm, byte_offset, hash, epoch, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	loadUpload = `SELECT key, algorithm, byte_offset, hash, epoch, updated_at FROM uploads
WHERE id = ? AND repository = ? AND owner = ?`

	advanceUpload = `UPDATE uploads SET byte_offset = ?, hash = ?, epoch = ?, updated_at = ?
WHERE id = ? AND repository = ? AND owner = ? AND byte_offset = ?`

	uploadExists = `SELECT byte_offset FROM uploads WHERE id = ? AND repository = ? AND owner = ?`

	endUpload   = `DELETE FROM uploads WHERE id = ?`
	endUploadOf = `DELETE FROM uploads WHERE id = ? AND repository = ?`

	usageOfOwner = `SELECT COUNT(*), CAST(COALESCE(SUM(byte_offset), 0) AS BIGINT) FROM uploads WHERE owner = ?`
	usageOfAll   = `SELECT COUNT(*), CAST(COALESCE(SUM(byte_offset), 0) AS BIGINT) FROM uploads`
)

// Begin remembers a new upload. Updated is set here, by the store's clock.
func (u *Uploads) Begin(ctx context.Context, row local.UploadRow) error {
	err := u.db.Write(ctx, Relaxed, func(tx Queryer) error {
		now := u.now().UnixMicro()
		_, err := tx.Exec(ctx, addUpload, row.ID, string(row.Repo), row.Owner, string(row.Key), string(row.Algorithm),
			row.Offset, notNil(row.Hash), row.Epoch, now, now)
		return err
	})
	return failed(err, "begin upload %s", row.ID)
}

// Load an upload of this repository and owner.
func (u *Uploads) Load(ctx context.Context, repo oci.Repo, owner, id string) (local.UploadRow, error) {
	row := local.UploadRow{ID: id, Repo: repo, Owner: owner}
	var updated int64
	found, err := u.db.Row(ctx, loadUpload, []any{id, string(repo), owner},
		&row.Key, &row.Algorithm, &row.Offset, &row.Hash, &row.Epoch, &updated)
	if err != nil {
		return local.UploadRow{}, failed(err, "load upload %s", id)
	}
	if !found {
		return local.UploadRow{}, uploadMissing(repo)
	}
	row.Updated = moment(updated)
	return row, nil
}

// Advance compares the offset and sets the new one.
func (u *Uploads) Advance(ctx context.Context, row local.UploadRow, offset int64) error {
	err := u.db.Write(ctx, Relaxed, func(tx Queryer) error {
		n, err := tx.Exec(ctx, advanceUpload, row.Offset, notNil(row.Hash), row.Epoch, u.now().UnixMicro(),
			row.ID, string(row.Repo), row.Owner, offset)
		if err != nil || n > 0 {
			return err
		}
		var stands int64
		found, err := tx.Row(ctx, uploadExists, []any{row.ID, string(row.Repo), row.Owner}, &stands)
		if err != nil {
			return err
		}
		if !found {
			return uploadMissing(row.Repo)
		}
		return oci.Errorf(oci.CodeRangeInvalid, "the upload stands at byte %d, not %d: ask for its status and go on from there", stands, offset)
	})
	return failed(err, "advance upload %s", row.ID)
}

// End forgets the upload.
func (u *Uploads) End(ctx context.Context, id string) error {
	err := u.db.Write(ctx, Relaxed, func(tx Queryer) error {
		_, err := tx.Exec(ctx, endUpload, id)
		return err
	})
	return failed(err, "end upload %s", id)
}

// Usage of one owner reads that owner's uploads; of all, every open upload.
func (u *Uploads) Usage(ctx context.Context, owner string) (local.Usage, error) {
	text, args := usageOfOwner, []any{owner}
	if owner == "" {
		text, args = usageOfAll, nil
	}
	var usage local.Usage
	_, err := u.db.Row(ctx, text, args, &usage.Uploads, &usage.Bytes)
	return usage, failed(err, "count open uploads")
}

func uploadMissing(repo oci.Repo) error {
	return oci.Errorf(oci.CodeBlobUploadUnknown, "the repository %s has no such upload of yours: it was finished or cancelled, or expired; begin a new one", repo)
}

// notNil keeps an absent hash state from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
