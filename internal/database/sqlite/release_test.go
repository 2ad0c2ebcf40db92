package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/local/localtest"
	counts "fairlead.dev/fairlead/internal/tally"
)

// testdata/schema-NNNN.sql is a database of each released schema with a few
// rows in it, as SQL. A released one is never written again.
var dump = flag.Bool("dump", false, "write testdata/schema-NNNN.sql of the newest schema; never for one that was released")

func fixture(version int) string {
	return filepath.Join("testdata", fmt.Sprintf("schema-%04d.sql", version))
}

// sampled are the rows that every fixture holds.
var sampled = struct {
	layer, garbage, trashed local.BlobRow
	upload                  local.UploadRow
}{
	layer:   local.BlobRow{Digest: oci.DigestOf(oci.SHA256, []byte("layer")), Size: 5, Key: "00000000000000000000000000000001"},
	garbage: local.BlobRow{Digest: oci.DigestOf(oci.SHA512, []byte("garbage")), Size: 7, Key: "00000000000000000000000000000002"},
	trashed: local.BlobRow{Digest: oci.DigestOf(oci.SHA256, []byte("trashed")), Size: 9, Key: "00000000000000000000000000000004"},
	upload: local.UploadRow{
		ID: "upload", Repo: "acme/web", Owner: "alice", Key: "00000000000000000000000000000003",
		Algorithm: oci.SHA256, Hash: []byte{0, 1, 2}, Epoch: "epoch",
	},
}

func sampledManifest(subject oci.Digest) local.ManifestRow {
	m := imageOf([]local.BlobRow{sampled.layer})
	if subject != "" {
		m.Bytes = append(m.Bytes, "refers"...)
		m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
		m.Content.Subject, m.Content.ArtifactType = subject, "application/vnd.example"
		m.Content.Annotations = map[string]string{"it's": "\"quoted\""}
	}
	return m
}

// sample writes the rows with the stores of today.
func sample(ctx context.Context, db *DB) error {
	for _, b := range []local.BlobRow{sampled.layer, sampled.garbage} {
		if _, err := db.Catalog.LinkBlob(ctx, "acme/web", b, ""); err != nil {
			return err
		}
	}
	if err := db.Catalog.UnlinkBlob(ctx, "acme/web", sampled.garbage.Digest); err != nil {
		return err
	}
	image := sampledManifest("")
	if err := db.Catalog.PutManifest(ctx, "acme/web", image, []oci.Tag{"latest", "v1"}, nil); err != nil {
		return err
	}
	if err := db.Catalog.PutManifest(ctx, "acme/web", sampledManifest(image.Digest), nil, nil); err != nil {
		return err
	}
	if err := sampleTrash(ctx, db); err != nil {
		return err
	}
	if err := sampleAccounts(ctx, db); err != nil {
		return err
	}
	return db.Uploads.Begin(ctx, sampled.upload)
}

// sampleAccounts makes an account with a namespace that is there, one that
// was removed, and a token that was used.
func sampleAccounts(ctx context.Context, db *DB) error {
	line := audit.Line{Actor: "operator", Action: "sample", Outcome: audit.Allowed}
	t := account.Token{ID: "t00000000001", Level: access.ReadOnly, Reach: access.Reach{All: true}, Generation: 1, KeyID: "k1"}
	a, err := db.Accounts.AddAccount(ctx, account.Account{Name: "acme"}, t, line)
	if err != nil {
		return err
	}
	for _, name := range []string{"acme", "gone"} {
		n := account.Namespace{
			Namespace: access.Namespace{Name: name, AccountID: a.ID, Incarnation: "life"}, Immutable: []account.ImmutableRule{{Tags: "v.*"}},
		}
		if _, _, err := db.Accounts.AddNamespace(ctx, n, time.Time{}, true, line); err != nil {
			return err
		}
	}
	if _, err := db.Accounts.RemoveNamespace(ctx, a.ID, "gone", nil, line); err != nil {
		return err
	}
	return db.Tally.Add(ctx, counts.Batch{
		Counts: map[counts.Key]counts.Count{{Repo: "acme/web", Kind: counts.OfRepository}: {Total: 3, Last: db.now()}},
		Tokens: map[string]counts.Count{"t00000000001": {Total: 3, Last: db.now()}},
		Uses:   map[string]counts.Use{"t00000000001": {Token: "t00000000001", At: db.now(), Client: "curl"}},
	})
}

