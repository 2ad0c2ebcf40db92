package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfig(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Example: `  fairlead config check --config fairlead.yaml
  fairlead config show`,
	}, newConfigCheck(e), newConfigShow(e))
}

func newConfigCheck(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration holds together",
		Long: `Read the flags, the environment and the file as serve would, and the files they
name; report everything that is wrong, and warn of what is probably not meant.
Nothing is changed. Warnings alone do not fail.`,
		Example: `  fairlead config check --config fairlead.yaml
  fairlead config check --listen :443 --tls-cert tls.crt --tls-key tls.key`,
		Args: noArgs,
	}
	s := addSettings(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, _, err := s.load(e)
		if err != nil {
			return err
		}
		warn(e.stderr, cfg)
		if err := cfg.CheckFiles(); err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, "The configuration is good.")
		return err
	}
	return cmd
}

func newConfigShow(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration in force",
		Long: `Print every setting as a line of a configuration file, with the place its value
comes from. Secrets are replaced, so the output may be shown to others.`,
		Example: `  fairlead config show
  FAIRLEAD_LISTEN=:8080 fairlead config show --config fairlead.yaml`,
		Args: noArgs,
	}
	s := addSettings(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, origins, err := s.load(e)
		if err != nil {
			return err
		}
		text, err := cfg.YAML(origins)
		if err != nil {
			return err
		}
		_, err = e.stdout.Write(text)
		return err
	}
	return cmd
}
