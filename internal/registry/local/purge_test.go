package local_test

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// bigRepo fills a repository with images of three blobs, each with a tag. Only
// rows are written: nobody reads their bytes.
func (w *world) bigRepo(t *testing.T, db *sql.DB, images int) {
	t.Helper()
	now := w.clock.Now().UnixMicro()
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	exec(t, db, `INSERT INTO repositories (id, name, incarnation, created_at) VALUES (1, 'big/r', 'x', ?)`, now)
	exec(t, db, numbers+`INSERT INTO blobs (id, digest, size, key, created_at)
SELECT i, 'sha256:' || lower(hex(randomblob(32))), 77777, lower(hex(randomblob(16))), ? FROM n`, 3*images, now)
	exec(t, db, `INSERT INTO repository_blobs (blob_id, repository_id, created_at) SELECT id, 1, created_at FROM blobs`)
	exec(t, db, numbers+`INSERT INTO manifest_contents (id, digest, body) SELECT i, 'sha256:' || lower(hex(randomblob(32))), randomblob(1200) FROM n`, images)
	exec(t, db, `INSERT INTO manifests (id, repository_id, content_id, digest, media_type, artifact_type, size, annotations, created_at)
SELECT id, 1, id, digest, ?, '', 1200, '', ? FROM manifest_contents`, oci.MediaTypeImageManifest, now)
	exec(t, db, `INSERT INTO manifest_blobs (blob_id, repository_id, manifest_id) SELECT id, 1, (id + 2) / 3 FROM blobs`)
	exec(t, db, `INSERT INTO tags (repository_id, name, manifest_id, updated_at) SELECT 1, 'v' || id, id, ? FROM manifests`, now)
	exec(t, db, `INSERT INTO tag_moves (repository, name, moved_at, moved_by, from_digest, to_digest) SELECT 'big/r', 'v' || id, ?, '', '', digest FROM manifests`, now)
}

// pushUntil pushes small images until done is closed, and returns how long
// each push of a blob or a manifest took.
func (w *world) pushUntil(t *testing.T, done <-chan struct{}) []time.Duration {
	t.Helper()
	registrytest.Spec{}.Push(t, w, "small/r") // the config of all
	var took []time.Duration
	timed := func(run func()) {
		start := time.Now()
		run()
		took = append(took, time.Since(start))
	}
	for i := 0; ; i++ {
		select {
		case <-done:
			return took
		default:
		}
		layer := registrytest.Blob(fmt.Sprint("layer ", i))
		timed(func() { registrytest.PushBlob(t, w, "small/r", layer) })
		m := registrytest.Spec{Layers: []registrytest.Content{layer}}.Manifest(t)
		timed(func() { registrytest.PushManifest(t, w, "small/r", m, "latest") })
	}
}

// TestPurgeBesidePushes: a very large repository is purged in steps that no
// push waits long for.
func TestPurgeBesidePushes(t *testing.T) {
	images := scaled(2000, 10_000)
	w := open(t, t.TempDir(), nil)
	db := w.side(t)
	w.bigRepo(t, db, images)
	start := time.Now()
	e, err := w.DeleteRepository(ctx, "big/r")
	if err != nil || e.Manifests != images || e.Tags != images {
		t.Fatalf("deleted %+v, %v", e, err)
	}
	deleted := time.Since(start)
	if err := w.Purge(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.Restore(ctx, e.ID, false)
	wantCode(t, err, oci.CodeManifestUnknown)

	done := make(chan struct{})
	var group sync.WaitGroup
	start = time.Now()
	group.Go(func() {
		defer close(done)
		if _, err := w.Sweep(ctx, local.SweepOptions{}); err != nil {
			t.Error(err)
		}
	})
	took := w.pushUntil(t, done)
	group.Wait()
	slices.Sort(took)
	longest := took[len(took)-1]
	t.Logf("%d images: deleted in %s, purged in %s beside %d pushes; half of them took %s, the longest %s",
		images, deleted, time.Since(start), len(took), took[len(took)/2], longest)
	// A step takes tens of milliseconds; the rest is for a busy machine.
	if limit := 2 * time.Second; longest > limit {
		t.Errorf("a push took %s, more than %s", longest, limit)
	}
	var left int
	err = db.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM trash) + (SELECT COUNT(*) FROM trash_manifests)
+ (SELECT COUNT(*) FROM trash_tags) + (SELECT COUNT(*) FROM blobs WHERE unlinked_at IS NULL AND size = 77777)`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// TestPurgeAcrossRestart: a server that dies in the middle goes on with the
// next sweep; nothing of the entry is seen or comes back meanwhile.
func TestPurgeAcrossRestart(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	layer := registrytest.Blob("layer")
	for i := range 4 {
		registrytest.Spec{Layers: []registrytest.Content{layer, registrytest.Blob(fmt.Sprint(i))}}.Push(t, w, "a", oci.Tag(fmt.Sprint("v", i)))
	}
	e, err := w.DeleteRepository(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Purge(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	if more, err := w.db.Trash.Erase(ctx, 5); err != nil || !more {
		t.Fatalf("erase: %v, more %v", err, more)
	}
	w.restart()
	if all, err := w.Trash(ctx, local.TrashFilter{}, 0, 10); err != nil || len(all) != 0 {
		t.Errorf("the trash holds %+v, %v", all, err)
	}
	_, err = w.Restore(ctx, e.ID, false)
	wantCode(t, err, oci.CodeManifestUnknown)
	if r := w.fsckNow(t, local.FsckOptions{Rehash: true}); r.Found != 0 {
		t.Errorf("fsck: %+v", r.Problems)
	}
	for range 2 {
		w.clock.now = w.clock.now.Add(2 * time.Hour)
		w.sweepNow(t, local.SweepOptions{})
	}
	if n := w.keys(t); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}
