package account

import (
	"context"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/audit"
)

// Account owns namespaces and tokens.
type Account struct {
	ID          int64 // never used again
	Name        string
	Description string
	Created     time.Time
	CreatedBy   string
}

// Namespace is the first path element of repositories, owned by an account.
type Namespace struct {
	access.Namespace
	Account   string // the owner's name
	Immutable []ImmutableRule
	Created   time.Time
	CreatedBy string
	// Removed is when; zero while it is there. A removed one is reserved to
	// its owner.
	Removed time.Time
	// Version grows with every change.
	Version int64
}

// ImmutableRule protects tags: none of them moves or goes. Both are RE2
// expressions that must match the whole name.
type ImmutableRule struct {
	// Repositories by full name; "" is all of the namespace.
	Repositories string `json:"repositories,omitempty"`
	Tags         string `json:"tags"`
}

// Token of an account. Its value is derived, never stored.
type Token struct {
	ID          string
	AccountID   int64
	Account     string // name
	Level       access.Level
	Reach       access.Reach
	Description string
	Cluster     string
	Created     time.Time
	CreatedBy   string
	// Expires is zero for one that does not.
	Expires time.Time
	Revoked time.Time
	// RevokedBy is who did it.
	RevokedBy string

	// Generation and KeyID make the value. Of the one before: valid until
	// FormerUntil, zero if there is none.
	Generation  int
	KeyID       string
	FormerKeyID string
	FormerUntil time.Time
	// Rotated is when the value was made, if it is not the first.
	Rotated time.Time

	LastUsed    time.Time
	LastAddress string
	LastClient  string
	Pulls       int64
	LastPull    time.Time
}

// State of a token.
type State string

// The states.
const (
	Active  State = "active"
	Expired State = "expired"
	Revoked State = "revoked"
)

// State at a moment.
func (t Token) State(now time.Time) State {
	switch {
	case !t.Revoked.IsZero():
		return Revoked
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return Expired
	}
	return Active
}

// Errors of the stores.
var (
	// ErrNotFound: no such account, namespace or token (of this account).
	ErrNotFound = errors.New("not found")
	// ErrTaken: the name belongs to somebody, or is in use otherwise.
	ErrTaken = errors.New("the name is taken")
	// ErrStale: it was changed since the version that was read.
	ErrStale = errors.New("it was changed meanwhile")
	// ErrNotEmpty: an account that still has namespaces.
	ErrNotEmpty = errors.New("it is not empty")
	// ErrEnded: the token that asks ended meanwhile.
	ErrEnded = errors.New("the token that asks ended meanwhile")
	// ErrProtected: an immutable tag would go.
	ErrProtected = errors.New("immutable tags would go")
)

// Store keeps accounts, namespaces and tokens. Each method is one
// transaction, durable when it returns; the line is written in the same one,
// dated by the store's clock. Every write raises the change counter.
type Store interface {
	Accounts
	Namespaces
	Tokens
	// Changes since a counter's value, and its value now. From 0 everything
	// that matters is given: accounts and namespaces that are there, tokens
	// revoked or rotated since horizon.
	Changes(ctx context.Context, since int64, horizon time.Time) (Changes, error)
}

// Accounts in a Store.
type Accounts interface {
	// AddAccount makes one, with a first token. Error: ErrTaken.
	AddAccount(ctx context.Context, a Account, first Token, line audit.Line) (Account, error)
	// Account by name. Error: ErrNotFound.
	Account(ctx context.Context, name string) (Account, error)
	// AccountPage in the order of names, after a name.
	AccountPage(ctx context.Context, after string, n int) ([]Account, error)
	// RemoveAccount revokes its tokens and forgets the account. Its namespaces
	// must have been removed (they may still lie in the trash; nobody but the
	// operator can have their names then). Errors: ErrNotFound, ErrNotEmpty.
	RemoveAccount(ctx context.Context, name string, line audit.Line) error
}

