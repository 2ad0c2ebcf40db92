package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fairlead.dev/fairlead/internal/serve"
)

func newServe(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry",
		Long: `Run the registry until it is asked to stop (SIGINT or SIGTERM).

The first start creates the data folder, the keys and the operator's token, and
says what to type next. Every setting is also a variable and a line of the
configuration file: docs/configuration.md lists them.`,
		Example: `  fairlead serve
  fairlead serve --data /var/lib/fairlead --listen :443 --tls-cert tls.crt --tls-key tls.key
  FAIRLEAD_LOG_LEVEL=debug fairlead serve --config fairlead.yaml`,
		Args: noArgs,
	}
	s := addSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := s.load(e)
		if err != nil {
			return err
		}
		warn(e.stderr, cfg)
		b := build()
		err = e.serve(cmd.Context(), serve.Options{
			Config: cfg, Version: b.Version, Commit: b.Commit,
			Out: e.stdout, Log: e.stderr, Interactive: terminal(e.stderr),
		})
		if err != nil {
			return withHint(fmt.Errorf("serve: %w", err), "fairlead config check, or fairlead serve --log-level debug")
		}
		return nil
	}
	return cmd
}

// terminal says whether a person reads w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
