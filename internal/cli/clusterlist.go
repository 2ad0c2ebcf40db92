package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

// knownCluster is a cluster as the registries know it: by the tokens that
// carry its name.
type knownCluster struct {
	Name       string            `json:"name"`
	Registries []knownByRegistry `json:"registries"`
}

type knownByRegistry struct {
	URL     string `json:"url"`
	Account string `json:"account"`
	Tokens  int    `json:"tokens"`
	// Expires is when the first of the tokens does; absent if none does.
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"lastUsed,omitempty"`
}

var clusterView = view[knownCluster]{
	head: []string{"NAME", "REGISTRY", "ACCOUNT", "TOKENS", "EXPIRES", "LAST USED"},
	row: func(c knownCluster, l look) []string {
		sum := knownByRegistry{}
		var urls, accounts []string
		for _, r := range c.Registries {
			urls = append(urls, r.URL)
			if !slices.Contains(accounts, r.Account) {
				accounts = append(accounts, r.Account)
			}
			sum.Tokens += r.Tokens
			sum.seen(r.Expires, r.LastUsed)
		}
		return []string{
			c.Name, strings.Join(urls, ", "), strings.Join(accounts, ", "), strconv.Itoa(sum.Tokens),
			l.maybe(sum.Expires, "never"), l.maybe(sum.LastUsed, "never"),
		}
	},
	name: func(c knownCluster) string { return c.Name },
}

func newClusterList(e env) *cobra.Command {
	var urls []string
	var account string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the clusters that pull from the registries",
		Long: `List the clusters of the account as the registries know them: by the tokens that
carry a cluster's name. Without --registry all registries are asked that you are
signed in to. No cluster is asked.`,
		Example: `  fairlead cluster list
  fairlead cluster list --registry https://registry.example.com -o json`,
		Args: noArgs,
	}
	l := addListing(cmd, "print names only")
	addRegistries(cmd, e, &urls, "only as the registry at this `URL` knows them; may be repeated")
	cmd.Flags().StringVar(&account, "account", "", "those of this `account`, for the operator")
	complete(cmd, "account")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		logins, err := loginsFor(e, urls, cmd.CommandPath()+" --help")
		if err != nil {
			return failed("list clusters", err)
		}
		all, unread := knownClusters(cmd.Context(), logins, account)
		if unread.n == len(logins) {
			return failed("list clusters", unread.error(len(logins)))
		}
		err = list(e, l, "clusters", clusterView, func(next string, limit int) ([]knownCluster, string, error) {
			rest := all[firstAfter(all, next):]
			if len(rest) <= limit {
				return rest, "", nil
			}
			return rest[:limit], rest[limit-1].Name, nil
		})
		if err != nil {
			return err
		}
		return failed("list clusters", unread.error(len(logins)))
	}
	return cmd
}

// firstAfter is the place of the first cluster behind a name.
func firstAfter(all []knownCluster, name string) int {
	i, found := slices.BinarySearchFunc(all, name, func(c knownCluster, n string) int { return strings.Compare(c.Name, n) })
	if found {
		i++
	}
	return i
}

// knownClusters asks registries for their clusters, which come by name, and
// says which registries did not tell.
func knownClusters(ctx context.Context, logins []login, account string) ([]knownCluster, failures) {
	var unread failures
	all := []knownCluster{}
	for _, at := range logins {
		r, err := openRegistry(ctx, at, account)
		if err != nil {
			unread.add(at.Server, err)
			continue
		}
		tokens, err := r.tokens(ctx, "", false)
		clusterRegistries{r}.close()
		if err != nil {
			unread.add(at.Server, err)
			continue
		}
		for _, t := range tokens {
			i, found := slices.BinarySearchFunc(all, t.Cluster, func(c knownCluster, n string) int { return strings.Compare(c.Name, n) })
			if !found {
				all = slices.Insert(all, i, knownCluster{Name: t.Cluster})
			}
			all[i].add(at.Server, t)
		}
	}
	return all, unread
}

func (c *knownCluster) add(server string, t v1.Token) {
	i := slices.IndexFunc(c.Registries, func(r knownByRegistry) bool { return r.URL == server && r.Account == t.Account })
	if i < 0 {
		i = len(c.Registries)
		c.Registries = append(c.Registries, knownByRegistry{URL: server, Account: t.Account})
	}
	var used *time.Time
	if t.LastUsed != nil {
		used = &t.LastUsed.At
	}
	c.Registries[i].Tokens++
	c.Registries[i].seen(t.Expires, used)
}

// seen takes the first end and the last use; nil is none.
func (r *knownByRegistry) seen(expires, used *time.Time) {
	if expires != nil && (r.Expires == nil || expires.Before(*r.Expires)) {
		r.Expires = expires
	}
	if used != nil && (r.LastUsed == nil || used.After(*r.LastUsed)) {
		r.LastUsed = used
	}
}
