package blobtest

import (
	"bytes"
	"net/url"
	"sync"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

func openRanges(t *testing.T, s blob.Store) {
	const all = 1 << 20
	b := content(t, 1, all)
	key := stored(t, s, b)
	for _, c := range []struct {
		name                     string
		offset, length, from, to int64
	}{
		{"all, by -1", 0, -1, 0, all},
		{"all, by its length", 0, all, 0, all},
		{"prefix", 0, 100, 0, 100},
		{"middle", 4097, 70_000, 4097, 74_097},
		{"one byte", 500, 1, 500, 501},
		{"from the middle to the end", 999_999, -1, 999_999, all},
		{"suffix", all - 5, 5, all - 5, all},
		{"nothing", 10, 0, 10, 10},
		{"cut at the end", all - 5, 100, all - 5, all},
		{"longer than all", 0, 2 * all, 0, all},
		{"from the end", all, 10, all, all},
		{"from the end to the end", all, -1, all, all},
		{"beyond the end", all + 1000, 10, all, all},
		{"beyond the end to the end", all + 1000, -1, all, all},
	} {
		got, err := read(t.Context(), s, key, c.offset, c.length)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !bytes.Equal(got, b[c.from:c.to]) {
			t.Errorf("%s: read %d bytes that are not those from %d to %d", c.name, len(got), c.from, c.to)
		}
	}
	if rc, err := s.Open(t.Context(), key, -1, 10); err == nil {
		_ = rc.Close() // it must not have been opened at all
		t.Error("open at a negative offset succeeded")
	}
}

func openAbsent(t *testing.T, s blob.Store) {
	for _, offset := range []int64{0, 10} {
		rc, err := s.Open(t.Context(), blob.NewKey(), offset, -1)
		wantError(t, "open an absent key", err, blob.ErrNotFound)
		if rc != nil {
			t.Fatal("open an absent key returned a reader beside its error")
		}
	}
}

func openConcurrently(t *testing.T, s blob.Store) {
	b := content(t, 1, 500_000)
	key := stored(t, s, b)
	var wg sync.WaitGroup
	for i := range int64(16) {
		wg.Go(func() {
			got, err := read(t.Context(), s, key, i*1000, 300_000)
			if err != nil || !bytes.Equal(got, b[i*1000:i*1000+300_000]) {
				t.Errorf("reader %d: %d bytes, error %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
}

func size(t *testing.T, s blob.Store) {
	key := blob.NewKey()
	_, err := s.Size(t.Context(), key)
	wantError(t, "size of an absent key", err, blob.ErrNotFound)
	put(t, s, key, 0, make([]byte, 12_345))
	wantSize(t, s, key, 12_345)
	put(t, s, key, 12_345, make([]byte, 5))
	wantSize(t, s, key, 12_350)
	seal(t, s, key)
	wantSize(t, s, key, 12_350)
}

func deleteKeys(t *testing.T, s blob.Store) {
	if err := s.Delete(t.Context(), blob.NewKey()); err != nil {
		t.Fatalf("delete a key that never was: %v", err)
	}
	kept := stored(t, s, []byte("kept"))
	open := blob.NewKey()
	put(t, s, open, 0, []byte("unsealed"))
	for _, key := range []blob.Key{stored(t, s, []byte("sealed")), open} {
		for range 2 {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatalf("delete: %v", err)
			}
			wantAbsent(t, s, key)
			_, err := s.Open(t.Context(), key, 0, -1)
			wantError(t, "open a deleted key", err, blob.ErrNotFound)
			_, err = s.Append(t.Context(), key, 3, bytes.NewReader(nil))
			wantError(t, "append to a deleted key", err, blob.ErrNotFound)
			wantError(t, "seal a deleted key", s.Seal(t.Context(), key), blob.ErrNotFound)
		}
	}
	wantContent(t, s, kept, []byte("kept"))
}

func link(t *testing.T, s blob.Store) {
	key := stored(t, s, []byte("content"))
	address, err := s.URL(t.Context(), key)
	if err != nil {
		t.Fatalf("url: %v", err)
	}
	if address == "" {
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		t.Fatalf("%q is no absolute URL (%v)", address, err)
	}
}
