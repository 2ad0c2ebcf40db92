package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"fairlead.dev/fairlead/test/clients/harness"
)

const cacheConfig = "application/vnd.buildkit.cacheconfig.v0"

// TestBuildKitCache pushes what BuildKit exports with type=registry. Unless
// told otherwise (image-manifest=true) older ones write an index whose
// entries are not manifests but the cache's layers and its config: blobs.
func TestBuildKitCache(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	for name, form := range map[string]struct {
		mediaType, layerType string
		document             func(layers []ocispec.Descriptor, config ocispec.Descriptor) any
	}{
		"index": {ociIndex, "application/vnd.oci.image.layer.v1.tar+gzip", cacheIndex(ociIndex)},
		"list":  {dockerList, "application/vnd.docker.image.rootfs.diff.tar.gzip", cacheIndex(dockerList)},
		"image": {ociManifest, "application/vnd.oci.image.layer.v1.tar+zstd", cacheImage},
	} {
		t.Run(name, func(t *testing.T) {
			repo := "cache/" + name
			var layers []ocispec.Descriptor
			for i := range 3 {
				layers = append(layers, pushBlob(t, s, repo, form.layerType, harness.Random(uint64(110+i), 5000)))
			}
			config := pushBlob(t, s, repo, cacheConfig, []byte(`{"layers":[{"blob":"`+layers[0].Digest.String()+`","parent":-1}],"records":[]}`))
			manifest, err := json.Marshal(form.document(layers, config))
			if err != nil {
				t.Fatal(err)
			}
			put := func(body []byte) (int, string) {
				return s.Status(t, http.MethodPut, "/v2/"+repo+"/manifests/buildcache", bytes.NewReader(body), http.Header{"Content-Type": {form.mediaType}})
			}
			if code, said := put(manifest); code != http.StatusCreated {
				t.Fatalf("pushing the cache: %d %s", code, said)
			}
			if mt, got := s.Manifest(t, repo, "buildcache"); mt != form.mediaType || !bytes.Equal(got, manifest) {
				t.Errorf("the cache came back as %s: %s", mt, got)
			}
			cacheKeeps(t, s, repo, layers[1])
			missing := content.NewDescriptorFromBytes(form.layerType, []byte("nobody pushed this"))
			lacking, err := json.Marshal(form.document(append(layers, missing), config))
			if err != nil {
				t.Fatal(err)
			}
			if code, said := put(lacking); code != http.StatusBadRequest && code != http.StatusNotFound || !bytes.Contains([]byte(said), []byte(missing.Digest)) {
				t.Errorf("a cache that lacks a blob: %d %s, want a refusal naming %s", code, said, missing.Digest)
			}
		})
	}
}

// cacheKeeps checks that a layer can be read, and not deleted under the cache.
func cacheKeeps(t *testing.T, s *harness.Server, repo string, layer ocispec.Descriptor) {
	t.Helper()
	r, err := s.Repository(t, repo).Blobs().Fetch(t.Context(), layer)
	if err != nil {
		t.Fatalf("fetching a layer of the cache: %v", err)
	}
	defer func() { _ = r.Close() }()
	if _, err := content.ReadAll(r, layer); err != nil {
		t.Errorf("reading a layer of the cache: %v", err)
	}
	if code, said := s.Status(t, http.MethodDelete, "/v2/"+repo+"/blobs/"+layer.Digest.String(), nil, nil); code != http.StatusMethodNotAllowed {
		t.Errorf("deleting a layer that the cache needs: %d %s, want 405", code, said)
	}
}

func cacheIndex(mediaType string) func([]ocispec.Descriptor, ocispec.Descriptor) any {
	return func(layers []ocispec.Descriptor, config ocispec.Descriptor) any {
		return map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": append(layers[:len(layers):len(layers)], config)}
	}
}

func cacheImage(layers []ocispec.Descriptor, config ocispec.Descriptor) any {
	return map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": layers}
}

func pushBlob(t *testing.T, s *harness.Server, repo, mediaType string, blob []byte) ocispec.Descriptor {
	t.Helper()
	desc := content.NewDescriptorFromBytes(mediaType, blob)
	if err := s.Repository(t, repo).Blobs().Push(t.Context(), desc, io.NopCloser(bytes.NewReader(blob))); err != nil {
		t.Fatalf("pushing a blob: %v", err)
	}
	return desc
}
