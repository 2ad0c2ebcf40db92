package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// signInClients lets docker and podman sign in by themselves, so that their
// own configuration decides where they keep the token.
func (l *loginFlags) signInClients(ctx context.Context, e env, value string) error {
	var failure error
	for _, name := range l.clients {
		if err := signInClient(ctx, e, name, l.at.Server, value); err != nil {
			failure = errors.Join(failure, err)
		}
	}
	if failure == nil {
		return nil
	}
	return saidf("fairlead login "+l.at.Server+" --name "+l.at.Name+" --client "+strings.Join(l.clients, ","),
		"fairlead is signed in, but %w", failure)
}

func signInClient(ctx context.Context, e env, name, server, value string) error {
	args := []string{"login"}
	if name == "podman" && strings.HasPrefix(server, "http://") {
		args = append(args, "--tls-verify=false")
	}
	cmd := exec.CommandContext(ctx, name, append(args, "--username", "token", "--password-stdin", hostOf(server))...)
	cmd.Stdin = strings.NewReader(value)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Fprintln(e.stderr, name+": "+shown(strings.TrimRight(line, "\r\n")))
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		_, err = fmt.Fprintf(e.stdout, "%s is signed in to %s.\n", name, hostOf(server))
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("there is no program %s", name)
	case errors.As(err, &exit):
		return fmt.Errorf("%s login failed (exit code %d)", name, exit.ExitCode())
	}
	return fmt.Errorf("run %s: %w", name, err)
}
