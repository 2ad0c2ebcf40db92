package serve

import (
	"context"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/config"
)

// room knows how full the disk is; it asks at most once a second.
type room struct {
	free func(context.Context) (free, total uint64, err error)
	min  config.FreeSpace

	mu          sync.Mutex
	asked       time.Time
	left, whole uint64
}

// state gives the free bytes of the disk and how many must stay free.
func (r *room) state(ctx context.Context) (free, floor uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) > time.Second {
		if r.left, r.whole, err = r.free(ctx); err != nil {
			return 0, 0, err
		}
		r.asked = time.Now()
	}
	return r.left, uint64(r.min.Of(int64(r.whole))), nil
}

// enough tells whether pushes may go on.
func (r *room) enough(ctx context.Context) (bool, error) {
	free, floor, err := r.state(ctx)
	return err == nil && free >= floor, err
}

// scarce tells that pushes will soon be refused.
func (r *room) scarce(ctx context.Context) bool {
	free, floor, err := r.state(ctx)
	return err == nil && floor > 0 && free < 2*floor
}
