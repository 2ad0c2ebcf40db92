package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

var usageView = view[v1.Usage]{
	head: []string{"NAMESPACE", "ACCOUNT", "REPOSITORIES", "TAGS", "MANIFESTS", "SIZE", "IN TRASH", "PULLS", "LAST PULL"},
	row: func(u v1.Usage, l look) []string {
		return []string{
			u.Namespace, u.Account, strconv.Itoa(u.Repositories), strconv.Itoa(u.Tags), strconv.Itoa(u.Manifests),
			size(u.Bytes), size(u.TrashBytes), strconv.FormatInt(u.Pulls, 10), l.maybe(u.LastPull, "never"),
		}
	},
	name: func(u v1.Usage) string { return u.Namespace },
}

func newUsage(e env) *cobra.Command {
	var q v1.UsageQuery
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Say what namespaces hold, and how often it was pulled",
		Long: `Say what each namespace holds. Layers count once in a namespace. What lies in the
trash alone is counted by itself: it goes when its time there is over.`,
		Example: `  fairlead usage
  fairlead usage --namespace acme -o json`,
		Args: noArgs,
	}
	l := addListing(cmd, "print names of namespaces only")
	cmd.Flags().StringVar(&q.Account, "account", "", "only of this `account`, for the operator")
	cmd.Flags().StringVar(&q.Namespace, "namespace", "", "only this `namespace`")
	c := addConnection(cmd, e, "namespace")
	c.completeFlag(e, "account", accountNames)
	c.completeFlag(e, "namespace", namespaceNames)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "read the usage", func(ctx context.Context, s *session) error {
			return list(e, l, "namespaces", usageView, func(next string, limit int) ([]v1.Usage, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.api.Usage(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}
