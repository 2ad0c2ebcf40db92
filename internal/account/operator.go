package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/keyfile"
)

const (
	// RefreshInterval is how often the operator's file is read again.
	RefreshInterval = time.Second
	// staleAfter is how long an answer may rest on an old reading.
	staleAfter = 2 * time.Second
)

// Errors of Authenticate.
var (
	// ErrBadCredentials: the user name or the token is wrong; which, is not
	// told.
	ErrBadCredentials = errors.New("the user name or the token is wrong: the user name is \"token\", the password a Fairlead token")
	// ErrUnavailable: whether the token is valid cannot be told at present.
	ErrUnavailable = errors.New("signing in is not possible at the moment: try again")
)

// OperatorOptions of OpenOperator.
type OperatorOptions struct {
	// File that holds the operator's token.
	File string
	// Given: the operator named the file, so it is never made, may hold any
	// value of at least 20 printable bytes without white space, and may be
	// readable by its group.
	Given bool
	// Key of token values; the public token ID is derived with it.
	Key []byte
	// Interval of refreshes; 0 is RefreshInterval.
	Interval time.Duration
	// Log of rotations and failing refreshes; nil is none. It never gets a
	// value.
	Log *slog.Logger
}

// Operator authenticates the operator by the token in a file.
type Operator struct {
	o       OperatorOptions
	current atomic.Pointer[identity]
	// closed: refreshes failed for too long, so nobody is alive.
	closed atomic.Bool
}

// identity is what is remembered of a value: enough to recognise it.
type identity struct {
	tokenID string
	mac     [sha256.Size]byte
}

// OpenOperator reads the operator's token; unless Given, it makes one if there
// is none (0600, its folder 0700). created tells that it did.
//
// Errors: the file is missing (Given), is open to others
// (keyfile.ErrPermissions; group and others, or only others when Given), or
// holds no usable value (ErrValue).
func OpenOperator(o OperatorOptions) (op *Operator, created bool, err error) {
	if len(o.Key) < keyfile.Size {
		return nil, false, fmt.Errorf("open the operator's token: the key of token values has %d bytes, at least %d are needed", len(o.Key), keyfile.Size)
	}
	if o.Interval <= 0 {
		o.Interval = RefreshInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	op = &Operator{o: o}
	err = op.refresh()
	if errors.Is(err, fs.ErrNotExist) && !o.Given {
		err = keyfile.Create(o.File, []byte(NewValue()+"\n"))
		created = err == nil
		if err == nil || errors.Is(err, fs.ErrExist) { // or somebody else was first
			err = op.refresh()
		}
	}
	if err != nil {
		return nil, false, err
	}
	return op, created, nil
}

// TokenID names the operator's token; it is no secret.
func (op *Operator) TokenID() string { return op.current.Load().tokenID }

// refresh reads the file.
func (op *Operator) refresh() error {
	forbidden := keyfile.Private
	if op.o.Given {
		forbidden = keyfile.World
	}
	b, err := keyfile.Read(op.o.File, maxGivenLen+2, forbidden)
	if err != nil {
		return fmt.Errorf("read the operator's token: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if err := checkGiven(value); err != nil {
		return fmt.Errorf("read the operator's token from %s: %w", op.o.File, err)
	}
	id := identify(op.o.Key, value)
	old := op.current.Load()
	if old == nil || *old != id {
		op.current.Store(&id)
	}
	if old != nil && *old != id {
		op.o.Log.Info("the operator's token was replaced", "old", old.tokenID, "new", id.tokenID)
	}
	if op.closed.Swap(false) {
		op.o.Log.Info("the operator's token is readable again", "file", op.o.File)
	}
	return nil
}

// identify derives the public ID and what values are compared by. They are
// separate, so that the one says nothing of the other.
func identify(key []byte, value string) identity {
	sum := func(purpose string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(purpose + "\x00" + value))
		return h.Sum(nil)
	}
	id := identity{tokenID: hex.EncodeToString(sum("token id"))[:16]}
	copy(id.mac[:], sum("token value"))
	return id
}

// Authenticate checks a user name and password. The user name must be "token".
// The same work is done whichever of them is wrong.
// Errors: ErrBadCredentials, ErrUnavailable.
func (op *Operator) Authenticate(_ context.Context, username, secret string) (access.Principal, error) {
	if len(secret) > maxGivenLen { // no value is that long; do not hash megabytes
		secret = ""
	}
	current := op.current.Load()
	claimed := identify(op.o.Key, secret)
	name := subtle.ConstantTimeCompare([]byte(username), []byte(access.UserName))
	value := subtle.ConstantTimeCompare(claimed.mac[:], current.mac[:])
	if op.closed.Load() {
		return access.Principal{}, ErrUnavailable
	}
	if name&value != 1 {
		return access.Principal{}, ErrBadCredentials
	}
	return access.Principal{Kind: access.Operator, TokenID: current.tokenID, Name: "operator"}, nil
}

// Alive tells whether tokenID names the operator's token of now. It takes no
// lock and reads no file.
func (op *Operator) Alive(tokenID string) bool {
	return !op.closed.Load() && op.current.Load().tokenID == tokenID
}

// Open tells whether the operator's file could be read lately.
func (op *Operator) Open() bool { return !op.closed.Load() }

// Run reads the file again and again until ctx ends, and then returns nil. A
// replaced token is in force within a second. A failing read is repeated
// sooner; once the last good one is two seconds old nobody is alive any more
// until a read succeeds, also when a read hangs. What was known when Run ends
// stays known, so that requests under way can finish.
func (op *Operator) Run(ctx context.Context) error {
	stale := time.AfterFunc(staleAfter, op.shut)
	defer stale.Stop()
	wait := time.NewTimer(op.o.Interval)
	defer wait.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		if err := op.refresh(); err != nil {
			if !failing {
				op.o.Log.Warn("the operator's token cannot be read: it is no longer accepted after two seconds", "error", err)
			}
			failing = true
			wait.Reset(op.o.Interval / 4)
			continue
		}
		failing = false
		stale.Reset(staleAfter)
		wait.Reset(op.o.Interval)
	}
}

// shut ends everybody's life until a read succeeds.
func (op *Operator) shut() {
	if !op.closed.Swap(true) {
		op.o.Log.Error("the operator's token is no longer accepted until its file can be read again", "file", op.o.File)
	}
}

// RotateOperator replaces the operator's token in an existing file, at once:
// no reader sees a part of it. A running server notices within two seconds.
// Error: fs.ErrNotExist.
func RotateOperator(file string) error {
	err := keyfile.Replace(file, []byte(NewValue()+"\n"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate the operator's token: there is none in %s; the first start of the server makes it: %w", file, err)
	}
	if err != nil {
		return fmt.Errorf("rotate the operator's token: %w", err)
	}
	return nil
}
