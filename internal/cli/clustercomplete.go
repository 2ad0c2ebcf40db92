package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
)

// clusterCompleter asks a cluster for what may be typed.
type clusterCompleter func(ctx context.Context, k *kube.Cluster) ([]string, error)

// mostCompleted are offered: one page.
const mostCompleted = 500

// completing completes from the cluster, and offers nothing where there is
// none: an error would stand in the middle of a command line.
func (c *clusterFlags) completing(_ env, get clusterCompleter) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		k, err := c.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer k.Close()
		names, err := get(ctx, k)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for _, n := range names {
			if strings.HasPrefix(n, begun) {
				out = append(out, n)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func clusterNamespaces(ctx context.Context, k *kube.Cluster) ([]string, error) {
	var out []string
	for n, err := range k.Namespaces(ctx, "") {
		if err != nil || len(out) == mostCompleted {
			return out, err
		}
		out = append(out, n.Name)
	}
	return out, nil
}

func clusterSecrets(ctx context.Context, k *kube.Cluster) ([]string, error) {
	return k.SecretNames(ctx, k.Namespace())
}

func clusterAccounts(ctx context.Context, k *kube.Cluster) ([]string, error) {
	var out []string
	for a, err := range k.Accounts(ctx, k.Namespace()) {
		if err != nil || len(out) == mostCompleted {
			return out, err
		}
		out = append(out, a.Name)
	}
	return out, nil
}

// completeKubeconfig offers the contexts, clusters or users of the kubeconfig.
func (c *clusterFlags) completeKubeconfig(what string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return kube.Named(c.at, what), cobra.ShellCompDirectiveNoFileComp
	}
}
