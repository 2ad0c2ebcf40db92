package kube

import (
	"context"
	"iter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// SystemNamespace is Kubernetes' own: it is made with the cluster and goes
// with it.
const SystemNamespace = "kube-system"

// Removed is what Remove did.
const Removed Result = "removed"

// UID tells one cluster from all others: it is that of its SystemNamespace,
// as Kubernetes has none for a cluster. Errors: *Forbidden, ….
func (c *Cluster) UID(ctx context.Context) (string, error) {
	var n corev1.Namespace
	err := get(ctx, c.core, target{resource: "namespaces", name: SystemNamespace}, &n)
	return string(n.UID), err
}

// Labelled lists the secrets of all namespaces whose labels a selector
// matches, in pages. A namespace whose secrets may not be read comes as a
// *Forbidden beside a Secret with the namespace alone, and the list goes on.
// Any other error ends it.
func (c *Cluster) Labelled(ctx context.Context, selector string) iter.Seq2[pullsecret.Secret, error] {
	return func(yield func(pullsecret.Secret, error) bool) {
		stopped := false
		list := func(ns string) error {
			return pages(ctx, c, c.core, target{resource: "secrets", namespace: ns}, query{labels: selector}, newSecrets, func(l *corev1.SecretList) error {
				for i := range l.Items {
					if !yield(secretOf(&l.Items[i]), nil) {
						stopped = true
						return errEnough
					}
				}
				return nil
			})
		}
		skip := func(ns string, err error) bool { return yield(pullsecret.Secret{Namespace: ns}, err) }
		if err := c.everywhere(ctx, list, skip); err != nil && !stopped {
			yield(pullsecret.Secret{}, err)
		}
	}
}

// Remove deletes a secret as it was read: one that was made anew, or written
// to meanwhile, stays. That there is none any more is Unchanged. Errors:
// Conflict, *Forbidden, ….
func (c *Cluster) Remove(ctx context.Context, s pullsecret.Secret) (Result, error) {
	t := target{verb: "delete", resource: "secrets", namespace: s.Namespace, name: s.Name}
	uid := types.UID(s.UID)
	err := failed(t, c.core.Delete().Namespace(s.Namespace).Resource(t.resource).Name(s.Name).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &s.ResourceVersion}}).Do(ctx).Error())
	switch {
	case IsMissing(err):
		return Unchanged, nil
	case err != nil:
		return "", err
	}
	return Removed, nil
}
