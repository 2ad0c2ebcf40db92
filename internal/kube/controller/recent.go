package controller

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fairlead.dev/fairlead/internal/pullplan"
)

// recentTime is how long a cache may take to see our own write.
const recentTime = 2 * time.Second

// recent remembers what we wrote until the cache has it: a plan made of a
// cache that lags would write the same again.
type recent struct {
	mu   sync.Mutex
	last map[[3]string]written
}

type written struct {
	version uint64
	object  any
	at      time.Time
}

func newRecent() *recent { return &recent{last: map[[3]string]written{}} }

func (r *recent) put(kind, namespace, name, version string, object any) {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return // versions that cannot be compared: the cache is believed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[[3]string{kind, namespace, name}] = written{n, object, time.Now()}
}

func (r *recent) drop(kind, namespace, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, [3]string{kind, namespace, name})
}

// newer gives what we wrote if the cache, whose version is "" if it has
// nothing, has not seen it yet.
func (r *recent) newer(kind, namespace, name, cached string) (any, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [3]string{kind, namespace, name}
	w, is := r.last[key]
	if !is {
		return nil, false
	}
	n, _ := strconv.ParseUint(cached, 10, 64)
	if n >= w.version || time.Since(w.at) > recentTime {
		delete(r.last, key)
		return nil, false
	}
	return w.object, true
}

// A repair that somebody undoes again and again is made more seldom.
const (
	repairBurst = 5
	repairEvery = 10 * time.Second
)

type repairs struct {
	mu   sync.Mutex
	of   map[string]map[string]*rate.Limiter
	rate rate.Limit
}

func newRepairs() *repairs {
	return &repairs{of: map[string]map[string]*rate.Limiter{}, rate: rate.Every(repairEvery)}
}

// pause is how long a write must wait; 0 is now.
func (r *repairs) pause(namespace string, d pullplan.Decision) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	of, is := r.of[namespace]
	if !is {
		of = map[string]*rate.Limiter{}
		r.of[namespace] = of
	}
	key := string(d.Verb) + " " + d.Object
	l, is := of[key]
	if !is {
		l = rate.NewLimiter(r.rate, repairBurst)
		of[key] = l
	}
	booking := l.Reserve()
	pause := booking.Delay()
	if pause > 0 {
		booking.Cancel()
	}
	return pause
}

func (r *repairs) drop(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, namespace)
}
