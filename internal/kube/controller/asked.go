package controller

import (
	"errors"
	"maps"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/pullplan"
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

// mostAsks are questions to one registry at a time: one that hangs leaves
// workers to the others. One that could not be reached is asked by one alone.
const mostAsks = workers / 2

// asked remembers how registries answered: what happens in the cluster must
// not make one that is down be asked more often.
type asked struct {
	now  func() time.Time
	mu   sync.Mutex
	last map[string]answer // by the name of the state
	// down are the last answers of registries that could not be reached, runs
	// the questions that run, both by source.
	down map[string]answer
	runs map[string]int
}

type answer struct {
	source string // fingerprint of what it was asked with
	err    error
	pause  time.Duration
	next   time.Time
}

func newAsked(now func() time.Time) *asked {
	return &asked{now: now, last: map[string]answer{}, down: map[string]answer{}, runs: map[string]int{}}
}

// left of a pause; nothing waits for a time that a clock which was set back is
// far from.
func (l answer) left(now time.Time) time.Duration {
	wait := l.next.Sub(now)
	if wait > l.pause {
		return 0
	}
	return max(wait, 0)
}

// pause is how long not to ask, with what was answered last; 0 is ask now, and
// then it must be told. A renewal that is due waits for the end of a failure's
// pause, else for a moment only, another source for nothing at all. While a
// registry cannot be reached, that is the answer for all states of its source.
func (a *asked) pause(state, source string, due bool) (time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.last[state]; l.source == source {
		wait := l.left(a.now())
		if due && l.err == nil {
			wait -= l.pause - firstPause
		}
		if wait > 0 {
			return wait, l.err
		}
	}
	l, down := a.down[source]
	wait := l.left(a.now())
	switch {
	case wait > 0:
		return wait, l.err
	case down && a.runs[source] > 0:
		return askTime, l.err
	case a.runs[source] >= mostAsks:
		return firstPause, nil
	}
	a.runs[source]++
	return 0, nil
}

// told takes an answer down, and says how long to wait for the next question.
func (a *asked) told(state, source string, err error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	l := answer{source: source, err: err, pause: lookAgain}
	if err != nil {
		l.pause = firstPause
		if before := a.last[state]; before.err != nil && before.source == source {
			l.pause = min(2*before.pause, lastPause)
		}
	}
	l.next = now.Add(l.pause)
	maps.DeleteFunc(a.last, func(_ string, l answer) bool { return now.Sub(l.next) > lookAgain }) // its policy is gone
	a.last[state] = l
	if a.runs[source]--; a.runs[source] <= 0 {
		delete(a.runs, source)
	}
	a.reached(source, err, now)
	return l.pause
}

// reached takes down whether a registry could be. Answers to questions that ran
// at the same time are one.
func (a *asked) reached(source string, err error, now time.Time) {
	maps.DeleteFunc(a.down, func(_ string, l answer) bool { return now.Sub(l.next) > lastPause }) // nobody asks it any more
	var why *sourceError
	if !errors.As(err, &why) || why.reason != pullplan.RegistryUnreachable {
		delete(a.down, source)
		return
	}
	l := answer{err: err, pause: firstPause}
	if before, was := a.down[source]; was {
		l.pause = before.pause
		if before.left(now) == 0 {
			l.pause = min(2*before.pause, lastPause)
		}
	}
	l.next = now.Add(l.pause)
	a.down[source] = l
}

func (a *asked) drop(state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.last, state)
}
