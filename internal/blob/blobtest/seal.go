package blobtest

import (
	"bytes"
	"errors"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

func sealImmutable(t *testing.T, s blob.Store) {
	want := content(t, 1, 10_000)
	key := stored(t, s, want)
	for _, offset := range []int64{0, 1, 9_999, 10_000, 10_001} {
		n, err := s.Append(t.Context(), key, offset, bytes.NewReader([]byte("changed")))
		if !errors.Is(err, blob.ErrSealed) {
			t.Fatalf("append to a sealed key at %d: %v, want ErrSealed", offset, err)
		}
		if n != int64(len(want)) {
			t.Fatalf("append to a sealed key at %d returned the length %d, want %d", offset, n, len(want))
		}
	}
	wantContent(t, s, key, want)
}

// sealTwice: a commit that is tried again after a crash seals again.
func sealTwice(t *testing.T, s blob.Store) {
	want := content(t, 1, 1000)
	key := stored(t, s, want)
	seal(t, s, key)
	wantContent(t, s, key, want)
}

func sealAbsent(t *testing.T, s blob.Store) {
	key := blob.NewKey()
	wantError(t, "seal an absent key", s.Seal(t.Context(), key), blob.ErrNotFound)
	wantAbsent(t, s, key)
}

// badKeys climb three folders at most and name nothing that a machine has: a
// store that follows them, in a folder four deep, harms only the test.
func badKeys(t *testing.T, s blob.Store) {
	good := string(blob.NewKey())
	for _, bad := range []string{
		"", "a", good[:31], good + "0", good + "\n", " " + good[1:],
		"ABCDEF0123456789ABCDEF0123456789",
		"../../fairlead-outside", "../" + good[3:],
		"..", "...", ".", "/fairlead-outside", good[:30] + "/.", good[:30] + "..",
		"0\x00" + good[2:], "zz" + good[2:], good[:28] + "\u00e9\u00e9",
	} {
		key := blob.Key(bad)
		ctx := t.Context()
		errs := map[string]error{"Seal": s.Seal(ctx, key), "Delete": s.Delete(ctx, key)}
		for _, offset := range []int64{0, 1} {
			var n int64
			n, errs["Append"] = s.Append(ctx, key, offset, bytes.NewReader([]byte("x")))
			if n != 0 || errs["Append"] == nil {
				t.Errorf("Append to the key %q: length %d, error %v", bad, n, errs["Append"])
			}
		}
		_, errs["Size"] = s.Size(ctx, key)
		_, errs["URL"] = s.URL(ctx, key)
		rc, err := s.Open(ctx, key, 0, -1)
		errs["Open"] = err
		if err == nil {
			_ = rc.Close() // it must not have been opened at all
		}
		for method, err := range errs {
			if err == nil {
				t.Errorf("%s accepted the key %q", method, bad)
			}
		}
	}
	listNothing(t, s)
}
