// Package registrytest is the contract of registry.Registry as a suite. Every
// implementation and every view of one passes it.
package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Run runs the suite; open gives an empty registry that may do everything.
func Run(t *testing.T, open func(t *testing.T) registry.Registry) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, registry.Registry)
	}{
		{"blob", testBlob},
		{"ranges", testRanges},
		{"chunks", testChunks},
		{"resume after a lost connection", testResume},
		{"wrong digest leaves nothing", testWrongDigest},
		{"digest of another algorithm than begun", testAlgorithm},
		{"upload is its owner's and its repository's", testUploadOwner},
		{"cancel", testCancel},
		{"mount", testMount},
		{"manifest", testManifest},
		{"manifest by sha512", testManifestSHA512},
		{"manifest needs what it names", testManifestNeeds},
		{"manifest of the wrong digest", testManifestDigest},
		{"tags", testTags},
		{"deletes", testDeletes},
		{"blob that a manifest needs", testBlobNeeded},
		{"referrers", testReferrers},
		{"copy", testCopy},
		{"repositories do not see each other", testIsolation},
		{"lists page", testPaging},
		{"unknown names", testUnknown},
		{"200 concurrent pushes of one image", testConcurrent},
		{"a moved tag is seen at once", testMovedTag},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

var ctx = context.Background()

func wantErr(t *testing.T, err error, code oci.Code) {
	t.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func take[T any](t *testing.T, seq iter.Seq2[T, error], n int) []T {
	t.Helper()
	out := []T{}
	if n == 0 {
		return out
	}
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, v); len(out) == n {
			break
		}
	}
	return out
}

const all = 1 << 30

func testBlob(t *testing.T, r registry.Registry) {
	for _, text := range []string{"hello", "", strings.Repeat("x", 1<<20)} {
		for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			c := Blob(text)
			c.Algorithm = a
			got := PushBlob(t, r, "a/b", c)
			if got.Digest != c.Digest() || got.Size != int64(len(text)) {
				t.Errorf("pushed %+v", got)
			}
			stat := must(r.StatBlob(ctx, "a/b", c.Digest()))(t)
			if stat.Digest != c.Digest() || stat.Size != int64(len(text)) {
				t.Errorf("stat %+v", stat)
			}
			if b := ReadBlob(t, r, "a/b", c.Digest(), registry.Whole); string(b) != text {
				t.Errorf("read %d bytes of %d", len(b), len(text))
			}
		}
	}
	// Once more: the same blob again is fine.
	PushBlob(t, r, "a/b", Blob("hello"))
}

func testRanges(t *testing.T, r registry.Registry) {
	c := Blob("0123456789")
	PushBlob(t, r, "a", c)
	for _, x := range []struct {
		rng  registry.Range
		want string
	}{
		{registry.Range{Offset: 0, Length: 3}, "012"},
		{registry.Range{Offset: 4, Length: 3}, "456"},
		{registry.Range{Offset: 7, Length: -1}, "789"},
		{registry.Range{Offset: 9, Length: 1}, "9"},
	} {
		if got := ReadBlob(t, r, "a", c.Digest(), x.rng); string(got) != x.want {
			t.Errorf("%+v: %q", x.rng, got)
		}
	}
}

func begin(t *testing.T, r registry.Registry, repo oci.Repo) registry.Upload {
	t.Helper()
	return must(r.Upload(ctx, repo, registry.Session{Owner: Owner}))(t)
}

func reopen(t *testing.T, r registry.Registry, repo oci.Repo, id string) registry.Upload {
	t.Helper()
	return must(r.Upload(ctx, repo, registry.Session{Owner: Owner, ID: id}))(t)
}

