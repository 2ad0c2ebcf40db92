package distribution

import (
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/token"
)

// lookAgain is how often a token is verified again while a body is under way:
// a push or pull of hours must not outlive the revocation of its token.
const lookAgain = time.Second

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
	claims, err := x.verify(raw)
	if err != nil {
		return err
	}
	x.credential, x.checked = raw, time.Now()
	x.viewer.Principal, x.viewer.Granted = claims.Principal, claims.Scopes
	x.viewer.SignedIn = claims.Principal.Kind != access.Anonymous
	return nil
}

func (x *exchange) verify(raw string) (token.Claims, error) {
	claims, err := x.h.o.Verifier.Verify(x.r.Context(), raw)
	switch {
	case errors.Is(err, token.ErrExpired):
		x.viewer.Expired = true
		return claims, nil
	case errors.Is(err, token.ErrInvalid), errors.Is(err, token.ErrRevoked):
		return claims, &badToken{err}
	}
	return claims, err
}

// stillValid looks again at the token, and at whether its principal may still
// do what it has begun: a namespace may be gone. That the token has expired
// meanwhile does not matter.
func (x *exchange) stillValid() error {
	if x.credential == "" || time.Since(x.checked) < lookAgain {
		return nil
	}
	x.checked = time.Now()
	if _, err := x.verify(x.credential); err != nil {
		return err
	}
	action := oci.ActionPull
	if isPush[x.req.Kind] {
		action = oci.ActionPush
	}
	if d := x.viewer.Policy.Explain(x.viewer.Principal, oci.RepoScope(x.req.Repo, action)); !d.Allowed {
		return &access.Error{Code: oci.CodeDenied, Reason: d.Reason}
	}
	return nil
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
