// Package access decides who may do what: pure functions over principals and
// scopes, with a reason attached to every refusal.
package access

import (
	"fairlead.dev/fairlead/internal/oci"
)

// Kind of a principal.
type Kind string

// The kinds. Accounts' tokens join them later.
const (
	Anonymous Kind = "anonymous"
	Operator  Kind = "operator"
)

// Principal is who asks. The zero value is nobody and may do nothing; so may
// Anonymous.
type Principal struct {
	Kind Kind
	// TokenID names the Fairlead token that was signed in with (it is no
	// secret). It owns uploads; "" for anonymous.
	TokenID string
	// Name for people and logs, such as "operator".
	Name string
}

// Decision is a verdict with its reason, written for the one it concerns.
type Decision struct {
	Allowed bool
	Reason  string
}

// Error is a refusal. It unwraps to an oci.Error: UNAUTHORIZED when signing in
// (or asking for Need) could help, DENIED when it could not.
type Error struct {
	Need   []oci.Scope
	Code   oci.Code
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Unwrap gives the protocol's error.
func (e *Error) Unwrap() error { return oci.Errorf(e.Code, "%s", e.Reason) }