func testChunks(t *testing.T, r registry.Registry) {
	c := Blob(strings.Repeat("chunk", 10_000))
	u := begin(t, r, "a")
	id := u.ID()
	if id == "" || u.Offset() != 0 {
		t.Fatalf("a new upload: id %q, offset %d", id, u.Offset())
	}
	for off := 0; off < len(c.Bytes); {
		u := reopen(t, r, "a", id)
		if u.Offset() != int64(off) {
			t.Fatalf("the upload stands at %d, not %d", u.Offset(), off)
		}
		n := min(7777, len(c.Bytes)-off)
		// Out of order: before and after the right place.
		for _, bad := range []int64{int64(off) + 1, int64(off) - 1} {
			err := u.Append(ctx, bad, bytes.NewReader(c.Bytes[off:off+n]))
			wantErr(t, err, oci.CodeRangeInvalid)
			var oe *registry.OffsetError
			if !errors.As(err, &oe) || oe.Offset != int64(off) {
				t.Errorf("the refusal does not say where the upload stands: %v", err)
			}
		}
		if err := u.Append(ctx, int64(off), bytes.NewReader(c.Bytes[off:off+n])); err != nil {
			t.Fatal(err)
		}
		off += n
	}
	if _, err := r.StatBlob(ctx, "a", c.Digest()); err == nil {
		t.Error("the blob is there before it was committed")
	}
	if _, err := reopen(t, r, "a", id).Commit(ctx, c.Digest()); err != nil {
		t.Fatal(err)
	}
	if got := ReadBlob(t, r, "a", c.Digest(), registry.Whole); !bytes.Equal(got, c.Bytes) {
		t.Error("the blob has other bytes than were pushed")
	}
	_, err := r.Upload(ctx, "a", registry.Session{Owner: Owner, ID: id})
	wantErr(t, err, oci.CodeBlobUploadUnknown)
}

var errCut = errors.New("connection cut")

func testResume(t *testing.T, r registry.Registry) {
	c := Blob(strings.Repeat("resume", 50_000))
	u := begin(t, r, "a")
	cut := io.MultiReader(bytes.NewReader(c.Bytes[:100_001]), iotest.ErrReader(errCut))
	if err := u.Append(ctx, 0, cut); !errors.Is(err, errCut) {
		t.Fatalf("the reader's error is lost: %v", err)
	}
	u = reopen(t, r, "a", u.ID())
	off := u.Offset()
	if off != 100_001 {
		t.Fatalf("%d bytes arrived, the upload stands at %d", 100_001, off)
	}
	if err := u.Append(ctx, off, bytes.NewReader(c.Bytes[off:])); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(ctx, c.Digest()); err != nil {
		t.Fatal(err)
	}
	if got := ReadBlob(t, r, "a", c.Digest(), registry.Whole); !bytes.Equal(got, c.Bytes) {
		t.Error("the blob has other bytes than were pushed")
	}
}

func testWrongDigest(t *testing.T, r registry.Registry) {
	wrong := Blob("other").Digest()
	_, err := pushBlob(r, "a", Blob("right"), wrong)
	wantErr(t, err, oci.CodeDigestInvalid)
	u := begin(t, r, "a")
	if err := u.Append(ctx, 0, strings.NewReader("right")); err != nil {
		t.Fatal(err)
	}
	_, err = u.Commit(ctx, wrong)
	wantErr(t, err, oci.CodeDigestInvalid)
	for _, d := range []oci.Digest{wrong, Blob("right").Digest()} {
		if _, err := r.StatBlob(ctx, "a", d); err == nil {
			t.Errorf("%s is there", d)
		}
	}
	_, err = r.Upload(ctx, "a", registry.Session{Owner: Owner, ID: u.ID()})
	wantErr(t, err, oci.CodeBlobUploadUnknown)
}

func testAlgorithm(t *testing.T, r registry.Registry) {
	c := Blob("begun as sha256, ended as sha512")
	c.Algorithm = oci.SHA512
	u := begin(t, r, "a")
	if err := u.Append(ctx, 0, bytes.NewReader(c.Bytes)); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(ctx, c.Digest()); err != nil {
		t.Fatal(err)
	}
	if got := ReadBlob(t, r, "a", c.Digest(), registry.Whole); !bytes.Equal(got, c.Bytes) {
		t.Error("other bytes")
	}
}

