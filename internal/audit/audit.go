// Package audit is the record of who did what, from where, and of who was
// refused.
//
// A Line of something that changes accounts, namespaces or tokens is written
// in the transaction of that change. Lines of image changes, refusals and
// failed sign-ins come as often as strangers like: a Recorder gathers them,
// counts equal ones together and writes them every half second, so that no
// pull or push waits for them. A crash loses at most those of that time; the
// log has them.
package audit

import (
	"context"
	"time"
)

// Outcome of what was tried.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
	Failed  Outcome = "failed" // allowed, but it did not work
)

// Line is one line. Texts are clipped by who makes it.
type Line struct {
	ID int64
	At time.Time
	// AccountID whose business it is; 0 for the operator's.
	AccountID int64
	// Actor for people; TokenID "" if nobody was signed in.
	Actor, TokenID string
	// Action such as "token.add", "manifest.push", "signin".
	Action string
	// Namespace and Repository that it is about, "" for none.
	Namespace, Repository string
	// Target: a tag, a digest, a token's id, an account's name.
	Target  string
	Outcome Outcome
	// Reason of a refusal or failure; Detail of a change.
	Reason, Detail string
	// Address of the client, Client its program, Request the request's id.
	Address, Client, Request string
	// Count of equal ones that this line stands for, at least 1.
	Count int64
}

// Filter selects lines; zero fields select all.
type Filter struct {
	// AccountID, if Scoped.
	AccountID int64
	Scoped    bool

	TokenID, Action, Namespace, Repository string
	// ActionPrefix such as "token." selects all that begin with it.
	ActionPrefix string
	Outcome      Outcome
	Since, Until time.Time
}

// Store keeps lines.
type Store interface {
	// Add lines, in one transaction; they need not survive a power cut.
	Add(ctx context.Context, lines []Line) error
	// Lines gives at most n, newest first, with IDs below before (0 for the
	// newest). It looks at a bounded number of lines: more tells that there
	// may be others, after the ID next, even if n was not reached.
	Lines(ctx context.Context, f Filter, before int64, n int) (lines []Line, next int64, err error)
	// Prune forgets at most n lines older than before, and returns how many.
	Prune(ctx context.Context, before time.Time, n int) (int, error)
}
