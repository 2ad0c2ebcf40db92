package controller

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// A repair that somebody undoes again and again is made more seldom.
const (
	repairBurst = 5
	repairEvery = 10 * time.Second
	// mostRepairs of a namespace are remembered before old ones are looked for.
	mostRepairs = 256
)

// repairs counts what was written where.
type repairs struct {
	mu sync.Mutex
	of map[string]map[string]*repair // by namespace, then by what is done to which object, and why
	// full is the number of namespaces at which what is old is forgotten.
	full int
}

type repair struct {
	content [sha256.Size]byte
	limit   *rate.Limiter
}

func newRepairs() *repairs { return &repairs{of: map[string]map[string]*repair{}} }

// pause is how long a write must wait; 0 is now.
func (r *repairs) pause(namespace string, d pullplan.Decision) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 1 - r.limit(namespace, d).Tokens()
	return max(time.Duration(missing*float64(repairEvery)), 0)
}

// wrote counts one that was done: who refuses it undoes nothing.
func (r *repairs) wrote(namespace string, d pullplan.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit(namespace, d).Allow()
}

// limit of a write; a secret with other content is no repair.
func (r *repairs) limit(namespace string, d pullplan.Decision) *rate.Limiter {
	if r.of[namespace] == nil {
		if len(r.of) >= r.full {
			r.forget()
		}
		r.of[namespace] = map[string]*repair{}
	}
	key, content := fmt.Sprint(d.Verb, " ", d.Object, " ", d.Reason), sha256.Sum256(d.Secret.Data[pullsecret.KeyConfigJSON])
	one, is := r.of[namespace][key]
	if !is || one.content != content {
		if !is && len(r.of[namespace]) >= mostRepairs {
			r.forget() // of accounts that come and go by the thousand
		}
		one = &repair{content, rate.NewLimiter(rate.Every(repairEvery), repairBurst)}
		if r.of[namespace] == nil {
			r.of[namespace] = map[string]*repair{}
		}
		r.of[namespace][key] = one
	}
	return one.limit
}

// forget drops what has its whole burst again, and so is as good as new: of
// thousands of namespaces few were written to lately.
func (r *repairs) forget() {
	for namespace, of := range r.of {
		maps.DeleteFunc(of, func(_ string, one *repair) bool { return one.limit.Tokens() >= repairBurst })
		if len(of) == 0 {
			delete(r.of, namespace)
		}
	}
	r.full = max(2*len(r.of), 64)
}

// budget is what namespaces may spend of what all share: burst at once, then one
// in every.
type budget struct {
	every time.Duration
	burst int
	now   func() time.Time
	mu    sync.Mutex
	of    map[string]*rate.Limiter // by namespace
}

// newFailures are the writes that the API server refused, or that came too late:
// whoever makes them fail does so by the namespace's own events.
func newFailures() *budget {
	return &budget{every: time.Second, burst: 20, now: time.Now, of: map[string]*rate.Limiter{}}
}

// newMints are the tokens that are minted for PullSecrets: whoever may make these
// may make them anew again and again, and each token stays good until it expires.
func newMints(now func() time.Time) *budget {
	return &budget{every: time.Minute, burst: 60, now: now, of: map[string]*rate.Limiter{}}
}

func (b *budget) spend(namespace string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.of[namespace] == nil {
		maps.DeleteFunc(b.of, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= float64(b.burst) })
		b.of[namespace] = rate.NewLimiter(rate.Every(b.every), b.burst)
	}
	b.of[namespace].AllowN(now, 1)
}

// pause is how long a namespace must wait; 0 is not at all.
func (b *budget) pause(namespace string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of[namespace]
	if l == nil {
		return 0
	}
	return max(time.Duration((1-l.TokensAt(b.now()))*float64(b.every)), 0)
}

func (b *budget) drop(namespace string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, namespace)
}

func (r *repairs) drop(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, namespace)
}
