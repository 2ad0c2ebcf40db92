package cli

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// clusterFlags say which Kubernetes cluster a command talks to. They are
// kubectl's, but for its --server: that is a registry here, and the API server
// is --kube-server.
type clusterFlags struct {
	at kube.Options
	// namespaces are those of --namespace, which some commands take several
	// times.
	namespaces []string
	cmd        *cobra.Command
}

// addCluster gives cmd the flags of a cluster. many lets --namespace be
// repeated.
func addCluster(cmd *cobra.Command, many bool) *clusterFlags {
	c := &clusterFlags{cmd: cmd}
	f := cmd.Flags()
	f.StringVar(&c.at.Kubeconfig, "kubeconfig", "", "`file` that names clusters (default the files of $KUBECONFIG, else ~/.kube/config)")
	f.StringVar(&c.at.Context, "context", "", "use this `context` of the kubeconfig")
	f.StringVar(&c.at.Cluster, "cluster", "", "use this `cluster` of the kubeconfig")
	f.StringVar(&c.at.User, "user", "", "use this `user` of the kubeconfig")
	f.StringVar(&c.at.Server, "kube-server", "", "`URL` of the API server, in the place of the kubeconfig's")
	f.StringVar(&c.at.As, "as", "", "act as this `user` of the cluster")
	f.StringSliceVar(&c.at.AsGroup, "as-group", nil, "act as of this `group`; may be repeated")
	f.DurationVar(&c.at.Timeout, "request-timeout", 30*time.Second, "how `long` one request to the cluster may take")
	f.Int64Var(&c.at.Page, "chunk-size", 500, "how `many` things one request lists")
	usage := "`namespace` of the cluster (default the context's)"
	if many {
		usage = "`namespace` of the cluster; may be repeated (default the context's)"
	}
	f.StringSliceVarP(&c.namespaces, "namespace", "n", nil, usage)
	complete(cmd, "as")
	complete(cmd, "as-group")
	complete(cmd, "kube-server")
	_ = cmd.RegisterFlagCompletionFunc("namespace", c.completing(clusterNamespaces))
	for _, flag := range []string{"context", "cluster", "user"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, c.completeKubeconfig(flag))
	}
	return c
}

// open names the cluster; nothing is sent.
func (c *clusterFlags) open() (*kube.Cluster, error) {
	hint := c.cmd.CommandPath() + " --help"
	switch {
	case c.at.Timeout <= 0:
		return nil, usagef(hint, "--request-timeout must be above 0")
	case c.at.Page < 1:
		return nil, usagef(hint, "--chunk-size must be above 0")
	}
	o := c.at
	o.Version = build().Version
	if len(c.namespaces) > 0 {
		o.Namespace = c.namespaces[0]
	}
	return kube.Open(o)
}

// with runs do with the cluster. what begins the error's sentence.
func (c *clusterFlags) with(what string, do func(context.Context, *kube.Cluster) error) error {
	k, err := c.open()
	if err != nil {
		return failed(what, err)
	}
	defer k.Close()
	return failed(what, do(c.cmd.Context(), k))
}

// one refuses a second namespace where a command has one place.
func (c *clusterFlags) one() error {
	if len(c.namespaces) > 1 {
		return usagef(c.cmd.CommandPath()+" --help", "give one --namespace")
	}
	return nil
}

// clusterSource is the cluster for commands that only read secrets.
func clusterSource(cmd *cobra.Command) secretCluster {
	c := addCluster(cmd, false)
	cmd.ValidArgsFunction = c.completing(clusterSecrets)
	return c
}

// named gives secrets by their names.
func (c *clusterFlags) named(names []string) secretSource {
	return c.source(func(ctx context.Context, k *kube.Cluster, yield func(pullsecret.Secret, error) bool) {
		if err := c.one(); err != nil {
			yield(pullsecret.Secret{}, err)
			return
		}
		for _, n := range names {
			if !yield(k.Secret(ctx, k.Namespace(), n)) {
				return
			}
		}
	})
}

// everywhere gives the pull secrets of all namespaces. Namespaces that may not
// be read are an error at the end, when the others were seen.
func (c *clusterFlags) everywhere() secretSource {
	return c.source(func(ctx context.Context, k *kube.Cluster, yield func(pullsecret.Secret, error) bool) {
		var unread failures
		read := map[string]bool{}
		for s, err := range k.PullSecrets(ctx, "") {
			if err != nil && s.Namespace != "" {
				unread.add(s.Namespace, err)
				continue
			}
			read[s.Namespace] = true
			if !yield(s, err) || err != nil {
				return
			}
		}
		if err := unread.error(len(read) + unread.n); err != nil {
			yield(pullsecret.Secret{}, err)
		}
	})
}

func (c *clusterFlags) source(do func(context.Context, *kube.Cluster, func(pullsecret.Secret, error) bool)) secretSource {
	return func(ctx context.Context) iter.Seq2[pullsecret.Secret, error] {
		return func(yield func(pullsecret.Secret, error) bool) {
			k, err := c.open()
			if err != nil {
				yield(pullsecret.Secret{}, err)
				return
			}
			defer k.Close()
			do(ctx, k, yield)
		}
	}
}
