package kube

import (
	"bytes"
	"context"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// Secret reads a secret. Errors: NotFound, *Forbidden, ….
func (c *Cluster) Secret(ctx context.Context, namespace, name string) (pullsecret.Secret, error) {
	var s corev1.Secret
	err := get(ctx, c.core, target{resource: "secrets", namespace: namespace, name: name}, &s)
	if err != nil {
		return pullsecret.Secret{}, err
	}
	return secretOf(&s), nil
}

func secretOf(s *corev1.Secret) pullsecret.Secret {
	return pullsecret.Secret{
		Namespace: s.Namespace, Name: s.Name, UID: string(s.UID), Type: string(s.Type), Data: s.Data,
		Immutable: s.Immutable != nil && *s.Immutable, Labels: s.Labels, Annotations: s.Annotations,
		ResourceVersion: s.ResourceVersion,
	}
}

// neverPulled leaves out what is large, frequent and no pull secret for sure.
const neverPulled = "type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1,type!=bootstrap.kubernetes.io/token"

// PullSecrets lists what is a pull secret of a namespace, of all for "", by
// its type, its name in a service account's or a pod's list, or its looks: a
// misspelt type or the data of one. It goes in pages, by namespace and name.
//
// A namespace whose secrets may not be read comes as a *Forbidden beside a
// Secret with the namespace alone, and the list goes on. Any other error ends
// it.
func (c *Cluster) PullSecrets(ctx context.Context, namespace string) iter.Seq2[pullsecret.Secret, error] {
	return func(yield func(pullsecret.Secret, error) bool) {
		named, err := c.named(ctx, namespace)
		if err != nil {
			yield(pullsecret.Secret{}, err)
			return
		}
		stopped := false
		list := func(ns string) error {
			return pages(ctx, c, c.core, target{resource: "secrets", namespace: ns}, query{fields: neverPulled}, newSecrets, func(l *corev1.SecretList) error {
				for i := range l.Items {
					s := secretOf(&l.Items[i])
					if (named[s.ID()] || looksPulled(s)) && !yield(s, nil) {
						stopped = true
						return errEnough
					}
				}
				return nil
			})
		}
		skip := func(ns string, err error) bool { return yield(pullsecret.Secret{Namespace: ns}, err) }
		if namespace == "" {
			err = c.everywhere(ctx, list, skip)
		} else {
			err = list(namespace)
		}
		if err != nil && !stopped {
			yield(pullsecret.Secret{Namespace: namespace}, err)
		}
	}
}

func newSecrets() *corev1.SecretList { return &corev1.SecretList{} }

// named are the namespace/name of what service accounts and pods name. What
// may not be read is left out: it only says more of secrets that are odd.
func (c *Cluster) named(ctx context.Context, namespace string) (map[string]bool, error) {
	out := map[string]bool{}
	add := func(ns string, refs []corev1.LocalObjectReference) {
		for _, r := range refs {
			out[ns+"/"+r.Name] = true
		}
	}
	err := pages(ctx, c, c.core, target{resource: "serviceaccounts", namespace: namespace}, query{}, newAccounts, func(l *corev1.ServiceAccountList) error {
		for i := range l.Items {
			add(l.Items[i].Namespace, l.Items[i].ImagePullSecrets)
		}
		return nil
	})
	if err != nil && !refused(err) {
		return nil, err
	}
	err = pages(ctx, c, c.core, target{resource: "pods", namespace: namespace}, query{}, newPods, func(l *corev1.PodList) error {
		for i := range l.Items {
			add(l.Items[i].Namespace, l.Items[i].Spec.ImagePullSecrets)
		}
		return nil
	})
	if err != nil && !refused(err) {
		return nil, err
	}
	return out, nil
}

// looksPulled says whether somebody meant a secret for pulling.
func looksPulled(s pullsecret.Secret) bool {
	if strings.Contains(strings.ToLower(s.Type), "docker") {
		return true
	}
	for key, value := range s.Data {
		switch strings.ToLower(key) {
		case pullsecret.KeyConfigJSON, pullsecret.KeyLegacy, "dockerconfigjson", "dockercfg":
			return true
		case "config.json", "auth.json", "dockerconfig.json":
			if bytes.Contains(value, []byte(`"auths"`)) {
				return true
			}
		}
	}
	return false
}

// WhereIs lists the namespaces that have a secret of a name, in order. Errors:
// *Forbidden if that may not be asked of all.
func (c *Cluster) WhereIs(ctx context.Context, name string) ([]string, error) {
	var out []string
	err := pages(ctx, c, c.core, target{resource: "secrets"}, query{fields: "metadata.name=" + name, names: true}, newNames, func(l *metav1.PartialObjectMetadataList) error {
		for i := range l.Items {
			out = append(out, l.Items[i].Namespace)
		}
		return nil
	})
	return out, err
}

// SecretNames gives the first page of a namespace's names, for who types one.
func (c *Cluster) SecretNames(ctx context.Context, namespace string) ([]string, error) {
	var out []string
	err := pages(ctx, c, c.core, target{resource: "secrets", namespace: namespace}, query{fields: neverPulled, names: true}, newNames, func(l *metav1.PartialObjectMetadataList) error {
		for i := range l.Items {
			out = append(out, l.Items[i].Name)
		}
		return errEnough
	})
	return out, err
}
