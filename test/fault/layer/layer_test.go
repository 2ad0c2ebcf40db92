package layer

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if err := Exec(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// shell runs a script in the disk's folder, under watch.
func shell(t *testing.T, d *Disk, script string) string {
	t.Helper()
	if err := Usable(); err != nil {
		if os.Getenv("FAIRLEAD_REQUIRE_FUSE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	unmount, err := d.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command("/bin/sh", "-ec", script)
	cmd.Dir, cmd.Env = dir, os.Environ()
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := d.Watch(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, &out)
	}
	if err := unmount(); err != nil {
		t.Error(err)
	}
	return out.String()
}

// TestDurable: what survives when nothing does that was not synced.
func TestDurable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		opts   Options
		script string
		want   []string
	}{
		{"nothing was synced", Options{}, "echo a > f; mkdir d; echo b > d/g", nil},
		{"the file, and not its name", Options{}, "echo a > f; sync f", nil},
		{"the file, and with it its name", Options{NameOnSync: true}, "mkdir d; echo a > d/f; echo b > d/g; sync d/f", []string{"d/f 2"}},
		{"the name, and not the file", Options{}, "echo a > f; sync .", []string{"f 0"}},
		{"file and name", Options{}, "echo a > f; sync f .", []string{"f 2"}},
		{"a folder that is not named", Options{}, "mkdir d; echo b > d/g; sync d/g d", nil},
		{"a folder and what is in it", Options{}, "mkdir d; echo b > d/g; sync d/g d .", []string{"d/g 2"}},
		{"more was written later", Options{}, "echo a > f; sync f .; echo bcd >> f", []string{"f 2"}},
		{"all was cut off later", Options{}, "echo a > f; sync f .; : > f", []string{"f 2"}},
		{"removed later", Options{}, "echo a > f; sync f .; rm f", []string{"f 2"}},
		{"removed for good", Options{}, "echo a > f; sync f .; rm f; sync .", nil},
		{"renamed later", Options{}, "echo a > f; sync f .; mv f g", []string{"f 2"}},
		{"renamed for good", Options{}, "echo a > f; sync f; echo > g; mv f g; sync .", []string{"g 2"}},
		{"a second name", Options{}, "echo a > f; sync f; ln f g; rm f; sync .", []string{"g 2"}},
		{"syncfs", Options{}, "mkdir d; echo b > d/g; sync -f .; echo c >> d/g", []string{"d/g 2"}},
		{"sync", Options{}, "mkdir d; echo b > d/g; sync; echo c > d/h", []string{"d/g 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := New(c.opts)
			shell(t, d, c.script)
			if got := d.CutAll().Files(); !slices.Equal(got, c.want) {
				t.Errorf("%s\nleaves %q, want %q; before it was %q", c.script, got, c.want, d.Files())
			}
		})
	}
}

// TestCut: everything that may happen to unsynced writes does, and equal seeds
// do the same.
func TestCut(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(400) {
		d, again := unsynced(), unsynced()
		cut := d.Cut(seed)
		if a, b := content(cut), content(again.Cut(seed)); a != b {
			t.Fatalf("seed %d makes two disks", seed)
		}
		seen[verdict(content(cut))] = true
	}
	for _, want := range []string{"all old", "all new", "later only", "earlier only", "torn", "zeros", "rubbish"} {
		if !seen[want] {
			t.Errorf("%s: never", want)
		}
	}
}

// unsynced is a disk with a page of o's that is durable, over which a page of
// n's was written, and after it another one.
func unsynced() *Disk {
	d := New(Options{})
	f := d.add(false, 0o600)
	d.root.enter(entry{"f": f})
	f.write([]byte(strings.Repeat("o", page)), 0)
	d.syncAll()
	f.write([]byte(strings.Repeat("n", page)), 0)
	f.write([]byte(strings.Repeat("n", page)), page)
	return d
}

func content(d *Disk) string {
	b, err := d.ReadFile("f")
	return fmt.Sprint(string(b), err)
}

func verdict(b string) string {
	b = strings.TrimSuffix(b, "<nil>")
	if len(b) <= page {
		b = strings.Trim(b, "o")
		switch {
		case b == "":
			return "all old"
		case len(b) == page:
			return "earlier only"
		}
		return "torn"
	}
	first, second := b[:page], b[page:]
	switch {
	case strings.Trim(second, "\x00") == "":
		return "zeros"
	case strings.Trim(second, "n\x00") != "":
		return "rubbish"
	case strings.Trim(second, "n") != "" || strings.Trim(first, "n") != "" && strings.Trim(first, "o") != "":
		return "torn"
	case first[0] == 'o':
		return "later only"
	}
	return "all new"
}

// TestFreeze: who touches a frozen disk waits, and is refused when it dies.
func TestFreeze(t *testing.T) {
	t.Parallel()
	d := New(Options{})
	d.FreezeAt(1)
	refused := make(chan syscall.Errno)
	go func() { refused <- d.SyncAll() }()
	<-d.Frozen()
	select {
	case err := <-refused:
		t.Fatalf("the disk is frozen and answers %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	d.Fail()
	if err := <-refused; err != syscall.EIO {
		t.Errorf("a dead disk answers %v", err)
	}
	d.Thaw()
	if err := d.SyncAll(); err != 0 {
		t.Errorf("a thawed disk answers %v", err)
	}
}

// TestHook: what a hook makes of operations reaches the program.
func TestHook(t *testing.T) {
	t.Parallel()
	d := New(Options{Capacity: 3 * page})
	var kinds []Kind
	d.Hook(func(op Op) Fault {
		if op.Path == "f" && op.Kind.event() && !slices.Contains(kinds, op.Kind) {
			kinds = append(kinds, op.Kind)
		}
		switch {
		case op.Path == "bad":
			return Fault{Err: syscall.EIO}
		case op.Path == "short" && op.Kind == Write && op.Size > 1:
			return Fault{Short: 1}
		}
		return Fault{}
	})
	out := shell(t, d, `
		echo a > f; sync f; mv f g
		(echo a > bad) 2>&1 || true
		echo whole > short
		head -c 20000 /dev/zero 2>&1 > full || true`)
	for _, want := range []string{"Input/output error", "No space left on device"} {
		if !strings.Contains(strings.ReplaceAll(out, "I/O error", "Input/output error"), want) {
			t.Errorf("the program did not hear %q: %s", want, out)
		}
	}
	if b, err := d.ReadFile("short"); err != nil || string(b) != "whole\n" {
		t.Errorf("short writes made %q (%v)", b, err)
	}
	if want := []Kind{Create, Write, Sync, Rename}; !slices.Equal(kinds, want) {
		t.Errorf("the hook saw %v, want %v", kinds, want)
	}
}
