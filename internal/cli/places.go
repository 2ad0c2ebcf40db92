package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// placeFlags say which namespaces a command writes to.
type placeFlags struct {
	cluster  *clusterFlags
	all      bool
	selector string
}

func addPlaces(cmd *cobra.Command, e env) *placeFlags {
	p := &placeFlags{cluster: addCluster(cmd, true)}
	f := cmd.Flags()
	f.BoolVarP(&p.all, "all-namespaces", "A", false, "in every namespace of the cluster")
	f.StringVarP(&p.selector, "selector", "l", "", "in every namespace with these `labels`, such as team=shop")
	complete(cmd, "selector")
	return p
}

func (p *placeFlags) check() error {
	given := 0
	for _, yes := range []bool{p.all, p.selector != "", len(p.cluster.namespaces) > 0} {
		if yes {
			given++
		}
	}
	if given > 1 {
		return usagef(p.cluster.cmd.CommandPath()+" --help", "give one of --namespace, --all-namespaces and --selector")
	}
	return nil
}

// again are the flags that mean the same namespaces in another command.
func (p *placeFlags) again() string {
	switch {
	case p.all:
		return " --all-namespaces"
	case p.selector != "":
		return " --selector " + pullsecret.Quote(p.selector)
	case len(p.cluster.namespaces) > 0:
		return " -n " + strings.Join(p.cluster.namespaces, " -n ")
	}
	return ""
}

// several says whether more than one namespace may be meant.
func (p *placeFlags) several() bool {
	return p.all || p.selector != "" || len(p.cluster.namespaces) > 1
}

// from gives the namespaces, without those that are being deleted.
func (p *placeFlags) from(ctx context.Context, k *kube.Cluster) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		if !p.all && p.selector == "" {
			names := p.cluster.namespaces
			if len(names) == 0 {
				names = []string{k.Namespace()}
			}
			for _, n := range names {
				if !yield(place{namespace: n}, nil) {
					return
				}
			}
			return
		}
		for n, err := range k.Namespaces(ctx, p.selector) {
			if n.Ending {
				continue
			}
			if !yield(place{namespace: n.Name}, err) {
				return
			}
		}
	}
}
