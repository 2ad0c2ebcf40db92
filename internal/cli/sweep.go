package cli

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

// youngest is the age below which an untagged manifest may belong to a push
// that is not done yet.
const youngest = time.Hour

func newSweep(e env) *cobra.Command {
	var dry, untagged, force bool
	var older age
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Remove what nobody needs, while the registry serves",
		Long: `Remove abandoned uploads, blobs that nothing refers to, files that nothing
names, and entries of the trash whose time is over. A running server does the
same by itself, every sweep-interval; nothing that a push relies on is touched.

With --untagged, manifests go to the trash that have no tag, belong to no image
that is kept, and were neither pushed nor pulled for as long as --older-than.`,
		Example: `  fairlead sweep --dry-run
  fairlead sweep --untagged --older-than 30d`,
		Args: noArgs,
	}
	out := addOutput(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&untagged, "untagged", false, "also move old manifests without a tag to the trash; needs --older-than")
	cmd.Flags().Var(&older, "older-than", "`age` of untagged manifests, such as 30d, 2w or 36h")
	cmd.Flags().BoolVar(&force, "force", false, "allow --older-than below 1h, which can hit a push that is not done yet")
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		const example = "fairlead sweep --untagged --older-than 30d"
		switch given := cmd.Flags().Changed("older-than"); {
		case untagged && !given:
			return usagef(example, "--untagged needs --older-than: how long a manifest must have been neither pushed nor pulled")
		case given && !untagged:
			return usagef(example, "--older-than is about untagged manifests: add --untagged")
		case given && older <= 0:
			return usagef(example, "--older-than must be above 0")
		case given && time.Duration(older) < youngest && !force:
			return usagef(example, "--older-than below 1h can hit a push that is not done yet: give a greater age, or add --force")
		}
		o := v1.SweepOptions{DryRun: dry, Untagged: untagged, OlderThan: time.Duration(older)}
		return withUpkeep(cmd, e, s, "sweep", func(ctx context.Context, u admin.Upkeep) error {
			m := newMeter(e, "sweep")
			r, err := u.Sweep(ctx, o, m.show)
			m.end()
			if err != nil {
				return err
			}
			return out.print(e.stdout, r, func(w io.Writer) { sweepTable(w, r, untagged) })
		})
	}
	return cmd
}

func sweepTable(w io.Writer, r v1.SweepReport, untagged bool) {
	head, sum := "REMOVED", "freed"
	if r.DryRun {
		head, sum = "WOULD REMOVE", "would be freed"
	}
	lines := [][]string{{head, "COUNT"}}
	add := func(what string, n int) { lines = append(lines, []string{what, strconv.Itoa(n)}) }
	add("abandoned uploads", r.Uploads)
	add("links to blobs that a repository does not need", r.Links)
	add("blobs that nothing refers to", r.Blobs)
	add("files that nothing names", r.Orphans)
	add("expired entries of the trash", r.Expired)
	if !r.DryRun { // it is not counted before
		add("old moves of tags, from their history", r.Moves)
	}
	if untagged {
		add("untagged manifests (to the trash)", r.Untagged)
	}
	rows(w, append(lines, []string{sum, size(r.Bytes)}))
}
