package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/blob/disk"
	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

var ctx = context.Background()

// clock is moved by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// world is a registry on a real database and a real disk.
type world struct {
	*local.Registry
	dir     string
	blobs   *disk.Store
	db      *sqlite.DB
	clock   *clock
	missing []local.BlobRow
	full    bool
	o       local.Options
}

func open(t *testing.T, dir string, change func(*local.Options)) *world {
	t.Helper()
	w := &world{dir: dir, clock: &clock{time.Now()}}
	var err error
	if w.blobs, err = disk.Open(filepath.Join(dir, "blobs"), disk.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.blobs.Close() })
	if w.db, err = sqlite.Open(ctx, filepath.Join(dir, "db"), sqlite.Options{Now: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	w.o = local.Options{
		Blobs: w.blobs, Catalog: w.db.Catalog, Uploads: w.db.Uploads, Garbage: w.db.Garbage,
		Trash: w.db.Trash, History: w.db.History, Retention: w.db.Retention, Inspection: w.db.Inspection,
		Room:         func(context.Context) (bool, error) { return !w.full, nil },
		Missing:      func(r local.BlobRow) { w.missing = append(w.missing, r) },
		UploadExpiry: 24 * time.Hour, Grace: time.Hour, TrashTime: 30 * 24 * time.Hour, Now: w.clock.Now,
	}
	if change != nil {
		change(&w.o)
	}
	w.Registry = local.New(w.o)
	return w
}

// restart is another life of the server on the same stores.
func (w *world) restart() { w.Registry = local.New(w.o) }

// keys counts what lies in the store.
func (w *world) keys(t *testing.T) int {
	t.Helper()
	n := 0
	for _, err := range w.blobs.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestContract(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		return open(t, t.TempDir(), nil)
	})
}

// TestContractThroughGuard: the view of who may do everything is the registry.
func TestContractThroughGuard(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		return guard.New(open(t, t.TempDir(), nil), operator())
	})
}

func wantCode(t *testing.T, err error, code oci.Code) {
	t.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func begin(t *testing.T, w *world, owner string) registry.Upload {
	t.Helper()
	u, err := w.Upload(ctx, "a", registry.Session{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestStoredOnce: the same content pushed twice, or into two repositories, has
// one key.
func TestStoredOnce(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	c := registrytest.Blob("the same")
	for _, repo := range []oci.Repo{"a", "a", "b"} {
		registrytest.PushBlob(t, w, repo, c)
	}
	if n := w.keys(t); n != 1 {
		t.Errorf("%d keys hold one content", n)
	}
}

// TestNothingLeft: what failed leaves neither bytes nor rows.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), func(o *local.Options) { o.Limits.BlobBytes = 1000 })
	wrong := registrytest.Blob("x").Digest()
	for name, try := range map[string]func() error{
		"wrong digest": func() error {
			u := begin(t, w, "o")
			if err := u.Append(ctx, 0, strings.NewReader("y")); err != nil {
				return err
			}
			_, err := u.Commit(ctx, wrong)
			return err
		},
		"too large": func() error {
			return begin(t, w, "o").Append(ctx, 0, strings.NewReader(strings.Repeat("z", 1001)))
		},
		"one request, cut": func() error {
			u, err := w.Upload(ctx, "a", registry.Session{Owner: "o", OneRequest: true})
			if err != nil {
				t.Fatal(err)
			}
			return u.Append(ctx, 0, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)))
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := w.keys(t); n != 0 {
			t.Errorf("%s: %d keys are left", name, n)
		}
		if use, err := w.db.Uploads.Usage(ctx, ""); err != nil || use.Uploads != 0 {
			t.Errorf("%s: %+v is left (%v)", name, use, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), func(o *local.Options) {
		o.Limits = local.Limits{ManifestBytes: 300, BlobBytes: 100 << 20, ConcurrentUploads: 1, OpenUploads: 3, UnfinishedBytes: 40 << 20}
	})
	large := registrytest.Put(registrytest.Content{MediaType: oci.MediaTypeImageIndex, Bytes: make([]byte, 301)}, "t")
	for _, size := range []int64{301, -1} {
		large.Size = size // announced or not
		_, err := w.PutManifest(ctx, "a", large)
		wantCode(t, err, oci.CodeManifestTooLarge)
	}

	// Concurrent: while one body is being read, the same owner's second is
	// refused, and another owner's is not.
	u := begin(t, w, "o")
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- u.Append(ctx, 0, io.MultiReader(readFunc(func([]byte) (int, error) {
			close(inside)
			<-release
			return 0, io.EOF
		})))
	}()
	<-inside
	wantCode(t, begin(t, w, "o").Append(ctx, 0, strings.NewReader("x")), oci.CodeTooManyRequests)
	other := begin(t, w, "other")
	if err := other.Append(ctx, 0, strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}

	// Open uploads of one owner.
	begin(t, w, "o")
	_, err := w.Upload(ctx, "a", registry.Session{Owner: "o"})
	wantCode(t, err, oci.CodeTooManyRequests)
	begin(t, w, "other")

	// Unfinished bytes: the one that goes over is stopped while it runs.
	err = begin(t, w, "big").Append(ctx, 0, io.LimitReader(zeros{}, 90<<20))
	wantCode(t, err, oci.CodeTooManyRequests)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestDiskNearlyFull: pushes are refused clearly, pulls go on.
func TestDiskNearlyFull(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	m := registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob("l")}}.Push(t, w, "a", "t")
	u := begin(t, w, "o")
	w.full = true
	_, err := w.Upload(ctx, "a", registry.Session{Owner: "o"})
	wantCode(t, err, oci.CodeStorageFull)
	wantCode(t, u.Append(ctx, 0, strings.NewReader("x")), oci.CodeStorageFull)
	_, err = w.PutManifest(ctx, "a", registrytest.Put(m, "u"))
	wantCode(t, err, oci.CodeStorageFull)
	if _, err := w.Manifest(ctx, "a", oci.Ref{Tag: "t"}); err != nil {
		t.Error(err)
	}
	registrytest.ReadBlob(t, w, "a", registrytest.Blob("l").Digest(), registry.Whole)
	if err := w.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Errorf("deleting must be possible: %v", err)
	}
}

