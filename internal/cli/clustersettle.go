package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// bootstrap lets the controller's own image be pulled before there is a
// controller. A credential that is there and good stays.
func (x *installation) bootstrap(ctx context.Context, e env) error {
	if !x.image.pulled() {
		return nil
	}
	good, err := x.pullsAlready(ctx)
	if err != nil {
		return err
	}
	if !good {
		token, err := x.firstToken(ctx)
		if err != nil {
			return err
		}
		s, err := x.bootstrapSecret(token)
		if err != nil {
			return err
		}
		if _, err := x.k.Apply(ctx, s, true); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "The secret %s in %s, for the controller's own image: made.\n", s.Name, s.Namespace)
	}
	_, err = x.k.Use(ctx, deploy.Namespace, deploy.Controller, deploy.SecretName)
	return err
}

// pullsAlready says whether the secret that is there has a token for the image
// that is still good.
func (x *installation) pullsAlready(ctx context.Context) (bool, error) {
	s, err := x.k.Secret(ctx, deploy.Namespace, deploy.SecretName)
	if kube.IsMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if s.Annotations[policyMark] != policyID(ownPolicyObject()).String() {
		return false, nil
	}
	id := ""
	for _, l := range pullsecret.Logins(s) {
		if l.Key == x.image.key() {
			id, _ = account.ParseValue(l.Password.Reveal()) // none of ours: ""
		}
	}
	tokens, err := x.image.registry.tokens(ctx, x.name, false)
	if err != nil {
		return false, err
	}
	return id != "" && slices.ContainsFunc(tokens, func(t v1.Token) bool { return t.ID == id }), nil
}

// firstToken is made with the cluster's own token, as the controller will make
// others: so it ends with it.
func (x *installation) firstToken(ctx context.Context) (string, error) {
	r := x.image.registry
	ca, err := readCA(r.at.CAFile)
	if err != nil {
		return "", err
	}
	c, err := client.New(client.Options{
		Server: r.url.String(), CA: ca, InsecureHTTP: r.at.InsecureHTTP, Version: build().Version,
		Token: func() (string, error) { return r.value, nil },
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // only idle connections
	spec := v1.TokenSpec{Access: pullAccess, Description: "the controller's first pull", Expires: firstLife}
	if x.image.namespace != "" {
		spec.Reach = &v1.Reach{Namespaces: []string{x.image.namespace}}
	}
	made, err := c.AddToken(ctx, spec, "")
	return made.Value, r.failed(err)
}

// takeOver gives the secrets that an attach without the controller placed to
// the controller: they keep their names, their UIDs and their tokens until it
// renews them, so that no pod sees a gap.
func (x *installation) takeOver(ctx context.Context, e env) error {
	for _, s := range x.placed {
		if s.Namespace == deploy.Namespace {
			continue // it is the controller's own
		}
		next := pullsecret.Secret{
			Namespace: s.Namespace, Name: s.Name, Type: s.Type,
			Data:        map[string][]byte{pullsecret.KeyConfigJSON: s.Data[pullsecret.KeyConfigJSON]}, // spoilt or not
			Labels:      map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy},
			Annotations: map[string]string{policyMark: policyID(policyObject()).String()},
		}
		if err := x.yield(ctx, s); err != nil {
			return err
		}
		if _, err := x.k.Apply(ctx, next, true); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "The secret %s in %s: the controller takes it over.\n", s.Name, s.Namespace)
	}
	return nil
}

// yield marks the name in an account's list as the controller's.
func (x *installation) yield(ctx context.Context, s pullsecret.Secret) error {
	name := s.Annotations[listMark]
	if name == "" {
		return nil
	}
	o := accountObject(s.Namespace, name)
	there, err := x.k.Find(ctx, o)
	if kube.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	names := listed(there)
	if slices.Contains(names, s.Name) {
		return nil
	}
	return x.k.Note(ctx, o, pullplan.ListAnnotation, strings.Join(append(names, s.Name), ","))
}

