package selfimage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/selfimage"
	"fairlead.dev/fairlead/keyring"
)

var built struct {
	once    sync.Once
	program []byte
	err     error
}

// program gives a file of its own with fairlead for Linux in it.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fairlead")
	built.once.Do(func() {
		cmd := exec.Command("go", "build", "-o", file, "fairlead.dev/fairlead/cmd/fairlead")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
			return
		}
		built.program, built.err = os.ReadFile(file)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	if err := os.WriteFile(file, built.program, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestImage: what is in the image, and in the archive of it. Foreign clients
// load it in test/clients.
func TestImage(t *testing.T) {
	t.Parallel()
	file := program(t)
	o := selfimage.Options{Version: "v1.2.3", Revision: "abc"}
	img, err := selfimage.Build(file, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := selfimage.Build(file, o)
	if err != nil || again.Manifest.Digest != img.Manifest.Digest {
		t.Errorf("the same program gives %s and %s, %v", img.Manifest.Digest, again.Manifest.Digest, err)
	}
	if _, content, err := oci.ParseManifest(oci.MediaTypeImageManifest, img.Manifest.Bytes); err != nil || len(content.Blobs) != 2 {
		t.Errorf("the manifest holds %+v, %v", content, err)
	}
	ref, err := keyring.ParseImage("registry.example:5000/acme/fairlead:v1")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "fairlead.tar")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(img.WriteArchive(f, ref), f.Close()); err != nil {
		t.Fatal(err)
	}
	dir := unpack(t, archive)
	checkLayout(t, dir, img, ref.Name)
	checkLayer(t, img.Layer.Bytes, file)
}

// checkLayout: what the archive names is in it, by its digest, in both of its
// forms.
func checkLayout(t *testing.T, dir string, img *selfimage.Image, name string) {
	t.Helper()
	var index struct{ Manifests []oci.Descriptor }
	var docker []struct {
		Config           string
		RepoTags, Layers []string
	}
	for file, into := range map[string]any{"index.json": &index, "manifest.json": &docker} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	top := index.Manifests[0]
	if d := cmp.Diff(map[string]string{"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}, top.Annotations); d != "" {
		t.Error(d)
	}
	if top.Digest != img.Manifest.Digest || docker[0].RepoTags[0] != name {
		t.Errorf("the archive names %+v, %+v", top, docker)
	}
	path := func(d oci.Digest) string { return "blobs/sha256/" + d.Hex() }
	if docker[0].Config != path(img.Config.Digest) || docker[0].Layers[0] != path(img.Layer.Digest) {
		t.Errorf("manifest.json names %+v", docker)
	}
	for _, d := range []oci.Descriptor{top, img.Config.Descriptor, img.Layer.Descriptor} {
		content, err := os.ReadFile(filepath.Join(dir, path(d.Digest)))
		if err != nil || int64(len(content)) != d.Size || oci.DigestOf(oci.SHA256, content) != d.Digest {
			t.Errorf("%s is not what it is called: %d bytes, %v", d.Digest, len(content), err)
		}
	}
	var c struct {
		OS, Architecture string
		Config           struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		}
	}
	if err := json.Unmarshal(img.Config.Bytes, &c); err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != "amd64" || c.Config.User != "65532:65532" || !slices.Equal(c.Config.Entrypoint, []string{"/fairlead"}) {
		t.Errorf("the config is %+v", c)
	}
	if v := c.Config.Labels["org.opencontainers.image.version"]; v != "v1.2.3" {
		t.Errorf("the version is %q", v)
	}
}

// checkLayer: the program as it is, and nothing of this machine.
func checkLayer(t *testing.T, layer []byte, file string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uname != "" {
			t.Errorf("%s tells of this machine: %+v", h.Name, h)
		}
		if h.Name != "fairlead" {
			continue
		}
		found = true
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) || h.Mode != 0o755 || h.Uid != 0 {
			t.Errorf("the program in the layer is another: %+v, %v", h, err)
		}
	}
	if !found {
		t.Error("the layer has no program")
	}
}

func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return dir
}

// TestPlatforms: what a program runs on is read out of its header.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	file := program(t)
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	machine := []byte{byte(elf.EM_AARCH64), 0}
	if _, err := f.WriteAt(machine, 18); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	img, err := selfimage.Build(file, selfimage.Options{})
	if err != nil || img.Platform.String() != "linux/arm64" {
		t.Fatalf("%+v, %v", img, err)
	}
	other := *img
	other.Platform = selfimage.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	index := selfimage.Index([]*selfimage.Image{img, &other})
	if _, content, err := oci.ParseManifest(oci.MediaTypeImageIndex, index.Bytes); err != nil || len(content.Children) != 1 || content.Children[0].Digest != img.Manifest.Digest {
		t.Errorf("the index holds %+v, %v", content, err)
	}
	if text := string(index.Bytes); !strings.Contains(text, `"platform":{"os":"linux","architecture":"arm","variant":"v7"}`) {
		t.Errorf("the index is %s", text)
	}
}

// TestRefusals: what no image can be made of is said in words, with the file.
func TestRefusals(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for file, want := range map[string]string{
		write("empty", ""):                 "is no program for Linux",
		write("script", "#!/bin/sh\nexit"): "is no program for Linux",
		write("short", "\x7fELF\x02\x01"):  "is no program for Linux",
		sh:                                 "needs libraries of the machine it runs on",
		static(t):                          "is no fairlead",
	} {
		_, err := selfimage.Build(file, selfimage.Options{})
		var bad *selfimage.ProgramError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), file+" "+want) || bad.Hint() == "" {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	if _, err := selfimage.Build(filepath.Join(dir, "absent"), selfimage.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// static is some other static program: the Go command has one.
func static(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "other")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "cmd/buildid")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}
