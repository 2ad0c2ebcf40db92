package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	// rememberedTokens is how many rows are kept to sign in with.
	rememberedTokens = 8192
	// warnAtMost is how long before its end a token begins to warn, and
	// warnShare the last share of its life in which it does.
	warnAtMost = 24 * time.Hour
	warnShare  = 5
)

// SignIn knows whom a user name and a token's value stand for.
type SignIn struct {
	operator  *Operator
	directory *Directory
	keys      *ValueKeys
	store     Tokens
	now       func() time.Time
	// rows are as they were when they were read: what ends a token is in the
	// directory.
	rows *lru.Cache[string, Token]
}

// NewSignIn makes a SignIn. It hears of tokens that change from the directory,
// which has no other listener.
func NewSignIn(op *Operator, d *Directory, keys *ValueKeys, store Tokens) *SignIn {
	rows, _ := lru.New[string, Token](rememberedTokens) // fails for sizes < 1 only
	s := &SignIn{operator: op, directory: d, keys: keys, store: store, now: d.o.Now, rows: rows}
	d.changed = func(c TokenChange) { rows.Remove(c.ID) }
	return s
}

// Alive tells whether the token behind any principal is still good, but for
// its expiry.
func (s *SignIn) Alive(p access.Principal) bool {
	switch p.Kind {
	case access.Operator:
		return s.operator.Alive(p.TokenID)
	case access.Account:
		return s.directory.Alive(p)
	default:
		return false
	}
}

// Known tells whether Alive knows, for a principal: otherwise nobody is alive
// until what was revoked can be read again.
func (s *SignIn) Known(p access.Principal) bool {
	return p.Kind == access.Operator && s.operator.Open() || p.Kind == access.Account && s.directory.Open()
}

// Authenticate checks a user name and a token's value. Who has the value of a
// token that ended is told why; nobody else is told anything.
//
// Errors: ErrBadCredentials, ErrUnavailable, *EndedError.
func (s *SignIn) Authenticate(ctx context.Context, username, secret string) (access.Principal, error) {
	p, err := s.operator.Authenticate(ctx, username, secret)
	if err == nil {
		return p, nil
	}
	unavailable := errors.Is(err, ErrUnavailable)
	id, err := ParseValue(secret)
	if err != nil {
		if unavailable {
			return access.Principal{}, ErrUnavailable
		}
		return access.Principal{}, ErrBadCredentials
	}
	p, err = s.token(ctx, id, secret)
	if err == nil && subtle.ConstantTimeCompare([]byte(username), []byte(access.UserName)) != 1 {
		return access.Principal{}, ErrBadCredentials
	}
	if errors.Is(err, ErrBadCredentials) && unavailable {
		err = ErrUnavailable // it may be the operator's
	}
	return p, err
}

// EndedError refuses a token that was good once, to who has its value. It
// unwraps to UNAUTHORIZED with the reason.
type EndedError struct {
	// Principal that it stood for, for the record only.
	Principal access.Principal
	reason    string
}

func (e *EndedError) Error() string { return e.reason }

// Unwrap gives the protocol's error.
func (e *EndedError) Unwrap() error { return oci.Errorf(oci.CodeUnauthorized, "%s", e.reason) }

// token checks the value of a token of an account. An unknown id costs what a
// wrong value does: one lookup.
func (s *SignIn) token(ctx context.Context, id, secret string) (access.Principal, error) {
	t, remembered := s.rows.Get(id)
	generation, known := s.generation(t, id, secret)
	if !known { // not remembered, or rotated since
		var err error
		if t, err = s.store.Token(ctx, 0, id); err != nil && !errors.Is(err, ErrNotFound) {
			return access.Principal{}, fmt.Errorf("look up a token: %w", err)
		}
		if generation, known = s.generation(t, id, secret); !known {
			return access.Principal{}, ErrBadCredentials
		}
		remembered = false
	}
	if !remembered && t.State(s.now()) != Revoked { // one that was is told from the store
		s.rows.Add(id, t)
	}
	if !s.directory.Open() {
		return access.Principal{}, ErrUnavailable
	}
	return s.judge(t, generation)
}

// generation tells which of the token's values the secret is: the present
// one, or the one before.
func (s *SignIn) generation(t Token, id, secret string) (int, bool) {
	key, generation := t.KeyID, t.Generation
	if t.ID == "" { // no such token: the same work
		key = s.keys.Current()
	}
	value, found := s.keys.value(key, id, generation)
	if subtle.ConstantTimeCompare([]byte(value), []byte(secret)) == 1 && found && t.ID != "" {
		return generation, true
	}
	if t.FormerKeyID == "" {
		return 0, false
	}
	value, found = s.keys.value(t.FormerKeyID, id, generation-1)
	return generation - 1, found && subtle.ConstantTimeCompare([]byte(value), []byte(secret)) == 1
}

// judge tells why a token whose value is right may not be good any more.
func (s *SignIn) judge(t Token, generation int) (access.Principal, error) {
	now := s.now()
	p := t.principal(generation)
	ended := func(format string, args ...any) error { return &EndedError{p, fmt.Sprintf(format, args...)} }
	switch {
	case t.State(now) == Revoked:
		return access.Principal{}, ended("the token %s was revoked on %s: sign in with another", p.Name, day(t.Revoked))
	case t.State(now) == Expired:
		return access.Principal{}, ended("the token %s expired on %s: make a new one (fairlead token add)", p.Name, day(t.Expires))
	case generation < t.Generation && !now.Before(t.FormerUntil):
		return access.Principal{}, ended("this value of the token %s was replaced on %s, and is no longer good: use the new one (fairlead token get %s)", p.Name, day(t.Rotated), t.ID)
	case !s.directory.Alive(p):
		return access.Principal{}, ended("the token %s, or its account, has ended: sign in with another", p.Name)
	}
	return p, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// principal that the token stands for. A former value ends before the token.
func (t Token) principal(generation int) access.Principal {
	p := access.Principal{
		Kind: access.Account, TokenID: t.ID, Name: t.Account + "/" + t.ID,
		AccountID: t.AccountID, Account: t.Account, Level: t.Level, Reach: t.Reach,
		Cluster: t.Cluster, Generation: generation, Expires: t.Expires,
	}
	if generation < t.Generation && (p.Expires.IsZero() || t.FormerUntil.Before(p.Expires)) {
		p.Expires = t.FormerUntil
	}
	if !p.Expires.IsZero() {
		p.WarnFrom = p.Expires.Add(-min(warnAtMost, p.Expires.Sub(t.Created)/warnShare))
	}
	return p
}
