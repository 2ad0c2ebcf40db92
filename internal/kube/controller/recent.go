package controller

import (
	"strconv"
	"sync"
	"time"
)

// recentTime is how long a cache may take to see our own write.
const recentTime = 2 * time.Second

// recent remembers what we wrote until the cache has it: a plan made of a
// cache that lags would write the same again.
type recent struct {
	mu sync.Mutex
	of map[string]map[[2]string]written // by namespace, then by kind and name
}

type written struct {
	version uint64
	object  any
	at      time.Time
}

func newRecent() *recent { return &recent{of: map[string]map[[2]string]written{}} }

func (r *recent) put(kind, namespace, name, version string, object any) {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return // versions that cannot be compared: the cache is believed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[namespace] == nil {
		r.of[namespace] = map[[2]string]written{}
	}
	r.of[namespace][[2]string{kind, name}] = written{n, object, time.Now()}
}

func (r *recent) drop(kind, namespace, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(namespace, [2]string{kind, name})
}

func (r *recent) forget(namespace string, key [2]string) {
	delete(r.of[namespace], key)
	if len(r.of[namespace]) == 0 {
		delete(r.of, namespace)
	}
}

// dropAll forgets a namespace that is gone.
func (r *recent) dropAll(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, namespace)
}

// newer gives what we wrote if the cache, whose version is "" if it has
// nothing, has not seen it yet.
func (r *recent) newer(kind, namespace, name, cached string) (any, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{kind, name}
	w, is := r.of[namespace][key]
	if !is {
		return nil, false
	}
	n, _ := strconv.ParseUint(cached, 10, 64)
	if n >= w.version || time.Since(w.at) > recentTime {
		r.forget(namespace, key)
		return nil, false
	}
	return w.object, true
}
