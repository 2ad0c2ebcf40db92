package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

func newImage(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "image",
		Short:   "Look at images",
		Example: `  fairlead image history acme/web:latest`,
	}, newImageHistory(e))
}

func newImageHistory(e env) *cobra.Command {
	var q v1.HistoryQuery
	cmd := &cobra.Command{
		Use:   "history REPO[:TAG]",
		Short: "Say who moved a tag, when, from which digest to which",
		Long: `List the moves of a tag, or of all tags of a repository, newest first. A tag
without FROM was new, one without TO was deleted. A repository that is gone has
its history, too.`,
		Example: `  fairlead image history acme/web:latest
  fairlead image history acme/web --all -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("fairlead image history --help", "name one repository, or one tag as REPO:TAG")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addOutput(cmd)
	p := addPaging(cmd)
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(cmd); err != nil {
			return err
		}
		t, err := parseTarget(args[0], "fairlead image history --help")
		if err != nil {
			return err
		}
		if t.ref.Digest != "" {
			return usagef("fairlead image history "+string(t.repo), "a digest never moves: give a tag as REPO:TAG, or the repository alone")
		}
		q.Repository, q.Tag = string(t.repo), string(t.ref.Tag)
		return withUpkeep(cmd, e, s, "read the history", func(ctx context.Context, u admin.Upkeep) error {
			items, next, err := collect(p, func(next string) ([]v1.TagMove, string, error) {
				q.Next, q.Limit = next, p.limit
				page, err := u.History(ctx, q)
				return page.Items, page.Next, err
			})
			if err != nil {
				return err
			}
			if items == nil {
				items = []v1.TagMove{} // an empty list is [] in JSON
			}
			return out.print(e.stdout, v1.HistoryPage{Items: items, Next: next}, func(w io.Writer) {
				historyTable(w, items, p.whole)
				more(e.stderr, next)
			})
		})
	}
	return cmd
}

func historyTable(w io.Writer, items []v1.TagMove, whole bool) {
	lines := [][]string{{"WHEN", "TAG", "FROM", "TO", "BY"}}
	for _, m := range items {
		lines = append(lines, []string{moment(m.At), m.Tag, brief(m.From, whole), brief(m.To, whole), m.By})
	}
	rows(w, lines)
}
