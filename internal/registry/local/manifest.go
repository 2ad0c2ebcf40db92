package local

import (
	"context"
	"fmt"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// PutManifest implements registry.Writer.
func (r *Registry) PutManifest(ctx context.Context, repo oci.Repo, put registry.Put) (registry.Stored, error) {
	var stored registry.Stored
	if limit := r.o.Limits.ManifestBytes; limit > 0 && int64(len(put.Bytes)) > limit {
		return stored, TooLargeManifest(limit)
	}
	if err := r.room(ctx); err != nil {
		return stored, err
	}
	algorithm := oci.SHA256
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	digest := oci.DigestOf(algorithm, put.Bytes)
	if put.Digest != "" && digest != put.Digest {
		return stored, oci.Errorf(oci.CodeDigestInvalid, "the manifest was pushed as %s but its digest is %s: push the bytes that the digest names", put.Digest, digest)
	}
	mediaType, content, err := oci.ParseManifest(put.MediaType, put.Bytes)
	if err != nil {
		return stored, err
	}
	row := ManifestRow{
		Manifest: oci.Manifest{
			Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(put.Bytes))},
			Bytes:      put.Bytes,
		},
		Content: content,
	}
	defer r.cache.forgetTag(repo, put.Tags...)
	if err := r.o.Catalog.PutManifest(ctx, repo, row, put.Tags); err != nil {
		return stored, fmt.Errorf("put manifest %s into %s: %w", digest, repo, err)
	}
	return registry.Stored{Descriptor: row.Descriptor, Subject: content.Subject}, nil
}

// TooLargeManifest is the refusal of a manifest above limit bytes.
func TooLargeManifest(limit int64) error {
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
