package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"fairlead.dev/fairlead/internal/oci"
)

// maxDepth bounds how deep indexes may be nested in what is copied.
const maxDepth = 8

// Copied counts what a copy stored.
type Copied struct {
	Digest           oci.Digest
	Manifests, Blobs int
}

// Copy makes an image of another repository an image of this one: its blobs
// are mounted, nothing is sent again. Children go first, the tag last, so that
// no reader sees a part. With referrers, what refers to any of its manifests
// (signatures and the like) goes along. Errors: as Reader and Writer;
// DENIED when from may not be read.
func Copy(ctx context.Context, reg Registry, to oci.Repo, tag oci.Tag, from oci.Repo, ref oci.Ref, referrers bool) (Copied, error) {
	c := copying{reg: reg, to: to, from: from, referrers: referrers, done: map[oci.Digest]bool{}}
	m, err := reg.Manifest(ctx, from, ref)
	if err != nil {
		return c.n, err
	}
	c.n.Digest = m.Digest
	if err := c.manifest(ctx, m, tag, 0); err != nil {
		return c.n, fmt.Errorf("copy %s of %s to %s: %w", ref, from, to, err)
	}
	return c.n, nil
}

type copying struct {
	reg       Registry
	to, from  oci.Repo
	referrers bool
	done      map[oci.Digest]bool
	n         Copied
}

// manifest copies what m names, then m.
func (c *copying) manifest(ctx context.Context, m oci.Manifest, tag oci.Tag, depth int) error {
	if c.done[m.Digest] && tag == "" {
		return nil
	}
	if depth > maxDepth {
		return oci.Errorf(oci.CodeManifestInvalid, "indexes are nested more than %d deep: copy the images one by one", maxDepth)
	}
	c.done[m.Digest] = true
	_, content, err := oci.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		return err
	}
	if c.from != c.to {
		if err := c.parts(ctx, content, depth); err != nil {
			return err
		}
	}
	put := Put{MediaType: m.MediaType, Digest: m.Digest, Body: bytes.NewReader(m.Bytes), Size: int64(len(m.Bytes))}
	if tag != "" {
		put.Tags = []oci.Tag{tag}
	}
	if _, err := c.reg.PutManifest(ctx, c.to, put); err != nil {
		return err
	}
	if c.from == c.to {
		return nil // only the tag is new
	}
	c.n.Manifests++
	if !c.referrers {
		return nil
	}
	for r, err := range c.reg.Referrers(ctx, c.from, m.Digest, Filter{}) {
		if err != nil {
			return err
		}
		if err := c.child(ctx, r.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// parts copies what the content names.
func (c *copying) parts(ctx context.Context, content oci.Content, depth int) error {
	for _, b := range content.Blobs {
		_, err := c.reg.Mount(ctx, c.to, c.from, b.Digest)
		if errors.Is(err, oci.ErrBlobUnknown) {
			return oci.Errorf(oci.CodeManifestBlobUnknown, "the blob %s could not be mounted from %s", b.Digest, c.from)
		}
		if err != nil {
			return err
		}
		c.n.Blobs++
	}
	for _, child := range content.Children {
		if err := c.child(ctx, child.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) child(ctx context.Context, digest oci.Digest, depth int) error {
	m, err := c.reg.Manifest(ctx, c.from, oci.Ref{Digest: digest})
	if err != nil {
		return err
	}
	return c.manifest(ctx, m, "", depth)
}
