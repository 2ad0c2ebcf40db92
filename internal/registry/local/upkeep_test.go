package local_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

func (w *world) sweepNow(t *testing.T, o local.SweepOptions) local.Swept {
	t.Helper()
	s, err := w.Sweep(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSweepUnneeded: what no manifest names goes after the grace period, save
// what somebody was told exists.
func TestSweepUnneeded(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	needed, forgotten, told, mounted := registrytest.Blob("needed"), registrytest.Blob("forgotten"), registrytest.Blob("told"), registrytest.Blob("mounted")
	registrytest.Spec{Layers: []registrytest.Content{needed}}.Push(t, w, "a", "t")
	for _, c := range []registrytest.Content{forgotten, told, mounted} {
		registrytest.PushBlob(t, w, "a", c)
	}
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	if _, err := w.StatBlob(ctx, "a", told.Digest()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Mount(ctx, "b", "a", mounted.Digest()); err != nil {
		t.Fatal(err)
	}
	if dry := w.sweepNow(t, local.SweepOptions{DryRun: true}); dry.Links != 1 {
		t.Errorf("a dry run finds %+v", dry)
	}
	if s := w.sweepNow(t, local.SweepOptions{}); s.Links != 1 {
		t.Errorf("swept %+v", s)
	}
	_, err := w.StatBlob(ctx, "a", forgotten.Digest())
	wantCode(t, err, oci.CodeBlobUnknown)
	// Who was told of the blob pushes the manifest that names it.
	registrytest.PushManifest(t, w, "a", registrytest.Spec{Layers: []registrytest.Content{told}}.Manifest(t), "u")
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	if s := w.sweepNow(t, local.SweepOptions{}); s.Blobs != 1 || s.Links < 1 {
		t.Errorf("later: swept %+v", s)
	}
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	w.sweepNow(t, local.SweepOptions{})
	for _, c := range []registrytest.Content{needed, told} {
		registrytest.ReadBlob(t, w, "a", c.Digest(), registry.Whole)
	}
	if n := w.keys(t); n != 3 { // two layers and their config
		t.Errorf("%d keys are left", n)
	}
}

// TestTrash: what was deleted is gone at once, holds its bytes, and comes back
// whole; after its time it goes for good.
func TestTrash(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	layer := registrytest.Blob("layer")
	m := registrytest.Spec{Layers: []registrytest.Content{layer}}.Push(t, w, "a", "latest", "v1")
	sd := m.Descriptor()
	sig := registrytest.Spec{Subject: &sd, ArtifactType: "example/signature"}.Push(t, w, "a")
	w.Manifest(ctx, "a", oci.Ref{Digest: sig.Digest()}) //nolint:errcheck // fills the cache
	if err := w.DeleteManifest(registry.WithActor(ctx, "alice"), "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []oci.Ref{{Tag: "latest"}, {Tag: "v1"}, {Digest: m.Digest()}, {Digest: sig.Digest()}} {
		_, err := w.Manifest(ctx, "a", ref)
		wantCode(t, err, oci.CodeManifestUnknown)
	}
	for range 3 { // its bytes survive sweeps
		w.clock.now = w.clock.now.Add(24 * time.Hour)
		w.sweepNow(t, local.SweepOptions{})
	}
	entries, err := w.Trash(ctx, local.TrashFilter{Repo: "a", Name: "v1"}, 0, 10)
	if err != nil || len(entries) != 1 || entries[0].By != "alice" || entries[0].Manifests != 2 || entries[0].Tags != 2 {
		t.Fatalf("the trash holds %+v (%v)", entries, err)
	}
	if got := w.Expires(entries[0]); got.Sub(entries[0].Deleted) != 30*24*time.Hour {
		t.Errorf("it expires %s", got)
	}
	r, err := w.Restore(ctx, entries[0].ID, false)
	if err != nil || r.Manifests != 2 || r.Tags != 2 || len(r.Conflicts) != 0 {
		t.Fatalf("restored %+v (%v)", r, err)
	}
	if got, err := w.Manifest(ctx, "a", oci.Ref{Tag: "v1"}); err != nil || !bytes.Equal(got.Bytes, m.Bytes) {
		t.Errorf("v1 is not back: %v", err)
	}
	registrytest.ReadBlob(t, w, "a", layer.Digest(), registry.Whole)
	for d, err := range w.Referrers(ctx, "a", m.Digest(), registry.Filter{}) {
		if err != nil || d.Digest != sig.Digest() {
			t.Errorf("referrer %s (%v)", d.Digest, err)
		}
	}
	if err := w.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Fatal(err)
	}
	w.clock.now = w.clock.now.Add(31 * 24 * time.Hour)
	if s := w.sweepNow(t, local.SweepOptions{}); s.Expired == 0 {
		t.Errorf("nothing expired: %+v", s)
	}
	for range 3 {
		w.clock.now = w.clock.now.Add(2 * time.Hour)
		w.sweepNow(t, local.SweepOptions{})
	}
	if n := w.keys(t); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// TestTrashConflict: a tag that names something newer is said, and left alone
// unless asked.
func TestTrashConflict(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	first := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("1")}}.Push(t, w, "ns/a", "t")
	e, err := w.DeleteRepository(ctx, "ns/a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Resolve(ctx, "ns/a", oci.Ref{Tag: "t"})
	wantCode(t, err, oci.CodeNameUnknown)
	second := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("2")}}.Push(t, w, "ns/a", "t")
	r, err := w.Restore(ctx, e.ID, false)
	want := local.TagConflict{Repo: "ns/a", Tag: "t", Trashed: first.Digest(), Current: second.Digest()}
	if err != nil || len(r.Conflicts) != 1 || r.Conflicts[0] != want {
		t.Fatalf("restored %+v (%v)", r, err)
	}
	if d, err := w.Resolve(ctx, "ns/a", oci.Ref{Tag: "t"}); err != nil || d.Digest != second.Digest() {
		t.Errorf("the newer tag was overwritten: %s %v", d.Digest, err)
	}
	if _, err := w.Restore(ctx, e.ID, true); err != nil {
		t.Fatal(err)
	}
	if d, err := w.Resolve(ctx, "ns/a", oci.Ref{Tag: "t"}); err != nil || d.Digest != first.Digest() {
		t.Errorf("the tag was not overwritten as asked: %s %v", d.Digest, err)
	}
	if _, err := w.DeleteNamespace(ctx, "ns"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Resolve(ctx, "ns/a", oci.Ref{Tag: "t"})
	wantCode(t, err, oci.CodeNameUnknown)
	moves, err := w.TagMoves(ctx, "ns/a", "t", 0, 100)
	if err != nil || len(moves) < 5 {
		t.Errorf("history: %+v (%v)", moves, err)
	}
}

// TestSweepUntagged: an untagged manifest goes to the trash, unless something
// needs it or it was pulled.
func TestSweepUntagged(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	old := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("old")}}.Push(t, w, "a")
	pulled := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("pulled")}}.Push(t, w, "a")
	child := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("child")}}.Push(t, w, "a")
	index := registrytest.Spec{Children: []registrytest.Content{child}}.Push(t, w, "a", "index")
	sd := index.Descriptor()
	sig := registrytest.Spec{Subject: &sd}.Push(t, w, "a")
	w.clock.now = w.clock.now.Add(40 * 24 * time.Hour)
	if _, err := w.Manifest(ctx, "a", oci.Ref{Digest: pulled.Digest()}); err != nil {
		t.Fatal(err)
	}
	before := w.clock.now.Add(-30 * 24 * time.Hour)
	if dry := w.sweepNow(t, local.SweepOptions{DryRun: true, UntaggedBefore: before}); dry.Untagged != 1 {
		t.Errorf("a dry run finds %+v", dry)
	}
	if s := w.sweepNow(t, local.SweepOptions{UntaggedBefore: before}); s.Untagged != 1 {
		t.Errorf("swept %+v", s)
	}
	_, err := w.Manifest(ctx, "a", oci.Ref{Digest: old.Digest()})
	wantCode(t, err, oci.CodeManifestUnknown)
	for _, c := range []registrytest.Content{pulled, child, index, sig} {
		if _, err := w.Manifest(ctx, "a", oci.Ref{Digest: c.Digest()}); err != nil {
			t.Errorf("what is needed was swept: %v", err)
		}
	}
}

