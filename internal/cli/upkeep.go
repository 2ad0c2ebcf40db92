package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/serve"
)

// controlSocket is where a server listens in its data folder.
const controlSocket = "control.sock"

// A running server's upkeep is used as one's own.
var _ admin.Upkeep = (*client.Client)(nil)

// opener gives the upkeep of a data folder, and what lets go of it.
type opener func(context.Context, config.Config) (admin.Upkeep, func() error, error)

// restorer makes a data folder out of a backup.
type restorer func(ctx context.Context, dir string, cfg config.Config, progress func(v1.Progress)) (v1.BackupReport, error)

// serverOr gives the upkeep of the server that runs on the data folder; if
// none runs, what offline opens.
func serverOr(offline opener) opener {
	return func(ctx context.Context, cfg config.Config) (admin.Upkeep, func() error, error) {
		c := client.Socket(filepath.Join(cfg.Data, controlSocket))
		err := c.Ping(ctx)
		if err == nil {
			return c, c.Close, nil
		}
		if !errors.Is(err, client.ErrNoServer) {
			return nil, nil, foreign(cfg.Data, err)
		}
		// A folder that is not there must not be made by asking for it.
		if info, serr := os.Stat(cfg.Data); serr != nil || !info.IsDir() {
			return nil, nil, noFolder(cfg.Data)
		}
		u, closeUpkeep, err := offline(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		return admin.Checked(u), closeUpkeep, nil // as a server would
	}
}

// errNoFolder is wrapped when a data folder is not there.
var errNoFolder = errors.New("there is no data folder")

func noFolder(dir string) error {
	return &hintError{fmt.Errorf("%w %s", errNoFolder, dir), "the same command with --data DIR, the DIR that fairlead serve uses"}
}

// foreign says what to do about a data folder that may not be opened.
func foreign(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &hintError{
		fmt.Errorf("the data folder %s belongs to another user: %w", dir, err),
		"the same command as the user that fairlead serve runs as",
	}
}

// offline opens the data folder of a server that does not run.
func offline(log io.Writer) opener {
	return func(ctx context.Context, cfg config.Config) (admin.Upkeep, func() error, error) {
		return serve.OpenUpkeep(ctx, cfg, log)
	}
}

// withUpkeep opens the upkeep that the settings name, for as long as do runs.
// what begins the error's sentence.
func withUpkeep(cmd *cobra.Command, e env, s *settings, what string, do func(context.Context, admin.Upkeep) error) error {
	cfg, _, err := s.load(e)
	if err != nil {
		return err
	}
	u, closeUpkeep, err := e.upkeep(cmd.Context(), cfg)
	if err != nil {
		return failed(what, err)
	}
	err = do(cmd.Context(), u)
	if cerr := closeUpkeep(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return failed(what, err)
}

// failed says what failed. What a person interrupted did not fail.
func failed(what string, err error) error {
	var said *saidError
	var usage *usageError
	switch {
	case err == nil, errors.As(err, &said), errors.As(err, &usage):
		return err
	case errors.Is(err, context.Canceled):
		return &hintError{fmt.Errorf("%s: interrupted", what), hintOf(err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// saidError is a sentence that needs no beginning.
type saidError struct{ hintError }

func saidf(hint, format string, args ...any) error {
	return &saidError{hintError{fmt.Errorf(format, args...), hint}}
}
