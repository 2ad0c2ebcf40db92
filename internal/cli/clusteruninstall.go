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
// because it is dead or others' policies are there, goes afterwards. The kinds
// and the secrets with the cluster's tokens stay: see leave.
func (x *detachment) uninstall(ctx context.Context, e env, broken *failures) {
	for _, o := range []kube.Object{policyObject(), ownPolicyObject()} {
		x.dropOr(ctx, e, o, broken)
	}
	var err error
	if x.kept, err = x.policiesLeft(ctx); err != nil {
		broken.add("policies", err)
		return
	}
	if len(x.kept) > 0 {
		fmt.Fprintf(e.stderr, "The kinds stay, since there are policies that attach did not make: %s. Without a controller nothing comes of them.\n", strings.Join(x.kept, ", "))
	} else if err := x.awaitSecrets(ctx, e); err != nil {
		broken.add("secrets", err)
		return
	}
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		broken.add("the controller", err)
		return
	}
	slices.Reverse(all) // the Deployment first
	if i := slices.IndexFunc(all, func(o kube.Object) bool { return o.Kind() == "MutatingWebhookConfiguration" }); i >= 0 {
		all = append([]kube.Object{all[i]}, slices.Delete(slices.Clone(all), i, i+1)...) // before what it calls
	}
	for _, o := range all {
		if o.Kind() != "Namespace" && o.Kind() != crdKind {
			x.dropOr(ctx, e, o, broken)
		}
	}
	if there, err := x.k.Find(ctx, controllerObject()); err == nil && there.Label(clusterLabel) != x.name {
		x.others = true // it sees to its secrets
		return
	}
	// Without rights no controller writes any more, wherever it may still run.
	x.sweepSecrets(ctx, e, broken)
}

// dropOr is drop as one step of many.
func (x *detachment) dropOr(ctx context.Context, e env, o kube.Object, broken *failures) {
	if err := x.drop(ctx, e, o); err != nil {
		broken.add(o.String(), err)
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
// lists, whatever became of their secrets, then its secrets. A namespace whose
// list cannot be written keeps its secret.
func (x *detachment) sweepSecrets(ctx context.Context, e env, broken *failures) {
	var left []pullsecret.Secret
	for s, err := range x.k.Labelled(ctx, managed) {
		switch {
		case err != nil && s.Namespace == "":
			broken.add("secrets", err)
			return
		case err != nil:
			x.unread[s.Namespace] = err
		case s.Annotations[policyMark] != "" || s.Namespace == deploy.Namespace:
			left = append(left, s)
		}
	}
	accounts, err := x.k.All(ctx, accountObject("", "all"))
	if err != nil {
		broken.add("service accounts", err)
		return
	}
	m := newMeter(e, "take away what the controller left")
	defer m.end()
	stuck := map[string]bool{}
	for i, a := range accounts {
		m.show(v1.Progress{Step: "lists", Done: int64(i), Total: int64(len(accounts))})
		if err := x.unlist(ctx, a); err != nil && !kube.IsMissing(err) {
			stuck[a.Namespace()] = true
			broken.add(a.String(), err)
		}
	}
	removed := 0
	for i, s := range left {
		m.show(v1.Progress{Step: "secrets", Done: int64(i), Total: int64(len(left))})
		if stuck[s.Namespace] {
			continue
		}
		if _, err := x.k.Remove(ctx, s); err != nil {
			broken.add(s.ID(), err)
			continue
		}
		removed++
	}
	m.end()
	if removed > 0 {
		fmt.Fprintf(e.stdout, "%s that the controller left: removed.\n", count(removed, "secret"))
	}
}

// unlist takes the names off an account's list that the controller put into it.
func (x *detachment) unlist(ctx context.Context, a kube.Object) error {
	names := listed(a)
	if len(names) == 0 {
		return nil
	}
	for _, n := range names {
		if _, err := x.k.Unuse(ctx, a.Namespace(), a.Name(), n); err != nil {
			return err
		}
	}
	return x.k.Note(ctx, a, pullplan.ListAnnotation, "")
}

// leave takes away by what detach finds an attach, once its tokens are void: the
// kinds, the secrets with the tokens, and the namespace if nothing else is in it.
func (x *detachment) leave(ctx context.Context, e env, broken *failures) {
	var unmarked []kube.Object // which the controller made
	if !x.others {
		unmarked = []kube.Object{
			object("coordination.k8s.io/v1", "Lease", deploy.Namespace, deploy.Controller), object("v1", "Secret", deploy.Namespace, webhookSecret),
		}
	}
	for _, o := range unmarked {
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
	if err := x.dropKinds(ctx, e); err != nil {
		broken.add("the kinds", err)
		return
	}
	ns, err := x.k.Find(ctx, namespaceObject())
	if kube.IsMissing(err) {
		return
	}
	if err != nil {
		broken.add("the namespace "+deploy.Namespace, err)
		return
	}
	if ns.Label(clusterLabel) == x.name && x.alone(ctx, e) {
		x.dropOr(ctx, e, ns, broken)
		return // the secrets go with it
	}
	for _, s := range x.sources {
		if err := x.remove(ctx, e, s); err != nil {
			broken.add(s.ID(), err)
		}
	}
}

// dropKinds takes the kinds away, unless others have policies.
func (x *detachment) dropKinds(ctx context.Context, e env) error {
	all, err := files(deploy.Options{})
	if err != nil || len(x.kept) > 0 {
		return err
	}
	for _, o := range all {
		if o.Kind() != crdKind {
			continue
		}
		if err := x.drop(ctx, e, o); err != nil {
			return err
		}
	}
	return nil
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
