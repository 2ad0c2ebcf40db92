// Package selfimage makes a container image of a fairlead program: of the one
// that runs, as a rule, so that no image has to be fetched from anywhere. The
// program is static and all that the image needs; the same file gives the same
// image, byte for byte.
package selfimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"

	"fairlead.dev/fairlead/internal/oci"
)

const (
	// User and group that containers of the image run as.
	User = 65532
	// DataFolder belongs to User; it is where a server's data folder may be
	// mounted.
	DataFolder = "/var/lib/fairlead"

	mediaTypeConfig = "application/vnd.oci.image.config.v1+json"
	mediaTypeLayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Options of Build.
type Options struct {
	// Version and Revision are told by the image's labels; that of the file
	// itself, where it tells one, has precedence over Revision.
	Version, Revision string
}

// Image is an image of one platform, in memory: some 20 MB.
type Image struct {
	Platform Platform
	// Revision is the commit that it was built from; "" if nobody knows.
	Revision string
	// Manifest refers to Config and Layer.
	Manifest oci.Manifest
	Config   Blob
	Layer    Blob
}

// Blob is content that a manifest refers to.
type Blob struct {
	oci.Descriptor
	Bytes []byte
}

func blobOf(mediaType string, content []byte) Blob {
	return Blob{oci.Descriptor{MediaType: mediaType, Digest: oci.DigestOf(oci.SHA256, content), Size: int64(len(content))}, content}
}

// Build makes the image of the program at a path. Errors: *ProgramError if it
// is no static fairlead for Linux; those of reading.
func Build(path string, o Options) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	p, err := inspect(path, f)
	if err != nil {
		return nil, err
	}
	if p.revision != "" {
		o.Revision = p.revision
	}
	layer, diff, err := layerOf(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	img := &Image{Platform: p.Platform, Revision: o.Revision, Layer: blobOf(mediaTypeLayer, layer)}
	img.Config = blobOf(mediaTypeConfig, config(p.Platform, o, diff))
	img.Manifest = manifestOf(oci.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageManifest,
		"config": img.Config.Descriptor, "layers": []oci.Descriptor{img.Layer.Descriptor},
	})
	return img, nil
}

func manifestOf(mediaType string, content any) oci.Manifest {
	b := blobOf(mediaType, marshal(content))
	return oci.Manifest{Descriptor: b.Descriptor, Bytes: b.Bytes}
}

// marshal writes texts, numbers and descriptors: it cannot fail. Maps are
// written by their keys' order.
func marshal(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}

// Index refers to images of several platforms.
func Index(images []*Image) oci.Manifest {
	type entry struct {
		oci.Descriptor
		Platform Platform `json:"platform"`
	}
	list := make([]entry, len(images))
	for i, img := range images {
		list[i] = entry{img.Manifest.Descriptor, img.Platform}
	}
	return manifestOf(oci.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageIndex, "manifests": list,
	})
}

// layerOf gives the layer as it is sent and the digest of what is in it.
func layerOf(f *os.File) (packed []byte, diff oci.Digest, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	var out bytes.Buffer
	hash := oci.SHA256.New()
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed) // a third of the time, a tenth more bytes
	if err != nil {
		return nil, "", err
	}
	w := tar.NewWriter(io.MultiWriter(hash, zip))
	// No times and no owner of this machine: the same file, the same layer.
	for _, h := range []tar.Header{
		{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir},
		{Name: "var/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: "var/lib/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: DataFolder[1:] + "/", Mode: 0o700, Uid: User, Gid: User, Typeflag: tar.TypeDir},
		{Name: "fairlead", Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg},
	} {
		h.Format = tar.FormatUSTAR
		if err := w.WriteHeader(&h); err != nil {
			return nil, "", err
		}
	}
	if _, err := io.Copy(w, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	if err := zip.Close(); err != nil {
		return nil, "", err
	}
	return out.Bytes(), oci.SumOf(oci.SHA256, hash), nil
}

func config(p Platform, o Options, diff oci.Digest) []byte {
	labels := map[string]string{
		"org.opencontainers.image.title":    "fairlead",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	maps.Copy(labels, nonEmpty(map[string]string{
		"org.opencontainers.image.version": o.Version, "org.opencontainers.image.revision": o.Revision,
	}))
	c := map[string]any{
		"os": p.OS, "architecture": p.Architecture,
		"config": map[string]any{
			"User": fmt.Sprintf("%d:%d", User, User), "Entrypoint": []string{"/fairlead"}, "WorkingDir": "/", "Labels": labels,
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []oci.Digest{diff}},
		"history": []map[string]string{{"created_by": "fairlead image self"}},
	}
	if p.Variant != "" {
		c["variant"] = p.Variant
	}
	return marshal(c)
}

func nonEmpty(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}
