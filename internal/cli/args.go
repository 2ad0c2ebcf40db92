package cli

import (
	"github.com/spf13/cobra"
)

// exactly checks the number of arguments; what says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n && !empty(args) {
			return nil
		}
		return usagef(cmd.CommandPath()+" --help", "name %s", what)
	}
}

func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && !empty(args) {
			return nil
		}
		return usagef(cmd.CommandPath()+" --help", "name one or several %s", what)
	}
}

// empty finds what a shell's variable that is unset leaves.
func empty(args []string) bool {
	for _, a := range args {
		if a == "" {
			return true
		}
	}
	return false
}
