package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// managed selects the secrets that the controller made.
const managed = pullplan.ManagedByLabel + "=" + pullplan.ManagedBy

// uninstall takes away the controller and all that it made. Policies go first,
// so that it takes its secrets away itself, which is quick; what is left then,
// because it is dead or others' policies are there, goes afterwards. The
// secrets with the cluster's tokens stay: what failed is found by them again.
func (x *detachment) uninstall(ctx context.Context, e env, broken *failures) {
	for _, o := range []kube.Object{policyObject(), ownPolicyObject()} {
		if err := x.drop(ctx, e, o); err != nil {
			broken.add(o.String(), err)
		}
	}
	foreign, err := x.policiesLeft(ctx)
	if err != nil {
		broken.add("policies", err)
		return
	}
	if len(foreign) > 0 {
		fmt.Fprintf(e.stderr, "The kinds stay, since there are policies that attach did not make: %s. Without a controller nothing comes of them.\n", strings.Join(foreign, ", "))
	} else if err := x.awaitSecrets(ctx, e); err != nil {
		broken.add("secrets", err)
		return
	}
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		broken.add("the controller", err)
		return
	}
	slices.Reverse(all) // the Deployment first, kinds last
	if i := slices.IndexFunc(all, func(o kube.Object) bool { return o.Kind() == "MutatingWebhookConfiguration" }); i >= 0 {
		all = append([]kube.Object{all[i]}, slices.Delete(slices.Clone(all), i, i+1)...) // before what it calls
	}
	for _, o := range all {
		if o.Kind() == "Namespace" || o.Kind() == "CustomResourceDefinition" {
			continue
		}
		if err := x.drop(ctx, e, o); err != nil {
			broken.add(o.String(), err)
		}
	}
	// Without rights no controller writes any more, wherever it may still run.
	if err := x.sweepSecrets(ctx, e); err != nil {
		broken.add("secrets", err)
	}
	for _, o := range all {
		if o.Kind() == "CustomResourceDefinition" && len(foreign) == 0 && broken.n == 0 {
			if err := x.drop(ctx, e, o); err != nil {
				broken.add(o.String(), err)
			}
		}
	}
}

// drop removes an object if attach made it for this cluster.
func (x *detachment) drop(ctx context.Context, e env, o kube.Object) error {
	there, err := x.k.Find(ctx, o)
	if kube.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if there.Label(clusterLabel) != x.name {
		fmt.Fprintf(e.stderr, "%s stays: attach did not make it.\n", capital(o.String()))
		return nil
	}
	r, err := x.k.Uninstall(ctx, there)
	if err == nil {
		fmt.Fprintf(e.stdout, "%s: %s.\n", capital(o.String()), r)
	}
	return err
}

// policiesLeft names the policies that attach did not make.
func (x *detachment) policiesLeft(ctx context.Context) ([]string, error) {
	var out []string
	for _, kind := range []kube.Object{policyObject(), object(policyVersion, "PullSecret", "", "all")} {
		all, err := x.k.All(ctx, kind)
		if kube.IsMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			if o.Label(clusterLabel) != x.name {
				out = append(out, policyID(o).String())
			}
		}
	}
	return out, nil
}

// awaitSecrets gives a controller that is alive the time to take its secrets
// away.
func (x *detachment) awaitSecrets(ctx context.Context, e env) error {
	r, err := x.k.RolloutOf(ctx, controllerObject())
	if kube.IsMissing(err) || err == nil && r.Ready == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	m := newMeter(e, "the controller takes its secrets away")
	defer m.end()
	most := 0
	return until(ctx, x.patience, func() (bool, error) {
		left := 0
		for s, err := range x.k.Labelled(ctx, managed) {
			if err != nil && s.Namespace == "" {
				return false, err
			}
			if err == nil && s.Annotations[policyMark] != "" {
				left++
			}
		}
		most = max(most, left)
		m.show(v1.Progress{Step: "secrets", Done: int64(most - left), Total: int64(most)})
		return left == 0, nil
	}, func() error { return nil }) // the rest is ours to do
}

