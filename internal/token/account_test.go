package token_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/token"
)

// robot is a token of an account.
func (h *house) robot() access.Principal {
	return access.Principal{
		Kind: access.Account, TokenID: alive, Name: "acme/" + alive, AccountID: 7, Account: "acme",
		Level: access.ReadWrite, Cluster: "prod", Generation: 3,
		Reach:    access.Reach{Parts: []access.Part{{Path: "acme/web", Incarnation: "XYZ"}, {Path: "lab", Incarnation: "ABC"}}},
		Expires:  h.t.Add(48 * time.Hour).Truncate(time.Second).UTC(),
		WarnFrom: h.t.Add(24 * time.Hour).Truncate(time.Second).UTC(),
	}
}

// TestAccountPrincipal: who an account's token is, and how far it reaches,
// comes back as it was minted.
func TestAccountPrincipal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, p := range map[string]access.Principal{
		"parts":         h.robot(),
		"all, for ever": {Kind: access.Account, TokenID: alive, Name: "n", AccountID: 1, Account: "a", Level: access.Admin, Reach: access.Reach{All: true}, Generation: 1},
		"nowhere":       {Kind: access.Account, TokenID: alive, Name: "n", AccountID: 1, Account: "a", Level: access.ReadOnly, Generation: 1},
	} {
		raw, minted, err := h.Mint(t.Context(), p, []oci.Scope{pullPush()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.Verify(t.Context(), raw)
		if diff := cmp.Diff(minted, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if diff := cmp.Diff(p, got.Principal); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestEndsWithItsToken: a registry token does not outlive the Fairlead token.
func TestEndsWithItsToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.robot()
	p.Expires = h.t.Add(10 * time.Second)
	raw, c, err := h.Mint(t.Context(), p, nil)
	if err != nil || c.Expires.After(p.Expires) {
		t.Fatalf("%s after %s: %v", c.Expires, p.Expires, err)
	}
	h.t = h.t.Add(time.Minute)
	if _, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrExpired) {
		t.Errorf("a minute later: %v", err)
	}
	if _, _, err := h.Mint(t.Context(), p, nil); !errors.Is(err, oci.ErrUnauthorized) {
		t.Errorf("minted from a token that has ended: %v", err)
	}
}

// TestLongExpired: for how long uploads may go on has an end, and until then
// the revocation counts.
func TestLongExpired(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, _ := h.mint(t, pullPush())
	h.t = h.t.Add(token.Horizon)
	if _, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrExpired) {
		t.Errorf("within the horizon: %v", err)
	}
	h.revoked[alive] = true
	if c, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrRevoked) || c.Scopes != nil {
		t.Errorf("revoked: %v", err)
	}
	delete(h.revoked, alive)
	h.t = h.t.Add(token.DefaultLifetime)
	if c, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) || c.Scopes != nil {
		t.Errorf("beyond the horizon: %v", err)
	}
}

// TestLargestReachFits into a registry token, with room for scopes.
func TestLargestReachFits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.robot()
	p.Reach.Parts = nil
	for i := range access.MaxParts {
		p.Reach.Parts = append(p.Reach.Parts, access.Part{Path: fmt.Sprintf("%s-%02d/%s", strings.Repeat("n", 27), i, strings.Repeat("r", 60)), Incarnation: strings.Repeat("I", 26)})
	}
	raw, _, err := h.Mint(t.Context(), p, []oci.Scope{pullPush()})
	if err != nil || len(raw) > token.MaxLength*3/4 {
		t.Errorf("%d bytes: %v", len(raw), err)
	}
}

// TestUnknownIsNotRevoked: when nobody knows who is alive, nobody is let in,
// and nobody is told that a token was revoked.
func TestUnknownIsNotRevoked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, _ := h.mint(t, pullPush())
	for known, want := range map[bool]error{false: token.ErrUnknown, true: token.ErrRevoked} {
		v := token.NewVerifier(token.VerifierOptions{
			Issuer: issuer, Service: service, Keys: h.keys, Now: h.now,
			Alive: func(access.Principal) bool { return false }, Known: func(access.Principal) bool { return known },
		})
		if c, err := v.Verify(t.Context(), raw); !errors.Is(err, want) || c.Scopes != nil {
			t.Errorf("known %v: %+v, %v", known, c, err)
		}
	}
}
