package account_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/keyfile"
)

func openKeys(t *testing.T, dir string) *account.ValueKeys {
	t.Helper()
	k, err := account.OpenValueKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestValueKeysAreMadeAndFound(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	k := openKeys(t, dir)
	first := k.Current()
	second, err := k.Add()
	if err != nil || !second.Current || second.ID == first || k.Current() != second.ID {
		t.Fatalf("%+v, %v; current %s", second, err, k.Current())
	}
	again := openKeys(t, dir)
	list := again.List()
	if len(list) != 2 || list[0].ID != second.ID || !list[0].Current || list[1].ID != first || list[1].Current {
		t.Errorf("after a restart: %+v", list)
	}
	if err := again.Retire(second.ID); !errors.Is(err, account.ErrKeyInUse) {
		t.Errorf("retire the current key: %v", err)
	}
	if err := again.Retire("absent"); !errors.Is(err, account.ErrNoKey) {
		t.Errorf("retire an absent key: %v", err)
	}
	if err := again.Retire(first); err != nil {
		t.Error(err)
	}
	if l := openKeys(t, dir).List(); len(l) != 1 || l[0].ID != second.ID {
		t.Errorf("after a key was retired: %+v", l)
	}
}

func TestValueKeysRefuse(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"open to others": func(p string) error { return os.Chmod(p, 0o644) },
		"shorter":        func(p string) error { return os.Truncate(p, 5) },
		"other content":  func(p string) error { return os.WriteFile(p, make([]byte, keyfile.Size), 0o600) },
		"another name":   func(p string) error { return os.Rename(p, filepath.Join(filepath.Dir(p), "0002-01234567.key")) },
		"no number":      func(p string) error { return os.Rename(p, filepath.Join(filepath.Dir(p), "x.key")) },
	} {
		dir := t.TempDir()
		openKeys(t, dir)
		files, err := filepath.Glob(filepath.Join(dir, "*.key"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		if err := spoil(files[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := account.OpenValueKeys(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestValuesOfTokens: of one length and form, and other for another id,
// generation and key.
func TestValuesOfTokens(t *testing.T) {
	t.Parallel()
	a, b := openKeys(t, filepath.Join(t.TempDir(), "a")), openKeys(t, filepath.Join(t.TempDir(), "b"))
	seen := map[string]string{}
	for name, k := range map[string]*account.ValueKeys{"a": a, "b": b} {
		for _, id := range []string{"000000000000", "000000000001", "zzzzzzzzzzzz"} {
			for generation := range 20 {
				v, ok := account.ValueOf(k, k.Current(), id, generation)
				got, err := account.ParseValue(v)
				if !ok || err != nil || got != id {
					t.Fatalf("%q: %q, %v", v, got, err)
				}
				what := fmt.Sprint(name, id, generation)
				if was, twice := seen[v]; twice {
					t.Errorf("%s and %s have one value", was, what)
				}
				seen[v] = what
				if again, _ := account.ValueOf(k, k.Current(), id, generation); again != v {
					t.Errorf("%s has two values", what)
				}
			}
		}
	}
	if _, ok := account.ValueOf(a, b.Current(), "000000000000", 1); ok {
		t.Error("a key that is not there makes a value")
	}
}

func FuzzParseValue(f *testing.F) {
	f.Add(account.NewValue())
	f.Add("flt_")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := account.ParseValue(s)
		if err != nil && (id != "" || strings.Contains(s, "_") && len(s) > 8 && strings.Contains(err.Error(), s)) {
			t.Errorf("%q: %q, %v", s, id, err)
		}
		if err == nil && !strings.HasPrefix(s, "flt_"+id) {
			t.Errorf("%q has the id %q", s, id)
		}
	})
}
