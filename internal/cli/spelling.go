package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// spellings are the commands as they were written in 2018, for people and
// scripts that know them. They are the modern ones by another name.
func spellings(e env) []*cobra.Command {
	return []*cobra.Command{
		spelled("namespace-add", newNamespaceAdd(e)),
		spelled("namespace-list", newNamespaceList(e)),
		spelled("namespace-rm", newNamespaceRm(e)),
		spelled("token-add", newTokenAdd(e)),
		spelled("token-list", newTokenList(e)),
		spelled("token-get", newTokenGet(e)),
		spelled("token-rm", newTokenRm(e)),
		spelled("image-list", newImageList(e)),
		spelled("image-inspect", newImageInspect(e)),
		spelled("image-rm", newImageRm(e)),
	}
}

func spelled(name string, cmd *cobra.Command) *cobra.Command {
	_, args, _ := strings.Cut(cmd.Use, " ")
	modern := "fairlead " + strings.Replace(name, "-", " ", 1)
	cmd.Use = strings.TrimSpace(name + " " + args)
	cmd.Example = strings.ReplaceAll(cmd.Example, modern, "fairlead "+name)
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += "\n\nThe same as " + modern + "."
	cmd.Hidden = true
	return cmd
}
