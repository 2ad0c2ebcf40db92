package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// blob is bytes with their digest.
type blob struct {
	digest string
	bytes  []byte
}

func blobOf(b []byte) blob {
	sum := sha256.Sum256(b)
	return blob{"sha256:" + hex.EncodeToString(sum[:]), b}
}

// source makes content that was never there before: random, so that nothing
// compresses it, and numbered.
type source struct {
	random *rand.ChaCha8
	next   uint64
}

func newSource() *source {
	return &source{random: rand.NewChaCha8([32]byte{1})}
}

func (s *source) blob(n int) blob {
	b := make([]byte, n)
	_, _ = s.random.Read(b) // never fails
	return s.fresh(b)
}

// fresh numbers a buffer and gives its digest.
func (s *source) fresh(b []byte) blob {
	s.next++
	binary.BigEndian.PutUint64(b, s.next)
	return blobOf(b)
}

// image is what a client pushes: layers and config, then the manifest.
type image struct {
	blobs    []blob
	manifest blob
	tag      string
}

const (
	layers     = 10
	layerBytes = 10 << 10
	smallBytes = 1 << 10
	largeBytes = 100 << 20
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

func (s *source) image() (image, error) {
	var i image
	var m struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	m.SchemaVersion, m.MediaType = 2, manifestType
	config := s.blob(smallBytes)
	m.Config = descriptor{"application/vnd.oci.image.config.v1+json", config.digest, len(config.bytes)}
	for range layers {
		b := s.blob(layerBytes)
		m.Layers = append(m.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar+gzip", b.digest, len(b.bytes)})
		i.blobs = append(i.blobs, b)
	}
	i.blobs = append(i.blobs, config)
	body, err := json.Marshal(m)
	i.manifest, i.tag = blobOf(body), fmt.Sprintf("v%d", s.next)
	return i, err
}

func (s *source) images(n int) ([]image, error) {
	all := make([]image, n)
	var err error
	for i := range all {
		if all[i], err = s.image(); err != nil {
			return nil, err
		}
	}
	return all, nil
}