// sweepSecrets takes away what the controller left: the names that it put into
// lists, then its secrets.
func (x *detachment) sweepSecrets(ctx context.Context, e env) error {
	var left []pullsecret.Secret
	for s, err := range x.k.Labelled(ctx, managed) {
		if err != nil && s.Namespace == "" {
			return err
		}
		if err != nil {
			fmt.Fprintf(e.stderr, "warning: the namespace %s is left as it is: %v\n", s.Namespace, err)
		} else if s.Annotations[policyMark] != "" || s.Namespace == deploy.Namespace {
			left = append(left, s)
		}
	}
	m := newMeter(e, "take away what the controller left")
	defer m.end()
	for i, s := range left {
		m.show(v1.Progress{Step: "secrets", Done: int64(i), Total: int64(len(left))})
		if err := x.unlist(ctx, s); err != nil {
			return err
		}
		if _, err := x.k.Remove(ctx, s); err != nil {
			return err
		}
	}
	m.end()
	if len(left) > 0 {
		fmt.Fprintf(e.stdout, "%s that the controller left: removed.\n", count(len(left), "secret"))
	}
	return nil
}

// unlist takes a secret's name off the lists that the controller put it into.
func (x *detachment) unlist(ctx context.Context, s pullsecret.Secret) error {
	accounts, err := x.k.All(ctx, accountObject(s.Namespace, "any"))
	if err != nil {
		return err
	}
	for _, a := range accounts {
		was, _ := a.In("metadata", "annotations")[pullplan.ListAnnotation].(string)
		names := strings.FieldsFunc(was, func(r rune) bool { return r == ',' })
		if !slices.Contains(names, s.Name) {
			continue
		}
		if _, err := x.k.Unuse(ctx, s.Namespace, a.Name(), s.Name); err != nil && !kube.IsMissing(err) {
			return err
		}
		rest := strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == s.Name }), ",")
		if err := x.k.Note(ctx, a, pullplan.ListAnnotation, rest); err != nil && !kube.IsMissing(err) {
			return err
		}
	}
	return nil
}

// leave takes away the secrets with the cluster's tokens, which are void by
// now, and the namespace if nothing else is in it.
func (x *detachment) leave(ctx context.Context, e env, broken *failures) {
	for _, o := range []kube.Object{
		object("coordination.k8s.io/v1", "Lease", deploy.Namespace, deploy.Controller), object("v1", "Secret", deploy.Namespace, webhookSecret),
	} {
		there, err := x.k.Find(ctx, o)
		if kube.IsMissing(err) {
			continue
		}
		if err == nil {
			_, err = x.k.Uninstall(ctx, there)
		}
		if err != nil {
			broken.add(o.String(), err)
		}
	}
	ns, err := x.k.Find(ctx, namespaceObject())
	if err != nil {
		broken.add("the namespace "+deploy.Namespace, err)
		return
	}
	if ns.Label(clusterLabel) == x.name && x.alone(ctx, e) {
		if err := x.drop(ctx, e, ns); err != nil {
			broken.add(ns.String(), err)
		}
		return // the secrets go with it
	}
	for _, s := range x.sources {
		if err := x.remove(ctx, e, s); err != nil {
			broken.add(s.ID(), err)
		}
	}
}

// webhookSecret is the certificate that the controller makes for itself.
const webhookSecret = "fairlead-webhook"

// alone says whether nothing but attach's is in the controller's namespace.
func (x *detachment) alone(ctx context.Context, e env) bool {
	const next = "kubectl delete namespace " + deploy.Namespace + ", if nothing in it is needed"
	others, err := x.k.Contents(ctx, deploy.Namespace)
	if err != nil {
		fmt.Fprintf(e.stderr, "The namespace %s stays, since it is not seen what else is in it: %v. Next: %s\n", deploy.Namespace, err, next)
		return false
	}
	for _, s := range x.sources {
		others = slices.DeleteFunc(others, func(name string) bool { return name == "secrets/"+s.Name })
	}
	if len(others) > 0 {
		fmt.Fprintf(e.stderr, "The namespace %s stays, since there is more in it: %s. Next: %s\n", deploy.Namespace, strings.Join(others, ", "), next)
	}
	return len(others) == 0
}
