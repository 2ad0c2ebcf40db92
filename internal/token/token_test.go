package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/token"
)

const (
	issuer  = "https://registry.example"
	service = "registry.example"
	alive   = "0123456789abcdef"
)

var operator = access.Principal{Kind: access.Operator, TokenID: alive, Name: "operator"}

// clock is a clock that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// house is a minter and a verifier that share keys and a clock.
type house struct {
	*token.Minter
	*token.Verifier
	keys *token.FileKeys
	*clock
	revoked map[string]bool
}

func newHouse(tb testing.TB) *house {
	tb.Helper()
	keys, err := token.OpenKeys(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	h := &house{keys: keys, clock: &clock{time.Unix(1_800_000_000, 123_456_789)}, revoked: map[string]bool{}}
	h.Minter = token.NewMinter(token.MinterOptions{Issuer: issuer, Service: service, Keys: keys, Now: h.now})
	h.Verifier = token.NewVerifier(token.VerifierOptions{
		Issuer: issuer, Service: service, Keys: keys, Now: h.now,
		Alive: func(p access.Principal) bool { return p.TokenID == alive && !h.revoked[p.TokenID] },
	})
	return h
}

func (h *house) mint(tb testing.TB, scopes ...oci.Scope) (string, token.Claims) {
	tb.Helper()
	raw, c, err := h.Mint(tb.Context(), operator, scopes)
	if err != nil {
		tb.Fatal(err)
	}
	return raw, c
}

func pullPush() oci.Scope { return oci.RepoScope("acme/web", oci.ActionPull, oci.ActionPush) }

func TestMintAndVerify(t *testing.T) {
	t.Parallel()
	for name, scopes := range map[string][]oci.Scope{
		"none":    nil,
		"one":     {pullPush()},
		"several": {pullPush(), oci.CatalogScope(), oci.RepoScope("b", oci.ActionDelete)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			raw, minted := h.mint(t, scopes...)
			for range 2 { // fresh and remembered
				c, err := h.Verify(t.Context(), raw)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(minted, c); diff != "" {
					t.Error(diff)
				}
				if !cmp.Equal(c.Principal, operator) {
					t.Errorf("principal %+v", c.Principal)
				}
				if c.Scopes == nil {
					t.Error("nil scopes would mean that there is no token")
				}
			}
			signing, _ := h.keys.Signing(t.Context())
			want := token.Claims{
				ID: minted.ID, KeyID: signing.ID, Principal: operator,
				Scopes: append([]oci.Scope{}, scopes...),
				Issued: time.Unix(1_800_000_000, 0).UTC(), NotBefore: time.Unix(1_800_000_000, 0).UTC(), Expires: time.Unix(1_800_000_300, 0).UTC(),
				Issuer: issuer, Audience: service,
			}
			if diff := cmp.Diff(want, minted); diff != "" {
				t.Error(diff)
			}
			if _, again := h.mint(t); again.ID == minted.ID {
				t.Error("two tokens have one ID")
			}
		})
	}
}

func TestAnonymousTokenAsksNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, _, err := h.Mint(t.Context(), access.Principal{Kind: access.Anonymous}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := h.Verify(t.Context(), raw); err != nil || c.Principal.Kind != access.Anonymous {
		t.Errorf("%+v, %v", c, err)
	}
}

// The payload is docker's token format.
func TestWireFormat(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, c := h.mint(t, pullPush())
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%d segments", len(parts))
	}
	if got, want := decode(t, parts[0]), fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, c.KeyID); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	want := fmt.Sprintf(`{"iss":"https://registry.example","sub":"operator","aud":"registry.example","exp":1800000300,"nbf":1800000000,"iat":1800000000,"jti":%q,"fairlead_kind":"operator","fairlead_token":"0123456789abcdef","access":[{"type":"repository","name":"acme/web","actions":["pull","push"]}]}`, c.ID)
	if got := decode(t, parts[1]); got != want {
		t.Errorf("payload %s\nwant    %s", got, want)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, minted := h.mint(t, pullPush())
	start := h.t
	for _, c := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil},
		{5*time.Minute + 4*time.Second, nil}, // leeway
		{5*time.Minute + 5*time.Second, token.ErrExpired},
		{72 * time.Hour, token.ErrExpired},
		{-59 * time.Second, nil}, // minted by a replica whose clock is ahead
		{-61 * time.Second, token.ErrInvalid},
	} {
		h.t = start.Add(c.after)
		for _, v := range []*token.Verifier{h.Verifier, h.fresh()} { // remembered and not
			got, err := v.Verify(t.Context(), raw)
			if !errors.Is(err, c.want) {
				t.Errorf("after %s: %v, want %v", c.after, err, c.want)
			}
			if errors.Is(c.want, token.ErrExpired) && !cmp.Equal(got, minted) {
				t.Errorf("after %s: an expired token comes with its claims, got %+v", c.after, got)
			}
			if errors.Is(c.want, token.ErrInvalid) && !cmp.Equal(got, token.Claims{}) {
				t.Errorf("after %s: an invalid token came with claims", c.after)
			}
		}
	}
}

// fresh is a verifier like h's that remembers nothing yet.
func (h *house) fresh() *token.Verifier {
	return token.NewVerifier(token.VerifierOptions{
		Issuer: issuer, Service: service, Keys: h.keys, Now: h.now,
		Alive: func(p access.Principal) bool { return p.TokenID == alive && !h.revoked[p.TokenID] },
	})
}