// Namespaces in a Store.
type Namespaces interface {
	// AddNamespace makes one for n.AccountID, with n.Incarnation. One that the
	// account has already is returned as it is, with added false. One that the
	// account removed since reserved is made anew (a new life: counts of pulls
	// begin again). Error: ErrTaken, for all else: another account's, a name
	// reserved to another, a provided image's, or one whose reservation is
	// over. With operator, only a name that is there now is taken (a name
	// without owner, with repositories, is adopted).
	AddNamespace(ctx context.Context, n Namespace, reserved time.Time, operator bool, line audit.Line) (_ Namespace, added bool, err error)
	// Namespace that is there. Error: ErrNotFound. accountID 0 is any owner.
	Namespace(ctx context.Context, accountID int64, name string) (Namespace, error)
	// NamespacePage in the order of names; accountID 0 is all.
	NamespacePage(ctx context.Context, accountID int64, after string, n int) ([]Namespace, error)
	// SetNamespace changes Public and Immutable; n.AccountID 0 is any owner. version 0 overwrites; else
	// ErrStale if it is not the present one. Error: ErrNotFound.
	SetNamespace(ctx context.Context, n Namespace, version int64, line audit.Line) (Namespace, error)
	// RemoveNamespace moves it with its repositories to the trash, in one
	// entry, whose ID is returned; keep tells which tags must not go.
	// Restoring that entry (Trash.Restore) brings the namespace back in the
	// same life, if its owner still has the name.
	// Errors: ErrNotFound, ErrProtected.
	RemoveNamespace(ctx context.Context, accountID int64, name string, keep func(repo, tag string) bool, line audit.Line) (int64, error)
}

// TokenFilter selects tokens; zero fields select all.
type TokenFilter struct {
	AccountID int64
	// Scoped to AccountID.
	Scoped  bool
	Cluster string
	KeyID   string
	// Ended ones (expired before, or revoked) too.
	Ended bool
}

// Tokens in a Store.
type Tokens interface {
	// AddToken makes one. With a request key that the account used before, the
	// token made then is returned, and added is false. Error: ErrEnded if
	// line.TokenID is a token of the account that is not good any more: once
	// one is revoked, nothing comes of it, whenever its request began.
	AddToken(ctx context.Context, t Token, requestKey string, line audit.Line) (_ Token, added bool, err error)
	// Token by id. Error: ErrNotFound. accountID 0 is any owner.
	Token(ctx context.Context, accountID int64, id string) (Token, error)
	// TokenPage, newest first, below a cursor ("" for the newest). It looks at
	// a bounded number of tokens: next tells that there may be others, even if
	// n was not reached.
	TokenPage(ctx context.Context, f TokenFilter, cursor string, n int) (page []Token, next string, err error)
	// RotateToken makes t.Generation+1 with keyID the value; the present one
	// is valid until formerUntil. Errors: ErrNotFound, ErrStale when
	// t.Generation is not the present one.
	RotateToken(ctx context.Context, t Token, keyID string, formerUntil time.Time, line audit.Line) (Token, error)
	// RevokeToken ends one; a revoked one is fine. Error: ErrNotFound.
	RevokeToken(ctx context.Context, accountID int64, id string, line audit.Line) error
	// RevokeKey ends all tokens whose value, or former value, a server key
	// makes, and returns how many (former values end without the token).
	RevokeKey(ctx context.Context, keyID string, line audit.Line) (int, error)
	// KeyUse counts the tokens, not ended at now, that a server key makes.
	KeyUse(ctx context.Context, keyID string, now time.Time) (int, error)
	// ForgetTokens removes at most n tokens that ended before, and returns how
	// many.
	ForgetTokens(ctx context.Context, before time.Time, n int) (int, error)
}

// Changes is what changed since a value of the counter.
type Changes struct {
	Counter    int64
	Accounts   []AccountChange
	Namespaces []Namespace // those with Removed are gone
	Tokens     []TokenChange
}

// AccountChange is an account that was made or removed.
type AccountChange struct {
	ID      int64
	Name    string
	Removed bool
}

// TokenChange is a token that was revoked or rotated.
type TokenChange struct {
	ID      string
	Revoked bool
	// Generation at present; the one before is valid until FormerUntil.
	Generation  int
	FormerUntil time.Time
}
