package cli

import (
	"github.com/spf13/cobra"
)

func newSecretInspect(_ env, _ addSecretCluster) *cobra.Command {
	return &cobra.Command{
		Use:     "inspect -f FILE...",
		Short:   "Show what is in pull secrets",
		Example: `  fairlead secret inspect -f regcred.yaml`,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return nil },
	}
}
