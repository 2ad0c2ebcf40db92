package selfimage

import (
	"archive/tar"
	"io"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/keyring"
)

// WriteArchive writes the image as one file that docker load, podman load,
// skopeo and ctr images import take: an OCI image layout that has docker's
// manifest.json as well. name has a tag. Errors: those of w.
func (img *Image) WriteArchive(w io.Writer, name keyring.Image) error {
	t := tar.NewWriter(w)
	add := func(name string, content []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := t.Write(content)
		return err
	}
	top := img.Manifest.Descriptor
	// Podman and skopeo go by the first, containerd by the second.
	top.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": name.Name, "io.containerd.image.name": name.Repository() + ":" + name.Tag,
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"oci-layout", marshal(map[string]string{"imageLayoutVersion": "1.0.0"})},
		{"index.json", marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeImageIndex, "manifests": []oci.Descriptor{top}})},
		{"manifest.json", marshal([]map[string]any{{
			"Config": place(img.Config.Digest), "RepoTags": []string{name.Name}, "Layers": []string{place(img.Layer.Digest)},
		}})},
		{place(img.Manifest.Digest), img.Manifest.Bytes},
		{place(img.Config.Digest), img.Config.Bytes},
		{place(img.Layer.Digest), img.Layer.Bytes},
	} {
		if err := add(file.name, file.content); err != nil {
			return err
		}
	}
	return t.Close()
}

func place(d oci.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Hex() }
