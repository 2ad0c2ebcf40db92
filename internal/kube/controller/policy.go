package controller

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
)

// The kinds.
const (
	kindCluster = "ClusterPullSecret"
	kindOne     = "PullSecret"
)

// policy is an object of either kind.
type policy struct {
	pullplan.ID
	object client.Object
	spec   *v1alpha1.PullSecretSpec
	whole  *v1alpha1.ClusterPullSecretSpec // nil for a PullSecret
	status *v1alpha1.PullSecretStatus
}

func clusterPolicy(o *v1alpha1.ClusterPullSecret) policy {
	return policy{pullplan.ID{Kind: kindCluster, Name: o.Name}, o, &o.Spec.PullSecretSpec, &o.Spec, &o.Status}
}

func ownPolicy(o *v1alpha1.PullSecret) policy {
	return policy{pullplan.ID{Kind: kindOne, Namespace: o.Namespace, Name: o.Name}, o, &o.Spec, nil, &o.Status}
}

// policy reads one; an error of client.IgnoreNotFound if it is gone.
func (k *keeper) policy(ctx context.Context, id pullplan.ID) (policy, error) {
	key := client.ObjectKey{Namespace: id.Namespace, Name: id.Name}
	if id.Kind == kindCluster {
		var o v1alpha1.ClusterPullSecret
		err := k.client.Get(ctx, key, &o)
		return clusterPolicy(&o), err
	}
	var o v1alpha1.PullSecret
	err := k.client.Get(ctx, key, &o)
	return ownPolicy(&o), err
}

// policies that concern a namespace; all of the cluster for "". Their objects are
// the cache's own: whoever has "edit" somewhere makes as many as he likes, so
// that they are not copied, and not to be written to.
func (k *keeper) policies(ctx context.Context, namespace string) ([]policy, error) {
	var all v1alpha1.ClusterPullSecretList
	var own v1alpha1.PullSecretList
	if err := k.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	if err := k.client.List(ctx, &own, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var out []policy
	for i := range all.Items {
		out = append(out, clusterPolicy(&all.Items[i]))
	}
	for i := range own.Items {
		out = append(out, ownPolicy(&own.Items[i]))
	}
	return out, nil
}

// plain is the policy without its credentials.
func (p policy) plain() pullplan.Policy {
	s := p.spec
	out := pullplan.Policy{
		ID: p.ID, Created: p.object.GetCreationTimestamp().Time, SecretName: s.SecretName,
		AccountNames: s.ServiceAccounts.Names, AllAccounts: s.ServiceAccounts.All,
		AppendToOwnList: s.AppendToOwnList, Recreate: s.RecreatePods == v1alpha1.RecreateStuck,
	}
	var err error
	if s.ServiceAccounts.Selector != nil {
		if out.Match, err = matcher(s.ServiceAccounts.Selector); err != nil {
			out.Unreadable = fmt.Sprintf("serviceAccounts.selector: %v", err)
		}
	}
	if p.whole == nil {
		return out
	}
	out.Exclude, out.NameInKubeSystem = p.whole.ExcludeNamespaces, p.whole.NameInKubeSystem
	if p.whole.NamespaceSelector != nil {
		if out.Selects, err = matcher(p.whole.NamespaceSelector); err != nil {
			out.Unreadable = fmt.Sprintf("namespaceSelector: %v", err)
		}
	}
	return out
}

func matcher(s *metav1.LabelSelector) (func(map[string]string) bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, err
	}
	return func(l map[string]string) bool { return selector.Matches(labels.Set(l)) }, nil
}
