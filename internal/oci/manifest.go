package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"mime"
	"strings"
)

// Media types of manifests.
const (
	MediaTypeImageManifest  = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeImageIndex     = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"

	mediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// MaxReferences bounds the descriptors one manifest may hold. 1,000-layer
// images and BuildKit's cache indexes stay far below it.
const MaxReferences = 20_000

// Descriptor points at content (image, descriptor.md). Size is in bytes.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Manifest is a manifest as it was pushed: the descriptor that a reference
// resolves to, and the bytes. Digest(Bytes) == Descriptor.Digest, always.
type Manifest struct {
	Descriptor
	Bytes []byte
}

// Content is what a registry must know of a manifest's body.
type Content struct {
	// Blobs must lie in the same repository: config and layers that are
	// distributable, each digest once.
	Blobs []Descriptor
	// Children are the manifests of an index or list, each digest once. What
	// an index names under another media type counts as a blob (BuildKit's
	// registry cache lists layers and its config that way).
	Children []Descriptor
	// Subject is the digest the manifest refers to, or "".
	Subject Digest
	// ArtifactType is what the referrers API shows: the field, or for an
	// image manifest without it the config's media type.
	ArtifactType string
	// Annotations of the manifest itself.
	Annotations map[string]string
}

// document is the union of the four formats.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *rawDescriptor    `json:"config"`
	Layers        rawDescriptors    `json:"layers"`
	Manifests     rawDescriptors    `json:"manifests"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
	Subject       *rawDescriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

type rawDescriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      *int64   `json:"size"`
	URLs      []string `json:"urls"`
}

// ParseMediaType strips parameters from a Content-Type.
// Error: MANIFEST_INVALID when it is none.
func ParseMediaType(contentType string) (string, error) {
	mt, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(mt, "/") || len(mt) > 255 {
		return "", Errorf(CodeManifestInvalid, "the Content-Type %q is not a media type", Clip(contentType))
	}
	return mt, nil
}

// ParseManifest reads a manifest of the given media type (the Content-Type
// without parameters; "" to take it from the document) and returns the media
// type it is stored under with what the registry must know of it.
//
// Unknown fields and unknown media types of blobs are kept and accepted. A
// document that could be read as two different things is refused
// (CVE-2021-41190): layers beside manifests, or a mediaType that contradicts
// the Content-Type. Docker schema 1 is refused by name.
//
// Error: MANIFEST_INVALID; the message names the field.
func ParseManifest(mediaType string, body []byte) (string, Content, error) {
	switch mediaType {
	case mediaTypeDockerSchema1, mediaTypeDockerSchema1Signed:
		return "", Content{}, errSchema1
	}
	doc, err := decode(body)
	if err != nil {
		return "", Content{}, err
	}
	if doc.FSLayers != nil || doc.SchemaVersion == 1 {
		return "", Content{}, errSchema1
	}
	if doc.SchemaVersion != 2 {
		return "", Content{}, Errorf(CodeManifestInvalid, "schemaVersion is %d, it must be 2", doc.SchemaVersion)
	}
	mediaType, err = settleMediaType(mediaType, doc)
	if err != nil {
		return "", Content{}, err
	}
	var c Content
	switch mediaType {
	case MediaTypeImageManifest, MediaTypeDockerManifest:
		c, err = imageContent(doc)
	case MediaTypeImageIndex, MediaTypeDockerList:
		c, err = indexContent(doc)
	default:
		err = Errorf(CodeManifestInvalid, "the media type %q is no manifest this registry knows: push an OCI image manifest or index, or Docker schema 2 (an artifact is an OCI image manifest with an artifactType)", Clip(mediaType))
	}
	if err != nil {
		return "", Content{}, err
	}
	if doc.Subject != nil {
		s, err := doc.Subject.parse("subject")
		if err != nil {
			return "", Content{}, err
		}
		c.Subject = s.Digest
	}
	c.Annotations = doc.Annotations
	return mediaType, c, nil
}

var errSchema1 = Errorf(CodeManifestInvalid, "Docker image manifest schema 1 is not accepted: push the image again with a client that writes schema 2 or OCI (any docker since 1.10, podman, skopeo --format)")

func decode(body []byte) (document, error) {
	var doc document
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return doc, Errorf(CodeManifestInvalid, "the manifest is not a JSON object")
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return doc, unreadable(err)
	}
	if err := exactKeys(body, decisive); err != nil {
		return doc, err
	}
	if n := len(doc.Layers) + len(doc.Manifests); n > MaxReferences {
		return doc, errTooMany
	}
	return doc, nil
}

var errTooMany = Errorf(CodeManifestInvalid, "the manifest holds more than %d descriptors, no more are allowed", MaxReferences)

// unreadable is the error of a document that does not decode.
func unreadable(err error) error {
	var ours *Error
	if errors.As(err, &ours) {
		return ours
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return Errorf(CodeManifestInvalid, "the field %s must not be a JSON %s", Clip(kind.Field), Clip(kind.Value))
	}
	return Errorf(CodeManifestInvalid, "the manifest is not valid JSON: %s", Clip(err.Error()))
}

// decisive are the fields that decide what a document is, and what a
// descriptor points at.
var (
	decisive   = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "fsLayers", "subject", "annotations"}
	pointingAt = []string{"mediaType", "digest", "size", "urls"}
)

// exactKeys refuses a valid JSON object in which one of the named fields
// occurs twice, or in other letters that a decoder may take for it: two
// parsers would disagree about it (encoding/json takes the last, and folds
// case in the way of EqualFold).
func exactKeys(object []byte, names []string) error {
	seen := 0 // a bit for each name
	for raw := range keys(object) {
		key := string(raw)
		for i, name := range names {
			if !strings.EqualFold(key, name) {
				continue
			}
			if seen&(1<<i) != 0 {
				return Errorf(CodeManifestInvalid, "the field %q occurs twice", Clip(key))
			}
			if key != name {
				return Errorf(CodeManifestInvalid, "the field %q must be written %q", Clip(key), name)
			}
			seen |= 1 << i
		}
	}
	return nil
}

// keys of a valid JSON object, unquoted, in order.
func keys(object []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		key := true
		walk(object, func(c byte, s []byte) bool {
			switch {
			case c == ',':
				key = true
			case c == '"' && key:
				key = false
				return yield(unquote(s))
			}
			return true
		})
	}
}

// entries of a valid JSON array.
func entries(array []byte) int {
	n := 0
	walk(array, func(c byte, _ []byte) bool {
		if c == ',' {
			n++
		}
		return true
	})
	return n + 1 // one too many for an empty array
}

// walk calls each for what lies directly in a valid JSON object or array: a
// comma, or a string with its quotes.
func walk(v []byte, each func(c byte, s []byte) bool) {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			start := i
			for i++; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			if depth == 1 && !each(c, v[start:min(i+1, len(v))]) {
				return
			}
		case ',':
			if depth == 1 && !each(c, nil) {
				return
			}
		}
	}
}

func unquote(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return bytes.Trim(s, `"`)
	}
	var out string
	if err := json.Unmarshal(s, &out); err != nil {
		return s
	}
	return []byte(out)
}

