package cli

import (
	"github.com/spf13/cobra"
)

func newSecretCheck(_ env, _ addSecretCluster) *cobra.Command {
	return &cobra.Command{
		Use:     "check -f FILE...",
		Short:   "Say what is wrong with pull secrets",
		Example: `  fairlead secret check -f regcred.yaml`,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return nil },
	}
}
