package clients

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"

	"fairlead.dev/fairlead/test/clients/harness"
)

// TestThousandLayers: an image of 1,000 small layers goes in by crane and out
// by oras, which checks every one of them. (docker and podman stack at most
// some hundred layers.)
func TestThousandLayers(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	img := harness.Image(t, 120, 1000, 512)
	want := harness.Digest(t, img)
	app := s.Ref("team/thousand")

	crane(t, s).Run("push", harness.Layout(t, img), app+":v1")
	if got := s.Has(t, "team/thousand", "v1"); got != want {
		t.Fatalf("pushed %s, want %s", got, want)
	}
	store := memory.New()
	pulled, err := oras.Copy(t.Context(), s.Repository(t, "team/thousand"), "v1", store, "v1", oras.DefaultCopyOptions)
	if err != nil || pulled.Digest.String() != want {
		t.Fatalf("pulled %v, %v, want %s", pulled, err, want)
	}
	parts, err := content.Successors(t.Context(), store, pulled)
	if err != nil || len(parts) != 1001 {
		t.Errorf("the pulled image has %d parts, %v; want a config and 1,000 layers", len(parts), err)
	}
}

const gibibyte = 1 << 30

// TestGibibyteLayer pushes a layer of 1 GiB that does not compress: once as a
// stream of unknown length, as it is made; once from a file. It pulls it once
// as a stream and once into a file.
func TestGibibyteLayer(t *testing.T) {
	s := harness.Start(t) // by itself: the disk and both cores are its own
	app := s.Ref("team/big")

	r, w := io.Pipe()
	sent := sha256.New()
	go func() { w.CloseWithError(bigTar(io.MultiWriter(w, sent))) }()
	c := crane(t, s)
	c.Input(r, "append", "--oci-empty-base", "-f", "-", "-t", app+":v1")

	layer := onlyLayer(t, s, "team/big", "v1")
	if layer.Size < gibibyte {
		t.Fatalf("the layer has %d bytes, want more than 1 GiB", layer.Size)
	}
	received := newUnpacker()
	c.Pipe(received, "blob", app+"@"+layer.Digest)
	packed, unpacked := received.sums(t)
	if packed != layer.Digest {
		t.Errorf("the layer came back as %s, want %s", packed, layer.Digest)
	}
	if want := digestOf(sent); unpacked != want {
		t.Errorf("the layer unpacks to %s, want %s", unpacked, want)
	}

	dir := filepath.Join(t.TempDir(), "dir")
	skopeo(t, s).Run("copy", "--src-tls-verify=false", "docker://"+app+":v1", "dir:"+dir)
	// Another home: this skopeo does not know that the server has the blob.
	skopeo(t, s).Run("copy", "--dest-tls-verify=false", "dir:"+dir, "docker://"+s.Ref("other/big")+":v1")
	if got := onlyLayer(t, s, "other/big", "v1"); got != layer {
		t.Errorf("pushed from a file the layer is %v, want %v", got, layer)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// bigTar writes an archive of one file of 1 GiB.
func bigTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: gibibyte, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.CopyN(archive, rand.NewChaCha8([32]byte{7}), gibibyte); err != nil {
		return err
	}
	return archive.Close()
}

type layerOf struct {
	Digest string
	Size   int64
}

func onlyLayer(t *testing.T, s *harness.Server, repo, ref string) layerOf {
	t.Helper()
	_, body := s.Manifest(t, repo, ref)
	var manifest struct{ Layers []layerOf }
	if err := json.Unmarshal(body, &manifest); err != nil || len(manifest.Layers) != 1 {
		t.Fatalf("the manifest %s has not one layer: %v", body, err)
	}
	return manifest.Layers[0]
}

// unpacker hashes a gzip stream as it is and as it unpacks.
type unpacker struct {
	packed hash.Hash
	pipe   *io.PipeWriter
	done   chan error
	inside hash.Hash
}

func newUnpacker() *unpacker {
	r, w := io.Pipe()
	u := &unpacker{packed: sha256.New(), pipe: w, done: make(chan error, 1), inside: sha256.New()}
	go func() {
		err := u.unpack(r)
		_ = r.CloseWithError(err)
		u.done <- err
	}()
	return u
}

func (u *unpacker) unpack(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(u.inside, z)
	return err
}

func (u *unpacker) Write(p []byte) (int, error) {
	_, _ = u.packed.Write(p) // a hash takes everything
	return u.pipe.Write(p)
}

func (u *unpacker) sums(t *testing.T) (packed, unpacked string) {
	t.Helper()
	_ = u.pipe.Close()
	if err := <-u.done; err != nil {
		t.Fatalf("unpacking the layer: %v", err)
	}
	return digestOf(u.packed), digestOf(u.inside)
}

func digestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// TestMultiArchEverywhere pushes one index and lets several clients pull the
// platform they want from it.
func TestMultiArchEverywhere(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	idx := harness.MultiArch(t, 130)
	app := s.Ref("team/multi")
	pushLayout(t, s, "team/multi", "v1", harness.IndexLayout(t, idx))
	if got, want := s.Has(t, "team/multi", "v1"), harness.Digest(t, idx); got != want {
		t.Fatalf("pushed %s, want %s", got, want)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	c, r := crane(t, s), regctl(t, s)
	for i, p := range harness.Platforms {
		want := manifest.Manifests[i].Digest.String()
		if got := c.Run("digest", "--platform", p.String(), app+":v1"); got != want {
			t.Errorf("crane found %s for %s, want %s", got, p, want)
		}
		if got := r.Run("image", "digest", "--platform", p.String(), app+":v1"); got != want {
			t.Errorf("regctl found %s for %s, want %s", got, p, want)
		}
		c.Run("pull", "--platform", p.String(), app+":v1", filepath.Join(t.TempDir(), strings.ReplaceAll(p.String(), "/", "-")))
	}
}
