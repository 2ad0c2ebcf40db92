package local_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// slowUploads holds up the first upload that is begun.
type slowUploads struct {
	local.Uploads
	inside, release chan struct{}
}

func (u *slowUploads) Begin(ctx context.Context, row local.UploadRow) error {
	if row.Repo == "slow" {
		close(u.inside)
		<-u.release
	}
	return u.Uploads.Begin(ctx, row)
}

// TestOpenUploadsAtOnce: an upload that is just being begun counts, so that
// many at once do not pass the limit together.
func TestOpenUploadsAtOnce(t *testing.T) {
	t.Parallel()
	slow := &slowUploads{inside: make(chan struct{}), release: make(chan struct{})}
	w := open(t, t.TempDir(), func(o *local.Options) {
		o.Limits.OpenUploads = 1
		slow.Uploads, o.Uploads = o.Uploads, slow
	})
	first := make(chan error)
	go func() {
		_, err := w.Upload(ctx, "slow", registry.Session{Owner: "o"})
		first <- err
	}()
	<-slow.inside
	_, err := w.Upload(ctx, "a", registry.Session{Owner: "o"})
	wantCode(t, err, oci.CodeTooManyRequests)
	if _, err := w.Upload(ctx, "a", registry.Session{Owner: "other"}); err != nil {
		t.Errorf("another owner is refused: %v", err)
	}
	close(slow.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestUnfinishedBytesInSmallChunks: chunks too small to be looked at while
// they run do not pass the limit unseen.
func TestUnfinishedBytesInSmallChunks(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), func(o *local.Options) { o.Limits.UnfinishedBytes = 1000 })
	u := begin(t, w, "o")
	for range 10 {
		if err := u.Append(ctx, u.Offset(), strings.NewReader(strings.Repeat("x", 100))); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, u.Append(ctx, u.Offset(), strings.NewReader("x")), oci.CodeTooManyRequests)
	if err := begin(t, w, "other").Append(ctx, 0, strings.NewReader("x")); err != nil {
		t.Errorf("another owner is refused: %v", err)
	}
	// What is there can be ended.
	if _, err := u.Commit(ctx, registrytest.Blob(strings.Repeat("x", 1000)).Digest()); err != nil {
		t.Error(err)
	}
}

// TestReferrersInBoundedMemory: many attachments that are as large as
// manifests may be do not come into memory at once.
func TestReferrersInBoundedMemory(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	subject := registrytest.Blob("subject").Descriptor()
	registrytest.Spec{}.Push(t, w, "a")
	for i := range 40 {
		m := registrytest.Spec{Subject: &subject, Annotations: map[string]string{"x": fmt.Sprint(i) + strings.Repeat("y", 1<<20)}}
		registrytest.PushManifest(t, w, "a", m.Manifest(t))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, err := range w.Referrers(ctx, "a", subject.Digest, registry.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 90<<20 {
		t.Errorf("%d bytes are allocated for the first of 40 MiB of referrers", n)
	}
}
