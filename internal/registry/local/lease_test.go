package local

import (
	"fmt"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// TestLeases hold for the grace period, from the last time that somebody was
// told; more than can be remembered keep everything.
func TestLeases(t *testing.T) {
	t.Parallel()
	const grace = time.Hour
	l, now := newLeases(), time.Now()
	digest := func(i int) oci.Digest { return oci.DigestOf(oci.SHA256, fmt.Append(nil, i)) }
	l.add(digest(0), now, grace)
	for minute := range 180 {
		at := now.Add(time.Duration(minute) * time.Minute)
		l.add(digest(1), at, grace)
		if got := l.holds(digest(0), at); got != (minute < 60) {
			t.Errorf("after %d minutes: %v", minute, got)
		}
		if !l.holds(digest(1), at) || l.holds(digest(2), at) {
			t.Errorf("after %d minutes the wrong one is leased", minute)
		}
	}
	later := now.Add(10 * time.Hour)
	for i := range mostLeases {
		l.young[uint64(i)] = 0
	}
	l.born = later
	l.add(digest(3), later, grace)
	for i := range 5 {
		if !l.holds(digest(i), later.Add(grace-1)) || l.holds(digest(i), later.Add(grace)) {
			t.Errorf("digest %d beyond the limit", i)
		}
	}
}

// TestLeasesOfABusyRegistry: hundreds of pushes a second for hours do not end
// the sweep.
func TestLeasesOfABusyRegistry(t *testing.T) {
	t.Parallel()
	l, now, absent := newLeases(), time.Now(), oci.DigestOf(oci.SHA256, []byte("absent"))
	const perMinute = 200 * 60
	for minute := range 130 {
		at := now.Add(time.Duration(minute) * time.Minute)
		for i := range perMinute {
			l.add(oci.Digest(fmt.Sprint("sha256:", minute, "-", i)), at, time.Hour)
		}
		if l.holds(absent, at) {
			t.Fatalf("everything is leased after %d minutes", minute)
		}
	}
	if n := len(l.young) + len(l.old); n > 2*mostLeases {
		t.Errorf("%d leases are remembered", n)
	}
}
