package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Random gives n bytes that do not compress; equal seeds give equal bytes.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// Image is an OCI image for linux/amd64 with layers of one file each.
func Image(t testing.TB, seed uint64, layers, layerSize int) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	adds := make([]mutate.Addendum, layers)
	for i := range layers {
		content := Tar(t, "file-"+string(rune('a'+i%26)), Random(seed<<16+uint64(i), layerSize))
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
		layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
		check(t, err)
		adds[i] = mutate.Addendum{Layer: layer}
	}
	img, err := mutate.Append(img, adds...)
	check(t, err)
	config, err := img.ConfigFile()
	check(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Cmd = []string{"/file-a"}
	img, err = mutate.ConfigFile(img, config)
	check(t, err)
	return img
}

// Platforms of the index that MultiArch makes.
var Platforms = []v1.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64"},
	{OS: "linux", Architecture: "arm", Variant: "v7"},
}

// MultiArch is an index with one image for each of Platforms.
func MultiArch(t testing.TB, seed uint64) v1.ImageIndex {
	t.Helper()
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, p := range Platforms {
		img := Image(t, seed+uint64(i), 2, 2048)
		config, err := img.ConfigFile()
		check(t, err)
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
		img, err = mutate.ConfigFile(img, config)
		check(t, err)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return &plainIndex{index: idx}
}

// plainIndex leaves out the artifactType that the library writes into every
// descriptor of an index: builders do not, and skopeo 1.9 loses it.
type plainIndex struct{ index }

// index names the embedded field: ImageIndex is one of its methods.
type index = v1.ImageIndex

func (i *plainIndex) IndexManifest() (*v1.IndexManifest, error) {
	m, err := i.index.IndexManifest()
	if err != nil {
		return nil, err
	}
	m = m.DeepCopy()
	for n := range m.Manifests {
		m.Manifests[n].ArtifactType = ""
	}
	return m, nil
}

func (i *plainIndex) RawManifest() ([]byte, error) {
	m, err := i.IndexManifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (i *plainIndex) Digest() (v1.Hash, error) { return partial.Digest(i) }

func (i *plainIndex) Size() (int64, error) { return partial.Size(i) }

// Layout writes an OCI image layout that holds one image.
func Layout(t testing.TB, img v1.Image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	check(t, err)
	// Tools that address images of a layout by name find it as "v1".
	check(t, path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})))
	return dir
}

// IndexLayout writes an OCI image layout whose one entry is an index.
func IndexLayout(t testing.TB, idx v1.ImageIndex) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	check(t, err)
	check(t, path.AppendIndex(idx, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})))
	return dir
}

// Tarball writes an image as docker save does, under the given reference.
func Tarball(t testing.TB, ref string, img v1.Image) string {
	t.Helper()
	tag, err := name.NewTag(ref)
	check(t, err)
	path := filepath.Join(t.TempDir(), "image.tar")
	check(t, tarball.WriteToFile(path, tag, img))
	return path
}

// Tar is an archive of one file.
func Tar(t testing.TB, file string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	check(t, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}))
	_, err := w.Write(content)
	check(t, err)
	check(t, w.Close())
	return b.Bytes()
}

// Context is a build context: a file and the Dockerfile that copies it into
// an empty image.
func Context(t testing.TB, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "payload"), Random(seed, 4096), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY payload /payload\nLABEL made.by=fairlead-test\nCMD [\"/payload\"]\n"), 0o600))
	return dir
}

// Digest of an image or index.
func Digest(t testing.TB, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := of.Digest()
	check(t, err)
	return d.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
