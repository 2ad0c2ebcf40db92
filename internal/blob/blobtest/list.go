package blobtest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/blob"
)

// listed is the whole list, by key; none may come twice.
func listed(t *testing.T, s blob.Store) map[blob.Key]blob.Entry {
	t.Helper()
	all := map[blob.Key]blob.Entry{}
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if _, twice := all[e.Key]; twice {
			t.Fatalf("the list holds %s twice", e.Key)
		}
		all[e.Key] = e
	}
	return all
}

func list(t *testing.T, s blob.Store) {
	start := time.Now()
	want := map[blob.Key]int64{}
	for i := range int64(40) {
		key := blob.NewKey()
		put(t, s, key, 0, make([]byte, i*10))
		want[key] = i * 10
		if i%2 == 0 {
			seal(t, s, key)
		}
	}
	got := map[blob.Key]int64{}
	for key, e := range listed(t, s) {
		got[key] = e.Size
		// Clocks of file systems and of stores elsewhere are coarse.
		if d := e.Modified.Sub(start); d < -time.Minute || d > time.Minute {
			t.Errorf("%s last grew at %s, it was written at %s", key, e.Modified, start)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("the sizes listed differ (-want +got):\n%s", d)
	}
}

func listNothing(t *testing.T, s blob.Store) {
	if all := listed(t, s); len(all) != 0 {
		t.Fatalf("the store should be empty and lists %v", all)
	}
}

func listStops(t *testing.T, s blob.Store) {
	for range 20 {
		put(t, s, blob.NewKey(), 0, nil)
	}
	n := 0
	for _, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if n++; n == 3 {
			break // a List that goes on panics here
		}
	}
	if n != 3 {
		t.Fatalf("the list of 20 keys yielded %d, want 3 and a break", n)
	}
}

// listWhileDeleting: the sweep deletes what it is listing.
func listWhileDeleting(t *testing.T, s blob.Store) {
	want := map[blob.Key]bool{}
	for range 50 {
		key := blob.NewKey()
		put(t, s, key, 0, []byte("x"))
		want[key] = true
	}
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if !want[e.Key] {
			t.Fatalf("the list holds %s, which is not there", e.Key)
		}
		delete(want, e.Key)
		if err := s.Delete(t.Context(), e.Key); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	if len(want) != 0 {
		t.Fatalf("the list left out %d keys", len(want))
	}
	listNothing(t, s)
}

func listCancelled(t *testing.T, s blob.Store) {
	put(t, s, blob.NewKey(), 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range s.List(ctx) {
		last = err
	}
	wantError(t, "list with a cancelled context", last, context.Canceled)
}
