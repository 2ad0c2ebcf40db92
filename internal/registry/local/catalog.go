package local

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// BlobRow is where a blob's bytes lie.
type BlobRow struct {
	Digest oci.Digest
	Size   int64
	Key    blob.Key
	// Damaged: an fsck found its bytes missing or wrong.
	Damaged bool
}

// ManifestRow is a manifest to be written, with what its body says.
type ManifestRow struct {
	oci.Manifest
	Content oci.Content
}

// UploadRow is an upload as it is remembered between requests.
type UploadRow struct {
	ID        string
	Repo      oci.Repo
	Owner     string
	Key       blob.Key
	Algorithm oci.Algorithm
	// Offset is the number of bytes received; Hash is the marshalled hash
	// state over them.
	Offset int64
	Hash   []byte
	// Epoch is the life of the process that last advanced the upload. A row
	// of another epoch may name bytes that a power cut took, so they are
	// hashed again before the upload goes on.
	Epoch   string
	Updated time.Time
}

// Usage is what an owner has under way.
type Usage struct {
	Uploads int
	Bytes   int64
}

// Keep tells which tags must neither move nor go; nil keeps none. It is asked
// inside of transactions: it answers from memory.
type Keep func(oci.Repo, oci.Tag) bool

// Catalog keeps what the registry knows; manifests' bytes lie in it, blobs'
// bytes do not. Each method is one transaction. Writes are durable (they
// survive power loss) when the method returns.
type Catalog interface {
	// PutManifest writes the manifest and moves the tags, creating the
	// repository if need be. Every blob and child that the content names must
	// be linked in this repository, and no blob be marked damaged: otherwise
	// MANIFEST_BLOB_UNKNOWN with
	// Detail []oci.Digest, the missing ones (at most 100). Subjects are not
	// checked. A manifest that is there already is left as it is, whatever has
	// become of its blobs. Tags that move are noted in their history, with
	// registry.Actor of ctx. Error: TAG_IMMUTABLE when a tag would move that
	// keep names.
	PutManifest(ctx context.Context, repo oci.Repo, m ManifestRow, tags []oci.Tag, keep Keep) error
	// Manifest by tag or digest, with ArtifactType and Annotations empty.
	// Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN.
	Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error)
	// DeleteManifest moves the manifest and the tags that name it to the
	// trash. With it go its referrers in this repository, and theirs, that
	// have no tag and are in no live index: whoever caches manifests must
	// forget those, too. Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN,
	// TAG_IMMUTABLE when a tag would go that keep names.
	DeleteManifest(ctx context.Context, repo oci.Repo, digest oci.Digest, keep Keep) error
	// DeleteTag moves the tag only to the trash.
	// Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN, TAG_IMMUTABLE if keep names it.
	DeleteTag(ctx context.Context, repo oci.Repo, tag oci.Tag, keep Keep) error

	// LinkBlob makes the blob a member of the repository (created if need
	// be) and ends the upload, if one is named, in the same transaction. If
	// the registry has the digest already, its row stays and is returned: a
	// caller whose Key lost deletes its bytes. A row that is marked damaged
	// takes the caller's Key and Size instead, and is good again: its old key
	// is named no more. With Key "" only a blob that the registry has, and
	// undamaged, is linked, else BLOB_UNKNOWN. A link that is there is dated
	// anew (within ten minutes), so that Retention sees it was wanted.
	LinkBlob(ctx context.Context, repo oci.Repo, b BlobRow, uploadID string) (BlobRow, error)
	// Blob of this repository. Errors: NAME_UNKNOWN, BLOB_UNKNOWN.
	Blob(ctx context.Context, repo oci.Repo, digest oci.Digest) (BlobRow, error)
	// UnlinkBlob ends the membership. Errors: NAME_UNKNOWN, BLOB_UNKNOWN,
	// UNSUPPORTED when a manifest of the repository names the blob.
	UnlinkBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) error

	// Repositories, Tags and Referrers give at most n, in byte order, after
	// the given one ("" for the beginning). Tags: NAME_UNKNOWN. Referrers
	// carry media type, digest, size, artifact type and annotations.
	Repositories(ctx context.Context, in registry.Within, after oci.Repo, n int) ([]oci.Repo, error)
	Tags(ctx context.Context, repo oci.Repo, after oci.Tag, n int) ([]oci.Tag, error)
	Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, artifactType string, after oci.Digest, n int) ([]oci.Descriptor, error)
}

// Uploads remembers uploads between requests. Begin and Advance survive a
// crash of the process; a power cut may take the last of them (the client
// then starts again: no upload is acknowledged content).
type Uploads interface {
	Begin(ctx context.Context, row UploadRow) error
	// Load an upload of this repository and owner; another's is unknown, by
	// the same statement. Error: BLOB_UPLOAD_UNKNOWN.
	Load(ctx context.Context, repo oci.Repo, owner, id string) (UploadRow, error)
	// Advance moves the row from offset to row.Offset with row.Hash and
	// row.Epoch, if it still stands at offset.
	// Errors: RANGE_INVALID (it moved), BLOB_UPLOAD_UNKNOWN.
	Advance(ctx context.Context, row UploadRow, offset int64) error
	// End forgets the upload; an absent one is fine.
	End(ctx context.Context, id string) error
	// Usage of one owner; of all for owner "".
	Usage(ctx context.Context, owner string) (Usage, error)
}

// Garbage finds what nobody needs. None of its methods ever names or removes
// a key that a blob row or an open upload names.
type Garbage interface {
	// Forget removes the rows of at most n blobs that no repository has a
	// link to, that no manifest in the trash names and that were made or last
	// let go before the given time, save those that keep names, and returns them: their keys may be
	// deleted, they will never be named again.
	Forget(ctx context.Context, before time.Time, n int, keep func(oci.Digest) bool) ([]BlobRow, error)
	// AbandonedUploads removes the rows of at most n uploads that nobody
	// touched since before, and returns their keys.
	AbandonedUploads(ctx context.Context, before time.Time, n int) ([]blob.Key, error)
	// UnknownKeys gives those of the keys that no blob row and no upload row
	// names.
	UnknownKeys(ctx context.Context, keys []blob.Key) ([]blob.Key, error)
}
