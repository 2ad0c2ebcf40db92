package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

// Claims is what a registry token says. Times are whole seconds, UTC.
type Claims struct {
	// ID of this registry token; random, for logs.
	ID string
	// KeyID names the key it is signed with.
	KeyID string
	// TokenID names the Fairlead token it was minted from; "" for anonymous.
	TokenID string
	Kind    access.Kind
	// Name of the principal, for people and logs.
	Name string
	// Scopes that were granted; never nil in a verified token. They may be
	// shared between requests: do not change them.
	Scopes                     []oci.Scope
	Issued, NotBefore, Expires time.Time
	Issuer, Audience           string
}

// Principal is who the token speaks for.
func (c Claims) Principal() access.Principal {
	return access.Principal{Kind: c.Kind, TokenID: c.TokenID, Name: c.Name}
}

// payload is the wire form of Claims. Encoding it is deterministic.
type payload struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	Audience  string      `json:"aud"`
	Expires   int64       `json:"exp"`
	NotBefore int64       `json:"nbf"`
	Issued    int64       `json:"iat"`
	ID        string      `json:"jti"`
	Kind      access.Kind `json:"fairlead_kind"`
	TokenID   string      `json:"fairlead_token"`
	Access    []oci.Scope `json:"access"`
}

// encode writes the payload.
func (c Claims) encode() ([]byte, error) {
	b, err := json.Marshal(payload{
		Issuer: c.Issuer, Subject: c.Name, Audience: c.Audience,
		Expires: c.Expires.Unix(), NotBefore: c.NotBefore.Unix(), Issued: c.Issued.Unix(),
		ID: c.ID, Kind: c.Kind, TokenID: c.TokenID, Access: c.Scopes,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the claims: %w", err)
	}
	return b, nil
}

// latest bounds times, so that arithmetic on them cannot overflow (about the
// year 36,800).
const latest = 1 << 40

// decode reads a payload whose signature was verified. It must be exactly
// what encode writes for the claims that are returned.
func decode(b []byte) (Claims, error) {
	var p payload
	if err := json.Unmarshal(b, &p); err != nil {
		return Claims{}, fmt.Errorf("%w: the claims are not readable", ErrInvalid)
	}
	for _, t := range []int64{p.Issued, p.NotBefore, p.Expires} {
		if t <= 0 || t > latest {
			return Claims{}, fmt.Errorf("%w: iat, nbf or exp is missing or out of range", ErrInvalid)
		}
	}
	c := Claims{
		ID: p.ID, TokenID: p.TokenID, Kind: p.Kind, Name: p.Subject, Scopes: p.Access,
		Issued: at(p.Issued), NotBefore: at(p.NotBefore), Expires: at(p.Expires),
		Issuer: p.Issuer, Audience: p.Audience,
	}
	again, err := c.encode()
	if err != nil || !bytes.Equal(again, b) || c.Scopes == nil {
		return Claims{}, fmt.Errorf("%w: the claims are not the ones Fairlead writes", ErrInvalid)
	}
	return c, nil
}

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