func testUploadOwner(t *testing.T, r registry.Registry) {
	u := begin(t, r, "a")
	_, err := r.Upload(ctx, "b", registry.Session{Owner: Owner, ID: u.ID()})
	wantErr(t, err, oci.CodeBlobUploadUnknown)
	_, err = r.Upload(ctx, "a", registry.Session{Owner: Owner, ID: "NOSUCHUPLOAD"})
	wantErr(t, err, oci.CodeBlobUploadUnknown)
}

func testCancel(t *testing.T, r registry.Registry) {
	u := begin(t, r, "a")
	if err := u.Append(ctx, 0, strings.NewReader("never mind")); err != nil {
		t.Fatal(err)
	}
	if err := u.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := r.Upload(ctx, "a", registry.Session{Owner: Owner, ID: u.ID()})
	wantErr(t, err, oci.CodeBlobUploadUnknown)
	_, err = u.Commit(ctx, Blob("never mind").Digest())
	wantErr(t, err, oci.CodeBlobUploadUnknown)
}

func testMount(t *testing.T, r registry.Registry) {
	c := Blob("mounted")
	PushBlob(t, r, "from", c)
	d := must(r.Mount(ctx, "to", "from", c.Digest()))(t)
	if d.Digest != c.Digest() || d.Size != int64(len(c.Bytes)) {
		t.Errorf("mounted %+v", d)
	}
	if err := r.DeleteBlob(ctx, "from", c.Digest()); err != nil {
		t.Fatal(err)
	}
	if got := ReadBlob(t, r, "to", c.Digest(), registry.Whole); !bytes.Equal(got, c.Bytes) {
		t.Error("the mounted blob went with its origin")
	}
	for _, from := range []oci.Repo{"from", "nowhere"} {
		_, err := r.Mount(ctx, "to2", from, c.Digest())
		wantErr(t, err, oci.CodeBlobUnknown)
	}
}

// testIsolation: CVE-2024-39897, CVE-2026-35172: a blob is never readable
// through a repository that does not have it, cached or not.
func testIsolation(t *testing.T, r registry.Registry) {
	c := Blob("private")
	m := Spec{Layers: []Content{c}}.Push(t, r, "a", "t")
	Spec{Layers: []Content{Blob("mine")}}.Push(t, r, "b", "t")
	for range 2 {
		ReadBlob(t, r, "a", c.Digest(), registry.Whole)
		_, err := r.StatBlob(ctx, "b", c.Digest())
		wantErr(t, err, oci.CodeBlobUnknown)
		_, err = r.OpenBlob(ctx, "b", c.Digest(), registry.Whole)
		wantErr(t, err, oci.CodeBlobUnknown)
		_, err = r.Manifest(ctx, "b", oci.Ref{Digest: m.Digest()})
		wantErr(t, err, oci.CodeManifestUnknown)
		wantErr(t, r.DeleteBlob(ctx, "b", c.Digest()), oci.CodeBlobUnknown)
		wantErr(t, r.DeleteManifest(ctx, "b", oci.Ref{Digest: m.Digest()}), oci.CodeManifestUnknown)
	}
}

func testPaging(t *testing.T, r registry.Registry) {
	m := Spec{}.Push(t, r, "p")
	var want []oci.Tag
	for i := range 700 {
		want = append(want, oci.Tag(fmt.Sprintf("t%04d", i)))
	}
	shuffled := append([]oci.Tag{}, want...)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	PushManifest(t, r, "p", m, shuffled...)
	if diff := cmp.Diff(want, take(t, r.Tags(ctx, "p", ""), all)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[300:310], take(t, r.Tags(ctx, "p", want[299]), 10)); diff != "" {
		t.Error(diff)
	}
	for _, repo := range []oci.Repo{"c", "a/z", "a", "b"} {
		PushBlob(t, r, repo, Blob("x"))
	}
	if diff := cmp.Diff([]oci.Repo{"a", "a/z", "b", "c", "p"}, take(t, r.Repositories(ctx, registry.Everywhere, ""), all)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]oci.Repo{"b", "c"}, take(t, r.Repositories(ctx, registry.Everywhere, "a/z"), 2)); diff != "" {
		t.Error(diff)
	}
}

