// Package localtest is the contract of local.Catalog and the other stores of
// the registry as a suite of tests, for every database that keeps them.
//
// It says nothing of how things are stored: each test does what the registry
// does and looks at what the registry would see.
package localtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Stores are those of one empty database. They date rows by Clock.
type Stores struct {
	Catalog    local.Catalog
	Uploads    local.Uploads
	Garbage    local.Garbage
	Trash      local.Trash
	History    local.History
	Retention  local.Retention
	Inspection local.Inspection
	Snapshot   local.Snapshot
	Overview   local.Overview
	Clock      *Clock
}

// Clock stands still unless a test lets it pass.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock begins at some time in the past.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)}
}

// Now is the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass lets time pass and returns what it shows then.
func (c *Clock) Pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// Run runs the suite. open gives the stores of an empty database, closed by
// the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Manifest", manifestCases},
		{"Put", putCases},
		{"List", listCases},
		{"Referrer", referrerCases},
		{"Blob", blobCases},
		{"Upload", uploadCases},
		{"Garbage", garbageCases},
		{"Trash", trashCases},
		{"Repository", repositoryCases},
		{"Restore", restoreCases},
		{"History", historyCases},
		{"Link", linkCases},
		{"Untagged", untaggedCases},
		{"Inspection", inspectionCases},
		{"Immutable", immutableCases},
		{"Overview", overviewCases},
		{"Race", raceCases},
		{"TrashRace", trashRaceCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&suite{T: t, Stores: open(t)})
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(s *suite)
}

// suite is one test with its stores and what tests do over and over.
type suite struct {
	*testing.T
	Stores
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// code wants an oci.Error of the code, with a text of its own.
func (s *suite) code(err error, want oci.Code) *oci.Error {
	s.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != want {
		s.Fatalf("got error %v, want %s", err, want)
	}
	if e.Message == "" {
		s.Errorf("%s says nothing to the client", want)
	}
	return e
}

// tryCode is code on a goroutine that must not end the test.
func (s *suite) tryCode(err error, want oci.Code) {
	s.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != want {
		s.Errorf("got error %v, want %s", err, want)
	}
}

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// newBlob is a blob's row; equal names give equal digests and never equal
// keys.
func newBlob(name string) local.BlobRow {
	return local.BlobRow{Digest: oci.DigestOf(oci.SHA256, []byte(name)), Size: int64(len(name)), Key: blob.NewKey()}
}

func newBlobs(name string, n int) []local.BlobRow {
	rows := make([]local.BlobRow, n)
	for i := range rows {
		rows[i] = newBlob(fmt.Sprintf("%s %d", name, i))
	}
	return rows
}

// link brings blobs into a repository.
func (s *suite) link(repo oci.Repo, rows ...local.BlobRow) {
	s.Helper()
	for _, b := range rows {
		_, err := s.Catalog.LinkBlob(s.Context(), repo, b, "")
		s.must(err)
	}
}

func (s *suite) put(repo oci.Repo, m local.ManifestRow, tags ...oci.Tag) {
	s.Helper()
	s.must(s.Catalog.PutManifest(s.Context(), repo, m, tags, nil))
}

// image is an image manifest of these blobs, the first being the config.
func (s *suite) image(blobs ...local.BlobRow) local.ManifestRow {
	s.Helper()
	return s.manifest(document{MediaType: oci.MediaTypeImageManifest}, blobs...)
}

// pushed is an image whose blobs are in the repository, too.
func (s *suite) pushed(repo oci.Repo, name string, layers int, tags ...oci.Tag) local.ManifestRow {
	s.Helper()
	blobs := newBlobs(name, layers+1)
	s.link(repo, blobs...)
	m := s.image(blobs...)
	s.put(repo, m, tags...)
	return m
}

// document is what the tests vary of a manifest.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *oci.Descriptor   `json:"config,omitempty"`
	Layers        []oci.Descriptor  `json:"layers,omitempty"`
	Manifests     []oci.Descriptor  `json:"manifests,omitempty"`
	Subject       *oci.Descriptor   `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// manifest writes the document and reads it as the registry does.
func (s *suite) manifest(doc document, blobs ...local.BlobRow) local.ManifestRow {
	s.Helper()
	doc.SchemaVersion = 2
	for i, b := range blobs {
		d := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: b.Digest, Size: b.Size}
		if i == 0 {
			d.MediaType = "application/vnd.oci.image.config.v1+json"
			doc.Config = &d
			continue
		}
		doc.Layers = append(doc.Layers, d)
	}
	body, err := json.Marshal(doc)
	s.must(err)
	mediaType, content, err := oci.ParseManifest(doc.MediaType, body)
	s.must(err)
	return local.ManifestRow{
		Manifest: oci.Manifest{
			Descriptor: oci.Descriptor{MediaType: mediaType, Digest: oci.DigestOf(oci.SHA256, body), Size: int64(len(body))},
			Bytes:      body,
		},
		Content: content,
	}
}

// index is an index of these manifests.
func (s *suite) index(children ...oci.Descriptor) local.ManifestRow {
	s.Helper()
	if children == nil {
		children = []oci.Descriptor{}
	}
	return s.manifest(document{MediaType: oci.MediaTypeImageIndex, Manifests: children})
}

// holds wants the reference to give exactly the manifest.
func (s *suite) holds(repo oci.Repo, ref oci.Ref, want local.ManifestRow) {
	s.Helper()
	got, err := s.Catalog.Manifest(s.Context(), repo, ref)
	s.must(err)
	if !bytes.Equal(got.Bytes, want.Bytes) {
		s.Fatalf("%s %s has other bytes than were pushed", repo, ref)
	}
	s.equal(fmt.Sprintf("descriptor of %s %s", repo, ref), got.Descriptor, want.Descriptor)
}

// lacks wants the reference to be unknown in a repository that is known.
func (s *suite) lacks(repo oci.Repo, ref oci.Ref) {
	s.Helper()
	_, err := s.Catalog.Manifest(s.Context(), repo, ref)
	s.code(err, oci.CodeManifestUnknown)
}

func byTag(tag oci.Tag) oci.Ref            { return oci.Ref{Tag: tag} }
func byDigest(m local.ManifestRow) oci.Ref { return oci.Ref{Digest: m.Digest} }
