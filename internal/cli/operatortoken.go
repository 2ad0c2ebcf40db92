package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newOperatorToken(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "operator-token",
		Short:   "Look after the operator's token",
		Example: `  fairlead operator-token rotate --data /var/lib/fairlead`,
	}, newOperatorTokenRotate(e))
}

func newOperatorTokenRotate(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the operator's token by a new one",
		Long: `Write a new operator's token to operator.token in the data folder; the old one
is void from then on, in a running server as well. The token itself is not
printed: it lies in the file, which only its owner may read.`,
		Example: `  fairlead operator-token rotate
  fairlead operator-token rotate --data /var/lib/fairlead`,
		Args: noArgs,
	}
	s := addSettings(cmd, "data", "operator-token-file")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, _, err := s.load(e)
		if err != nil {
			return err
		}
		if cfg.OperatorTokenFile != "" {
			return usagef("fairlead operator-token rotate --help",
				"the operator's token is given by operator-token-file: write the new token to %s yourself", cfg.OperatorTokenFile)
		}
		file := filepath.Join(cfg.Data, "operator.token")
		if err := e.rotate(file); err != nil {
			return withHint(fmt.Errorf("rotate the operator's token: %w", err), "fairlead operator-token rotate --data DIR, with the DIR that serve uses")
		}
		_, err = fmt.Fprintf(e.stdout, "The new operator's token is in %s; the old one is void.\nNext: docker login --username token --password-stdin HOST < %s\n", file, file)
		return err
	}
	return cmd
}
