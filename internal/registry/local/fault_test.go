package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// faultyStore loses the bytes of a key when it is sealed, as a disk may that
// is full, and counts how often bytes are opened.
type faultyStore struct {
	blob.Store
	full   atomic.Bool
	opened atomic.Int64
}

func (s *faultyStore) Seal(ctx context.Context, key blob.Key) error {
	if s.full.Load() {
		return errors.Join(blob.ErrFull, s.Delete(ctx, key))
	}
	return s.Store.Seal(ctx, key)
}

func (s *faultyStore) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	s.opened.Add(1)
	return s.Store.Open(ctx, key, offset, length)
}

func faulty(t *testing.T) (*world, *faultyStore) {
	t.Helper()
	s := &faultyStore{}
	return open(t, t.TempDir(), func(o *local.Options) { s.Store, o.Blobs = o.Blobs, s }), s
}

// TestSealOnAFullDisk: the client hears that the disk is full and that it must
// send the blob again; nothing is left, and later it can.
func TestSealOnAFullDisk(t *testing.T) {
	t.Parallel()
	w, store := faulty(t)
	c := registrytest.Blob("layer")
	push := func(once bool) (registry.Upload, error) {
		u, err := w.Upload(ctx, "a", registry.Session{Owner: "o", OneRequest: once})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(ctx, 0, bytes.NewReader(c.Bytes)); err != nil {
			t.Fatal(err)
		}
		_, err = u.Commit(ctx, c.Digest())
		return u, err
	}
	for _, once := range []bool{false, true} {
		store.full.Store(true)
		u, err := push(once)
		wantCode(t, err, oci.CodeStorageFull)
		if err != nil && !strings.Contains(err.Error(), "again") {
			t.Errorf("the message does not say what to do: %v", err)
		}
		if n := w.keys(t); n != 0 {
			t.Errorf("%d keys are left", n)
		}
		if !once {
			_, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
			wantCode(t, err, oci.CodeBlobUploadUnknown)
		}
		store.full.Store(false)
		if _, err := push(once); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if err := w.DeleteBlob(ctx, "a", c.Digest()); err != nil {
			t.Fatal(err)
		}
		w.clock.now = w.clock.now.Add(w.o.Grace * 2)
		if _, err := w.Sweep(ctx, local.SweepOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestartReadsBackOnce: what an earlier life of the server received is
// read again once, not for every request that follows.
func TestRestartReadsBackOnce(t *testing.T) {
	t.Parallel()
	w, store := faulty(t)
	u := begin(t, w, "o")
	if err := u.Append(ctx, 0, strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	w.restart()
	for range 5 {
		again, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, again.Append(ctx, 99, strings.NewReader("x")), oci.CodeRangeInvalid)
	}
	if n := store.opened.Load(); n != 1 {
		t.Errorf("the bytes are read back %d times", n)
	}
	// Somebody who is gone is not worked for.
	w.restart()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	again, err := w.Upload(ctx, "a", registry.Session{Owner: "o", ID: u.ID()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Commit(gone, registrytest.Blob("first").Digest()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := again.Commit(ctx, registrytest.Blob("first").Digest()); err != nil {
		t.Errorf("the upload did not survive its client's leaving: %v", err)
	}
}
