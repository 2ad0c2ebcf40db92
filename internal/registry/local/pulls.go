package local

import (
	"context"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

const (
	// pullNotes is how often the notes of pulls are written.
	pullNotes = time.Minute
	// mostPulls bounds their memory; more manifests than these in a minute
	// are written at once.
	mostPulls = 50_000
)

// pulls notes which manifests were pulled, so that a pull costs no write.
type pulls struct {
	mu   sync.Mutex
	seen map[digestKey]time.Time
}

func (p *pulls) note(repo oci.Repo, d oci.Digest, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[digestKey]time.Time{}
	}
	if len(p.seen) < mostPulls {
		p.seen[digestKey{repo, d}] = now
	}
}

func (p *pulls) take() []Pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Pull, 0, len(p.seen))
	for k, at := range p.seen {
		out = append(out, Pull{Repo: k.repo, Digest: k.digest, At: at})
	}
	p.seen = nil
	return out
}

// writePulls writes the notes down. A crash loses those of the last minute.
func (r *Registry) writePulls(ctx context.Context) {
	notes := r.pulls.take()
	if len(notes) == 0 {
		return
	}
	if err := r.o.Retention.Pulled(ctx, notes); err != nil {
		r.o.Log.WarnContext(ctx, "when manifests were last pulled could not be written", "manifests", len(notes), "error", err)
	}
}