// damage finds the file of a blob.
func (w *world) file(t *testing.T, repo oci.Repo, d oci.Digest) string {
	t.Helper()
	row, err := w.db.Catalog.Blob(ctx, repo, d)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(w.dir, "blobs", string(row.Key[:2]), string(row.Key))
}

func (w *world) fsckNow(t *testing.T, o local.FsckOptions) local.FsckReport {
	t.Helper()
	r, err := w.Fsck(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFsck(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	gone, short, wrong := registrytest.Blob("gone"), registrytest.Blob("too short"), registrytest.Blob("wrong bytes")
	registrytest.Spec{Layers: []registrytest.Content{gone, short, wrong}}.Push(t, w, "a", "t")
	if err := w.DeleteManifest(ctx, "a", oci.Ref{Tag: "t"}); err != nil {
		t.Fatal(err)
	}
	if r := w.fsckNow(t, local.FsckOptions{Rehash: true}); r.Found != 0 || r.Blobs != 4 || r.Manifests != 1 || r.Rehashed != 4 {
		t.Fatalf("a whole registry: %+v", r)
	}
	if err := os.Remove(w.file(t, "a", gone.Digest())); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(w.file(t, "a", short.Digest()), 3); err != nil {
		t.Fatal(err)
	}
	replace(t, w.file(t, "a", wrong.Digest()), "WRONG bytes")
	orphan := blob.NewKey()
	if _, err := w.blobs.Append(ctx, orphan, 0, strings.NewReader("orphan")); err != nil {
		t.Fatal(err)
	}
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	got := map[local.ProblemKind]local.Problem{}
	r := w.fsckNow(t, local.FsckOptions{Rehash: true, Repair: true})
	for _, p := range r.Problems {
		if p.Kind != local.WrongDigest || p.Digest == wrong.Digest() {
			got[p.Kind] = p
		}
	}
	for kind, want := range map[local.ProblemKind]local.Problem{
		local.MissingBytes: {Digest: gone.Digest(), Loss: true},
		local.WrongSize:    {Digest: short.Digest(), Loss: true},
		local.WrongDigest:  {Digest: wrong.Digest(), Loss: true},
		local.UnknownFile:  {Repaired: true},
	} {
		if p := got[kind]; p.Digest != want.Digest || p.Loss != want.Loss || p.Repaired != want.Repaired || p.Kind == "" {
			t.Errorf("%s: %+v", kind, p)
		}
	}
	if r.Lost < 3 || r.Repaired != 1 {
		t.Errorf("%+v", r)
	}
	// The next push of what was lost heals it.
	for _, c := range []registrytest.Content{gone, short, wrong} {
		registrytest.PushBlob(t, w, "a", c)
		if b := registrytest.ReadBlob(t, w, "a", c.Digest(), registry.Whole); !bytes.Equal(b, c.Bytes) {
			t.Errorf("not healed: %q", b)
		}
	}
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	w.fsckNow(t, local.FsckOptions{Repair: true}) // the old keys go
	if r := w.fsckNow(t, local.FsckOptions{Rehash: true}); r.Found != 0 {
		t.Errorf("after healing: %+v", r.Problems)
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFsckResumes: a rehash that was stopped goes on where it was.
func TestFsckResumes(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	for _, text := range []string{"1", "2", "3", "4"} {
		registrytest.PushBlob(t, w, "a", registrytest.Blob(text))
	}
	var saved int64
	stop, cancel := context.WithCancel(ctx)
	_, err := w.Fsck(stop, local.FsckOptions{
		Rehash: true,
		Save:   func(row int64) error { saved = row; return nil },
		Progress: func(step string, done, _, _ int64) {
			if step != "digests" {
				return
			}
			w.clock.now = w.clock.now.Add(time.Minute) // time to save
			if done == 3 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || saved == 0 {
		t.Fatalf("stopped with %v, saved %d", err, saved)
	}
	r := w.fsckNow(t, local.FsckOptions{Rehash: true, From: saved, Save: func(row int64) error { saved = row; return nil }})
	if r.Rehashed == 0 || r.Rehashed >= 4 || saved != 0 {
		t.Errorf("went on with %d blobs, saved %d", r.Rehashed, saved)
	}
}

// TestFsckRate: a rehash reads no faster than it may.
func TestFsckRate(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	registrytest.PushBlob(t, w, "a", registrytest.Blob(strings.Repeat("x", 6<<20)))
	start := time.Now()
	w.fsckNow(t, local.FsckOptions{Rehash: true, Rate: 4 << 20})
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("6 MiB at 4 MiB/s took %s (the first second is a burst)", took)
	}
}
