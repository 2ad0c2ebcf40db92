// Package account knows who is who: accounts, their namespaces and tokens, and
// the principals behind Fairlead tokens.
//
// So far there is one, the operator, whose token lies in a file. The value is
// the one secret that lies in clear; whoever may read the file is the
// operator. Replacing the file (by RotateOperator, or by hand) ends the old
// value, and the registry tokens minted from it, within two seconds.
package account

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token value is "flt_", 12 characters that name it, 33 random ones (196
// bits) and 6 that check the rest, in base 62. The prefix and the check let
// secret scanners recognise values with certainty, and us tell a truncated
// copy from a wrong one.
const (
	prefix      = "flt_"
	idLen       = 12
	secretLen   = 33
	checkLen    = 6
	valueLen    = len(prefix) + idLen + secretLen + checkLen
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	minGivenLen = 20   // bytes
	maxGivenLen = 1024 // bytes
)

// ErrValue is wrapped by refusals of token values.
var ErrValue = errors.New("not a usable token value")

// NewValue makes a token value.
func NewValue() string {
	var b strings.Builder
	b.WriteString(prefix)
	for range idLen + secretLen {
		b.WriteByte(randomChar())
	}
	b.WriteString(check(b.String()))
	return b.String()
}

// randomChar draws from the alphabet without bias.
func randomChar() byte {
	for {
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if i := int(b[0] & 63); i < len(alphabet) {
			return alphabet[i]
		}
	}
}

// check is the CRC-32 (IEEE) of s in base 62, the lowest digit first.
func check(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	out := make([]byte, checkLen)
	for i := range out {
		out[i] = alphabet[sum%uint32(len(alphabet))]
		sum /= uint32(len(alphabet))
	}
	return string(out)
}

// ParseValue checks the form of a Fairlead token value and returns the part
// that names it, which is no secret. It does not tell whether the token is
// valid. Error: ErrValue, without the value.
func ParseValue(s string) (id string, err error) {
	if !strings.HasPrefix(s, prefix) {
		return "", fmt.Errorf("%w: a Fairlead token begins with %q", ErrValue, prefix)
	}
	if len(s) != valueLen {
		return "", fmt.Errorf("%w: it has %d characters, a Fairlead token has %d: copy all of it", ErrValue, len(s), valueLen)
	}
	if strings.Trim(s[len(prefix):], alphabet) != "" || check(s[:valueLen-checkLen]) != s[valueLen-checkLen:] {
		return "", fmt.Errorf("%w: its check characters do not fit: copy it again", ErrValue)
	}
	return s[len(prefix) : len(prefix)+idLen], nil
}

// checkGiven tells whether a value that the operator chose will do: at least
// 20 bytes, printable, without white space, and correct if it looks like one
// of ours.
func checkGiven(s string) error {
	switch {
	case strings.HasPrefix(s, prefix):
		_, err := ParseValue(s)
		return err
	case len(s) < minGivenLen:
		return fmt.Errorf("%w: it has %d bytes, at least %d are needed", ErrValue, len(s), minGivenLen)
	case len(s) > maxGivenLen:
		return fmt.Errorf("%w: it has more than %d bytes", ErrValue, maxGivenLen)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: it is not text in UTF-8", ErrValue)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: it holds white space or characters that cannot be printed", ErrValue)
	}
	return nil
}
