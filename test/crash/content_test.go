package crash

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// content of a blob: made again from its number whenever it is needed.
type content struct {
	number uint64
	size   int
	digest string
}

func newContent(number uint64, size int) content {
	c := content{number: number, size: size}
	c.digest = sum(c.bytes())
	return c
}

func (c content) bytes() []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], c.number)
	b := make([]byte, c.size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// manifest is what was pushed, or tried, with what it names.
type manifest struct {
	kind     string
	digest   string
	body     []byte
	blobs    []content
	children []string
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// image of a config and layers; the note makes it unlike any other.
func image(note string, blobs []content) manifest {
	doc := map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config":      descriptor{configType, blobs[0].digest, blobs[0].size},
		"annotations": map[string]string{"note": note},
	}
	layers := []descriptor{}
	for _, b := range blobs[1:] {
		layers = append(layers, descriptor{layerType, b.digest, b.size})
	}
	doc["layers"] = layers
	return sealed(manifest{kind: manifestType, blobs: blobs}, doc)
}

// index of images.
func index(note string, children []manifest) manifest {
	m := manifest{kind: indexType}
	list := []descriptor{}
	for _, c := range children {
		list = append(list, descriptor{c.kind, c.digest, len(c.body)})
		m.children = append(m.children, c.digest)
	}
	return sealed(m, map[string]any{
		"schemaVersion": 2, "mediaType": indexType, "manifests": list,
		"annotations": map[string]string{"note": note},
	})
}

func sealed(m manifest, doc map[string]any) manifest {
	m.body, _ = json.Marshal(doc) // strings and numbers cannot fail
	m.digest = sum(m.body)
	return m
}
