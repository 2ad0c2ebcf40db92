package controller

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// Annotations of a source say who may use it: nobody without them.
const (
	// namespacesAnnotation names namespaces, or all by *: what chooses them may.
	namespacesAnnotation = "fairlead.dev/namespaces"
	// clusterAnnotation names ClusterPullSecrets, which may in all namespaces
	// that they choose; a tenant's PullSecret may not.
	clusterAnnotation = "fairlead.dev/cluster-pull-secrets"
)

// registries of a policy with the credentials that there are now.
func (k *keeper) registries(ctx context.Context, p policy) (out []pullplan.Registry, err error) {
	for _, r := range p.spec.Registries {
		c, err := k.credential(ctx, p.ID, r)
		if err != nil {
			return nil, err
		}
		out = append(out, pullplan.Registry{Host: r.Host, Namespaces: r.Namespaces, Credential: c})
	}
	return out, nil
}

// credential of a registry; what is wrong with its source is in it.
func (k *keeper) credential(ctx context.Context, id pullplan.ID, r v1alpha1.Registry) (pullplan.Credential, error) {
	source, problem, err := k.source(ctx, id, sourceName(r))
	switch {
	case err != nil:
		return problem, err
	case problem.Reason != "" && r.Fairlead != nil && problem.Keep:
		held, is, err := k.held(ctx, id, r)
		if is {
			problem.Expires = held.expires
		}
		return problem, err
	case problem.Reason != "":
		return problem, nil
	case r.Fairlead == nil:
		return given(source, id, r), nil
	}
	c := pullplan.Credential{
		Allows: allows(source, id), Keep: true,
		Reason: pullplan.CredentialPending, Problem: "no token was minted yet: look at the condition CredentialsReady",
	}
	held, is, err := k.held(ctx, id, r)
	if err != nil || !is {
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

// source reads a Secret of the controller's namespace for a policy. To a
// namespace's own policy one that it may not use is as one that is not there:
// it does not learn what the operator keeps.
func (k *keeper) source(ctx context.Context, id pullplan.ID, name string) (*corev1.Secret, pullplan.Credential, error) {
	var s corev1.Secret
	err := k.own.Get(ctx, client.ObjectKey{Namespace: k.o.Cluster.Namespace, Name: name}, &s)
	if client.IgnoreNotFound(err) != nil {
		return nil, pullplan.Credential{}, err
	}
	where := "the namespace " + k.o.Cluster.Namespace
	switch {
	case id.Namespace != "" && (err != nil || !allows(&s, id)(id.Namespace)):
		return nil, pullplan.Credential{
			Keep:    err != nil,
			Reason:  pullplan.SourceNotAllowed,
			Problem: where + " has no Secret " + name + " whose annotation " + namespacesAnnotation + " names " + id.Namespace,
		}, nil
	case err != nil:
		return nil, pullplan.Credential{Keep: true, Reason: pullplan.SourceMissing, Problem: where + " has no Secret " + name}, nil
	case len(named(&s, namespacesAnnotation)) == 0 && !named(&s, clusterAnnotation)[id.Name]:
		return nil, pullplan.Credential{
			Reason: pullplan.SourceNotAllowed,
			Problem: "the Secret " + name + " is not for this policy: write " + id.Name + " into its annotation " + clusterAnnotation +
				", or namespaces into " + namespacesAnnotation + ", separated by commas",
		}, nil
	}
	return &s, pullplan.Credential{}, nil
}

// allows says in which namespaces a policy may use a source.
func allows(s *corev1.Secret, id pullplan.ID) func(string) bool {
	names := named(s, namespacesAnnotation)
	all := names["*"] || id.Namespace == "" && named(s, clusterAnnotation)[id.Name]
	return func(ns string) bool { return ns != "" && (all || names[ns]) }
}

// named reads names that an annotation has, separated by commas.
func named(s *corev1.Secret, annotation string) map[string]bool {
	names := map[string]bool{}
	for n := range strings.SplitSeq(s.Annotations[annotation], ",") {
		if n = strings.TrimSpace(n); n != "" {
			names[n] = true
		}
	}
	return names
}

// given is the credential for a registry in a Secret that a person made.
func given(s *corev1.Secret, id pullplan.ID, r v1alpha1.Registry) pullplan.Credential {
	c := pullplan.Credential{Allows: allows(s, id)}
	var wrong string
	switch s.Type {
	case corev1.SecretTypeBasicAuth:
		c.Username, c.Password = string(s.Data[corev1.BasicAuthUsernameKey]), string(s.Data[corev1.BasicAuthPasswordKey])
		if c.Username == "" || c.Password == "" {
			wrong = "lacks username or password"
		}
	case corev1.SecretTypeDockerConfigJson:
		c.Username, c.Password, wrong = entryFor(s.Data[pullsecret.KeyConfigJSON], r)
	default:
		wrong = "has the type " + string(s.Type) + ": use " + string(corev1.SecretTypeDockerConfigJson) + " or " + string(corev1.SecretTypeBasicAuth)
	}
	if wrong != "" {
		return pullplan.Credential{Allows: c.Allows, Keep: true, Reason: pullplan.SourceMalformed, Problem: "the Secret " + s.Name + " " + wrong}
	}
	return c
}

// entryFor finds what the kubelet would sign in to the registry with, if a pod
// had the document: people's keys are URLs, hosts, paths and globs. wrong says
// why there is none.
func entryFor(document []byte, r v1alpha1.Registry) (user, password, wrong string) {
	ring := keyring.New(keyring.Source{
		Name: pullsecret.KeyConfigJSON, Type: pullsecret.TypeConfigJSON, Data: map[string][]byte{pullsecret.KeyConfigJSON: document},
	})
	if err := ring.Err(); err != nil {
		return "", "", "cannot be read: " + err.Error()
	}
	places := r.Namespaces
	if len(places) == 0 {
		places = []string{"any"}
	}
	for i, ns := range places {
		image, err := keyring.ParseImage(r.Host + "/" + ns + "/any")
		if err != nil {
			return "", "", "is not looked into: " + err.Error()
		}
		found := ring.Match(image)
		switch {
		case len(found) == 0 || found[0].Username == "" || found[0].Password == "":
			return "", "", "has no user and password for " + r.Host
		case i > 0 && (found[0].Username != user || found[0].Password != password):
			return "", "", "has different users for the namespaces " + strings.Join(places, ", ") + " of " + r.Host + ": name them as registries of their own"
		}
		user, password = found[0].Username, found[0].Password
	}
	return user, password, ""
}
