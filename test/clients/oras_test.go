package clients

import (
	"bytes"
	"os"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"fairlead.dev/fairlead/test/clients/harness"
)

// pushImage puts an image into the server in the quickest way, for tests that
// are about something else.
func pushImage(t *testing.T, s *harness.Server, repo, tag string, seed uint64) v1.Image {
	t.Helper()
	img := harness.Image(t, seed, 2, 1000)
	pushLayout(t, s, repo, tag, harness.Layout(t, img))
	return img
}

func pushLayout(t *testing.T, s *harness.Server, repo, tag, dir string) {
	t.Helper()
	store, err := oci.NewFromFS(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oras.Copy(t.Context(), store, "v1", s.Repository(t, repo), tag, oras.DefaultCopyOptions); err != nil {
		t.Fatalf("pushing %s:%s: %v", repo, tag, err)
	}
}

// attach pushes an artifact of a type, with a subject.
func attach(t *testing.T, repo *remote.Repository, kind string, subject ocispec.Descriptor, blob []byte) ocispec.Descriptor {
	t.Helper()
	ctx := t.Context()
	layer := content.NewDescriptorFromBytes("application/octet-stream", blob)
	if err := repo.Push(ctx, layer, bytes.NewReader(blob)); err != nil {
		t.Fatalf("pushing the artifact's blob: %v", err)
	}
	desc, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, kind, oras.PackManifestOptions{
		Subject:             &subject,
		Layers:              []ocispec.Descriptor{layer},
		ManifestAnnotations: map[string]string{"made.by": "fairlead-test"},
	})
	if err != nil {
		t.Fatalf("pushing the artifact: %v", err)
	}
	return desc
}

func TestOras(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	ctx := t.Context()
	pushImage(t, s, "team/oras", "v1", 80)
	repo := s.Repository(t, "team/oras")
	subject, err := repo.Resolve(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	sbom := attach(t, repo, "application/vnd.example.sbom", subject, []byte("an sbom"))
	note := attach(t, repo, "text/note", subject, []byte("a note"))
	deep := attach(t, repo, "text/note", sbom, []byte("a note on the sbom"))

	check := func(of ocispec.Descriptor, kind string, want ...ocispec.Descriptor) {
		t.Helper()
		if got, want := referrers(t, repo, of, kind), digests(want); !slices.Equal(got, want) {
			t.Errorf("referrers of %s with type %q = %v, want %v", of.Digest, kind, got, want)
		}
	}
	check(subject, "", sbom, note)
	check(subject, "application/vnd.example.sbom", sbom)
	check(subject, "text/other")
	check(sbom, "", deep)
	check(note, "")

	// The whole graph goes to another repository, referrers and all.
	other := s.Repository(t, "other/oras")
	if _, err := oras.ExtendedCopy(ctx, repo, "v1", other, "v1", oras.DefaultExtendedCopyOptions); err != nil {
		t.Fatalf("copying with referrers: %v", err)
	}
	if got := referrers(t, other, sbom, ""); !slices.Equal(got, digests([]ocispec.Descriptor{deep})) {
		t.Errorf("in the copy the sbom has the referrers %v", got)
	}
	pulled, err := oras.Copy(ctx, repo, "v1", memory.New(), "v1", oras.DefaultCopyOptions)
	if err != nil || pulled.Digest != subject.Digest {
		t.Errorf("pulling gave %v, %v", pulled, err)
	}

	if err := repo.Delete(ctx, note); err != nil {
		t.Fatalf("deleting an artifact: %v", err)
	}
	check(subject, "", sbom)
	s.Lacks(t, "team/oras", note.Digest.String())
}

// TestOrasSubjectLater: an artifact may come before what it refers to.
func TestOrasSubjectLater(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	img := harness.Image(t, 81, 1, 1000)
	body, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	subject := content.NewDescriptorFromBytes(ociManifest, body)
	repo := s.Repository(t, "team/oras")
	note := attach(t, repo, "text/note", subject, []byte("early"))
	pushLayout(t, s, "team/oras", "v1", harness.Layout(t, img))
	if got := referrers(t, repo, subject, ""); !slices.Equal(got, digests([]ocispec.Descriptor{note})) {
		t.Errorf("referrers = %v, want the note that came first", got)
	}
}

// referrers lists digests, sorted.
func referrers(t *testing.T, repo *remote.Repository, of ocispec.Descriptor, kind string) []string {
	t.Helper()
	var found []ocispec.Descriptor
	err := repo.Referrers(t.Context(), of, kind, func(page []ocispec.Descriptor) error {
		found = append(found, page...)
		return nil
	})
	if err != nil {
		t.Fatalf("listing referrers: %v", err)
	}
	return digests(found)
}

func digests(of []ocispec.Descriptor) []string {
	list := []string{}
	for _, d := range of {
		list = append(list, d.Digest.String())
	}
	slices.Sort(list)
	return list
}
