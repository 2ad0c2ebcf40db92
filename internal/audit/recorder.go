package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// writeEvery is how often gathered lines are written.
	writeEvery = 500 * time.Millisecond
	// mostWaiting bounds the lines in memory; more in one interval are counted
	// and not kept.
	mostWaiting = 10_000
	// lastWrite bounds the time for what is left when Run ends.
	lastWrite = 10 * time.Second
	// pruneEvery and pruneBatch: old lines go in small steps.
	pruneEvery = 10 * time.Minute
	pruneBatch = 1000
)

// Options of a Recorder.
type Options struct {
	Store Store
	// Keep is how long lines are kept; 0 is for ever.
	Keep time.Duration
	Log  *slog.Logger
	Now  func() time.Time
}

// Recorder gathers lines and writes them.
type Recorder struct {
	o       Options
	mu      sync.Mutex
	lines   map[Line]*Line // by what makes them equal
	order   []*Line
	dropped int64
}

// NewRecorder makes a Recorder; Run writes what it gathers.
func NewRecorder(o Options) *Recorder {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Recorder{o: o, lines: map[Line]*Line{}}
}

// Record takes a line; it waits for nothing. Lines that differ in time and
// request only are counted together.
func (r *Recorder) Record(_ context.Context, l Line) {
	key := l
	key.At, key.Request, key.Count, key.ID = time.Time{}, "", 0, 0
	if key.Outcome == Allowed {
		key.Request = l.Request // every change is a line of its own
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if same, ok := r.lines[key]; ok {
		same.Count++
		return
	}
	if len(r.order) >= mostWaiting {
		r.dropped++
		return
	}
	l.At, l.Count = r.o.Now(), 1
	r.lines[key] = &l
	r.order = append(r.order, &l)
}

func (r *Recorder) take() ([]Line, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Line, len(r.order))
	for i, l := range r.order {
		out[i] = *l
	}
	dropped := r.dropped
	clear(r.lines)
	r.order, r.dropped = nil, 0
	return out, dropped
}

// Flush writes what was gathered. Lines that cannot be written are in the log
// only.
func (r *Recorder) Flush(ctx context.Context) {
	lines, dropped := r.take()
	if dropped > 0 {
		r.o.Log.WarnContext(ctx, "more audit lines than can be kept: the log has them", "lines", dropped)
	}
	if len(lines) == 0 {
		return
	}
	if err := r.o.Store.Add(ctx, lines); err != nil {
		r.o.Log.ErrorContext(ctx, "audit lines could not be written: the log has them", "lines", len(lines), "error", err)
	}
}

// Run writes lines, and forgets old ones, until ctx ends; then it writes what
// is left and returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	write, prune := time.NewTicker(writeEvery), time.NewTicker(pruneEvery)
	defer write.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			r.Flush(last)
			return nil
		case <-write.C:
			r.Flush(ctx)
		case <-prune.C:
			r.Prune(ctx)
		}
	}
}

// Prune forgets lines that are older than they are to be kept.
func (r *Recorder) Prune(ctx context.Context) {
	if r.o.Keep <= 0 {
		return
	}
	for {
		n, err := r.o.Store.Prune(ctx, r.o.Now().Add(-r.o.Keep), pruneBatch)
		if err != nil && ctx.Err() == nil {
			r.o.Log.WarnContext(ctx, "old audit lines could not be removed", "error", err)
		}
		if err != nil || n < pruneBatch {
			return
		}
	}
}
