package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
)

// accountFlags say which service accounts' lists are changed.
type accountFlags struct {
	*placeFlags
	accounts    []string
	allAccounts bool
}

func addAccounts(cmd *cobra.Command, e env) *accountFlags {
	a := &accountFlags{}
	f := cmd.Flags()
	f.StringSliceVar(&a.accounts, "serviceaccount", nil, "`name` of a service account; may be repeated")
	f.BoolVar(&a.allAccounts, "all-serviceaccounts", false, "every service account of the namespace")
	a.placeFlags = addPlaces(cmd, e)
	_ = cmd.RegisterFlagCompletionFunc("serviceaccount", a.cluster.completing(clusterAccounts))
	cmd.ValidArgsFunction = a.cluster.completing(clusterSecrets)
	return a
}

func (a *accountFlags) check() error {
	hint := a.cluster.cmd.CommandPath() + " NAME --serviceaccount default"
	switch {
	case len(a.accounts) > 0 && a.allAccounts:
		return usagef(hint, "give --serviceaccount or --all-serviceaccounts, not both")
	case len(a.accounts) == 0 && !a.allAccounts:
		return usagef(hint, "name the service accounts with --serviceaccount, or take --all-serviceaccounts")
	}
	return a.placeFlags.check()
}

// from gives the service accounts of all the namespaces.
func (a *accountFlags) from(ctx context.Context, k *kube.Cluster) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		for p, err := range a.placeFlags.from(ctx, k) {
			if err != nil {
				yield(place{}, err)
				return
			}
			if !a.allAccounts {
				for _, name := range a.accounts {
					if !yield(place{p.namespace, name}, nil) {
						return
					}
				}
				continue
			}
			for s, err := range k.Accounts(ctx, p.namespace) {
				if !yield(place{p.namespace, s.Name}, err) {
					return
				}
			}
		}
	}
}

func newSecretUse(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use NAME --serviceaccount SA...",
		Short: "Let service accounts' pods pull with a secret",
		Long: `Put a pull secret into the lists of service accounts, so that their pods use it.
What is in the lists already stays, in its order, also when others write to them
at the same time. A secret that is in a list already is left there.

Pods get the list when they are made: those that are there already must be made
anew, such as by kubectl rollout restart.`,
		Example: `  fairlead secret use regcred --serviceaccount default
  fairlead secret use regcred --all-serviceaccounts -n shop -n billing
  fairlead secret use regcred --serviceaccount default --selector team=shop`,
		Args: exactly(1, "one secret"),
	}
	a := addAccounts(cmd, e)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := a.check(); err != nil {
			return err
		}
		return a.cluster.with("use the secret", func(ctx context.Context, k *kube.Cluster) error {
			warnMissing(ctx, e, a.placeFlags, k, args[0])
			o, err := spread(ctx, e, "lists", a.from(ctx, k), func(ctx context.Context, p place) (kube.Result, error) {
				return k.Use(ctx, p.namespace, p.account, args[0])
			})
			if err == nil || len(o.lines) > 0 {
				o.say(e.stdout, "The list of pull secrets", "service account")
			}
			if err != nil {
				return err
			}
			if o.counts[kube.Changed] > 0 {
				fmt.Fprintln(e.stderr, "Pods that are there already keep the list that they were made with. Next: kubectl rollout restart deployment NAME")
			}
			return o.error()
		})
	}
	return cmd
}

// warnMissing says where there is no such secret yet: the list takes any name.
func warnMissing(ctx context.Context, e env, p *placeFlags, k *kube.Cluster, name string) {
	if p.several() {
		return // one request for each namespace is too much for a warning
	}
	for at, err := range p.from(ctx, k) {
		if err != nil {
			return // it is said when the list is written
		}
		if _, err := k.Secret(ctx, at.namespace, name); kube.IsMissing(err) {
			fmt.Fprintf(e.stderr, "warning: there is no secret %s in the namespace %s yet; pods pull without it until there is\n", name, at.namespace)
		}
	}
}

func newSecretUnuse(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unuse NAME --serviceaccount SA...",
		Short: "Take a secret off service accounts' lists",
		Long: `Take a pull secret off the lists of service accounts. The others in the lists
stay, in their order, and so does the secret itself.`,
		Example: `  fairlead secret unuse regcred --serviceaccount default
  fairlead secret unuse regcred --all-serviceaccounts --all-namespaces`,
		Args: exactly(1, "one secret"),
	}
	a := addAccounts(cmd, e)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := a.check(); err != nil {
			return err
		}
		return a.cluster.with("take the secret off", func(ctx context.Context, k *kube.Cluster) error {
			o, err := spread(ctx, e, "lists", a.from(ctx, k), func(ctx context.Context, p place) (kube.Result, error) {
				return k.Unuse(ctx, p.namespace, p.account, args[0])
			})
			if err == nil || len(o.lines) > 0 {
				o.say(e.stdout, "The list of pull secrets", "service account")
			}
			if err != nil {
				return err
			}
			return o.error()
		})
	}
	return cmd
}
