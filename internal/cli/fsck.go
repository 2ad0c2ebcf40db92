package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

func newFsck(e env) *cobra.Command {
	var o v1.FsckOptions
	var most rate
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that everything is there, and right",
		Long: `Hold the database and the stored files against each other: every manifest has
its blobs, every blob has its bytes, every file is named. With --rehash, every
byte is read and its digest checked; an interrupted check goes on where it
stopped. The registry may serve meanwhile.

Exit codes: 0 when nothing is wrong, or all that was wrong is repaired and
nothing is lost; 1 when content is lost or a problem is left.`,
		Example: `  fairlead fsck
  fairlead fsck --rehash --rate 50MiB
  fairlead fsck --repair`,
		Args: noArgs,
	}
	out := addOutput(cmd)
	cmd.Flags().BoolVar(&o.Rehash, "rehash", false, "read every blob and check its digest")
	cmd.Flags().BoolVar(&o.Restart, "restart", false, "begin --rehash anew, not where an earlier one stopped")
	cmd.Flags().Var(&most, "rate", "read at most this `size` per second for --rehash, such as 50MiB (default no limit)")
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "do what is safe: remove files that nothing names; let the next push of a lost blob bring it back")
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Rate = int64(most)
		switch {
		case o.Restart && !o.Rehash:
			return usagef("fairlead fsck --rehash --restart", "--restart is about --rehash: add it")
		case o.Rate > 0 && !o.Rehash:
			return usagef("fairlead fsck --rehash --rate "+strings.TrimSuffix(most.String(), "/s"), "--rate is about --rehash: add it")
		}
		return withUpkeep(cmd, e, s, "fsck", func(ctx context.Context, u admin.Upkeep) error {
			m := newMeter(e, "fsck")
			r, err := u.Fsck(ctx, o, m.show)
			m.end()
			if err != nil {
				if o.Rehash {
					return withHint(err, "fairlead fsck --rehash, which goes on where this one stopped")
				}
				return err
			}
			if r.Problems == nil {
				r.Problems = []v1.FsckProblem{} // an empty list is [] in JSON
			}
			if err := out.print(e.stdout, r, func(w io.Writer) { fsckTable(w, r) }); err != nil {
				return err
			}
			return verdict(r, o.Repair)
		})
	}
	return cmd
}

// verdict is the error that a report ends the command with.
func verdict(r v1.FsckReport, repair bool) error {
	left := r.Found - r.Repaired
	switch {
	case r.Lost > 0:
		return saidf("docs/operations.md: push the images again, or restore a backup", "content is lost: %s", count(r.Lost, "problem"))
	case left > 0 && !repair:
		return saidf("fairlead fsck --repair", "nothing is lost, but %s left", count(left, "problem is", "problems are"))
	case left > 0:
		return saidf("docs/operations.md", "nothing is lost, but %s could not be repaired", count(left, "problem"))
	}
	return nil
}

func fsckTable(w io.Writer, r v1.FsckReport) {
	if len(r.Problems) > 0 {
		lines := [][]string{{"PROBLEM", "LOSS", "REPAIRED", "REPOSITORY", "DIGEST OR KEY", "DETAIL"}}
		for _, p := range r.Problems {
			name := p.Digest
			if name == "" {
				name = p.Key
			}
			lines = append(lines, []string{p.Kind, yes(p.Loss), yes(p.Repaired), p.Repository, name, p.Detail})
		}
		rows(w, lines)
		if hidden := r.Found - int64(len(r.Problems)); hidden > 0 {
			fmt.Fprintf(w, "… and %d more\n", hidden)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Checked %s, %s of %s, %s", count(r.Manifests, "manifest"), count(r.Blobs, "blob"), size(r.Bytes), count(r.Files, "file"))
	if r.Rehashed > 0 {
		fmt.Fprintf(w, "; read %s whole", count(r.Rehashed, "blob"))
	}
	fmt.Fprintln(w, ".")
	if r.Found == 0 {
		fmt.Fprintln(w, "Everything is there.")
		return
	}
	fmt.Fprintf(w, "Found %s: %d lost, %d repaired.\n", count(r.Found, "problem"), r.Lost, r.Repaired)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}
