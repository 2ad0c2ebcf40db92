package account_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/keyfile"
)

var key = bytes.Repeat([]byte{7}, keyfile.Size)

const given = "correct-horse-battery-staple"

func open(t *testing.T, o account.OperatorOptions) *account.Operator {
	t.Helper()
	if o.Key == nil {
		o.Key = key
	}
	op, _, err := account.OpenOperator(o)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// value of the operator's token in a file.
func value(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func write(t *testing.T, file, content string, perm fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, perm); err != nil {
		t.Fatal(err)
	}
}

func TestOpenOperatorMakesAToken(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(dir, "operator.token")
	o := account.OperatorOptions{File: file, Key: key}
	op, created, err := account.OpenOperator(o)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	v := value(t, file)
	if _, err := account.ParseValue(v); err != nil {
		t.Error(err)
	}
	p, err := op.Authenticate(t.Context(), "token", v)
	if want := (access.Principal{Kind: access.Operator, TokenID: op.TokenID(), Name: "operator"}); err != nil || !cmp.Equal(p, want) {
		t.Errorf("%+v, %v", p, err)
	}
	if len(p.TokenID) != 16 || strings.Contains(v, p.TokenID) || !op.Alive(p.TokenID) || op.Alive("") || op.Alive(p.TokenID+"0") {
		t.Errorf("token id %q", p.TokenID)
	}

	again, created, err := account.OpenOperator(o)
	if err != nil || created || again.TokenID() != op.TokenID() || value(t, file) != v {
		t.Errorf("second open: created %v, %v", created, err)
	}
	other := open(t, account.OperatorOptions{File: file, Key: bytes.Repeat([]byte{8}, keyfile.Size)})
	if other.TokenID() == op.TokenID() {
		t.Error("the token id does not depend on the key: it could be guessed from a weak value")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("leftovers: %v", entries)
	}
}

func TestOpenOperatorReadsWhatIsGiven(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"plain":      given,
		"newline":    given + "\n",
		"dos":        given + "\r\n",
		"20 bytes":   "12345678901234567890",
		"umlauts":    "größere-äpfel-über-alles",
		"a Fairlead": account.NewValue(),
		"longest":    strings.Repeat("x", 1024) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "t")
			write(t, file, content, 0o640) // as a mounted secret
			op := open(t, account.OperatorOptions{File: file, Given: true})
			if _, err := op.Authenticate(t.Context(), "token", strings.TrimRight(content, "\r\n")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenOperatorRefuses(t *testing.T) {
	t.Parallel()
	v := account.NewValue()
	for _, c := range []struct {
		name, content string
		perm          fs.FileMode
		given         bool
		is            error
		want          string
	}{
		{"world-readable, given", given, 0o644, true, keyfile.ErrPermissions, "chmod 600"},
		{"world-readable", v, 0o604, false, keyfile.ErrPermissions, "chmod 600"},
		{"group-readable", v, 0o640, false, keyfile.ErrPermissions, "chmod 600"},
		{"empty", "", 0o600, true, account.ErrValue, "at least 20"},
		{"empty, ours", "", 0o600, false, account.ErrValue, "at least 20"},
		{"short", "1234567890123456789", 0o600, true, account.ErrValue, "at least 20"},
		{"space", "correct horse battery staple", 0o600, true, account.ErrValue, "white space"},
		{"two lines", given + "\n" + given + "\n", 0o600, true, account.ErrValue, "white space"},
		{"leading space", " " + given, 0o600, true, account.ErrValue, "white space"},
		{"two newlines", given + "\n\n", 0o600, true, account.ErrValue, "white space"},
		{"control", given + "\x00", 0o600, true, account.ErrValue, "printed"},
		{"not text", given + "\xff", 0o600, true, account.ErrValue, "UTF-8"},
		{"long", strings.Repeat("x", 1025), 0o600, true, account.ErrValue, "more than 1024"},
		{"huge", strings.Repeat("x", 1<<20), 0o600, true, nil, "not the file you mean"},
		{"truncated", v[:40], 0o600, true, account.ErrValue, "copy all of it"},
		{"mistyped", v[:50] + "00000", 0o600, true, account.ErrValue, "check characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "the.file")
			write(t, file, c.content, c.perm)
			op, created, err := account.OpenOperator(account.OperatorOptions{File: file, Given: c.given, Key: key})
			if err == nil || op != nil || created {
				t.Fatalf("opened: %v, %v", created, err)
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v", err)
			}
			if len(c.content) > 10 && strings.Contains(err.Error(), c.content[:10]) {
				t.Errorf("the error shows the value: %v", err)
			}
			if b, _ := os.ReadFile(file); string(b) != c.content {
				t.Error("the file was changed")
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "none")
	if _, _, err := account.OpenOperator(account.OperatorOptions{File: missing, Given: true, Key: key}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a given file that is missing: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a given file was made")
	}
	if _, _, err := account.OpenOperator(account.OperatorOptions{File: missing}); err == nil {
		t.Error("opened without a key")
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "t")
	op := open(t, account.OperatorOptions{File: file})
	v := value(t, file)
	for _, c := range [][2]string{
		{"token", ""},
		{"token", v + "x"},
		{"token", v[:len(v)-1]},
		{"token", v + "\n"},
		{"token", strings.ToLower(v)},
		{"", v},
		{"operator", v},
		{"Token", v},
		{"token ", v},
		{"token\x00", v},
		{"", ""},
		{"operator", "wrong"},
		{"token", strings.Repeat("x", 10<<20)},
		{"token", op.TokenID()},
	} {
		p, err := op.Authenticate(t.Context(), c[0], c[1])
		if err != account.ErrBadCredentials || !cmp.Equal(p, access.Principal{}) { //nolint:errorlint // the very same error, whichever was wrong
			t.Errorf("%q, %.60q: %+v, %v", c[0], c[1], p, err)
		}
	}
}

// A password of megabytes is not hashed.
func TestAuthenticateIsBounded(t *testing.T) { // not parallel: it measures memory
	op := open(t, account.OperatorOptions{File: filepath.Join(t.TempDir(), "t")})
	secret := strings.Repeat("x", 10<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := op.Authenticate(t.Context(), "token", secret); !errors.Is(err, account.ErrBadCredentials) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

// run starts op.Run in the bubble and stops it at the end.
func run(t *testing.T, op *account.Operator) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- op.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A replaced token ends the old value, and the registry tokens minted from it,
// within two seconds.
func TestRotation(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "operator.token")
		op := open(t, account.OperatorOptions{File: file, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		old, oldID := value(t, file), op.TokenID()
		run(t, op)
		time.Sleep(10*time.Second + 100*time.Millisecond)
		if !op.Alive(oldID) || op.TokenID() != oldID {
			t.Fatal("an unchanged file ended the token")
		}
		if err := account.RotateOperator(file); err != nil {
			t.Fatal(err)
		}
		fresh := value(t, file)
		if _, err := account.ParseValue(fresh); err != nil || fresh == old {
			t.Fatalf("the file holds no new value: %v", err)
		}
		time.Sleep(time.Second)
		if op.Alive(oldID) {
			t.Error("the old token is alive")
		}
		if _, err := op.Authenticate(t.Context(), "token", old); !errors.Is(err, account.ErrBadCredentials) {
			t.Errorf("the old value: %v", err)
		}
		p, err := op.Authenticate(t.Context(), "token", fresh)
		if err != nil || p.TokenID == oldID || !op.Alive(p.TokenID) {
			t.Errorf("the new value: %+v, %v", p, err)
		}
		synctest.Wait()
		if s := logged.String(); !strings.Contains(s, "replaced") || strings.Contains(s, old) || strings.Contains(s, fresh) {
			t.Errorf("log: %s", s)
		}
	})
}

// A refresh that fails for longer than two seconds fails closed.
func TestRefreshFailsClosed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, file string){
		"removed": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"half-written":   func(t *testing.T, file string) { write(t, file, given[:10], 0o600) },
		"world-readable": func(t *testing.T, file string) { write(t, file, given, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var logged bytes.Buffer
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(dir, "t")
				write(t, file, given, 0o600)
				op := open(t, account.OperatorOptions{File: file, Given: true, Log: slog.New(slog.NewTextHandler(&logged, nil))})
				id := op.TokenID()
				run(t, op)
				time.Sleep(5*time.Second + 500*time.Millisecond) // last read half a second ago
				spoil(t, file)
				time.Sleep(1400 * time.Millisecond)
				if !op.Alive(id) {
					t.Error("a read that fails for less than two seconds ended the token")
				}
				time.Sleep(200 * time.Millisecond) // last good read 2.1 seconds ago
				if op.Alive(id) {
					t.Error("alive on an old reading")
				}
				for _, secret := range []string{given, "wrong"} {
					if p, err := op.Authenticate(t.Context(), "token", secret); !errors.Is(err, account.ErrUnavailable) || !cmp.Equal(p, access.Principal{}) {
						t.Errorf("%+v, %v", p, err)
					}
				}
				time.Sleep(time.Minute)
				if op.Alive(id) {
					t.Error("alive after a minute")
				}
				synctest.Wait()
				if n := strings.Count(logged.String(), "\n"); n != 2 {
					t.Errorf("%d log lines for one failure: %s", n, logged.String())
				}
				write(t, file, given, 0o600)
				time.Sleep(300 * time.Millisecond)
				if !op.Alive(id) {
					t.Error("the token is not accepted although it can be read again")
				}
				if _, err := op.Authenticate(t.Context(), "token", given); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if strings.Contains(logged.String(), given) {
					t.Error("the log shows the value")
				}
			})
		})
	}
}

// A short failure, such as an editor that truncates before it writes, is
// bridged.
func TestRefreshBridgesAShortFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "t")
		write(t, file, given, 0o600)
		op := open(t, account.OperatorOptions{File: file, Given: true})
		id := op.TokenID()
		run(t, op)
		time.Sleep(500 * time.Millisecond)
		write(t, file, "", 0o600)
		time.Sleep(time.Second)
		write(t, file, given, 0o600)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if !op.Alive(id) {
				t.Fatal("a short failure ended the token")
			}
		}
	})
}

// When Run ends, requests under way can finish.
func TestEndOfRunEndsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		op := open(t, account.OperatorOptions{File: filepath.Join(dir, "t")})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- op.Run(ctx) }()
		time.Sleep(3 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if !op.Alive(op.TokenID()) {
			t.Error("the token is not alive after Run")
		}
	})
}

func TestRotateOperatorNeedsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "operator.token")
	if err := account.RotateOperator(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "first start") {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Error("rotation made a file")
	}
}

func BenchmarkAlive(b *testing.B) {
	op, _, err := account.OpenOperator(account.OperatorOptions{File: filepath.Join(b.TempDir(), "t"), Key: key})
	if err != nil {
		b.Fatal(err)
	}
	id := op.TokenID()
	for b.Loop() {
		if !op.Alive(id) {
			b.Fatal("dead")
		}
	}
}
