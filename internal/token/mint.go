package token

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	// DefaultLifetime of a registry token.
	DefaultLifetime = 5 * time.Minute
	// MaxLifetime is the longest that is minted, and accepted.
	MaxLifetime = time.Hour
	// MaxLength of a raw token in bytes. All the scopes one request may ask
	// for fit when their names have up to some 40 characters; a token of that
	// size still fits the request headers Go and most proxies accept.
	MaxLength = 16 << 10
)

// ErrTooLarge: the token would be longer than MaxLength.
var ErrTooLarge = errors.New("the registry token would be too large")

// MinterOptions of a Minter.
type MinterOptions struct {
	// Issuer and Service (the audience) are written into each token. An empty
	// Issuer stands for Service.
	Issuer, Service string
	// Lifetime of tokens; 0 is DefaultLifetime, more than MaxLifetime is
	// refused by Mint.
	Lifetime time.Duration
	Keys     Keys
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Minter mints registry tokens.
type Minter struct {
	o MinterOptions
}

// NewMinter makes a Minter.
func NewMinter(o MinterOptions) *Minter {
	if o.Issuer == "" {
		o.Issuer = o.Service
	}
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Minter{o}
}

// Mint makes a token for p with scopes, which are what policy granted: Mint
// does not judge. It ends with the Fairlead token of p at the latest.
//
// Errors: REQUEST_INVALID wrapping ErrTooLarge when there are too many scopes
// for one token; failures of Keys; a principal that is neither Anonymous nor
// has a TokenID.
func (m *Minter) Mint(ctx context.Context, p access.Principal, scopes []oci.Scope) (string, Claims, error) {
	if m.o.Lifetime < time.Second || m.o.Lifetime > MaxLifetime {
		return "", Claims{}, fmt.Errorf("mint a registry token: the lifetime %s is not between 1s and %s", m.o.Lifetime, MaxLifetime)
	}
	if p.Kind == "" || (p.TokenID == "") != (p.Kind == access.Anonymous) {
		return "", Claims{}, errors.New("mint a registry token: the principal does not say who it is")
	}
	key, err := m.o.Keys.Signing(ctx)
	if err != nil {
		return "", Claims{}, fmt.Errorf("mint a registry token: %w", err)
	}
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	now := at(m.o.Now().Unix())
	c := Claims{
		ID: base64.RawURLEncoding.EncodeToString(id[:]), KeyID: key.ID,
		Principal: p,
		Scopes:    append([]oci.Scope{}, scopes...),
		Issued:    now, NotBefore: now, Expires: now.Add(m.o.Lifetime.Truncate(time.Second)),
		Issuer: m.o.Issuer, Audience: m.o.Service,
	}
	if end := p.Expires; !end.IsZero() && end.Before(c.Expires) {
		c.Expires = at(end.Unix())
	}
	if !c.Expires.After(now) {
		return "", Claims{}, oci.Errorf(oci.CodeUnauthorized, "the token %s has expired: make a new one", p.Name)
	}
	body, err := c.encode()
	if err != nil {
		return "", Claims{}, fmt.Errorf("mint a registry token: %w", err)
	}
	raw, err := seal(key, body)
	if err != nil {
		return "", Claims{}, fmt.Errorf("mint a registry token: %w", err)
	}
	if len(raw) > MaxLength {
		return "", Claims{}, oci.Errorf(oci.CodeRequestInvalid,
			"the %d scopes make a token of %d bytes, %d are allowed: ask for fewer repositories at once", len(scopes), len(raw), MaxLength).WithCause(ErrTooLarge)
	}
	return raw, c, nil
}

// seal signs a payload.
func seal(key PrivateKey, body []byte) (string, error) {
	signed := append([]byte(key.header), '.')
	signed = base64.RawURLEncoding.AppendEncode(signed, body)
	raw, err := key.sign(signed)
	return string(raw), err
}
