package blobtest

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

const (
	largeBlob = 64 << 20
	// heapLimit is what a store may hold while it takes a large blob: two
	// parts of 8 MiB of a store elsewhere, and change.
	heapLimit = 20 << 20
)

// boundedMemory writes and reads a blob that is larger than the memory that a
// store may use for it.
func boundedMemory(t *testing.T, s blob.Store) {
	watch := &heapWatch{r: noise(7, largeBlob)}
	watch.start()
	key := blob.NewKey()
	n, err := s.Append(t.Context(), key, 0, watch)
	if err != nil || n != largeBlob {
		t.Fatalf("append: length %d, error %v", n, err)
	}
	seal(t, s, key)
	watch.check(t, "append")

	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer rc.Close()
	watch = &heapWatch{r: rc}
	watch.start()
	wantSame(t, watch, noise(7, largeBlob))
	watch.check(t, "read")
}

// wantSame compares two streams.
func wantSame(t *testing.T, got, want io.Reader) {
	t.Helper()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := 0; ; {
		n, errGot := io.ReadFull(got, a)
		m, errWant := io.ReadFull(want, b)
		if !bytes.Equal(a[:n], b[:m]) {
			t.Fatalf("the bytes differ at %d", at+firstDifference(a[:n], b[:m]))
		}
		at += n
		if errGot != errWant { //nolint:errorlint // both come from io.ReadFull
			t.Fatalf("at %d: %v, want %v", at, errGot, errWant)
		}
		if errGot != nil {
			return
		}
	}
}

// heapWatch is a reader that weighs the live heap every 4 MiB.
type heapWatch struct {
	r           io.Reader
	since       int64
	base, worst uint64
}

func (h *heapWatch) start() { h.base = liveHeap() }

func (h *heapWatch) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if h.since += int64(n); h.since >= 4<<20 {
		h.since = 0
		h.worst = max(h.worst, liveHeap())
	}
	return n, err
}

func (h *heapWatch) check(t *testing.T, what string) {
	t.Helper()
	if h.worst == 0 {
		t.Fatalf("%s: the heap was never weighed", what)
	}
	if h.worst > h.base+heapLimit {
		t.Fatalf("%s: the heap grew by %d bytes for a blob of %d, the limit is %d",
			what, h.worst-h.base, largeBlob, heapLimit)
	}
}

// liveHeap collects first: what is garbage does not count.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