// sampleTrash deletes a tag, and a repository with an index, its image and
// another image with a blob of its own.
func sampleTrash(ctx context.Context, db *DB) error {
	ctx = registry.WithActor(ctx, "alice")
	image := sampledManifest("")
	if err := db.Catalog.PutManifest(ctx, "acme/web", image, []oci.Tag{"old"}, nil); err != nil {
		return err
	}
	if err := db.Catalog.DeleteTag(ctx, "acme/web", "old", nil); err != nil {
		return err
	}
	for _, b := range []local.BlobRow{sampled.layer, sampled.trashed} {
		if _, err := db.Catalog.LinkBlob(ctx, "acme/old", b, ""); err != nil {
			return err
		}
	}
	for _, put := range []struct {
		m   local.ManifestRow
		tag oci.Tag
	}{{image, "web"}, {imageOf([]local.BlobRow{sampled.trashed}), "old"}, {sampledIndex(), "index"}} {
		if err := db.Catalog.PutManifest(ctx, "acme/old", put.m, []oci.Tag{put.tag}, nil); err != nil {
			return err
		}
	}
	if err := db.Inspection.MarkDamaged(ctx, []local.BlobRow{sampled.trashed}, true); err != nil {
		return err
	}
	if err := db.Retention.Pulled(ctx, []local.Pull{{Repo: "acme/web", Digest: image.Digest, At: db.now()}}); err != nil {
		return err
	}
	_, err := db.Trash.DeleteRepository(ctx, "acme/old", nil)
	return err
}

func sampledIndex() local.ManifestRow {
	child := sampledManifest("")
	var m local.ManifestRow
	m.MediaType, m.Bytes = oci.MediaTypeImageIndex, []byte("index of "+child.Digest)
	m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
	m.Content.Children = []oci.Descriptor{child.Descriptor}
	return m
}

// TestReleasedSchemas opens a database of every released schema: it is
// brought up to date and answers.
func TestReleasedSchemas(t *testing.T) {
	t.Parallel()
	all, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	if *dump {
		writeFixture(t, fixture(len(all)))
	}
	for _, m := range all {
		t.Run(fmt.Sprint(m.version), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(fixture(m.version))
			if err != nil {
				t.Fatalf("every schema needs its fixture, made once by -args -dump: %v", err)
			}
			path := filepath.Join(t.TempDir(), "fairlead.db")
			conn := raw(t, path)
			run(t, conn, string(text))
			if v, err := schemaVersion(t.Context(), conn); err != nil || v != m.version {
				t.Fatalf("the fixture has version %d, %v", v, err)
			}
			db := reopen(t, path, Options{})
			if m.version >= 4 {
				answersAccounts(t, db)
			}
			if m.version >= 2 {
				answersTrash(t, db)
			}
			answers(t, db)
			intact(t, db)
			sameSchema(t, db)
		})
	}
}

func answers(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	image := sampledManifest("")
	for _, ref := range []oci.Ref{{Tag: "latest"}, {Tag: "v1"}, {Digest: image.Digest}} {
		m, err := db.Catalog.Manifest(ctx, "acme/web", ref)
		if err != nil || !bytes.Equal(m.Bytes, image.Bytes) || m.MediaType != image.MediaType {
			t.Errorf("manifest %s: %s, %v", ref, m.Digest, err)
		}
	}
	referrer := sampledManifest(image.Digest)
	want := []oci.Descriptor{{
		MediaType: referrer.MediaType, Digest: referrer.Digest, Size: referrer.Size,
		ArtifactType: referrer.Content.ArtifactType, Annotations: referrer.Content.Annotations,
	}}
	got, err := db.Catalog.Referrers(ctx, "acme/web", image.Digest, "", "", 10)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("referrers: %v\n%s", err, diff)
	}
	if b, err := db.Catalog.Blob(ctx, "acme/web", sampled.layer.Digest); err != nil || b != sampled.layer {
		t.Errorf("blob: %v, %v", b, err)
	}
	if err := db.Catalog.UnlinkBlob(ctx, "acme/web", sampled.layer.Digest); err == nil {
		t.Error("a blob that is needed was unlinked")
	}
	up, err := db.Uploads.Load(ctx, "acme/web", "alice", "upload")
	if err != nil || up.Key != sampled.upload.Key || !bytes.Equal(up.Hash, sampled.upload.Hash) {
		t.Errorf("upload: %v, %v", up, err)
	}
	gone, err := db.Garbage.Forget(ctx, time.Now(), 10, nil)
	if err != nil || !slices.Equal(gone, []local.BlobRow{sampled.garbage}) {
		t.Errorf("garbage: %v, %v", gone, err)
	}
	keys, err := db.Garbage.AbandonedUploads(ctx, time.Now(), 10)
	if err != nil || !slices.Equal(keys, []blob.Key{sampled.upload.Key}) {
		t.Errorf("abandoned: %v, %v", keys, err)
	}
}