// listed are the names in an account's list that are the controller's.
func listed(account kube.Object) []string {
	names, _ := account.In("metadata", "annotations")[pullplan.ListAnnotation].(string)
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
}

// prune takes away what an earlier attach of other flags installed.
func (x *installation) prune(ctx context.Context, e env) error {
	wanted, err := files(deploy.Options{Webhook: !x.noWebhook, Recreate: x.recreate})
	if err != nil {
		return err
	}
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		return err
	}
	drop := slices.DeleteFunc(all, func(o kube.Object) bool {
		return slices.ContainsFunc(wanted, func(w kube.Object) bool { return w.String() == o.String() })
	})
	old, err := x.sources(ctx)
	if err != nil {
		return err
	}
	for _, s := range old {
		if !slices.ContainsFunc(x.registries, func(r *clusterRegistry) bool { return sourceName(r) == s.Name }) {
			drop = append(drop, object("v1", "Secret", s.Namespace, s.Name))
		}
	}
	if !x.image.pulled() {
		drop = append(drop, ownPolicyObject())
	}
	for _, o := range drop {
		there, err := x.k.Find(ctx, o)
		if kube.IsMissing(err) || err == nil && there.Label(clusterLabel) != x.name {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := x.k.Uninstall(ctx, there); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: removed.\n", capital(o.String()))
	}
	return nil
}

// settle waits until the controller runs and has done its work, and then ends
// the tokens of an attach without it.
func (x *installation) settle(ctx context.Context, e env) error {
	m := newMeter(e, "wait for the controller")
	defer m.end()
	var last kube.Rollout
	err := until(ctx, x.patience, func() (done bool, err error) {
		last, err = x.k.RolloutOf(ctx, controllerObject())
		m.show(v1.Progress{Step: "replicas", Done: int64(last.Ready), Total: int64(last.Want)})
		return last.Done, err
	}, func() error {
		text := fmt.Sprintf("the controller does not run after %s: %d of %d ready", x.patience, last.Ready, last.Want)
		if last.Problem != "" {
			text += "; " + last.Problem
		}
		return &hintError{errors.New(text), "fairlead why deployment/" + deploy.Controller + " -n " + deploy.Namespace}
	})
	if err != nil {
		return err
	}
	policies := x.freshPolicies()
	slices.Reverse(policies)
	for i, o := range policies {
		why := ""
		err := until(ctx, x.patience, func() (done bool, err error) {
			now, err := x.k.Find(ctx, o)
			if err == nil {
				done, why = kube.Ready(now)
			}
			m.show(v1.Progress{Step: "policies", Done: int64(i), Total: int64(len(policies))})
			return done, err
		}, func() error {
			return &hintError{fmt.Errorf("%s is not ready after %s: %s", o, x.patience, why), "docs/controller.md has the reasons; then kubectl describe " + strings.ToLower(o.Kind()) + " " + o.Name()}
		})
		if err != nil {
			return err
		}
	}
	m.end()
	fmt.Fprintf(e.stdout, "The controller runs: %d of %d replicas are ready.\n", last.Ready, last.Want)
	return x.endPlaced(ctx, e)
}

// endPlaced revokes the tokens that were placed once: the secrets have others
// by now.
func (x *installation) endPlaced(ctx context.Context, e env) error {
	for _, r := range x.registries {
		if !x.knows(r) {
			continue
		}
		tokens, err := r.tokens(ctx, x.name, false)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			if t.Access != pullAccess || !ofAttach(t, x.name) {
				continue
			}
			if _, err := r.s.api.RevokeToken(ctx, t.ID); err != nil {
				return r.failed(err)
			}
			fmt.Fprintf(e.stdout, "The token %s of %s, which was placed without the controller, is revoked.\n", t.ID, r.url)
		}
	}
	return nil
}
