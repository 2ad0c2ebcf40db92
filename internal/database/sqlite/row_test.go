package sqlite

import (
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// number reads one number; the stores know nothing of the query.
func number(t *testing.T, db *DB, query string) int64 {
	t.Helper()
	var n int64
	if err := db.writer.tx.conn.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManifestBytesLieOnceAndGo(t *testing.T) {
	t.Parallel()
	db, b := open(t, Options{}), named(1)
	m := imageOf([]local.BlobRow{b})
	contents := func(want int64) {
		t.Helper()
		if n := number(t, db, `SELECT COUNT(*) FROM manifest_contents`); n != want {
			t.Errorf("%d contents, want %d", n, want)
		}
	}
	for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
		if _, err := db.Catalog.LinkBlob(t.Context(), repo, b, ""); err != nil {
			t.Fatal(err)
		}
		if err := db.Catalog.PutManifest(t.Context(), repo, m, nil, nil); err != nil {
			t.Fatal(err)
		}
		contents(1)
	}
	for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
		if err := db.Catalog.DeleteManifest(t.Context(), repo, m.Digest, nil); err != nil {
			t.Fatal(err)
		}
		contents(1) // the trash's
	}
	for i, id := range []int64{2, 1} {
		if err := db.Trash.Purge(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if more, err := db.Trash.Erase(t.Context(), 100); err != nil || more {
			t.Fatalf("erase: %v, more %v", err, more)
		}
		contents(int64(1 - i))
	}
}

// TestAgainWritesNothing: a push of what is there costs no write, and so no
// wait for the disk.
func TestAgainWritesNothing(t *testing.T) {
	t.Parallel()
	db, b := open(t, Options{}), named(1)
	push := func() {
		t.Helper()
		if _, err := db.Catalog.LinkBlob(t.Context(), "acme/web", b, ""); err != nil {
			t.Fatal(err)
		}
		if err := db.Catalog.PutManifest(t.Context(), "acme/web", imageOf([]local.BlobRow{b}), []oci.Tag{"v1", "v2"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	push()
	before := number(t, db, `SELECT total_changes()`)
	push()
	if n := number(t, db, `SELECT total_changes()`) - before; n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

// TestUnlinkedAtIsExact: a blob is dated exactly while nobody holds it.
func TestUnlinkedAtIsExact(t *testing.T) {
	t.Parallel()
	db, b := open(t, Options{}), named(1)
	wrong := func() {
		t.Helper()
		n := number(t, db, `SELECT COUNT(*) FROM blobs b WHERE (unlinked_at IS NULL)
			<> (EXISTS (SELECT 1 FROM repository_blobs l WHERE l.blob_id = b.id)
			OR EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = b.id))`)
		if n != 0 {
			t.Error("unlinked_at is wrong")
		}
	}
	for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
		if _, err := db.Catalog.LinkBlob(t.Context(), repo, b, ""); err != nil {
			t.Fatal(err)
		}
		wrong()
	}
	for _, repo := range []oci.Repo{"acme/web", "acme/api"} {
		if err := db.Catalog.UnlinkBlob(t.Context(), repo, b.Digest); err != nil {
			t.Fatal(err)
		}
		wrong()
	}
	for _, again := range []local.BlobRow{{Digest: b.Digest}, named(1)} {
		if _, err := db.Catalog.LinkBlob(t.Context(), "acme/web", again, ""); err != nil {
			t.Fatal(err)
		}
		wrong()
		if err := db.Catalog.UnlinkBlob(t.Context(), "acme/web", b.Digest); err != nil {
			t.Fatal(err)
		}
		wrong()
	}
}
