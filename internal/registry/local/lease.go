package local

import (
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// mostLeases bounds the memory of leases; beyond it everything counts as
// leased until the oldest run out.
const mostLeases = 200_000

// leases remember which blobs somebody was told exist: a push that skips what
// is there counts on them. They outlive neither the process nor the grace
// period; after a start the sweep waits that long.
type leases struct {
	mu    sync.Mutex
	until map[oci.Digest]time.Time
	all   time.Time // everything is leased until then
	// answering is held, shared, from looking a blob up to leasing it, and
	// alone while the sweep decides: nobody is told "it is there" between the
	// decision and the end of the link.
	answering sync.RWMutex
}

func newLeases() *leases { return &leases{until: map[oci.Digest]time.Time{}} }

func (l *leases) add(d oci.Digest, now time.Time, grace time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) >= mostLeases {
		for k, t := range l.until {
			if t.Before(now) {
				delete(l.until, k)
			}
		}
	}
	if len(l.until) >= mostLeases {
		l.all = now.Add(grace)
		return
	}
	l.until[d] = now.Add(grace)
}

func (l *leases) holds(d oci.Digest, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.all) || now.Before(l.until[d])
}
