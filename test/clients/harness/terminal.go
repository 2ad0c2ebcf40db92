package harness

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Typed is Run for a program that asks for its password on a terminal and
// takes it in no other way but the command line: a person types it.
func (tool *Tool) Typed(line string, args ...string) string {
	tool.home.t.Helper()
	stdout, all, err := tool.typed(line, args)
	if err != nil {
		tool.home.t.Fatalf("%s: %v\n%s", tool.line(args), err, tail(all, 8_000))
	}
	return stdout
}

// TypedRefused is Refused with a password typed.
func (tool *Tool) TypedRefused(line string, args ...string) {
	tool.home.t.Helper()
	_, all, err := tool.typed(line, args)
	if err == nil || !refusal.MatchString(all) {
		tool.home.t.Fatalf("%s: %v, it must be refused\n%s", tool.line(args), err, tail(all, 8_000))
	}
}

// TryTyped is Try with a password typed.
func (tool *Tool) TryTyped(line string, args ...string) (said string, ok bool) {
	tool.home.t.Helper()
	_, all, err := tool.typed(line, args)
	return all, err == nil
}

func (tool *Tool) typed(line string, args []string) (stdout, all string, err error) {
	t := tool.home.t
	t.Helper()
	person, terminal, err := openTerminal()
	if err != nil {
		t.Fatalf("opening a terminal: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	if _, err := io.WriteString(person, line+"\n"); err != nil {
		t.Fatalf("typing: %v", err)
	}
	cmd, cancel := tool.Command(args...)
	defer cancel()
	var out bytes.Buffer
	var both Record
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, io.MultiWriter(&out, &both), &both
	err = cmd.Run()
	_ = person.Close()
	return strings.TrimSpace(out.String()), both.String(), err
}

// openTerminal gives the two ends of a pseudoterminal.
func openTerminal() (person, terminal *os.File, err error) {
	person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = person.Close()
		}
	}()
	fd := int(person.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	return person, terminal, err
}
