package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newTrashRestore(e env) *cobra.Command {
	var o v1.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore ID | REPO[:TAG] | REPO@DIGEST | --repository REPO | --namespace NAME",
		Short: "Bring back what was deleted",
		Long: `Bring back an entry of the trash: by its ID, or the newest one that holds the
tag, digest, repository or namespace named. Attached manifests (signatures,
SBOMs) come back with their image.

A tag that names something newer by now is left alone and stays in the trash;
it is told, and the command exits with 1. --overwrite moves it back.`,
		Example: `  fairlead trash restore 12
  fairlead trash restore acme/web:1.0
  fairlead trash restore --namespace acme --overwrite`,
		Args:              cobra.ArbitraryArgs, // RunE checks them with the flags
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addOutput(cmd)
	addPlace(cmd, &o.Repository, &o.Namespace, "what was")
	cmd.Flags().BoolVar(&o.Overwrite, "overwrite", false, "move tags back that name something newer by now")
	c := addConnection(cmd, e, "trash")
	c.completePlace(e)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return c.withAny(e, "restore from the trash", func(ctx context.Context, s *session) error {
			if err := readRestore(s, &o, args); err != nil {
				return err
			}
			r, err := s.upkeep.Restore(ctx, o)
			if err != nil {
				return withHint(err, "fairlead trash list")
			}
			if err := out.print(e.stdout, r, func(w io.Writer) { restoreText(w, r) }); err != nil {
				return err
			}
			if n := len(r.Conflicts); n > 0 {
				return saidf(fmt.Sprintf("fairlead trash restore %d --overwrite", r.Entry.ID),
					"%s left alone, because something newer has the name", count(n, "tag was", "tags were"))
			}
			return nil
		})
	}
	return cmd
}

// readRestore reads what to restore from the argument, unless a flag says it.
func readRestore(s *session, o *v1.RestoreOptions, args []string) error {
	const hint = "fairlead trash restore --help"
	flagged := o.Repository != "" || o.Namespace != ""
	if len(args) > 1 || (len(args) == 1) == flagged {
		return usagef(hint, "say one thing to restore: an ID, REPO:TAG, REPO@DIGEST, REPO, --repository or --namespace")
	}
	if flagged {
		return s.place(&o.Repository, &o.Namespace, hint)
	}
	if digits(args[0]) {
		var err error
		o.ID, err = parseID(args[0])
		return err
	}
	t, err := s.target(args[0], hint)
	o.Repository, o.Name = string(t.repo), t.ref.String()
	return err
}

// digits says whether an argument is an ID. A repository whose name is a
// number needs --repository.
func digits(text string) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

func restoreText(w io.Writer, r v1.RestoreReport) {
	fmt.Fprintf(w, "Restored from entry %d, the %s %s: %s, %s.\n", r.Entry.ID, r.Entry.Kind,
		full(r.Entry.Repository, r.Entry.Name), count(r.Manifests, "manifest"), count(r.Tags, "tag"))
	for _, c := range r.Conflicts {
		fmt.Fprintf(w, "Left alone: %s names %s by now; the trash holds %s.\n", full(c.Repository, c.Tag), c.Current, c.Trashed)
	}
}
