package sqlite

import "time"

// Stats are counters since Open, and how things stand now.
type Stats struct {
	// Commits that succeeded, the Durable ones among them, and the Writes in
	// them: Writes/Commits is how well commits are shared.
	Commits, Durable, Writes int64
	// Failed writes, whatever failed them.
	Failed int64
	// Errors of transactions as a whole.
	Errors int64
	// Busy is the time spent in transactions.
	Busy time.Duration
	// Queued writes wait now; Readers connections are in use now.
	Queued, Readers int
}

// count adds one transaction; one that kept nothing is no commit.
func (w *writer) count(writes, failed int, durable bool, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.stats
	s.Failed += int64(failed)
	s.Busy += took
	switch {
	case err != nil:
		s.Errors++
	case writes > 0:
		s.Commits++
		s.Writes += int64(writes)
		if durable {
			s.Durable++
		}
	}
}

func (w *writer) snapshot() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Queued = len(w.queue)
	return s
}
