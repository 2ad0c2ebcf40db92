package account

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/keyfile"
)

// ErrNoKey: there is no key of that ID. ErrKeyInUse: new values are made with
// it.
var (
	ErrNoKey    = errors.New("no such key of token values")
	ErrKeyInUse = errors.New("new token values are made with this key: rotate the keys first")
)

// ValueKeys are the server keys that token values are derived with. Whoever
// has one, and the database, knows all values that it makes.
//
// They lie in a folder, one file NNNN-ID.key each; the highest number makes
// new values. One process at a time opens a folder.
type ValueKeys struct {
	dir    string
	change sync.Mutex
	ring   atomic.Pointer[[]valueKey]
}

// valueKey prints as its ID only.
type valueKey struct {
	id       string
	sequence int
	made     time.Time
	secret   []byte
}

func (k valueKey) String() string       { return "key of token values " + k.id }
func (k valueKey) GoString() string     { return k.String() }
func (k valueKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// KeyInfo is what may be known of a key.
type KeyInfo struct {
	ID      string
	Made    time.Time
	Current bool
}

const valueKeyExt = ".key"

// OpenValueKeys opens the folder, and makes it with a first key if there is
// none. Errors: keyfile.ErrPermissions; a file that is damaged (nothing is
// skipped: a lost key would end tokens silently).
func OpenValueKeys(dir string) (*ValueKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the keys of token values: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the keys of token values: %w", err)
	}
	var keys []valueKey
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != valueKeyExt {
			continue
		}
		k, err := readValueKey(dir, e)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	v := &ValueKeys{dir: dir}
	v.hold(keys)
	if len(keys) == 0 {
		if _, err := v.Add(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func readValueKey(dir string, e os.DirEntry) (valueKey, error) {
	path := filepath.Join(dir, e.Name())
	secret, err := keyfile.Read(path, 1024, keyfile.Private)
	if err != nil {
		return valueKey{}, fmt.Errorf("read a key of token values: %w", err)
	}
	number, id, _ := strings.Cut(strings.TrimSuffix(e.Name(), valueKeyExt), "-")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || len(secret) != keyfile.Size || id != keyID(secret) {
		return valueKey{}, fmt.Errorf("the key of token values %s is damaged: restore it from a backup; without it the tokens it makes are not accepted", path)
	}
	info, err := e.Info()
	if err != nil {
		return valueKey{}, fmt.Errorf("read a key of token values: %w", err)
	}
	return valueKey{id: id, sequence: n, made: info.ModTime(), secret: secret}, nil
}

// keyID is derived from the key, and says nothing of it.
func keyID(secret []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("key id"))
	return hex.EncodeToString(h.Sum(nil))[:8]
}

func (v *ValueKeys) hold(keys []valueKey) {
	slices.SortFunc(keys, func(a, b valueKey) int { return cmp.Compare(a.sequence, b.sequence) })
	v.ring.Store(&keys)
}

// Current is the ID of the key that makes new values.
func (v *ValueKeys) Current() string {
	keys := *v.ring.Load()
	return keys[len(keys)-1].id
}

// List gives all keys, the current one first.
func (v *ValueKeys) List() []KeyInfo {
	var out []KeyInfo
	for i, k := range slices.Backward(*v.ring.Load()) {
		out = append(out, KeyInfo{ID: k.id, Made: k.made, Current: i == len(*v.ring.Load())-1})
	}
	return out
}

// Add makes a key, which makes new values from now on.
func (v *ValueKeys) Add() (KeyInfo, error) {
	v.change.Lock()
	defer v.change.Unlock()
	secret := make([]byte, keyfile.Size)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	keys := slices.Clone(*v.ring.Load())
	k := valueKey{id: keyID(secret), sequence: 1, made: time.Now(), secret: secret}
	if len(keys) > 0 {
		k.sequence = keys[len(keys)-1].sequence + 1
	}
	if err := keyfile.Create(v.path(k), secret); err != nil {
		return KeyInfo{}, fmt.Errorf("store a key of token values: %w", err)
	}
	v.hold(append(keys, k))
	return KeyInfo{ID: k.id, Made: k.made, Current: true}, nil
}

// Retire forgets a key: no value that it makes is good any more. Errors:
// ErrNoKey, ErrKeyInUse.
func (v *ValueKeys) Retire(id string) error {
	v.change.Lock()
	defer v.change.Unlock()
	keys := slices.Clone(*v.ring.Load())
	i := slices.IndexFunc(keys, func(k valueKey) bool { return k.id == id })
	switch {
	case i < 0:
		return ErrNoKey
	case i == len(keys)-1:
		return ErrKeyInUse
	}
	path := v.path(keys[i])
	v.hold(slices.Delete(keys, i, i+1))
	if err := keyfile.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("retire a key of token values (it makes no value any more, but will after a restart): %w", err)
	}
	return nil
}

func (v *ValueKeys) path(k valueKey) string {
	return filepath.Join(v.dir, fmt.Sprintf("%04d-%s%s", k.sequence, k.id, valueKeyExt))
}

// value derives a token's value; false if the key is not there.
func (v *ValueKeys) value(key, id string, generation int) (string, bool) {
	keys := *v.ring.Load()
	i := slices.IndexFunc(keys, func(k valueKey) bool { return k.id == key })
	if i < 0 {
		return "", false
	}
	h := hmac.New(sha256.New, keys[i].secret)
	h.Write([]byte("token value\x00" + id + "\x00" + strconv.Itoa(generation)))
	text := prefix + id + digits(h.Sum(nil))
	return text + check(text), true
}

// digits are the secretLen lowest digits in base 62 of a number of 32 bytes.
func digits(sum []byte) string {
	const step, many = 839299365868340224, 10 // 62^10 fits a word
	var n [4]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	out := make([]byte, 0, secretLen)
	for len(out) < secretLen {
		var rest uint64
		for i := range n {
			n[i], rest = bits.Div64(rest, n[i], step)
		}
		for i := 0; i < many && len(out) < secretLen; i++ {
			out = append(out, alphabet[rest%62])
			rest /= 62
		}
	}
	return string(out)
}

// newID makes a token's id: random, and no secret.
func newID() string {
	b := make([]byte, idLen)
	for i := range b {
		b[i] = randomChar()
	}
	return string(b)
}
