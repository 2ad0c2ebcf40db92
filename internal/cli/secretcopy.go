package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// copyFlags are those of secret copy.
type copyFlags struct {
	to       []string
	all      bool
	selector string
	force    bool
}

func newSecretCopy(e env) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy NAME --to NAMESPACE...",
		Short: "Copy a pull secret to other namespaces",
		Long: `Copy a pull secret with its labels to other namespaces, or bring copies up to
date. Annotations and the like stay behind. A copy that is the same already is
left alone; nothing is ever deleted.

A copy is one moment's: when the secret changes, copy it again.`,
		Example: `  fairlead secret copy regcred --to shop --to billing
  fairlead secret copy regcred -n platform --selector team=shop`,
		Args: exactly(1, "one secret"),
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.to, "to", nil, "`namespace` to copy it to; may be repeated")
	fl.BoolVar(&f.all, "to-all", false, "to every namespace of the cluster")
	fl.StringVarP(&f.selector, "selector", "l", "", "to every namespace with these `labels`, such as team=shop")
	fl.BoolVar(&f.force, "force-conflicts", false, "take over what other managers of the copies wrote")
	complete(cmd, "selector")
	c := addCluster(cmd, false)
	_ = cmd.RegisterFlagCompletionFunc("to", c.completing(clusterNamespaces))
	cmd.ValidArgsFunction = c.completing(clusterSecrets)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := 0
		for _, yes := range []bool{len(f.to) > 0, f.all, f.selector != ""} {
			if yes {
				given++
			}
		}
		if given != 1 {
			return usagef(cmd.CommandPath()+" "+args[0]+" --to NAMESPACE", "say where to: one of --to, --to-all and --selector")
		}
		if err := c.one(); err != nil {
			return err
		}
		return c.with("copy the secret", func(ctx context.Context, k *kube.Cluster) error { return f.run(ctx, e, k, args[0]) })
	}
	return cmd
}

func (f *copyFlags) run(ctx context.Context, e env, k *kube.Cluster, name string) error {
	from, err := k.Secret(ctx, k.Namespace(), name)
	if err != nil {
		return err
	}
	if from.Type != pullsecret.TypeConfigJSON && from.Type != pullsecret.TypeLegacy {
		return saidf("fairlead secret check "+name+" -n "+k.Namespace(), "the secret %s is no pull secret: its type is %s", from.ID(), from.Type)
	}
	if err := sound(e, from); err != nil {
		return err
	}
	o, err := spread(ctx, e, "copies", f.places(ctx, k), func(ctx context.Context, p place) (kube.Result, error) {
		return k.Apply(ctx, pullsecret.Secret{
			Namespace: p.namespace, Name: from.Name, Type: from.Type, Data: from.Data, Labels: from.Labels, Immutable: from.Immutable,
		}, f.force)
	})
	if err == nil || len(o.lines) > 0 {
		o.say(e.stdout, "The copy of "+from.ID(), "namespace")
	}
	if err != nil {
		return err
	}
	return o.error()
}

// places are the namespaces to copy to, without where it comes from.
func (f *copyFlags) places(ctx context.Context, k *kube.Cluster) iter.Seq2[place, error] {
	to := &placeFlags{cluster: &clusterFlags{namespaces: f.to}, all: f.all, selector: f.selector}
	return func(yield func(place, error) bool) {
		for p, err := range to.from(ctx, k) {
			if p.namespace == k.Namespace() {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
