package distribution

import (
	"errors"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/token"
)

var anonymous = access.Principal{Kind: access.Anonymous, Name: string(access.Anonymous)}

// identify reads and verifies the bearer token. Without one the viewer is
// anonymous. An expired token makes a viewer that may finish its uploads.
func (x *exchange) identify() error {
	x.viewer = guard.Viewer{
		Principal: anonymous,
		Policy:    x.h.o.Policy,
		Audit:     x.h.o.Audit,
	}
	values := x.r.Header["Authorization"]
	if len(values) == 0 {
		return nil
	}
	raw, ok := bearer(values)
	if !ok {
		return &access.Error{Code: oci.CodeUnauthorized, Reason: "the Authorization header must be one Bearer token from the token endpoint"}
	}
	claims, expired, err := x.verify(raw)
	if err != nil {
		return err
	}
	x.credential, x.viewer.Expired = raw, expired
	x.viewer.Principal, x.viewer.Granted = claims.Principal, claims.Scopes
	x.viewer.SignedIn = claims.Principal.Kind != access.Anonymous
	return nil
}

func (x *exchange) verify(raw string) (_ token.Claims, expired bool, _ error) {
	claims, err := x.h.o.Verifier.Verify(x.r.Context(), raw)
	switch {
	case errors.Is(err, token.ErrExpired):
		return claims, true, nil
	case errors.Is(err, token.ErrUnknown):
		return claims, false, oci.Errorf(oci.CodeUnavailable, "%s: try again", token.ErrUnknown.Error())
	case errors.Is(err, token.ErrInvalid), errors.Is(err, token.ErrRevoked):
		return claims, false, &badToken{err}
	}
	return claims, false, err
}

// badToken is a registry token that does not verify.
type badToken struct{ cause error }

func (e *badToken) Error() string { return e.cause.Error() }

func (e *badToken) Unwrap() error {
	text := "the registry token is not valid here: ask the token endpoint for a new one"
	if errors.Is(e.cause, token.ErrRevoked) {
		text = "the Fairlead token behind this registry token was revoked: sign in again"
	}
	return oci.Errorf(oci.CodeUnauthorized, "%s", text).WithCause(e.cause)
}
