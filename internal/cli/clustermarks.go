package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// What attach marks its secrets with.
const (
	clusterLabel = "fairlead.dev/cluster"
	// uidMark is the cluster's UID: a secret that was copied into another
	// cluster is none of attach there.
	uidMark = "fairlead.dev/cluster-uid"
	// registriesMark are the registries' URLs, with spaces between them.
	registriesMark = "fairlead.dev/registries"
	// accountsMark are the accounts that own the tokens, in the same order.
	accountsMark = "fairlead.dev/accounts"
	// listMark names the service account whose list attach put the name into.
	listMark = "fairlead.dev/serviceaccount"

	defaultName = "default" // of the namespace and of the service account
)

// marked gives the secrets that attach made in this cluster, and learns which
// registries the cluster knows from those that are to be trusted. Of these, one
// of another name is refused. One elsewhere counts if it looks as attach's and
// is of a registry that the cluster knows, or is being attached to.
func (x *attachment) marked(ctx context.Context, e env) ([]pullsecret.Secret, error) {
	var out, claims []pullsecret.Secret
	for s, err := range x.k.Labelled(ctx, clusterLabel) {
		switch {
		case err != nil && s.Namespace == "":
			return nil, err
		case err != nil, s.Annotations[uidMark] != x.uid:
			continue
		case !trusted(s):
			claims = append(claims, s)
			continue
		case s.Labels[clusterLabel] != x.name:
			return nil, second("the secret "+s.ID(), s.Labels[clusterLabel])
		case x.bare && isSource(s):
			return nil, controlled(x.name)
		}
		if err := x.learn(s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	for _, s := range claims {
		if s.Labels[clusterLabel] == x.name && s.Name == x.secret && placed(s) && slices.ContainsFunc(registriesOf(s), x.concerns) {
			out = append(out, s)
			continue
		}
		fmt.Fprintf(e.stderr, "warning: the secret %s is marked as attach's, for the cluster %s and %s: it is left alone\n", s.ID(), shown(s.Labels[clusterLabel]), shown(s.Annotations[registriesMark]))
	}
	return out, nil
}

// concerns says whether the cluster knows a registry, or is being attached to it.
func (x *attachment) concerns(url string) bool {
	return slices.Contains(x.known, url) || slices.ContainsFunc(x.registries, func(r *clusterRegistry) bool { return r.url.String() == url })
}

// trusted says whether a secret's marks are attach's for sure: to these
// namespaces an admin of the cluster alone writes, to others whoever has one.
func trusted(s pullsecret.Secret) bool {
	return s.Namespace == deploy.Namespace || s.Namespace == kube.SystemNamespace
}

// placed says whether a secret looks as attach places them beyond those.
func placed(s pullsecret.Secret) bool {
	return s.Type == pullsecret.TypeConfigJSON && !s.Immutable && s.Annotations[listMark] == defaultName
}

// registriesOf are the URLs that a secret is marked with.
func registriesOf(s pullsecret.Secret) []string { return strings.Fields(s.Annotations[registriesMark]) }

// learn which registries the cluster knows.
func (x *attachment) learn(s pullsecret.Secret) error {
	x.known = append(x.known, registriesOf(s)...)
	return x.registries.own(s)
}