func testUnknown(t *testing.T, r registry.Registry) {
	d := Blob("x").Digest()
	PushBlob(t, r, "known", Blob("y"))
	for _, c := range []struct {
		repo           oci.Repo
		blob, manifest oci.Code
	}{
		{"unknown", oci.CodeNameUnknown, oci.CodeNameUnknown},
		{"known", oci.CodeBlobUnknown, oci.CodeManifestUnknown},
	} {
		_, err := r.StatBlob(ctx, c.repo, d)
		wantErr(t, err, c.blob)
		_, err = r.OpenBlob(ctx, c.repo, d, registry.Whole)
		wantErr(t, err, c.blob)
		_, err = r.Manifest(ctx, c.repo, oci.Ref{Digest: d})
		wantErr(t, err, c.manifest)
		_, err = r.Resolve(ctx, c.repo, oci.Ref{Tag: "t"})
		wantErr(t, err, c.manifest)
		wantErr(t, r.DeleteBlob(ctx, c.repo, d), c.blob)
		wantErr(t, r.DeleteManifest(ctx, c.repo, oci.Ref{Tag: "t"}), c.manifest)
		wantErr(t, r.DeleteManifest(ctx, c.repo, oci.Ref{Digest: d}), c.manifest)
	}
	for _, err := range r.Tags(ctx, "unknown", "") {
		wantErr(t, err, oci.CodeNameUnknown)
	}
	if got := take(t, r.Tags(ctx, "known", ""), all); len(got) != 0 {
		t.Errorf("tags: %v", got)
	}
}

func testConcurrent(t *testing.T, r registry.Registry) {
	s := Spec{Layers: []Content{Blob("one"), Blob("two"), Blob("three")}}
	m := s.Manifest(t)
	var wg sync.WaitGroup
	errs := make(chan error, 200)
	for i := range cap(errs) {
		wg.Go(func() {
			repo := oci.Repo(fmt.Sprintf("r%d", i%3))
			for _, c := range append([]Content{config}, s.Layers...) {
				if _, err := pushBlob(r, repo, c, c.Digest()); err != nil {
					errs <- err
					return
				}
			}
			_, err := r.PutManifest(ctx, repo, Put(m, "t", oci.Tag(fmt.Sprintf("t%d", i))))
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		repo := oci.Repo(fmt.Sprintf("r%d", i))
		if got := must(r.Manifest(ctx, repo, oci.Ref{Tag: "t"}))(t); !bytes.Equal(got.Bytes, m.Bytes) {
			t.Error("other bytes")
		}
		for _, l := range s.Layers {
			if got := ReadBlob(t, r, repo, l.Digest(), registry.Whole); !bytes.Equal(got, l.Bytes) {
				t.Error("other bytes")
			}
		}
	}
}

// testMovedTag: whoever was told that a tag moved never reads the old one,
// whatever caches there are.
func testMovedTag(t *testing.T, r registry.Registry) {
	var images []Content
	for i := range 4 {
		images = append(images, Spec{Layers: []Content{Blob(fmt.Sprint(i))}}.Push(t, r, "a"))
	}
	PushManifest(t, r, "a", images[0], "t")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.Manifest(ctx, "a", oci.Ref{Tag: "t"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		m := images[i%len(images)]
		PushManifest(t, r, "a", m, "t")
		if got := must(r.Manifest(ctx, "a", oci.Ref{Tag: "t"}))(t); got.Digest != m.Digest() {
			t.Errorf("round %d: the tag names the old image", i)
			break
		}
	}
	close(stop)
	wg.Wait()
}
