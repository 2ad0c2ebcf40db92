package local

import (
	"context"
	"fmt"
	"io"
	"math"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// PutManifest implements registry.Writer.
func (r *Registry) PutManifest(ctx context.Context, repo oci.Repo, put registry.Put) (registry.Stored, error) {
	var stored registry.Stored
	if err := r.room(ctx); err != nil {
		return stored, err
	}
	body, err := readManifest(put, r.o.Limits.ManifestBytes)
	if err != nil {
		return stored, err
	}
	algorithm := oci.SHA256
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	digest := oci.DigestOf(algorithm, body)
	if put.Digest != "" && digest != put.Digest {
		return stored, oci.Errorf(oci.CodeDigestInvalid, "the manifest was pushed as %s but its digest is %s: push the bytes that the digest names", put.Digest, digest)
	}
	mediaType, content, err := oci.ParseManifest(put.MediaType, body)
	if err != nil {
		return stored, err
	}
	row := ManifestRow{
		Manifest: oci.Manifest{
			Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(body))},
			Bytes:      body,
		},
		Content: content,
	}
	defer r.cache.forgetTag(repo, put.Tags...)
	if err := r.o.Catalog.PutManifest(ctx, repo, row, put.Tags, r.o.Immutable); err != nil {
		return stored, fmt.Errorf("put manifest %s into %s: %w", digest, repo, err)
	}
	return registry.Stored{Descriptor: row.Descriptor, Subject: content.Subject}, nil
}

// readManifest reads at most limit bytes; what is longer is refused, and when
// its length was announced, without being read.
func readManifest(put registry.Put, limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = math.MaxInt64 - 1
	}
	if put.Size > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(put.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return oci.Errorf(oci.CodeManifestTooLarge, "the manifest is larger than the %d bytes this registry accepts: put fewer annotations or layers into it, or ask the operator to raise max-manifest-size", limit)
}

func (r *Registry) room(ctx context.Context) error {
	if r.o.Room == nil {
		return nil
	}
	ok, err := r.o.Room(ctx)
	if err != nil {
		return fmt.Errorf("ask for the room left: %w", err)
	}
	if !ok {
		return oci.Errorf(oci.CodeStorageFull, "the registry's disk is nearly full: pushes are refused until the operator makes room (min-free-disk), pulls go on")
	}
	return nil
}
