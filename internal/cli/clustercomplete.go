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
func (c *clusterFlags) completing(get clusterCompleter) cobra.CompletionFunc {
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

// completing offers the kinds, then what there is of one; a name alone is a
// pod's.
func (w *why) completing(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	word, _, named := strings.Cut(begun, "/")
	if named {
		kind, err := kube.ParseKind(word)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return w.cluster.completing(clusterNames(kind, word+"/"))(cmd, args, begun)
	}
	out, _ := w.cluster.completing(clusterNames(kube.Pod, ""))(cmd, args, begun)
	for _, k := range kube.Kinds() {
		if k := string(k) + "/"; strings.HasPrefix(k, begun) {
			out = append(out, k)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func clusterNames(kind kube.Kind, prefix string) clusterCompleter {
	return func(ctx context.Context, k *kube.Cluster) ([]string, error) {
		names, err := k.Names(ctx, kind, k.Namespace())
		for i := range names {
			names[i] = prefix + names[i]
		}
		return names, err
	}
}

// completeKubeconfig offers the contexts, clusters or users of the kubeconfig.
func (c *clusterFlags) completeKubeconfig(what string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return kube.Named(c.at, what), cobra.ShellCompDirectiveNoFileComp
	}
}
