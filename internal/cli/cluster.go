package cli

import (
	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
)

// clusterFlags are kubectl's flags that say which cluster a command is about.
type clusterFlags struct{ o kube.Options }

func addCluster(cmd *cobra.Command, _ env) *clusterFlags {
	c := &clusterFlags{}
	f := cmd.Flags()
	f.StringVar(&c.o.Kubeconfig, "kubeconfig", "", "use this kubeconfig `file`")
	f.StringVar(&c.o.Context, "context", "", "use this `context` of the kubeconfig")
	f.StringVarP(&c.o.Namespace, "namespace", "n", "", "in this Kubernetes `namespace`")
	return c
}

func (c *clusterFlags) open() (*kube.Cluster, error) { return kube.Open(c.o) }