// A revoked token stops at once, remembered or not, expired or not: an open
// upload may outlive its registry token, never a revocation.
func TestRevocation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, _ := h.mint(t, pullPush())
	if _, err := h.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	h.revoked[alive] = true
	if c, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrRevoked) || !cmp.Equal(c, token.Claims{}) {
		t.Errorf("remembered: %+v, %v", c, err)
	}
	h.t = h.t.Add(time.Hour)
	if _, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("expired: %v", err)
	}
	if _, err := h.fresh().Verify(t.Context(), raw); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("not remembered: %v", err)
	}
}

func TestVerifierWithoutAliveTrustsNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw, _ := h.mint(t)
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Service: service, Keys: h.keys, Now: h.now})
	if _, err := v.Verify(t.Context(), raw); !errors.Is(err, token.ErrRevoked) {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := token.NewVerifier(token.VerifierOptions{
		Issuer: issuer, Service: service, Keys: h.keys, Now: h.now, CacheSize: 2,
		Alive: func(access.Principal) bool { return true },
	})
	var raws []string
	for range 5 {
		raw, _ := h.mint(t)
		raws = append(raws, raw)
	}
	for range 2 {
		for _, raw := range raws {
			if _, err := v.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := v.Cached(); n != 2 {
		t.Errorf("%d tokens are remembered, want 2", n)
	}
	var many []oci.Scope
	for i := range 60 {
		many = append(many, oci.RepoScope(oci.Repo(fmt.Sprintf("acme/%030d", i)), oci.ActionPull))
	}
	long, _ := h.mint(t, many...)
	w := h.fresh()
	for range 2 {
		if _, err := w.Verify(t.Context(), long); err != nil {
			t.Fatal(err)
		}
	}
	if w.Cached() != 0 {
		t.Errorf("a token of %d bytes is remembered", len(long))
	}
}

func TestMintLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var scopes []oci.Scope
	for i := range oci.MaxScopes {
		scopes = append(scopes, oci.RepoScope(oci.Repo(fmt.Sprintf("acme/%035d", i)), oci.ActionPull, oci.ActionPush))
	}
	raw, _ := h.mint(t, scopes...)
	if _, err := h.Verify(t.Context(), raw); err != nil {
		t.Errorf("all the scopes of one request, %d bytes: %v", len(raw), err)
	}
	for i := range scopes {
		scopes[i].Name = strings.Repeat("a", oci.MaxRepoLen-3) + fmt.Sprintf("%03d", i)
	}
	_, _, err := h.Mint(t.Context(), operator, scopes)
	var o *oci.Error
	if !errors.Is(err, token.ErrTooLarge) || !errors.As(err, &o) || o.Code != oci.CodeRequestInvalid || !strings.Contains(err.Error(), "ask for fewer") {
		t.Errorf("too many scopes: %v", err)
	}
	for _, d := range []time.Duration{-time.Second, time.Millisecond, token.MaxLifetime + time.Second} {
		m := token.NewMinter(token.MinterOptions{Service: service, Keys: h.keys, Lifetime: d})
		if _, _, err := m.Mint(t.Context(), operator, nil); err == nil || !strings.Contains(err.Error(), "lifetime") {
			t.Errorf("lifetime %s: %v", d, err)
		}
	}
	for _, p := range []access.Principal{{}, {TokenID: "x"}, {Kind: access.Operator}, {Kind: access.Anonymous, TokenID: "x"}} {
		if _, _, err := h.Mint(t.Context(), p, nil); err == nil {
			t.Errorf("minted for %+v", p)
		}
	}
	if _, _, err := token.NewMinter(token.MinterOptions{Keys: noKeys{}}).Mint(t.Context(), operator, nil); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}

// noKeys cannot answer.
type noKeys struct{ token.Keys }

func (noKeys) Signing(context.Context) (token.PrivateKey, error) {
	return token.PrivateKey{}, token.ErrNoKey
}
func (noKeys) Trusted(context.Context) ([]token.PublicKey, error) { return nil, token.ErrNoKey }

func TestVerifyReportsFailingKeys(t *testing.T) {
	t.Parallel()
	v := token.NewVerifier(token.VerifierOptions{Keys: noKeys{}})
	if _, err := v.Verify(t.Context(), "a.b.c"); !errors.Is(err, token.ErrNoKey) || errors.Is(err, token.ErrInvalid) {
		t.Errorf("keys that do not answer are our failure, not the token's: %v", err)
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pub, _ := h.keys.Trusted(t.Context())
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(token.JWKS(pub), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", token.JWKS(pub), err)
	}
	k := set.Keys[0]
	if k["kid"] != pub[0].ID || k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["alg"] != "EdDSA" || k["use"] != "sig" || len(k["x"]) != 43 || len(k) != 6 {
		t.Errorf("%v", k)
	}
	if got := string(token.JWKS(nil)); got != `{"keys":[]}` {
		t.Errorf("no keys: %s", got)
	}
}

func TestPrivateKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k, _ := h.keys.Signing(t.Context())
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("key", "key", k)
	slog.New(slog.NewTextHandler(&b, nil)).Info("key", "key", k)
	fmt.Fprintf(&b, "%v %+v %#v %s %q", k, k, k, k, k)
	j, _ := json.Marshal(k)
	b.Write(j)
	if s := b.String(); strings.Contains(s, "[") || strings.Count(s, k.ID) != 8 {
		t.Errorf("the key prints: %s", s)
	}
}

func BenchmarkVerify(b *testing.B) {
	h := newHouse(b)
	h.t = time.Now()
	raw, _ := h.mint(b, pullPush())
	v := token.NewVerifier(token.VerifierOptions{
		Issuer: issuer, Service: service, Keys: h.keys,
		Alive: func(p access.Principal) bool { return p.TokenID == alive },
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.fresh().Verify(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.mint(b, pullPush())
		}
	})
}
