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
	// Principal the token speaks for.
	Principal access.Principal
	// Scopes that were granted; never nil in a verified token. They may be
	// shared between requests: do not change them.
	Scopes                     []oci.Scope
	Issued, NotBefore, Expires time.Time
	Issuer, Audience           string
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
	Account   *ofAccount  `json:"fairlead_account,omitempty"`
	Access    []oci.Scope `json:"access"`
}

// ofAccount is what only principals of the kind account have.
type ofAccount struct {
	ID         int64        `json:"id"`
	Name       string       `json:"name"`
	Level      access.Level `json:"level"`
	Reach      access.Reach `json:"reach"`
	Cluster    string       `json:"cluster,omitempty"`
	Generation int          `json:"generation"`
	Expires    int64        `json:"expires,omitempty"`
	WarnFrom   int64        `json:"warn,omitempty"`
}

// encode writes the payload.
func (c Claims) encode() ([]byte, error) {
	p := c.Principal
	out := payload{
		Issuer: c.Issuer, Subject: p.Name, Audience: c.Audience,
		Expires: c.Expires.Unix(), NotBefore: c.NotBefore.Unix(), Issued: c.Issued.Unix(),
		ID: c.ID, Kind: p.Kind, TokenID: p.TokenID, Access: c.Scopes,
	}
	if p.Kind == access.Account {
		out.Account = &ofAccount{
			ID: p.AccountID, Name: p.Account, Level: p.Level, Reach: p.Reach, Cluster: p.Cluster,
			Generation: p.Generation, Expires: unix(p.Expires), WarnFrom: unix(p.WarnFrom),
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the claims: %w", err)
	}
	return b, nil
}

// unix is 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
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
		ID: p.ID, Principal: p.principal(), Scopes: p.Access,
		Issued: at(p.Issued), NotBefore: at(p.NotBefore), Expires: at(p.Expires),
		Issuer: p.Issuer, Audience: p.Audience,
	}
	again, err := c.encode()
	if err != nil || !bytes.Equal(again, b) || c.Scopes == nil {
		return Claims{}, fmt.Errorf("%w: the claims are not the ones Fairlead writes", ErrInvalid)
	}
	return c, nil
}

func (p payload) principal() access.Principal {
	out := access.Principal{Kind: p.Kind, TokenID: p.TokenID, Name: p.Subject}
	if a := p.Account; a != nil {
		out.AccountID, out.Account, out.Level, out.Reach, out.Cluster = a.ID, a.Name, a.Level, a.Reach, a.Cluster
		out.Generation = a.Generation
		if a.Expires != 0 {
			out.Expires = at(a.Expires)
		}
		if a.WarnFrom != 0 {
			out.WarnFrom = at(a.WarnFrom)
		}
	}
	return out
}

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