func settleMediaType(mediaType string, doc document) (string, error) {
	switch {
	case mediaType == "" && doc.MediaType == "":
		return "", Errorf(CodeManifestInvalid, "neither a Content-Type nor mediaType says what the manifest is: send its media type as Content-Type")
	case mediaType == "" || mediaType == "application/json" && doc.MediaType != "":
		return doc.MediaType, nil
	case doc.MediaType != "" && doc.MediaType != mediaType:
		return "", Errorf(CodeManifestInvalid, "mediaType is %q but the Content-Type is %q: they must agree", Clip(doc.MediaType), Clip(mediaType))
	}
	return mediaType, nil
}

func imageContent(doc document) (Content, error) {
	var c Content
	if doc.Manifests != nil {
		return c, Errorf(CodeManifestInvalid, "an image manifest must not have the field manifests")
	}
	if doc.Config == nil {
		return c, Errorf(CodeManifestInvalid, "config is missing")
	}
	seen := make(map[Digest]bool, len(doc.Layers)+1)
	config, err := doc.Config.parse("config")
	if err != nil {
		return c, err
	}
	c.Blobs = append(c.Blobs, config)
	seen[config.Digest] = true
	for _, raw := range doc.Layers {
		l, err := raw.parse("layers")
		if err != nil {
			return c, err
		}
		if seen[l.Digest] || nonDistributable(l) {
			continue
		}
		seen[l.Digest] = true
		c.Blobs = append(c.Blobs, l)
	}
	c.ArtifactType = doc.ArtifactType
	if c.ArtifactType == "" {
		c.ArtifactType = config.MediaType
	}
	return c, nil
}

func indexContent(doc document) (Content, error) {
	var c Content
	if doc.Layers != nil || doc.Config != nil {
		return c, Errorf(CodeManifestInvalid, "an index must not have the fields config or layers")
	}
	seen := make(map[Digest]bool, len(doc.Manifests))
	for _, raw := range doc.Manifests {
		m, err := raw.parse("manifests")
		if err != nil {
			return c, err
		}
		if seen[m.Digest] || nonDistributable(m) {
			continue
		}
		seen[m.Digest] = true
		if m.MediaType == "" || isManifest(m.MediaType) {
			c.Children = append(c.Children, m)
		} else {
			c.Blobs = append(c.Blobs, m)
		}
	}
	c.ArtifactType = doc.ArtifactType
	return c, nil
}

func isManifest(mediaType string) bool {
	switch mediaType {
	case MediaTypeImageManifest, MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerList:
		return true
	}
	return false
}

// nonDistributable tells layers that a registry need not hold (image,
// layer.md#non-distributable-layers; Docker's foreign layers).
func nonDistributable(d Descriptor) bool {
	return strings.HasPrefix(d.MediaType, "application/vnd.oci.image.layer.nondistributable.v1.") ||
		strings.HasPrefix(d.MediaType, "application/vnd.docker.image.rootfs.foreign.")
}

// rawDescriptors are counted before they are read, so that too many take no
// memory.
type rawDescriptors []rawDescriptor

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawDescriptors) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] != '[':
		return Errorf(CodeManifestInvalid, "layers and manifests must be JSON arrays")
	case entries(b) > MaxReferences:
		return errTooMany
	}
	return json.Unmarshal(b, (*[]rawDescriptor)(r))
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawDescriptor) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return Errorf(CodeManifestInvalid, "a descriptor must be a JSON object with mediaType, digest and size")
	}
	if err := exactKeys(b, pointingAt); err != nil {
		return err
	}
	type plain rawDescriptor
	return json.Unmarshal(b, (*plain)(r))
}

func (r rawDescriptor) parse(field string) (Descriptor, error) {
	d, err := ParseDigest(r.Digest)
	if err != nil {
		return Descriptor{}, Errorf(CodeManifestInvalid, "%s.digest: %s", field, err.Error())
	}
	if r.Size == nil || *r.Size < 0 {
		return Descriptor{}, Errorf(CodeManifestInvalid, "%s.size of %s is missing or negative", field, d)
	}
	if len(r.MediaType) > 255 {
		return Descriptor{}, Errorf(CodeManifestInvalid, "%s.mediaType of %s is longer than 255 characters", field, d)
	}
	return Descriptor{MediaType: r.MediaType, Digest: d, Size: *r.Size, URLs: r.URLs}, nil
}