// TestMissingBytesAreAnAlarm: a row without bytes is an internal error, not
// "unknown".
func TestMissingBytesAreAnAlarm(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	c := registrytest.Blob("lost")
	registrytest.PushBlob(t, w, "a", c)
	for e, err := range w.blobs.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.blobs.Delete(ctx, e.Key); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.OpenBlob(ctx, "a", c.Digest(), registry.Whole)
	var e *oci.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("the protocol answers %v", err)
	}
	if len(w.missing) != 1 || w.missing[0].Digest != c.Digest() {
		t.Errorf("the alarm got %v", w.missing)
	}
}

// TestUploadAcrossRestart: an upload goes on in the next life of the server,
// unless a power cut took bytes that its row counts.
func TestUploadAcrossRestart(t *testing.T) {
	t.Parallel()
	c := registrytest.Blob(strings.Repeat("0123456789", 1000))
	for _, x := range []struct {
		name   string
		damage func(path string) error
		lost   bool
	}{
		{"killed", func(string) error { return nil }, false},
		{"longer than the row says", func(p string) error { return appendTo(p, "tail") }, false},
		{"shorter", func(p string) error { return os.Truncate(p, 10) }, true},
		{"zeroed", func(p string) error { return os.WriteFile(p, make([]byte, 4000), 0o600) }, true},
		{"gone", os.Remove, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := open(t, t.TempDir(), nil)
			u := begin(t, w, "o")
			if err := u.Append(ctx, 0, bytes.NewReader(c.Bytes[:4000])); err != nil {
				t.Fatal(err)
			}
			for e, err := range w.blobs.List(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if err := x.damage(filepath.Join(w.dir, "blobs", string(e.Key[:2]), string(e.Key))); err != nil {
					t.Fatal(err)
				}
			}
			w.restart()
			again, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
			if err != nil {
				t.Fatal(err)
			}
			err = again.Append(ctx, 4000, bytes.NewReader(c.Bytes[4000:]))
			if x.lost {
				wantCode(t, err, oci.CodeBlobUploadUnknown)
				if n := w.keys(t); n != 0 {
					t.Errorf("%d keys are left", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.Commit(ctx, c.Digest()); err != nil {
				t.Fatal(err)
			}
			if got := registrytest.ReadBlob(t, w, "a", c.Digest(), registry.Whole); !bytes.Equal(got, c.Bytes) {
				t.Error("other bytes")
			}
		})
	}
}

// TestSealedUploadAcrossRestart: a power cut in the middle of a commit may
// leave a sealed key and a row that counts fewer bytes.
func TestSealedUploadAcrossRestart(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	u := begin(t, w, "o")
	if err := u.Append(ctx, 0, strings.NewReader("half")); err != nil {
		t.Fatal(err)
	}
	for e, err := range w.blobs.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.blobs.Append(ctx, e.Key, 4, strings.NewReader("and half")); err != nil {
			t.Fatal(err)
		}
		if err := w.blobs.Seal(ctx, e.Key); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	again, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, again.Append(ctx, 4, strings.NewReader("and half")), oci.CodeBlobUploadUnknown)
	_, err = w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	wantCode(t, err, oci.CodeBlobUploadUnknown)
	if n := w.keys(t); n != 1 {
		t.Errorf("%d keys are left, want 1 for the sweep", n)
	}
}

// sealedUpload is an upload of the text that died between seal and row.
func sealedUpload(t *testing.T, w *world, text string) registry.Upload {
	t.Helper()
	u := begin(t, w, "o")
	if err := u.Append(ctx, 0, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for e, err := range w.blobs.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.blobs.Seal(ctx, e.Key); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	again, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestSealedWholeUpload: a server that is killed between seal and row has all
// of the bytes, so the client that comes back ends the upload.
func TestSealedWholeUpload(t *testing.T) {
	t.Parallel()
	c := registrytest.Blob("all of it")
	for name, body := range map[string]io.Reader{
		"empty body": strings.NewReader(""),
		"slow end":   readFunc(func([]byte) (int, error) { return 0, io.EOF }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, t.TempDir(), nil)
			u := sealedUpload(t, w, "all of it")
			// A client that is cut once more finds it as it was.
			if err := u.Append(ctx, 9, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("a cut body: %v", err)
			}
			if err := u.Append(ctx, 9, body); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Commit(ctx, c.Digest()); err != nil {
				t.Fatal(err)
			}
			if got := registrytest.ReadBlob(t, w, "a", c.Digest(), registry.Range{Length: -1}); string(got) != "all of it" {
				t.Errorf("read %q", got)
			}
			if n := w.keys(t); n != 1 {
				t.Errorf("%d keys, want 1", n)
			}
		})
	}
}

// TestSealedUploadRefused: more bytes, another digest or a cancellation end
// the upload. Its sealed bytes stay for the sweep, which asks the catalog
// first: a commit whose end is unknown may have named them.
func TestSealedUploadRefused(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		act  func(registry.Upload) error
		code oci.Code
	}{
		"more bytes": {func(u registry.Upload) error { return u.Append(ctx, 9, strings.NewReader("more")) }, oci.CodeBlobUploadUnknown},
		"other digest": {func(u registry.Upload) error {
			_, err := u.Commit(ctx, oci.DigestOf(oci.SHA256, []byte("other")))
			return err
		}, oci.CodeDigestInvalid},
		"cancelled": {func(u registry.Upload) error { return u.Cancel(ctx) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, t.TempDir(), nil)
			u := sealedUpload(t, w, "all of it")
			if err := end.act(u); end.code != "" {
				wantCode(t, err, end.code)
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
			wantCode(t, err, oci.CodeBlobUploadUnknown)
			if n := w.keys(t); n != 1 {
				t.Errorf("%d keys are left, want 1 for the sweep", n)
			}
			w.clock.now = w.clock.now.Add(2 * time.Hour)
			if _, err := w.Sweep(ctx, local.SweepOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := w.keys(t); n != 0 {
				t.Errorf("the sweep leaves %d keys", n)
			}
		})
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// TestTurns: a request that resumes while another still writes waits for it,
// and then its stale offset is refused.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	u := begin(t, w, "o")
	inside, release := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- u.Append(ctx, 0, io.MultiReader(strings.NewReader("first"), readFunc(func([]byte) (int, error) {
			close(inside)
			<-release
			return 0, io.EOF
		})))
	}()
	<-inside
	second, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	if err != nil {
		t.Fatal(err)
	}
	late := make(chan error)
	go func() { late <- second.Append(ctx, 0, strings.NewReader("second")) }()
	select {
	case err := <-late:
		t.Fatalf("the second writer did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-late, oci.CodeRangeInvalid)
	if _, err := second.Commit(ctx, registrytest.Blob("first").Digest()); err != nil {
		t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	kept := registrytest.Blob("kept")
	gone := registrytest.Blob("gone")
	registrytest.Spec{Layers: []registrytest.Content{kept}}.Push(t, w, "a", "t")
	registrytest.PushBlob(t, w, "a", gone)
	if err := w.DeleteBlob(ctx, "a", gone.Digest()); err != nil {
		t.Fatal(err)
	}
	u := begin(t, w, "o")
	if err := u.Append(ctx, 0, strings.NewReader("abandoned")); err != nil {
		t.Fatal(err)
	}
	orphan := blob.NewKey()
	if _, err := w.blobs.Append(ctx, orphan, 0, strings.NewReader("orphan")); err != nil {
		t.Fatal(err)
	}
	sweep := func(want local.Swept) {
		t.Helper()
		got, err := w.Sweep(ctx, local.SweepOptions{})
		if err != nil || got != want {
			t.Errorf("swept %+v, want %+v (%v)", got, want, err)
		}
	}
	sweep(local.Swept{}) // all of it is young
	w.clock.now = w.clock.now.Add(2 * time.Hour)
	sweep(local.Swept{Blobs: 1, Orphans: 1, Bytes: 4 + 6})
	w.clock.now = w.clock.now.Add(23 * time.Hour)
	sweep(local.Swept{Uploads: 1, Bytes: 9})
	sweep(local.Swept{})
	registrytest.ReadBlob(t, w, "a", kept.Digest(), registry.Whole)
	_, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	wantCode(t, err, oci.CodeBlobUploadUnknown)
	// The digest may come back, under a new key.
	registrytest.PushBlob(t, w, "a", gone)
	registrytest.ReadBlob(t, w, "a", gone.Digest(), registry.Whole)
}

// TestSweepWaitsAfterAStart: a server that was down for long does not take
// what a push, begun before it went down, still counts on.
func TestSweepWaitsAfterAStart(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	c := registrytest.Blob("pushed before")
	registrytest.PushBlob(t, w, "a", c)
	if err := w.DeleteBlob(ctx, "a", c.Digest()); err != nil {
		t.Fatal(err)
	}
	w.clock.now = w.clock.now.Add(3 * time.Hour)
	w.restart()
	if got, err := w.Sweep(ctx, local.SweepOptions{}); err != nil || got != (local.Swept{}) {
		t.Errorf("swept %+v right after the start (%v)", got, err)
	}
	w.clock.now = w.clock.now.Add(time.Hour)
	if got, err := w.Sweep(ctx, local.SweepOptions{}); err != nil || got.Blobs != 1 {
		t.Errorf("swept %+v (%v)", got, err)
	}
}

// TestBoundedMemory: a large blob goes through without lying in memory.
func TestBoundedMemory(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	const size = 256 << 20
	u := begin(t, w, "o")
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := u.Append(ctx, u.Offset(), io.LimitReader(zeros{}, size/8)); err != nil {
				b.Fatal(err)
			}
			if u.Offset() >= size {
				break
			}
		}
	})
	if n := got.AllocedBytesPerOp(); n > 4<<20 {
		t.Errorf("%d bytes are allocated for %d bytes of a blob", n, size/8)
	}
}

// operator holds a token for every name that the suite uses.
func operator() guard.Viewer {
	scopes := []oci.Scope{oci.CatalogScope()}
	for _, r := range strings.Fields("a b c p a/b a/z from to to2 known unknown nowhere other r0 r1 r2") {
		scopes = append(scopes, oci.RepoScope(oci.Repo(r), oci.ActionPull, oci.ActionPush, oci.ActionDelete))
	}
	return guard.Viewer{
		Principal: access.Principal{Kind: access.Operator, TokenID: registrytest.Owner, Name: "operator"},
		SignedIn:  true, Granted: scopes, Policy: access.NewPolicy(access.Options{}),
	}
}
