// Package blob is the contract for immutable bytes under a key.
//
// A Store knows no repository, digest or path grammar and does not hash. A
// key is used once: it is appended to, sealed, read, and at the end deleted;
// it never comes back. That is why there is no rename and no copy, and why
// nothing that removes bytes can race with something that writes them.
//
// Implementations: disk. The suite every implementation passes is blobtest.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"time"
)

// Key names bytes in a Store: 32 lower-case hexadecimal digits, random.
type Key string

// NewKey makes a key that was never used.
func NewKey() Key {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return Key(hex.EncodeToString(b[:]))
}

// Valid tells whether k has the form of a key.
func (k Key) Valid() bool {
	if len(k) != 32 {
		return false
	}
	for i := range len(k) {
		if c := k[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// Errors of every Store.
var (
	// ErrNotFound: there are no bytes under the key.
	ErrNotFound = errors.New("no such key in the store")
	// ErrOffset: Append at an offset beyond what the key holds.
	ErrOffset = errors.New("offset beyond the end of the key")
	// ErrSealed: Append to a key whose bytes can not change any more.
	ErrSealed = errors.New("the key is sealed: its bytes can not change any more")
	// ErrFull: the store has no room left.
	ErrFull = errors.New("the store has no room left")
)

// Entry is one key of a listing.
type Entry struct {
	Key      Key
	Size     int64     // bytes
	Modified time.Time // when it last grew
}

// Store keeps bytes by key. Safe for concurrent use; one key is appended to
// by one caller at a time.
type Store interface {
	// Append writes r at offset and returns the key's new length, also on
	// error (what was written before it counts). What lay beyond offset is
	// dropped first; offset 0 creates the key. Nothing is durable before
	// Seal. Errors: ErrOffset, ErrNotFound (offset > 0, key absent),
	// ErrSealed, ErrFull, or the error of r unchanged.
	Append(ctx context.Context, key Key, offset int64, r io.Reader) (int64, error)
	// Seal makes the key and its bytes durable (it survives power loss when
	// Seal has returned) and immutable. Error: ErrNotFound.
	Seal(ctx context.Context, key Key) error
	// Open reads length bytes from offset; length < 0 means to the end. A
	// range beyond the end is cut. The reader of a store on disk is an
	// *os.File positioned at offset, which may go on beyond length: the
	// caller stops by itself (so that sendfile works). Error: ErrNotFound.
	Open(ctx context.Context, key Key, offset, length int64) (io.ReadCloser, error)
	// Size in bytes. Error: ErrNotFound.
	Size(ctx context.Context, key Key) (int64, error)
	// Delete removes the key; an absent one is fine.
	Delete(ctx context.Context, key Key) error
	// List yields every key, sealed or not, in no particular order.
	List(ctx context.Context) iter.Seq2[Entry, error]
	// URL is where a client may fetch the sealed key's bytes by itself;
	// "" if the store offers none.
	URL(ctx context.Context, key Key) (string, error)
}
