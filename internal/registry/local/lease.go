package local

import (
	"hash/maphash"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// mostLeases bounds the memory of leases (some 40 bytes each) within one grace
// period; beyond it everything counts as leased until that is over.
const mostLeases = 1_000_000

// leases remember which blobs somebody was told exist: a push that skips what
// is there counts on them. They outlive neither the process nor the grace
// period; after a start the sweep waits that long.
//
// Of a digest its hash is remembered: that two share one only keeps a blob
// for longer. There are two generations, so that nobody waits while old leases
// are looked for: what was not leased anew in a whole period goes at once.
type leases struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old map[uint64]int64 // until, in unix nanoseconds
	born       time.Time        // of the young
	all        time.Time        // everything is leased until then
	// answering is held, shared, from looking a blob up to leasing it, and
	// alone while the sweep decides: nobody is told "it is there" between the
	// decision and the end of the link.
	answering sync.RWMutex
}

func newLeases() *leases { return &leases{seed: maphash.MakeSeed(), young: map[uint64]int64{}} }

func (l *leases) add(d oci.Digest, now time.Time, grace time.Duration) {
	h := maphash.String(l.seed, string(d))
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.born) >= grace {
		l.old, l.young, l.born = l.young, map[uint64]int64{}, now
	}
	if _, ok := l.young[h]; !ok && len(l.young) >= mostLeases {
		l.all = now.Add(grace)
		return
	}
	l.young[h] = now.Add(grace).UnixNano()
}

func (l *leases) holds(d oci.Digest, now time.Time) bool {
	h, at := maphash.String(l.seed, string(d)), now.UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.all) || at < l.young[h] || at < l.old[h]
}
