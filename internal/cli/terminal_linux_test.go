package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what a person has, and what the program
// has of it.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

func waitForEcho(t *testing.T, f *os.File, want bool) {
	t.Helper()
	for range 1000 {
		if echoes(t, f) == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the terminal's echo does not become %t", want)
}

// TestPromptHasNoEcho: a secret that is typed is not seen, and the terminal is
// as before, also when the prompt is interrupted.
func TestPromptHasNoEcho(t *testing.T) {
	t.Parallel()
	person, program := openTerminal(t)
	e := env{stdin: program, stderr: program}
	type result struct {
		text string
		err  error
	}
	got := make(chan result, 1)
	ask := func(ctx context.Context) {
		text, err := prompt(ctx, e, "Token: ")
		got <- result{text, err}
	}
	go ask(t.Context())
	waitForEcho(t, program, false)
	if _, err := person.WriteString("flt_secret\n"); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.text != "flt_secret" || r.err != nil {
		t.Errorf("%+v", r)
	}
	waitForEcho(t, program, true)

	ctx, cancel := context.WithCancel(t.Context())
	go ask(ctx)
	waitForEcho(t, program, false)
	cancel()
	if r := <-got; !errors.Is(r.err, context.Canceled) {
		t.Errorf("interrupted: %+v", r)
	}
	waitForEcho(t, program, true)
	seen := make([]byte, 4096)
	n, err := person.Read(seen)
	if err != nil || !strings.Contains(string(seen[:n]), "Token: ") || bytes.Contains(seen[:n], []byte("flt_secret")) {
		t.Errorf("a person saw %q, %v", seen[:n], err)
	}
}

// TestColoursOnATerminal: nowhere else, and not where they are not wanted.
func TestColoursOnATerminal(t *testing.T) {
	t.Parallel()
	_, program := openTerminal(t)
	for _, c := range []struct {
		e    env
		want bool
	}{
		{env{stdout: program}, true},
		{env{stdout: &bytes.Buffer{}}, false},
		{env{stdout: program, environ: []string{"NO_COLOR=1"}}, false},
		{env{stdout: program, environ: []string{"TERM=dumb"}}, false},
	} {
		if got := c.e.coloured(); got != c.want {
			t.Errorf("%v: %t", c.e.environ, got)
		}
	}
}
