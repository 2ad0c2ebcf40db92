// Package registry is the contract for what a registry does.
//
// One interface of twelve methods has every feature of the OCI Distribution
// protocol behind it: ours (local), and views of it (guard: what one principal
// may do). Names arrive parsed (package oci); every method's errors are
// oci.Errors of the codes named with it, or wrap an internal failure.
package registry

import (
	"context"
	"fmt"
	"io"
	"iter"

	"fairlead.dev/fairlead/internal/oci"
)

// Registry is everything a registry does.
type Registry interface {
	Reader
	Writer
	Deleter
	Lister
}

// Reader resolves and reads.
type Reader interface {
	// Resolve finds the manifest that ref names.
	// Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN.
	Resolve(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Descriptor, error)
	// Manifest is the manifest that ref names, byte-identical to the pushed
	// one. The caller must not change Bytes. Errors: as Resolve.
	Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error)
	// StatBlob finds a blob of the repository; MediaType is empty.
	// Errors: NAME_UNKNOWN, BLOB_UNKNOWN.
	StatBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) (oci.Descriptor, error)
	// OpenBlob reads a range of a blob. Errors: as StatBlob; but bytes that are
	// lost are an internal error here, and BLOB_UNKNOWN there, so that a client
	// that asks before it pushes brings them back.
	OpenBlob(ctx context.Context, repo oci.Repo, digest oci.Digest, r Range) (*Blob, error)
}

// Writer stores.
type Writer interface {
	// PutManifest stores a manifest and moves tags to it, all or nothing.
	// Errors: MANIFEST_INVALID, MANIFEST_TOO_LARGE, DIGEST_INVALID,
	// MANIFEST_BLOB_UNKNOWN (naming what the repository lacks), STORAGE_FULL.
	PutManifest(ctx context.Context, repo oci.Repo, put Put) (Stored, error)
	// Upload begins a blob upload, or opens one by its ID. Another owner's or
	// repository's ID is unknown.
	// Errors: BLOB_UPLOAD_UNKNOWN, TOOMANYREQUESTS, STORAGE_FULL.
	Upload(ctx context.Context, repo oci.Repo, s Session) (Upload, error)
	// Mount makes a blob of from a blob of to, copying nothing.
	// Error: BLOB_UNKNOWN; the caller then begins an ordinary upload.
	Mount(ctx context.Context, to, from oci.Repo, digest oci.Digest) (oci.Descriptor, error)
}

// Deleter removes.
type Deleter interface {
	// DeleteManifest removes a tag (ref is a tag), or a manifest with all its
	// tags (ref is a digest). Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN.
	DeleteManifest(ctx context.Context, repo oci.Repo, ref oci.Ref) error
	// DeleteBlob removes a blob from the repository.
	// Errors: NAME_UNKNOWN, BLOB_UNKNOWN, UNSUPPORTED (a manifest of the
	// repository needs it).
	DeleteBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) error
}

// Lister enumerates, in byte order, beginning after a name. The sequences
// page inside: taking n elements costs n, whatever there is. An error ends
// the sequence.
type Lister interface {
	Repositories(ctx context.Context, in Within, after oci.Repo) iter.Seq2[oci.Repo, error]
	// Tags: error NAME_UNKNOWN.
	Tags(ctx context.Context, repo oci.Repo, after oci.Tag) iter.Seq2[oci.Tag, error]
	// Referrers of subject, by digest. An unknown repository or subject has
	// none (dist, listing-referrers).
	Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, f Filter) iter.Seq2[oci.Descriptor, error]
}

// Within selects repositories: all of them, or those of one namespace; the
// namespace "" has those of one path element.
type Within struct {
	All       bool
	Namespace string
}

// Everywhere selects all repositories.
var Everywhere = Within{All: true}

// Filter of referrers: of one artifact type ("" for all), after a digest.
type Filter struct {
	ArtifactType string
	After        oci.Digest
}

// Range of bytes: from Offset, Length bytes, to the end if Length < 0.
type Range struct {
	Offset, Length int64
}

// Whole is the range of everything.
var Whole = Range{Length: -1}

// Blob is an open blob. Exactly one of Body and URL is set.
type Blob struct {
	// Size of the whole blob in bytes.
	Size int64
	// Body reads the range; it may go on beyond it (an *os.File does), so the
	// reader stops by itself. Close it.
	Body io.ReadCloser
	// URL to send the client to instead, if the store offers one.
	URL string
}

// Put is a manifest to be stored.
type Put struct {
	// MediaType is the Content-Type, parameters stripped; "" if none came.
	MediaType string
	// Digest the client names; "" when it pushes by tag.
	Digest oci.Digest
	// Tags to move to the manifest; may be empty when Digest is set.
	Tags []oci.Tag
	// Body gives the bytes. It is read once it is clear that the caller may
	// push, and not beyond the limit.
	Body io.Reader
	// Size announced for Body, -1 if none was.
	Size int64
}

// Stored is what PutManifest stored.
type Stored struct {
	oci.Descriptor
	// Subject of the manifest, or "".
	Subject oci.Digest
}

// Session selects an upload: an open one by ID, or a new one.
type Session struct {
	// Owner is who may touch the upload, set by guard: a Fairlead token's id.
	Owner string
	// ID of an open upload; "" begins one.
	ID string
	// Algorithm of the digest a new upload will end with; "" is sha256.
	Algorithm oci.Algorithm
	// OneRequest: the upload begins and ends within this request, so that
	// nothing of it needs to be remembered.
	OneRequest bool
}

// OffsetError refuses a chunk that does not continue the upload: it stands at
// Offset bytes.
type OffsetError struct {
	ID     string
	Offset int64
	Sent   int64
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("the chunk begins at byte %d but the upload stands at byte %d: continue there", e.Sent, e.Offset)
}

// Unwrap makes it RANGE_INVALID, 416.
func (e *OffsetError) Unwrap() error { return oci.Errorf(oci.CodeRangeInvalid, "%s", e.Error()) }

// Upload is a blob on its way in. Methods are called by one goroutine; two
// Uploads of one ID take turns, and the offset refuses the later.
type Upload interface {
	// ID for later requests; random, not guessable.
	ID() string
	// Offset is the number of bytes received so far.
	Offset() int64
	// MinChunk is the smallest chunk the store can take, 0 if any.
	MinChunk() int64
	// Append receives a chunk that begins at offset. Bytes that arrived
	// before an error count: Offset tells. Errors: *OffsetError,
	// BLOB_TOO_LARGE, TOOMANYREQUESTS, STORAGE_FULL, or r's own error.
	Append(ctx context.Context, offset int64, r io.Reader) error
	// Commit ends the upload: its content becomes a blob of the repository,
	// durable when Commit returns. With the wrong digest the upload is gone.
	// Errors: DIGEST_INVALID, BLOB_UPLOAD_UNKNOWN.
	Commit(ctx context.Context, digest oci.Digest) (oci.Descriptor, error)
	// Cancel drops the upload and its bytes.
	Cancel(ctx context.Context) error
	// Close releases what the request holds; the upload stays open.
	Close() error
}
