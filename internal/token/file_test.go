package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/keyfile"
	"fairlead.dev/fairlead/internal/token"
)

func openKeys(t *testing.T, dir string) *token.FileKeys {
	t.Helper()
	k, err := token.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trusted(t *testing.T, k token.Keys) []string {
	t.Helper()
	pub, err := k.Trusted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range pub {
		ids = append(ids, p.ID)
	}
	return ids
}

func signing(t *testing.T, k token.Keys) string {
	t.Helper()
	s, err := k.Signing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func TestOpenKeysTwice(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "tokens")
	first := openKeys(t, dir)
	id := signing(t, first)
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("not a key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".x.pem.new-1"), []byte("a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := openKeys(t, dir)
	if signing(t, second) != id || !cmp.Equal(trusted(t, second), []string{id}) {
		t.Errorf("second open: %q signs, %q trusted, want %q", signing(t, second), trusted(t, second), id)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, id+".pem"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestThumbprint(t *testing.T) {
	t.Parallel()
	// RFC 8037, appendix A.3.
	x := decode(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if got := token.NewPublicKey([]byte(x)).ID; got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("thumbprint %s", got)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dir := t.TempDir()
	h.keys = openKeys(t, dir)
	h.Minter = token.NewMinter(token.MinterOptions{Issuer: issuer, Service: service, Keys: h.keys, Now: h.now})
	h.Verifier = h.fresh()
	old := signing(t, h.keys)
	raw, _ := h.mint(t)

	if err := h.keys.Retire(t.Context(), old); !errors.Is(err, token.ErrKeyInUse) {
		t.Errorf("retiring the signing key: %v", err)
	}
	if err := h.keys.Retire(t.Context(), "none"); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("retiring no key: %v", err)
	}
	added, err := h.keys.Add(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*token.FileKeys{h.keys, openKeys(t, dir)} {
		if signing(t, k) != added.ID || !cmp.Equal(trusted(t, k), []string{old, added.ID}) {
			t.Errorf("after Add: %q signs, %q trusted", signing(t, k), trusted(t, k))
		}
	}
	if _, err := h.Verify(t.Context(), raw); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	newer, _ := h.mint(t)
	if err := h.keys.Retire(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("a remembered token of a retired key: %v", err)
	}
	if _, err := h.fresh().Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("a token of a retired key: %v", err)
	}
	if _, err := h.Verify(t.Context(), newer); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if k := openKeys(t, dir); !cmp.Equal(trusted(t, k), []string{added.ID}) {
		t.Errorf("after Retire and a restart: %q trusted", trusted(t, k))
	}
}

// The order of keys, and so which one signs, survives a restart.
func TestKeysKeepTheirOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := openKeys(t, dir)
	want := trusted(t, k)
	for range 11 {
		added, err := k.Add(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, added.ID)
	}
	for _, k := range []token.Keys{k, openKeys(t, dir)} {
		if diff := cmp.Diff(want, trusted(t, k)); diff != "" || signing(t, k) != want[11] {
			t.Errorf("%s signs: %s", signing(t, k), diff)
		}
	}
}

func TestOpenKeysRefuses(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	other := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{"Sequence": "1"}, Bytes: der}))
	edit := func(f func(string) string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(f(string(b))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mode := func(m os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Chmod(path, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		want   string
	}{
		"group-readable": {mode(0o640), "chmod 600"},
		"world-readable": {mode(0o604), "chmod 600"},
		"empty":          {edit(func(string) string { return "" }), "not one PEM block"},
		"cut":            {edit(func(s string) string { return s[:len(s)/2] }), "not one PEM block"},
		"two blocks":     {edit(func(s string) string { return s + s }), "not one PEM block"},
		"another type":   {edit(func(s string) string { return strings.ReplaceAll(s, "PRIVATE", "PUBLIC") }), "not one PEM block"},
		"huge":           {edit(func(s string) string { return s + strings.Repeat("\n", 5000) }), "more than 4096 bytes"},
		"no sequence":    {edit(func(s string) string { return strings.Replace(s, "Sequence: 1\n", "X: 1\n", 1) }), "Sequence"},
		"sequence zero":  {edit(func(s string) string { return strings.Replace(s, "Sequence: 1\n", "Sequence: 0\n", 1) }), "Sequence"},
		"another kind":   {edit(func(string) string { return other }), "not an Ed25519 key"},
		"another name": {func(t *testing.T, path string) {
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), "x.pem")); err != nil {
				t.Fatal(err)
			}
		}, "its name should be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.damage(t, filepath.Join(dir, signing(t, openKeys(t, dir))+".pem"))
			k, err := token.OpenKeys(dir)
			if err == nil || k != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("opened, or: %v", err)
			}
			if errors.Is(err, keyfile.ErrPermissions) != strings.Contains(c.want, "chmod") {
				t.Errorf("ErrPermissions: %v", err)
			}
		})
	}
}
