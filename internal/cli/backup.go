package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

// completeFolder lets the shell complete one folder.
func completeFolder(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// folder gives the absolute path of the only argument: the server has another
// working folder.
func folder(args []string, hint string) (string, error) {
	if len(args) != 1 || args[0] == "" {
		return "", usagef(hint, "name one folder")
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return "", fmt.Errorf("find the folder %s: %w", args[0], err)
	}
	return dir, nil
}

func newBackup(e env) *cobra.Command {
	var o v1.BackupOptions
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the registry into a folder, while it serves",
		Long: `Copy the database, as it is at one moment, and the blobs it names into a folder
of the server's machine. A second backup into the same folder copies only the
blobs that are new.

The secret keys and the operator's token are left out, so that whoever holds
the backup cannot sign in; keep them elsewhere, or add --with-keys.`,
		Example: `  fairlead backup /backup/registry
  fairlead backup /backup/registry --with-keys`,
		Args:              cobra.ArbitraryArgs, // folder checks them
		ValidArgsFunction: completeFolder,
	}
	out := addOutput(cmd)
	cmd.Flags().BoolVar(&o.WithKeys, "with-keys", false, "also copy the secret keys and the operator's token")
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if o.Dir, err = folder(args, "fairlead backup --help"); err != nil {
			return err
		}
		return withUpkeep(cmd, e, s, "backup", func(ctx context.Context, u admin.Upkeep) error {
			m := newMeter(e, "backup")
			r, err := u.Backup(ctx, o, m.show)
			m.end()
			if err != nil {
				return withHint(err, "the same command again: it goes on with what is copied already")
			}
			return out.print(e.stdout, r, func(w io.Writer) { backupText(w, r) })
		})
	}
	return cmd
}

func backupText(w io.Writer, r v1.BackupReport) {
	keys := "without the keys: keep them elsewhere"
	if r.Keys {
		keys = "with the keys: keep it secret"
	}
	fmt.Fprintf(w, "The backup in %s is of %s, %s.\n", r.Dir, moment(r.Taken), keys)
	fmt.Fprintf(w, "It holds %s; %d new (%s), %d removed.\n", count(r.Blobs, "blob"), r.Copied, size(r.Bytes), r.Removed)
	fmt.Fprintf(w, "To restore it: fairlead restore %s --data NEWDIR\n", r.Dir)
}

func newRestore(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a data folder out of a backup",
		Long: `Make the data folder that --data names out of a backup. It must not exist yet,
or be empty; no server runs on it. Check it with fsck, then serve it.`,
		Example: `  fairlead restore /backup/registry --data /var/lib/fairlead
  fairlead fsck --data /var/lib/fairlead`,
		Args:              cobra.ArbitraryArgs, // folder checks them
		ValidArgsFunction: completeFolder,
	}
	out := addOutput(cmd)
	s := addSettings(cmd, "data", "keys")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := folder(args, "fairlead restore --help")
		if err != nil {
			return err
		}
		cfg, _, err := s.load(e)
		if err != nil {
			return err
		}
		m := newMeter(e, "restore")
		r, err := e.restore(cmd.Context(), dir, cfg, m.show)
		m.end()
		if err != nil {
			return failed("restore", withHint(err, "fairlead restore DIR --data NEWDIR, with a NEWDIR that does not exist"))
		}
		return out.print(e.stdout, r, func(w io.Writer) {
			fmt.Fprintf(w, "The backup of %s is restored into %s: %s, %s.\n", moment(r.Taken), cfg.Data, count(r.Blobs, "blob"), size(r.Bytes))
			if !r.Keys {
				fmt.Fprintf(w, "It has no keys: copy the old ones into %s, or the first start makes new ones.\n", cfg.Keys)
			}
			fmt.Fprintf(w, "Next: fairlead fsck --data %s\n", cfg.Data)
		})
	}
	return cmd
}
