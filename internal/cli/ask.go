package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// attended says whether a person is at the other end of a stream.
func (e env) attended(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// askable refuses a command that will ask where nobody can be asked.
func askable(e env, force bool, command string) error {
	if force || e.attended(e.stdin) {
		return nil
	}
	return usagef(command+" --force", "%s asks for confirmation, and there is no terminal to ask on", command)
}

// confirm asks a person before something is done, unless it is forced. An
// error says that it was not confirmed.
func confirm(ctx context.Context, e env, force bool, command, question string) error {
	if err := askable(e, force, command); err != nil || force {
		return err
	}
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	answer, err := readLine(ctx, e.stdin)
	if err != nil {
		fmt.Fprintln(e.stderr)
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return saidf("", "nothing was done")
}

// readLine reads a line, or stops waiting when ctx ends: nothing can end the
// read itself, and the process ends soon after.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		got <- result{line, err}
	}()
	select {
	case g := <-got:
		if g.err != nil && !errors.Is(g.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", g.err)
		}
		return g.line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
