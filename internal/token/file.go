package token

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
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

const (
	keyExt = ".pem"
	// sequence is the PEM header that orders the keys: the highest signs.
	sequence   = "Sequence"
	maxKeyFile = 4096 // bytes; ours have about 200
)

// FileKeys are Keys in a folder, one file <id>.pem (PKCS#8, 0600) for each.
// One process at a time opens a folder.
type FileKeys struct {
	dir    string
	change sync.Mutex // held by Add and Retire
	ring   atomic.Pointer[ring]
}

// ring is an immutable set of keys, oldest first.
type ring struct {
	keys    []fileKey
	trusted []PublicKey
}

type fileKey struct {
	PrivateKey
	sequence int
	made     time.Time
}

var _ Keys = (*FileKeys)(nil)

// OpenKeys opens the keys in dir and makes the folder and the first key if
// there is none. Files of other names are ignored.
//
// Errors: keyfile.ErrPermissions for a file that others can read; a file that
// is damaged or whose name does not fit its key (nothing is skipped: a lost
// key would make valid tokens invalid silently).
func OpenKeys(dir string) (*FileKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the token keys: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the token keys: %w", err)
	}
	var keys []fileKey
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != keyExt {
			continue
		}
		k, err := readKey(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	f := &FileKeys{dir: dir}
	f.hold(keys)
	if len(keys) == 0 {
		if _, err := f.Add(context.Background()); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// hold makes keys the ones in force.
func (f *FileKeys) hold(keys []fileKey) {
	slices.SortFunc(keys, func(a, b fileKey) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), strings.Compare(a.ID, b.ID))
	})
	r := &ring{keys: keys}
	for _, k := range keys {
		pub := k.Public()
		pub.Made = k.made
		r.trusted = append(r.trusted, pub)
	}
	f.ring.Store(r)
}

// Signing implements Keys.
func (f *FileKeys) Signing(context.Context) (PrivateKey, error) {
	keys := f.ring.Load().keys
	if len(keys) == 0 {
		return PrivateKey{}, ErrNoKey
	}
	return keys[len(keys)-1].PrivateKey, nil
}

// Trusted implements Keys.
func (f *FileKeys) Trusted(context.Context) ([]PublicKey, error) {
	return f.ring.Load().trusted, nil
}

// Add implements Keys.
func (f *FileKeys) Add(context.Context) (PublicKey, error) {
	f.change.Lock()
	defer f.change.Unlock()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return PublicKey{}, fmt.Errorf("make a token key: %w", err)
	}
	keys := slices.Clone(f.ring.Load().keys)
	k := fileKey{PrivateKey: NewPrivateKey(private), sequence: 1, made: time.Now()}
	if len(keys) > 0 {
		k.sequence = keys[len(keys)-1].sequence + 1
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return PublicKey{}, fmt.Errorf("encode a token key: %w", err)
	}
	block := &pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{sequence: strconv.Itoa(k.sequence)}, Bytes: der}
	if err := keyfile.Create(f.path(k.ID), pem.EncodeToMemory(block)); err != nil {
		return PublicKey{}, fmt.Errorf("store a token key: %w", err)
	}
	f.hold(append(keys, k))
	return k.Public(), nil
}

// Retire implements Keys.
func (f *FileKeys) Retire(_ context.Context, id string) error {
	f.change.Lock()
	defer f.change.Unlock()
	keys := slices.Clone(f.ring.Load().keys)
	i := slices.IndexFunc(keys, func(k fileKey) bool { return k.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("retire a token key: %w", ErrNoKey)
	case i == len(keys)-1:
		return fmt.Errorf("retire a token key: %w", ErrKeyInUse)
	}
	// The trust ends first: a file that cannot be removed must not keep it.
	f.hold(slices.Delete(keys, i, i+1))
	if err := keyfile.Remove(f.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("retire a token key (it is no longer trusted, but will be after a restart): %w", err)
	}
	return nil
}

func (f *FileKeys) path(id string) string { return filepath.Join(f.dir, id+keyExt) }

// readKey reads one key file.
func readKey(path string) (fileKey, error) {
	b, err := keyfile.Read(path, maxKeyFile, keyfile.Private)
	if err != nil {
		return fileKey{}, fmt.Errorf("read a token key: %w", err)
	}
	damaged := func(why string) error {
		return fmt.Errorf("the token key %s is damaged (%s): restore it from a backup, or remove it (tokens it signed, minutes old at most, become invalid)", path, why)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return fileKey{}, damaged("not one PEM block PRIVATE KEY")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fileKey{}, damaged("not PKCS#8")
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return fileKey{}, damaged("not an Ed25519 key")
	}
	n, err := strconv.Atoi(block.Headers[sequence])
	if err != nil || n < 1 {
		return fileKey{}, damaged("the header Sequence is missing")
	}
	info, err := os.Stat(path)
	if err != nil {
		return fileKey{}, fmt.Errorf("read a token key: %w", err)
	}
	k := fileKey{PrivateKey: NewPrivateKey(private), sequence: n, made: info.ModTime()}
	if filepath.Base(path) != k.ID+keyExt {
		return fileKey{}, damaged("its name should be " + k.ID + keyExt)
	}
	return k, nil
}
