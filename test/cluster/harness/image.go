package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// App is an image whose container waits until it is told to end. Other seeds
// give other images: one that a node has already is not pulled again.
func (c *Kubernetes) App(t testing.TB, seed string) v1.Image {
	t.Helper()
	image, err := app(c.workload, seed)
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	return image
}

func app(program []byte, seed string) (v1.Image, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, file := range []struct {
		name string
		body []byte
	}{{"app", program}, {"seed", []byte(seed)}} {
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o755, Size: int64(len(file.body)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.body); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = runtime.GOOS, runtime.GOARCH
	config.Config.Entrypoint = []string{"/app"}
	return mutate.ConfigFile(image, config)
}

// writeArchive writes an image as docker save does.
func writeArchive(file, ref string, program []byte) error {
	image, err := app(program, ref)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(file, tag, image)
}

// buildPrograms builds our own small parts of the cluster, static: the first
// process of a node, and the program of the images.
func (c *Kubernetes) buildPrograms(module string) error {
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", c.dir+string(filepath.Separator), "./init", "./workload")
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building init and workload: %w\n%s", err, out)
	}
	var err error
	c.workload, err = os.ReadFile(filepath.Join(c.dir, "workload"))
	return err
}
