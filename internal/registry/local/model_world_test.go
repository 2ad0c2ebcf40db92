package local_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/disk"
	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// stock is a small set of contents, so that operations meet.
type stock struct {
	repos     []oci.Repo
	tags      []oci.Tag
	blobs     []registrytest.Content
	manifests []*thing
}

const (
	signature = "application/vnd.example.signature"
	sbom      = "application/vnd.example.sbom"
)

func newStock(t *testing.T) *stock {
	t.Helper()
	s := &stock{
		repos: []oci.Repo{"a", "b", "b/c", "ba"},
		tags:  []oci.Tag{"1", "10", "latest", "V1", "v1", "v1.0"},
	}
	for i, n := range []int{0, 1, 10, 100, 1000, 5000, 70_000, 33} {
		c := registrytest.Blob(strings.Repeat(string(rune('a'+i)), n))
		s.blobs = append(s.blobs, c)
		if i < 3 { // the same bytes under another digest
			c.Algorithm = oci.SHA512
			s.blobs = append(s.blobs, c)
		}
	}
	for i := range 6 {
		s.image(t, nil, "", s.blobs[i], s.blobs[(i*3+1)%len(s.blobs)])
	}
	absent := registrytest.Blob("nobody has this")
	for i, subject := range []registrytest.Content{s.manifests[0].Content, s.manifests[0].Content, s.manifests[1].Content, absent} {
		s.image(t, &subject, []string{signature, sbom}[i%2], s.blobs[i])
		s.image(t, &subject, "", s.blobs[i+1])
	}
	onOther := s.manifests[6].Content // a referrer of a referrer
	s.image(t, &onOther, signature, s.blobs[0])
	for i := range 3 {
		s.index(t, s.manifests[i].Content, s.manifests[(i+2)%6].Content)
	}
	nested := s.manifests[len(s.manifests)-1].Content
	s.index(t, nested, s.manifests[5].Content)
	s.index(t, s.manifests[6].Content, s.manifests[0].Content) // with a referrer among its children
	s.untyped(t)
	s.manifests = append(s.manifests, &thing{
		Content: registrytest.Content{MediaType: oci.MediaTypeImageIndex, Bytes: []byte(`{"schemaVersion":2,"layers":[]}`)}, broken: true,
	})
	return s
}

// image with a subject or none.
func (s *stock) image(t *testing.T, subject *registrytest.Content, artifactType string, layers ...registrytest.Content) {
	t.Helper()
	spec := registrytest.Spec{Layers: layers, ArtifactType: artifactType}
	x := &thing{artifactType: artifactType}
	if subject != nil {
		d := subject.Descriptor()
		spec.Subject, x.subject = &d, d.Digest
		spec.Annotations = map[string]string{"n": fmt.Sprint(len(s.manifests))}
		x.annotations = spec.Annotations
	}
	x.Content = spec.Manifest(t)
	var doc struct{ Config oci.Descriptor }
	if err := json.Unmarshal(x.Bytes, &doc); err != nil {
		t.Fatal(err)
	}
	if artifactType == "" {
		x.artifactType = doc.Config.MediaType
	}
	s.config(doc.Config)
	x.blobs = []oci.Digest{doc.Config.Digest}
	for _, l := range layers {
		if d := l.Digest(); d != x.blobs[len(x.blobs)-1] {
			x.blobs = append(x.blobs, d)
		}
	}
	s.manifests = append(s.manifests, x)
}

// config of every image is a blob as well.
func (s *stock) config(d oci.Descriptor) {
	c := registrytest.Content{MediaType: d.MediaType, Bytes: []byte(`{"architecture":"amd64","os":"linux"}`)}
	for _, b := range s.blobs {
		if b.Digest() == c.Digest() {
			return
		}
	}
	if c.Digest() == d.Digest {
		s.blobs = append(s.blobs, c)
	}
}

func (s *stock) index(t *testing.T, children ...registrytest.Content) {
	t.Helper()
	x := &thing{Content: registrytest.Spec{Children: children}.Manifest(t)}
	for _, c := range children {
		x.children = append(x.children, c.Digest())
	}
	s.manifests = append(s.manifests, x)
}

// untyped is an index with a child that does not say what it is, which must
// be a manifest, and one that is a blob.
func (s *stock) untyped(t *testing.T) {
	t.Helper()
	a, b := s.manifests[0].Content, s.blobs[4]
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageIndex,
		"manifests": []map[string]any{
			{"digest": a.Digest(), "size": len(a.Bytes)},
			{"digest": b.Digest(), "size": len(b.Bytes), "mediaType": "example/layer"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.manifests = append(s.manifests, &thing{
		Content: registrytest.Content{MediaType: oci.MediaTypeImageIndex, Bytes: body},
		blobs:   []oci.Digest{b.Digest()}, children: []oci.Digest{a.Digest()},
	})
}

// place is a registry on real stores, whose clock may be moved by anybody.
type place struct {
	*local.Registry
	t     *testing.T
	dir   string
	blobs *disk.Store
	db    *sqlite.DB
	o     local.Options

	mu      sync.Mutex
	now     time.Time
	missing []local.BlobRow
}

func (p *place) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *place) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// settle opens a registry in a new folder.
func settle(t *testing.T, change func(*local.Options)) *place {
	t.Helper()
	// Whole seconds, so that times which are equal are met; far ahead of the
	// files' own times, so that every file is old to the sweep.
	p := &place{t: t, dir: t.TempDir(), now: time.Now().Add(1000 * time.Hour).Truncate(time.Second)}
	p.o = local.Options{UploadExpiry: modelExpiry, Grace: modelGrace, TrashTime: modelTrash, Now: p.Now, Missing: func(r local.BlobRow) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.missing = append(p.missing, r)
	}}
	if change != nil {
		change(&p.o)
	}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *place) start() {
	p.t.Helper()
	var err error
	if p.blobs, err = disk.Open(filepath.Join(p.dir, "blobs"), disk.Options{}); err != nil {
		p.t.Fatal(err)
	}
	if p.db, err = sqlite.Open(ctx, filepath.Join(p.dir, "db"), sqlite.Options{Now: p.Now}); err != nil {
		p.t.Fatal(err)
	}
	p.o.Catalog, p.o.Uploads, p.o.Garbage = p.db.Catalog, p.db.Uploads, p.db.Garbage
	p.o.Trash, p.o.History, p.o.Inspection = p.db.Trash, p.db.History, p.db.Inspection
	p.o.Retention = p.db.Retention
	if p.o.Blobs == nil {
		p.o.Blobs = p.blobs
	}
	p.Registry = local.New(p.o)
}

func (p *place) stop() {
	_ = p.db.Close()
	_ = p.blobs.Close()
}

// restart is another life; at times with everything opened anew.
func (p *place) restart(all bool) {
	p.t.Helper()
	if all {
		p.stop()
		p.o.Blobs = nil
		p.start()
		return
	}
	p.Registry = local.New(p.o)
}

func (p *place) keys() (int, error) {
	n := 0
	for e, err := range p.blobs.List(ctx) {
		if err != nil {
			return n, err
		}
		if !blob.Key.Valid(e.Key) {
			return n, fmt.Errorf("the store lists %q", e.Key)
		}
		n++
	}
	return n, nil
}
