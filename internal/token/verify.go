package token

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fairlead.dev/fairlead/internal/access"
)

const (
	// skew is how far a replica's clock may be ahead of ours.
	skew = time.Minute
	// grace is how long after its end a token is still taken.
	grace = 5 * time.Second
	// Horizon is how long after its end a token may still finish uploads that
	// were begun with it. Revocations must be remembered for as long.
	Horizon = 7 * 24 * time.Hour
	// DefaultCacheSize is how many verified tokens are remembered.
	DefaultCacheSize = 4096
	// maxCached is the length of the longest token that is remembered, which
	// bounds the cache's memory; tokens with some 25 scopes fit.
	maxCached = 4 << 10
)

// Errors of Verify. Clients are told the same of all three; their text is for
// the log and holds nothing of the token.
var (
	// ErrInvalid: this is no token of ours, or not one for here.
	ErrInvalid = errors.New("the registry token is not valid")
	// ErrExpired: it was one, and everything else about it still holds.
	ErrExpired = errors.New("the registry token has expired")
	// ErrUnknown: whether the Fairlead token is still alive cannot be told at
	// present.
	ErrUnknown = errors.New("whether the registry token is still valid cannot be told at the moment")
	// ErrRevoked: the Fairlead token it was minted from is no longer alive.
	ErrRevoked = errors.New("the registry token was minted from a token that is no longer valid")
)

// VerifierOptions of a Verifier.
type VerifierOptions struct {
	// Issuer and Service (the audience) that tokens must name. An empty
	// Issuer stands for Service.
	Issuer, Service string
	Keys            Keys
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Alive tells whether the Fairlead token behind a principal is still
	// valid (but for its expiry); it is asked for each request and answers
	// from memory. nil: none is.
	Alive func(access.Principal) bool
	// Known tells whether Alive knows at present; nil: always.
	Known func(access.Principal) bool
	// CacheSize in tokens; 0 is DefaultCacheSize.
	CacheSize int
}

// Verifier verifies registry tokens.
type Verifier struct {
	o     VerifierOptions
	cache *lru.Cache[string, Claims]
}

// NewVerifier makes a Verifier.
func NewVerifier(o VerifierOptions) *Verifier {
	if o.Issuer == "" {
		o.Issuer = o.Service
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Alive == nil {
		o.Alive = func(access.Principal) bool { return false }
	}
	if o.CacheSize <= 0 {
		o.CacheSize = DefaultCacheSize
	}
	cache, _ := lru.New[string, Claims](o.CacheSize) // fails for sizes < 1 only
	return &Verifier{o, cache}
}

// Verify reads a raw registry token.
//
// Errors: ErrInvalid; ErrRevoked; ErrUnknown; ErrExpired, with the Claims: everything else
// was checked, so that an upload which was begun in time may be finished.
// Others are failures of Keys.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	trusted, err := v.o.Keys.Trusted(ctx)
	if err != nil {
		return Claims{}, fmt.Errorf("verify a registry token: %w", err)
	}
	c, ok := v.cache.Get(raw)
	if !ok {
		if c, err = v.open(trusted, raw); err != nil {
			return Claims{}, err
		}
		if len(raw) <= maxCached {
			// raw may be a piece of a request's whole header: do not hold on to it.
			v.cache.Add(strings.Clone(raw), c)
		}
	} else if !slices.ContainsFunc(trusted, func(k PublicKey) bool { return k.ID == c.KeyID }) {
		return Claims{}, fmt.Errorf("%w: its key was retired", ErrInvalid)
	}
	return v.current(c)
}

// current checks what changes while a token is in use.
func (v *Verifier) current(c Claims) (Claims, error) {
	now := v.o.Now()
	if c.NotBefore.After(now.Add(skew)) || c.Issued.After(now.Add(skew)) {
		return Claims{}, fmt.Errorf("%w: it is from the future", ErrInvalid)
	}
	if c.Principal.Kind != access.Anonymous && !v.o.Alive(c.Principal) {
		if v.o.Known != nil && !v.o.Known(c.Principal) {
			return Claims{}, ErrUnknown
		}
		return Claims{}, ErrRevoked
	}
	if !now.Before(c.Expires.Add(Horizon)) {
		return Claims{}, fmt.Errorf("%w: it ended long ago", ErrInvalid)
	}
	if !now.Before(c.Expires.Add(grace)) {
		return c, ErrExpired
	}
	return c, nil
}

// open checks what never changes: form, signature, claims.
func (v *Verifier) open(trusted []PublicKey, raw string) (Claims, error) {
	if len(raw) > MaxLength {
		return Claims{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxLength)
	}
	// Two cuts, whatever there is: a third dot ends up in the signature,
	// which then has the wrong length (CVE-2025-30204).
	header, rest, _ := strings.Cut(raw, ".")
	body, signature, _ := strings.Cut(rest, ".")
	i := slices.IndexFunc(trusted, func(k PublicKey) bool { return k.header == header && header != "" })
	if i < 0 {
		return Claims{}, fmt.Errorf("%w: the header is not that of a trusted key", ErrInvalid)
	}
	sig, ok := segment(signature)
	if !ok || len(sig) != ed25519.SignatureSize {
		return Claims{}, fmt.Errorf("%w: the signature is malformed", ErrInvalid)
	}
	signed := raw[:len(header)+1+len(body)]
	if !ed25519.Verify(trusted[i].key, []byte(signed), sig) {
		return Claims{}, fmt.Errorf("%w: the signature is wrong", ErrInvalid)
	}
	b, ok := segment(body)
	if !ok {
		return Claims{}, fmt.Errorf("%w: the claims are malformed", ErrInvalid)
	}
	c, err := decode(b)
	if err != nil {
		return Claims{}, err
	}
	c.KeyID = trusted[i].ID
	return c, v.judge(c)
}

// judge checks claims against what this registry mints.
func (v *Verifier) judge(c Claims) error {
	switch {
	case c.Issuer != v.o.Issuer:
		return fmt.Errorf("%w: minted by another issuer", ErrInvalid)
	case c.Audience != v.o.Service:
		return fmt.Errorf("%w: minted for another service", ErrInvalid)
	case !c.Issued.Before(c.Expires), !c.NotBefore.Before(c.Expires), c.Expires.Sub(c.Issued) > MaxLifetime:
		return fmt.Errorf("%w: its times contradict each other", ErrInvalid)
	case c.ID == "" || c.Principal.Kind == "" || (c.Principal.TokenID == "") != (c.Principal.Kind == access.Anonymous),
		(c.Principal.AccountID != 0) != (c.Principal.Kind == access.Account):
		return fmt.Errorf("%w: it does not say whose it is", ErrInvalid)
	}
	return nil
}

// segment decodes strict base64url: no padding, no trailing bits, no line
// breaks (which the decoder alone would pass over).
func segment(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// Cached is the number of tokens remembered, for metrics.
func (v *Verifier) Cached() int { return v.cache.Len() }