// answersTrash is for databases of schema 2 and newer.
func answersTrash(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	entries, err := db.Trash.TrashEntries(ctx, local.TrashFilter{}, 0, 10)
	if err != nil || len(entries) != 2 {
		t.Fatalf("trash: %v, %v", entries, err)
	}
	at := localtest.NewClock().Now()
	want := []local.TrashEntry{
		{ID: 2, Kind: local.TrashedRepository, Repo: "acme/old", Name: "acme/old", Deleted: at, By: "alice", Manifests: 3, Tags: 3, Bytes: 14},
		{ID: 1, Kind: local.TrashedTag, Repo: "acme/web", Name: "old", Deleted: at, By: "alice", Tags: 1},
	}
	for i := range entries {
		entries[i].AccountID = 0 // since schema 4 it is acme's
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("trash (-want +got):\n%s", diff)
	}
	for _, e := range entries {
		if r, err := db.Trash.Restore(ctx, e.ID, false, nil); err != nil || r.Tags != e.Tags || r.Manifests != e.Manifests {
			t.Errorf("restore of %s: %v, %v", e.Name, r, err)
		}
	}
	for ref, want := range map[oci.Ref]local.ManifestRow{
		{Tag: "web"}: sampledManifest(""), {Tag: "old"}: imageOf([]local.BlobRow{sampled.trashed}), {Tag: "index"}: sampledIndex(),
	} {
		m, err := db.Catalog.Manifest(ctx, "acme/old", ref)
		if err != nil || !bytes.Equal(m.Bytes, want.Bytes) {
			t.Errorf("restored manifest %s: %s, %v", ref, m.Digest, err)
		}
	}
	moves, err := db.History.TagMoves(ctx, "acme/web", "old", 0, 10)
	if err != nil || len(moves) != 3 || moves[1].From != sampledManifest("").Digest || moves[1].To != "" || moves[1].By != "alice" {
		t.Errorf("history: %v, %v", moves, err)
	}
	rows, err := db.Inspection.BlobRows(ctx, 0, 10)
	damaged := sampled.trashed
	damaged.Damaged = true
	if err != nil || len(rows) != 3 || rows[2].BlobRow != damaged {
		t.Errorf("blob rows: %v, %v", rows, err)
	}
}

// answersAccounts is for databases of schema 4 and newer. What it restores,
// answersTrash does not see.
func answersAccounts(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	a, err := db.Accounts.Account(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	got, err := db.Accounts.Token(ctx, a.ID, "t00000000001")
	if err != nil || got.Pulls != 3 || got.LastClient != "curl" || !got.Reach.All {
		t.Errorf("token: %+v, %v", got, err)
	}
	entries, err := db.Trash.TrashEntries(ctx, local.TrashFilter{AccountID: a.ID, Scoped: true, Namespace: "gone"}, 0, 10)
	if err != nil || len(entries) != 1 {
		t.Fatalf("trash: %v, %v", entries, err)
	}
	if _, err := db.Trash.Restore(ctx, entries[0].ID, false, nil); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"acme", "gone"} {
		if n, err := db.Accounts.Namespace(ctx, a.ID, name); err != nil || n.Incarnation != "life" || len(n.Immutable) != 1 {
			t.Errorf("namespace: %+v, %v", n, err)
		}
	}
	lines, _, err := db.Audit.Lines(ctx, audit.Filter{Action: "sample"}, 0, 10)
	if err != nil || len(lines) != 4 {
		t.Errorf("audit: %v, %v", lines, err)
	}
	page, err := db.Overview.RepositoryPage(ctx, local.Place{}, "", 1)
	if err != nil || len(page) != 1 || page[0].Pulls != 3 {
		t.Errorf("repositories: %+v, %v", page, err)
	}
}

// sameSchema wants a migrated database to look like a new one.
func sameSchema(t *testing.T, db *DB) {
	t.Helper()
	fresh := open(t, Options{})
	if diff := cmp.Diff(schema(t, fresh.reading), schema(t, db.reading)); diff != "" {
		t.Errorf("schema (-new +migrated):\n%s", diff)
	}
}

func schema(t *testing.T, p *sql.DB) []string {
	t.Helper()
	return texts(t, p, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name`)
}

func texts(t *testing.T, p *sql.DB, query string) []string {
	t.Helper()
	rows, err := p.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// writeFixture dumps a sampled database of the newest schema.
func writeFixture(t *testing.T, name string) {
	t.Helper()
	db := open(t, Options{Now: localtest.NewClock().Now})
	if err := sample(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	out := []string{"PRAGMA foreign_keys = OFF", "BEGIN"}
	for _, table := range texts(t, db.reading, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid`) {
		if table != "sqlite_sequence" { // SQLite makes it itself
			out = append(out, texts(t, db.reading, `SELECT sql FROM sqlite_schema WHERE tbl_name = '`+table+`' AND sql IS NOT NULL ORDER BY rowid`)...)
		}
		columns := texts(t, db.reading, `SELECT name FROM pragma_table_info('`+table+`') ORDER BY cid`)
		row := `'INSERT INTO ` + table + ` VALUES (' || quote(` + strings.Join(columns, `) || ', ' || quote(`) + `) || ')'`
		out = append(out, texts(t, db.reading, `SELECT `+row+` FROM `+table)...)
	}
	out = append(out, "COMMIT", "PRAGMA foreign_keys = ON", "")
	if err := os.WriteFile(name, []byte(strings.Join(out, ";\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}
