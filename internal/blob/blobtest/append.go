package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"fairlead.dev/fairlead/internal/blob"
)

func appendInPieces(t *testing.T, s blob.Store) {
	want := content(t, 1, 3<<20+17)
	key := blob.NewKey()
	var offset int64
	for _, n := range []int64{1, 4096, 300_000, 0, 1 << 20, 5} {
		put(t, s, key, offset, want[offset:offset+n])
		offset += n
	}
	put(t, s, key, offset, want[offset:])
	seal(t, s, key)
	wantContent(t, s, key, want)

	small := content(t, 2, 999)
	key = blob.NewKey()
	n, err := s.Append(t.Context(), key, 0, iotest.DataErrReader(iotest.OneByteReader(bytes.NewReader(small))))
	if err != nil || n != int64(len(small)) {
		t.Fatalf("append byte by byte: length %d, error %v", n, err)
	}
	seal(t, s, key)
	wantContent(t, s, key, small)
}

func appendNothing(t *testing.T, s blob.Store) {
	key := stored(t, s, nil)
	wantSize(t, s, key, 0)
	wantContent(t, s, key, nil)
}

func appendDrops(t *testing.T, s blob.Store) {
	for _, c := range []struct {
		name         string
		offset, more int64
	}{
		{"less than before", 100_000, 10},
		{"nothing new", 100_000, 0},
		{"more than before", 100_000, 900_000},
		{"all of it", 0, 10},
		{"all of it, nothing new", 0, 0},
	} {
		key := blob.NewKey()
		first, second := content(t, 1, 600_000), content(t, 2, c.more)
		put(t, s, key, 0, first)
		put(t, s, key, c.offset, second)
		wantSize(t, s, key, c.offset+c.more)
		seal(t, s, key)
		t.Log(c.name)
		wantContent(t, s, key, append(first[:c.offset:c.offset], second...))
	}
}

func appendBeyondEnd(t *testing.T, s blob.Store) {
	for _, b := range [][]byte{nil, content(t, 1, 1000)} {
		key := blob.NewKey()
		put(t, s, key, 0, b)
		n, err := s.Append(t.Context(), key, int64(len(b))+1, bytes.NewReader([]byte("gap")))
		wantError(t, "append beyond the end", err, blob.ErrOffset)
		if n != int64(len(b)) {
			t.Fatalf("the length beside ErrOffset is %d, want %d", n, len(b))
		}
		seal(t, s, key)
		wantContent(t, s, key, b)
	}
}

func appendAbsent(t *testing.T, s blob.Store) {
	key := blob.NewKey()
	n, err := s.Append(t.Context(), key, 5, bytes.NewReader([]byte("x")))
	wantError(t, "append to an absent key", err, blob.ErrNotFound)
	if n != 0 {
		t.Fatalf("the length of an absent key is %d", n)
	}
	wantAbsent(t, s, key)
}

func appendNegative(t *testing.T, s blob.Store) {
	key := blob.NewKey()
	put(t, s, key, 0, []byte("kept"))
	if n, err := s.Append(t.Context(), key, -1, bytes.NewReader([]byte("x"))); err == nil || n != 4 {
		t.Fatalf("append at -1: length %d, error %v, want 4 and an error", n, err)
	}
	wantSize(t, s, key, 4)
}

func readerError(t *testing.T, s blob.Store) {
	lost := errors.New("the connection is gone")
	for _, cause := range []error{lost, io.ErrUnexpectedEOF, fmt.Errorf("read the body: %w", io.EOF)} {
		for _, before := range []int64{0, 1, 5000, 2<<20 + 3} {
			want := content(t, 1, before+100)
			key := blob.NewKey()
			put(t, s, key, 0, want[:10])
			// 10 bytes are there, the rest of before comes, then the cause.
			start := min(before, 10)
			r := io.MultiReader(bytes.NewReader(want[start:before]), iotest.ErrReader(cause))
			n, err := s.Append(t.Context(), key, start, r)
			if err != cause { //nolint:errorlint // "unchanged" is the contract
				t.Fatalf("the error is %v, want %v itself", err, cause)
			}
			if n != before {
				t.Fatalf("the length after the error is %d, want %d", n, before)
			}
			wantSize(t, s, key, before)
			put(t, s, key, n, want[n:])
			seal(t, s, key)
			wantContent(t, s, key, want)
		}
	}
	// Bytes and the error out of one Read.
	key := blob.NewKey()
	n, err := s.Append(t.Context(), key, 0, &lastGasp{cause: lost})
	if err != lost || n != 4 { //nolint:errorlint // "unchanged" is the contract
		t.Fatalf("bytes together with an error: length %d, error %v, want 4 and %v", n, err, lost)
	}
	wantSize(t, s, key, 4)
}

// lastGasp returns its only bytes and its error at once.
type lastGasp struct{ cause error }

func (r *lastGasp) Read(p []byte) (int, error) { return copy(p, "last"), r.cause }

func appendCancelled(t *testing.T, s blob.Store) {
	key := blob.NewKey()
	put(t, s, key, 0, []byte("before"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := s.Append(ctx, key, 6, bytes.NewReader([]byte("after")))
	wantError(t, "append with a cancelled context", err, context.Canceled)
	wantSize(t, s, key, n)
	if n < 6 {
		t.Fatalf("bytes before the offset are gone: the length is %d", n)
	}
}

func appendCancelledMidway(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const all = 256 << 20 // a store that does not listen comes to its end
	r := &cancelling{r: noise(1, all), after: 3 << 20, cancel: cancel}
	key := blob.NewKey()
	n, err := s.Append(ctx, key, 0, r)
	wantError(t, "append cancelled on the way", err, context.Canceled)
	if n >= all/2 {
		t.Fatalf("%d bytes were written although the context was cancelled after %d", n, 3<<20)
	}
	wantSize(t, s, key, n)
	rest := content(t, 2, 100)
	put(t, s, key, n, rest)
	seal(t, s, key)
	want := append(content(t, 1, n), rest...)
	wantContent(t, s, key, want)
}

// cancelling calls cancel once so many bytes were read.
type cancelling struct {
	r      io.Reader
	after  int64
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.after -= int64(n); c.after <= 0 {
		c.cancel()
	}
	return n, err
}

func appendConcurrently(t *testing.T, s blob.Store) {
	const keys = 16
	var names [keys]blob.Key
	var wg sync.WaitGroup
	for i := range keys {
		names[i] = blob.NewKey()
		wg.Go(func() {
			var offset int64
			whole := noise(byte(i), 700_000) // one stream, in pieces
			for offset < 700_000 {
				n, err := s.Append(t.Context(), names[i], offset, io.LimitReader(whole, 100_000))
				if err != nil || n != offset+100_000 {
					t.Errorf("append at %d: length %d, error %v", offset, n, err)
					return
				}
				offset = n
			}
			if err := s.Seal(t.Context(), names[i]); err != nil {
				t.Errorf("seal: %v", err)
			}
		})
	}
	wg.Wait()
	for i, key := range names {
		wantContent(t, s, key, content(t, byte(i), 700_000))
	}
}
