package controller

import (
	"sync"
	"time"
)

// How often a registry is asked about one credential.
const (
	// lookAgain is how often it is asked whether the token is still good. It
	// bounds as well what a clock that was set can make late.
	lookAgain = 10 * time.Minute
	// firstPause follows a failure; each further one doubles it.
	firstPause = time.Second
	lastPause  = 5 * time.Minute
)

// asked remembers how registries answered: what happens in the cluster must
// not make one that is down be asked more often.
type asked struct {
	now  func() time.Time
	mu   sync.Mutex
	last map[string]answer // by the name of the state
}

type answer struct {
	source string // fingerprint of what it was asked with
	err    error
	pause  time.Duration
	next   time.Time
}

func newAsked(now func() time.Time) *asked { return &asked{now: now, last: map[string]answer{}} }

// pause is how long not to ask, with what was answered last; 0 is ask now. A
// renewal that is due waits for the end of a failure's pause, else for a
// moment only, another source for nothing at all, and nothing waits for a time
// that a clock which was set back is far from.
func (a *asked) pause(state, source string, due bool) (time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, is := a.last[state]
	if !is || l.source != source {
		return 0, nil
	}
	wait := l.next.Sub(a.now())
	if wait > l.pause {
		return 0, nil
	}
	if due && l.err == nil {
		wait -= l.pause - firstPause
	}
	return max(wait, 0), l.err
}

// told takes an answer down, and says how long to wait for the next question.
func (a *asked) told(state, source string, err error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := answer{source: source, err: err, pause: lookAgain}
	if err != nil {
		l.pause = firstPause
		if before := a.last[state]; before.err != nil && before.source == source {
			l.pause = min(2*before.pause, lastPause)
		}
	}
	l.next = a.now().Add(l.pause)
	a.last[state] = l
	return l.pause
}

func (a *asked) drop(state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.last, state)
}
