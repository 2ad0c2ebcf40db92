package credhelper

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helper is a credential helper that keeps one entry beside itself.
const helper = `#!/bin/sh
f="$0.entry"
case "$1" in
store) cat > "$f" ;;
list) if [ -f "$f" ]; then echo '{"https://registry.example/fairlead/prod":"token"}'; else echo '{}'; fi ;;
get) key=$(cat); if [ -f "$f" ] && grep -q "\"$key\"" "$f"; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) if [ -f "$f" ]; then rm "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
esac
`

func TestHelper(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": helper, "broken": "#!/bin/sh\necho the key ring is locked\nexit 1\n", "odd": "#!/bin/sh\necho hello\n"} {
		if err := os.WriteFile(filepath.Join(dir, prefix+name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx := t.Context()
	h, err := New("good")
	if err != nil {
		t.Fatal(err)
	}
	const key = "https://registry.example/fairlead/prod"
	if _, _, err := h.Get(ctx, key); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := h.Store(ctx, key, "token", `se"cret`); err != nil {
		t.Fatal(err)
	}
	if user, secret, err := h.Get(ctx, key); err != nil || user != "token" || secret != `se"cret` {
		t.Errorf("%q %q %v", user, secret, err)
	}
	if list, err := h.List(ctx); err != nil || len(list) != 1 || list[key] != "token" {
		t.Errorf("the list is %v, %v", list, err)
	}
	if err := h.Erase(ctx, key); err != nil {
		t.Error(err)
	}
	if err := h.Erase(ctx, key); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	for name, want := range map[string]string{"broken": "docker-credential-broken get: the key ring is locked", "odd": "no credential", "absent": "there is no program docker-credential-absent"} {
		h, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Get(ctx, key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := h.List(ctx); err == nil {
			t.Errorf("%s lists %v", name, list)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "../x", "a/b", "a b", "a\x00"} {
		if _, err := New(name); err == nil {
			t.Errorf("%q is a helper", name)
		}
	}
}
