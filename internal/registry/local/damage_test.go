package local_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// TestDamagedBlob: what fsck found lost is asked for again, through whatever
// repository; who reads it meanwhile is told of the loss, never "not there".
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, file string){
		"gone": func(t *testing.T, file string) {
			t.Helper()
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"wrong": func(t *testing.T, file string) { t.Helper(); replace(t, file, "Layer") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, t.TempDir(), nil)
			layer := registrytest.Blob("layer")
			image := registrytest.Spec{Layers: []registrytest.Content{layer}}
			m := image.Push(t, w, "a", "v1")
			image.Push(t, w, "b", "v1")
			harm(t, w.file(t, "a", layer.Digest()))
			for _, repo := range []oci.Repo{"a", "b"} { // nobody has looked yet
				if _, err := w.StatBlob(ctx, repo, layer.Digest()); err != nil {
					t.Errorf("before it is marked: %v", err)
				}
			}
			if r := w.fsckNow(t, local.FsckOptions{Rehash: true, Repair: true}); r.Lost == 0 {
				t.Fatalf("fsck: %+v", r)
			}
			w.missing = nil
			for _, repo := range []oci.Repo{"a", "b"} {
				_, err := w.StatBlob(ctx, repo, layer.Digest())
				wantCode(t, err, oci.CodeBlobUnknown)
				w.lost(t, repo, layer.Digest())
			}
			if len(w.missing) != 2 {
				t.Errorf("%d alarms for 2 reads", len(w.missing))
			}
			_, err := w.Mount(ctx, "c", "a", layer.Digest())
			wantCode(t, err, oci.CodeBlobUnknown)
			// What is there may have another tag; what is new must be whole.
			registrytest.PushManifest(t, w, "a", m, "v2")
			other := registrytest.Spec{Layers: []registrytest.Content{layer}, Annotations: map[string]string{"n": "2"}}.Manifest(t)
			_, err = w.PutManifest(ctx, "a", registrytest.Put(other, "v3"))
			wantCode(t, err, oci.CodeManifestBlobUnknown)

			registrytest.PushBlob(t, w, "c", layer)
			for _, repo := range []oci.Repo{"a", "b", "c"} {
				if _, err := w.StatBlob(ctx, repo, layer.Digest()); err != nil {
					t.Errorf("healed: %v", err)
				}
				if got := registrytest.ReadBlob(t, w, repo, layer.Digest(), registry.Whole); string(got) != "layer" {
					t.Errorf("%s has %q", repo, got)
				}
			}
			registrytest.PushManifest(t, w, "a", other, "v3")
		})
	}
}

// lost wants a read to fail, and not for want of a blob.
func (w *world) lost(t *testing.T, repo oci.Repo, d oci.Digest) {
	t.Helper()
	b, err := w.OpenBlob(ctx, repo, d, registry.Whole)
	var e *oci.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("a read of lost bytes: %+v, %v; want an internal error", b, err)
	}
}

// TestDamagedBlobComesBack: a file from a backup heals as well, once fsck has
// read it.
func TestDamagedBlobComesBack(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	layer := registrytest.Blob("layer")
	registrytest.Spec{Layers: []registrytest.Content{layer}}.Push(t, w, "a", "v1")
	file := w.file(t, "a", layer.Digest())
	replace(t, file, "Layer")
	w.fsckNow(t, local.FsckOptions{Rehash: true, Repair: true})
	w.lost(t, "a", layer.Digest())
	replace(t, file, "layer")
	w.fsckNow(t, local.FsckOptions{Rehash: true})
	if _, err := w.StatBlob(ctx, "a", layer.Digest()); err != nil {
		t.Error(err)
	}
	if got := registrytest.ReadBlob(t, w, "a", layer.Digest(), registry.Whole); string(got) != "layer" {
		t.Errorf("read %q", got)
	}
}

// TestHistoryEnds: what tags named long ago is forgotten, but for the last
// move of each; with no time set it is kept for ever.
func TestHistoryEnds(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		time time.Duration
		want int
	}{{0, 3}, {year, 1}} {
		w := open(t, t.TempDir(), func(o *local.Options) { o.HistoryTime = c.time })
		for _, text := range []string{"1", "2", "3"} {
			registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob(text)}}.Push(t, w, "a", "v1")
		}
		moves := func(want int) {
			t.Helper()
			all, err := w.TagMoves(ctx, "a", "v1", 0, 10)
			if err != nil || len(all) != want {
				t.Errorf("history %s: %d moves, %v; want %d", c.time, len(all), err, want)
			}
		}
		w.clock.now = w.clock.now.Add(year - time.Hour)
		w.sweepNow(t, local.SweepOptions{})
		moves(3)
		w.clock.now = w.clock.now.Add(2 * time.Hour)
		if s := w.sweepNow(t, local.SweepOptions{}); s.Moves != 3-c.want {
			t.Errorf("history %s: swept %+v", c.time, s)
		}
		moves(c.want)
	}
}
