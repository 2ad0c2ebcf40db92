package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
)

// Algorithm is a digest algorithm that content may be addressed by.
type Algorithm string

// The algorithms the image specification registers and Fairlead accepts.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseAlgorithm checks the value of digest-algorithm=. Error: DIGEST_INVALID.
func ParseAlgorithm(s string) (Algorithm, error) {
	a := Algorithm(s)
	if a != SHA256 && a != SHA512 {
		return "", Errorf(CodeDigestInvalid, "the digest algorithm %q is not supported: use sha256 or sha512", Clip(s))
	}
	return a, nil
}

// New starts a hash. Its state can be marshalled (encoding.BinaryMarshaler),
// which is what makes uploads resumable. a must be valid.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// hexLen is the length of the encoded part.
func (a Algorithm) hexLen() int {
	if a == SHA512 {
		return 2 * sha512.Size
	}
	return 2 * sha256.Size
}

// Digest is a valid content digest, "sha256:<64 hex>" or "sha512:<128 hex>".
type Digest string

// ParseDigest checks a digest; hexadecimal digits are lower-case only (image,
// descriptor.md#digests). Error: DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	alg, enc, ok := strings.Cut(s, ":")
	if !ok {
		return "", Errorf(CodeDigestInvalid, "%q is not a digest: write it as sha256:<64 hexadecimal digits>", Clip(s))
	}
	a, err := ParseAlgorithm(alg)
	if err != nil {
		return "", err
	}
	if len(enc) != a.hexLen() {
		return "", Errorf(CodeDigestInvalid, "the digest %q has %d hexadecimal digits, %s has %d", Clip(s), len(enc), a, a.hexLen())
	}
	for i := range len(enc) {
		if c := enc[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return "", Errorf(CodeDigestInvalid, "the digest %q is not lower-case hexadecimal", Clip(s))
		}
	}
	return Digest(s), nil
}

// Algorithm of a valid digest.
func (d Digest) Algorithm() Algorithm {
	a, _, _ := strings.Cut(string(d), ":")
	return Algorithm(a)
}

// Hex is the encoded part.
func (d Digest) Hex() string {
	_, h, _ := strings.Cut(string(d), ":")
	return h
}

// SumOf is the digest a finished hash stands for.
func SumOf(a Algorithm, h hash.Hash) Digest {
	return Digest(string(a) + ":" + hex.EncodeToString(h.Sum(nil)))
}

// DigestOf hashes content that lies in memory.
func DigestOf(a Algorithm, content []byte) Digest {
	h := a.New()
	h.Write(content)
	return SumOf(a, h)
}
