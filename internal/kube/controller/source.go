package controller

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// namespacesAnnotation on a source names who may use it.
const namespacesAnnotation = "fairlead.dev/namespaces"

// full is the policy with the credentials that there are now.
func (k *keeper) full(ctx context.Context, p policy) (pullplan.Policy, error) {
	out := p.plain()
	for _, r := range p.spec.Registries {
		c, err := k.credential(ctx, p.ID, r)
		if err != nil {
			return out, err
		}
		out.Registries = append(out.Registries, pullplan.Registry{Host: r.Host, Namespaces: r.Namespaces, Credential: c})
	}
	return out, nil
}

// credential of a registry; what is wrong with its source is in it.
func (k *keeper) credential(ctx context.Context, id pullplan.ID, r v1alpha1.Registry) (pullplan.Credential, error) {
	source, problem, err := k.source(ctx, sourceName(r))
	if err != nil || problem.Reason != "" {
		return problem, err
	}
	if r.Fairlead == nil {
		return given(source, r), nil
	}
	c := pullplan.Credential{
		Allows: allows(source), Keep: true,
		Reason: pullplan.CredentialPending, Problem: "no token was minted yet: look at the condition CredentialsReady",
	}
	held, is, err := k.held(ctx, id, r)
	if err != nil || !is || held.server != string(source.Data["url"]) {
		return c, err
	}
	c.Username, c.Password, c.Expires = held.username, held.password, held.expires
	c.Reason, c.Problem = "", ""
	return c, nil
}

func sourceName(r v1alpha1.Registry) string {
	if r.Fairlead != nil {
		return r.Fairlead.TokenSecret
	}
	return r.Secret.Name
}

// source reads a Secret of the controller's namespace.
func (k *keeper) source(ctx context.Context, name string) (*corev1.Secret, pullplan.Credential, error) {
	var s corev1.Secret
	err := k.own.Get(ctx, client.ObjectKey{Namespace: k.o.Cluster.Namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, pullplan.Credential{
			Reason: pullplan.SourceMissing, Problem: "there is no Secret " + name + " in the namespace " + k.o.Cluster.Namespace,
		}, nil
	}
	return &s, pullplan.Credential{}, err
}

// allows reads who may use a source: names separated by commas, or *.
func allows(s *corev1.Secret) func(string) bool {
	names := map[string]bool{}
	for n := range strings.SplitSeq(s.Annotations[namespacesAnnotation], ",") {
		names[strings.TrimSpace(n)] = true
	}
	return func(ns string) bool { return names["*"] || names[ns] }
}

// given is the credential for a registry in a Secret that a person made.
func given(s *corev1.Secret, r v1alpha1.Registry) pullplan.Credential {
	c := pullplan.Credential{Allows: allows(s)}
	malformed := func(text string) pullplan.Credential {
		c.Reason, c.Problem = pullplan.SourceMalformed, "the Secret "+s.Name+" "+text
		return c
	}
	switch s.Type {
	case corev1.SecretTypeBasicAuth:
		c.Username, c.Password = string(s.Data[corev1.BasicAuthUsernameKey]), string(s.Data[corev1.BasicAuthPasswordKey])
		if c.Username == "" || c.Password == "" {
			return malformed("lacks username or password")
		}
	case corev1.SecretTypeDockerConfigJson:
		file, err := dockerconfig.Parse(s.Data[pullsecret.KeyConfigJSON])
		if err != nil {
			return malformed("cannot be read: " + err.Error())
		}
		e, is := entryFor(file, r)
		if !is || e.Kind() != dockerconfig.KindPassword {
			return malformed("has no entry with a user and a password for " + r.Host)
		}
		c.Username, c.Password = e.Username, e.Password
	default:
		return malformed("has the type " + string(s.Type) + ": use " + string(corev1.SecretTypeDockerConfigJson) + " or " + string(corev1.SecretTypeBasicAuth))
	}
	return c
}

// entryFor finds the entry under the key that it will have, or under the
// registry's host.
func entryFor(f *dockerconfig.File, r v1alpha1.Registry) (dockerconfig.Entry, bool) {
	plain := pullplan.Registry{Host: r.Host, Namespaces: r.Namespaces}
	keys := append(plain.Keys(), pullplan.Registry{Host: r.Host}.Keys()...)
	for _, key := range append(keys, r.Host) {
		if e, is := f.Entry(key); is {
			return e, true
		}
	}
	return dockerconfig.Entry{}, false
}
