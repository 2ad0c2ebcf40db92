package registrytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Content is a blob or a manifest of the tests' images.
type Content struct {
	MediaType string
	Bytes     []byte
	Algorithm oci.Algorithm
}

// Blob makes a layer of text.
func Blob(text string) Content {
	return Content{MediaType: "application/vnd.oci.image.layer.v1.tar", Bytes: []byte(text)}
}

// Digest of the content.
func (c Content) Digest() oci.Digest {
	a := c.Algorithm
	if a == "" {
		a = oci.SHA256
	}
	return oci.DigestOf(a, c.Bytes)
}

// Descriptor of the content.
func (c Content) Descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: c.MediaType, Digest: c.Digest(), Size: int64(len(c.Bytes))}
}

// Spec says what a manifest is made of.
type Spec struct {
	Layers       []Content
	Children     []Content // makes it an index
	Subject      *oci.Descriptor
	ArtifactType string
	Annotations  map[string]string
}

// config of every image of the tests.
var config = Content{MediaType: "application/vnd.oci.image.config.v1+json", Bytes: []byte(`{"architecture":"amd64","os":"linux"}`)}

// Manifest makes the manifest.
func (s Spec) Manifest(t testing.TB) Content {
	t.Helper()
	doc := map[string]any{"schemaVersion": 2}
	c := Content{MediaType: oci.MediaTypeImageManifest}
	if s.Children != nil {
		c.MediaType = oci.MediaTypeImageIndex
		doc["manifests"] = descriptors(s.Children)
	} else {
		doc["config"] = config.Descriptor()
		doc["layers"] = descriptors(s.Layers)
	}
	doc["mediaType"] = c.MediaType
	if s.Subject != nil {
		doc["subject"] = s.Subject
	}
	if s.ArtifactType != "" {
		doc["artifactType"] = s.ArtifactType
	}
	if s.Annotations != nil {
		doc["annotations"] = s.Annotations
	}
	var err error
	if c.Bytes, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	return c
}

func descriptors(all []Content) []oci.Descriptor {
	out := []oci.Descriptor{}
	for _, c := range all {
		out = append(out, c.Descriptor())
	}
	return out
}

// Owner of the uploads of the tests.
const Owner = "token-1"

// PushBlob pushes a blob in one request.
func PushBlob(t testing.TB, r registry.Registry, repo oci.Repo, c Content) oci.Descriptor {
	t.Helper()
	d, err := pushBlob(r, repo, c, c.Digest())
	if err != nil {
		t.Fatalf("push a blob into %s: %v", repo, err)
	}
	return d
}

func pushBlob(r registry.Registry, repo oci.Repo, c Content, as oci.Digest) (d oci.Descriptor, err error) {
	ctx := context.Background()
	u, err := r.Upload(ctx, repo, registry.Session{Owner: Owner, Algorithm: as.Algorithm(), OneRequest: true})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	if err := u.Append(ctx, 0, bytes.NewReader(c.Bytes)); err != nil {
		return d, err
	}
	return u.Commit(ctx, as)
}

// Push pushes the manifest with what it refers to.
func (s Spec) Push(t testing.TB, r registry.Registry, repo oci.Repo, tags ...oci.Tag) Content {
	t.Helper()
	m := s.Manifest(t)
	if s.Children == nil {
		PushBlob(t, r, repo, config)
		for _, l := range s.Layers {
			PushBlob(t, r, repo, l)
		}
	}
	PushManifest(t, r, repo, m, tags...)
	return m
}

// Put makes the push of a manifest by tags.
func Put(m Content, tags ...oci.Tag) registry.Put {
	return registry.Put{MediaType: m.MediaType, Tags: tags, Body: bytes.NewReader(m.Bytes), Size: int64(len(m.Bytes))}
}

// PushManifest pushes a manifest alone.
func PushManifest(t testing.TB, r registry.Registry, repo oci.Repo, m Content, tags ...oci.Tag) registry.Stored {
	t.Helper()
	put := Put(m, tags...)
	put.Digest = m.Digest()
	stored, err := r.PutManifest(context.Background(), repo, put)
	if err != nil {
		t.Fatalf("push a manifest into %s: %v", repo, err)
	}
	return stored
}

// ReadBlob reads a range of a blob.
func ReadBlob(t testing.TB, r registry.Registry, repo oci.Repo, d oci.Digest, rng registry.Range) []byte {
	t.Helper()
	b, err := r.OpenBlob(context.Background(), repo, d, rng)
	if err != nil {
		t.Fatalf("open a blob of %s: %v", repo, err)
	}
	var body io.Reader = b.Body
	if rng.Length >= 0 {
		body = io.LimitReader(body, rng.Length)
	}
	got, err := io.ReadAll(body)
	if err = errors.Join(err, b.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return got
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
