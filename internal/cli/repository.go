package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newRepository(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "repository",
		Short: "Look after repositories",
		Example: `  fairlead repository list
  fairlead repository rm acme/web`,
	}, newRepositoryList(e), newRepositoryRm(e))
}

var repositoryView = view[v1.Repository]{
	head: []string{"NAME", "TAGS", "MANIFESTS", "SIZE", "UPDATED", "PULLS", "LAST PULL"},
	row: func(r v1.Repository, l look) []string {
		return []string{
			r.Name, strconv.Itoa(r.Tags), strconv.Itoa(r.Manifests), size(r.Bytes), l.since(r.Updated),
			strconv.FormatInt(r.Pulls, 10), l.maybe(r.LastPull, "never"),
		}
	},
	name: func(r v1.Repository) string { return r.Name },
}

func newRepositoryList(e env) *cobra.Command {
	var q v1.PlaceQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List repositories, with what they hold",
		Example: `  fairlead repository list
  fairlead repository list --namespace acme --all -o json`,
		Args: noArgs,
	}
	l := addListing(cmd, "print names only")
	w := addWhere(cmd, &q)
	c := addConnection(cmd, e, "repository")
	w.completeFlags(e, c)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list repositories", func(ctx context.Context, s *session) error {
			if err := w.read(s, "fairlead repository list --help"); err != nil {
				return err
			}
			return list(e, l, "repositories", repositoryView, func(next string, limit int) ([]v1.Repository, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.api.Repositories(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func newRepositoryRm(e env) *cobra.Command {
	return newRemove(e, removal{
		noun: "repository", argument: "REPO", example: "acme/web", short: "Move a repository to the trash, with all its images",
		read: func(s *session, text, hint string) (string, error) { return s.repository(text, hint) },
		api: func(ctx context.Context, s *session, name string, dryRun bool) (v1.Removed, error) {
			return s.api.RemoveRepository(ctx, name, dryRun)
		},
		old:   func(name string) v1.RemoveOptions { return v1.RemoveOptions{Repository: name} },
		names: repositoryNames,
	})
}
