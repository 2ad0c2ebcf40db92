package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/pullsecret"
)

func newSecret(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "secret",
		Short: "Make, check and inspect Kubernetes pull secrets",
		Long: `Make Kubernetes pull secrets and let pods use them; check and inspect those that
are there, in manifests, in docker's credential files, or in a cluster.

Which cluster is meant is said as to kubectl: by --kubeconfig, --context and
--namespace. As kubectl-fairlead in the PATH, the program is kubectl fairlead.`,
		Example: `  fairlead secret create regcred --server registry.example.com --username jo
  fairlead secret use regcred --serviceaccount default
  fairlead secret check -f deploy/
  fairlead secret inspect -f regcred.yaml`,
	}, newSecretCreate(e), newSecretUse(e), newSecretUnuse(e), newSecretCopy(e), newSecretCheck(e, clusterSource), newSecretInspect(e, clusterSource))
}

// secretSource gives the secrets that a command is about, one after another.
// An error ends it.
type secretSource func(context.Context) iter.Seq2[pullsecret.Secret, error]

// secretCluster is a cluster as the commands that only read secrets see it.
type secretCluster interface {
	// named gives the secrets of these names, in the namespace that the
	// command's flags say.
	named(names []string) secretSource
	// everywhere gives the secrets of all namespaces that are meant for
	// pulling, or look so.
	everywhere() secretSource
}

// addSecretCluster gives a command the flags that name a cluster, and what is
// read from it; nil where only files can be read.
type addSecretCluster func(*cobra.Command) secretCluster
