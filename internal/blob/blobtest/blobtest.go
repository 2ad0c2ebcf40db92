// Package blobtest is the suite that every blob.Store passes: the contract in
// package blob, sentence by sentence. An implementation's test calls Run.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

// Run runs the suite. open returns an empty store that only its caller uses
// and closes it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Run("bounded memory", func(t *testing.T) { // alone: it measures the heap
		boundedMemory(t, open(t))
	})
	for _, c := range []struct {
		name string
		test func(*testing.T, blob.Store)
	}{
		{"append in pieces", appendInPieces},
		{"append nothing", appendNothing},
		{"append drops what lies beyond the offset", appendDrops},
		{"append beyond the end", appendBeyondEnd},
		{"append to an absent key", appendAbsent},
		{"append at a negative offset", appendNegative},
		{"append keeps what came before the reader's error", readerError},
		{"append with a cancelled context", appendCancelled},
		{"append cancelled on the way", appendCancelledMidway},
		{"appends to distinct keys at once", appendConcurrently},
		{"a sealed key is immutable", sealImmutable},
		{"seal twice", sealTwice},
		{"seal an absent key", sealAbsent},
		{"open ranges", openRanges},
		{"open an absent key", openAbsent},
		{"readers of one key at once", openConcurrently},
		{"size", size},
		{"delete", deleteKeys},
		{"list", list},
		{"list nothing", listNothing},
		{"list ends when told to", listStops},
		{"list while keys go away", listWhileDeleting},
		{"list with a cancelled context", listCancelled},
		{"bad keys", badKeys},
		{"url", link},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// noise is n bytes that do not repeat, the same for the same seed.
func noise(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// content is noise in memory.
func content(t *testing.T, seed byte, n int64) []byte {
	t.Helper()
	b, err := io.ReadAll(noise(seed, n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put appends b at offset and wants it to succeed.
func put(t *testing.T, s blob.Store, key blob.Key, offset int64, b []byte) {
	t.Helper()
	n, err := s.Append(t.Context(), key, offset, bytes.NewReader(b))
	if err != nil {
		t.Fatalf("append %d bytes at %d: %v", len(b), offset, err)
	}
	if want := offset + int64(len(b)); n != want {
		t.Fatalf("append %d bytes at %d returned the length %d, want %d", len(b), offset, n, want)
	}
}

// seal wants Seal to succeed.
func seal(t *testing.T, s blob.Store, key blob.Key) {
	t.Helper()
	if err := s.Seal(t.Context(), key); err != nil {
		t.Fatalf("seal: %v", err)
	}
}

// stored makes a sealed key that holds b.
func stored(t *testing.T, s blob.Store, b []byte) blob.Key {
	t.Helper()
	key := blob.NewKey()
	put(t, s, key, 0, b)
	seal(t, s, key)
	return key
}

// read reads a range and stops at length by itself, as the contract asks.
func read(ctx context.Context, s blob.Store, key blob.Key, offset, length int64) ([]byte, error) {
	rc, err := s.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	var r io.Reader = rc
	if length >= 0 {
		r = io.LimitReader(rc, length)
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, rc.Close())
}

// wantContent compares all of a sealed key.
func wantContent(t *testing.T, s blob.Store, key blob.Key, want []byte) {
	t.Helper()
	got, err := read(t.Context(), s, key, 0, -1)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes that differ from the %d bytes written (first difference at %d)",
			len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// wantSize compares the size of a key.
func wantSize(t *testing.T, s blob.Store, key blob.Key, want int64) {
	t.Helper()
	got, err := s.Size(t.Context(), key)
	if err != nil {
		t.Fatalf("size: %v", err)
	}
	if got != want {
		t.Fatalf("the size is %d, want %d", got, want)
	}
}

// wantError compares an error by identity.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: the error is %v, want %v", what, err, want)
	}
}

// wantAbsent wants that every trace of key is gone.
func wantAbsent(t *testing.T, s blob.Store, key blob.Key) {
	t.Helper()
	_, err := s.Size(t.Context(), key)
	wantError(t, "size of an absent key", err, blob.ErrNotFound)
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if e.Key == key {
			t.Fatalf("the list holds %s, which is absent", key)
		}
	}
}
