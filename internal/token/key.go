package token

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// PublicKey verifies registry tokens. The zero value verifies none.
type PublicKey struct {
	// ID is the key's thumbprint (RFC 7638), the token's kid.
	ID string
	// Made is when, as far as it is known.
	Made time.Time
	key  ed25519.PublicKey
	// header is the one first segment that a token of this key may have.
	header string
}

// NewPublicKey makes a PublicKey. key must have its proper length.
func NewPublicKey(key ed25519.PublicKey) PublicKey {
	id := thumbprint(key)
	return PublicKey{ID: id, key: key, header: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + id + `","typ":"JWT"}`))}
}

// thumbprint is RFC 7638 over the members that RFC 8037 names, in order.
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// PrivateKey signs registry tokens. It prints as its ID only.
type PrivateKey struct {
	// ID is the thumbprint of the public key.
	ID     string
	key    ed25519.PrivateKey
	header string // of its tokens, see PublicKey
}

// NewPrivateKey makes a PrivateKey. key must have its proper length.
func NewPrivateKey(key ed25519.PrivateKey) PrivateKey {
	k := PrivateKey{key: key}
	pub := k.Public()
	k.ID, k.header = pub.ID, pub.header
	return k
}

// Public is the key that verifies what k signs.
func (k PrivateKey) Public() PublicKey {
	return NewPublicKey(ed25519.PublicKey(k.key[ed25519.SeedSize:]))
}

func (k PrivateKey) String() string { return "private key " + k.ID }

// GoString keeps the key out of %#v.
func (k PrivateKey) GoString() string { return k.String() }

// LogValue keeps the key out of logs.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Errors of Keys.
var (
	// ErrNoKey: there is no key of that ID, or none at all.
	ErrNoKey = errors.New("no such key")
	// ErrKeyInUse: the key signs at present.
	ErrKeyInUse = errors.New("the key signs registry tokens: add another first")
)

// Keys are the keys of registry tokens. Rotation is Add, then Retire of the
// old key once the tokens it signed are over.
//
// Signing and Trusted are called for each token: they answer from memory.
// Implementations are safe for concurrent use.
type Keys interface {
	// Signing is the key that signs now. Error: ErrNoKey.
	Signing(ctx context.Context) (PrivateKey, error)
	// Trusted are the keys whose tokens are accepted, the signing one among
	// them. The caller does not change the slice.
	Trusted(ctx context.Context) ([]PublicKey, error)
	// Add makes a key, which signs from now on; the others stay trusted.
	Add(ctx context.Context) (PublicKey, error)
	// Retire ends the trust in a key: its tokens are invalid at once.
	// Errors: ErrNoKey, ErrKeyInUse.
	Retire(ctx context.Context, id string) error
}

// JWKS publishes keys as a JSON Web Key Set (RFC 7517, RFC 8037).
func JWKS(pub []PublicKey) []byte {
	type jwk struct {
		KeyType   string `json:"kty"`
		Curve     string `json:"crv"`
		X         string `json:"x"`
		ID        string `json:"kid"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
	}
	keys := make([]jwk, len(pub))
	for i, k := range pub {
		keys[i] = jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(k.key), k.ID, "sig", "EdDSA"}
	}
	b, _ := json.Marshal(map[string][]jwk{"keys": keys}) // strings only: cannot fail
	return b
}

// sign appends the signature segment to what is signed.
func (k PrivateKey) sign(signed []byte) ([]byte, error) {
	sig, err := k.key.Sign(nil, signed, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.AppendEncode(append(signed, '.'), sig), nil
}
