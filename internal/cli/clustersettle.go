package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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

// handed are the secrets that an attach without the controller placed, and that
// it is to have. What lies in its own namespace it has in any case.
func (x *installation) handed() []pullsecret.Secret {
	return slices.DeleteFunc(slices.Clone(x.placed), func(s pullsecret.Secret) bool { return s.Namespace == deploy.Namespace })
}

// takeOver gives them to the controller: they keep their names, their UIDs and
// their tokens until it renews them, so that no pod sees a gap.
func (x *installation) takeOver(ctx context.Context, e env) error {
	for _, s := range x.handed() {
		next := pullsecret.Secret{
			Namespace: s.Namespace, Name: s.Name, Type: s.Type,
			Data:        map[string][]byte{pullsecret.KeyConfigJSON: s.Data[pullsecret.KeyConfigJSON]}, // spoilt or not
			Labels:      map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy},
			Annotations: map[string]string{policyMark: policyID(policyObject()).String()},
		}
		account, names, err := x.yielded(ctx, s)
		if err != nil {
			return err
		}
		if names != "" {
			if err := x.k.Note(ctx, account, pullplan.ListAnnotation, names); err != nil {
				return err
			}
		}
		if _, err := x.k.Apply(ctx, next, true); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "The secret %s in %s: the controller takes it over.\n", s.Name, s.Namespace)
	}
	return nil
}

// yielded is the account whose list a placed secret's name is in, and the
// annotation that makes it the controller's there; "" if none is needed.
func (x *installation) yielded(ctx context.Context, s pullsecret.Secret) (account kube.Object, names string, err error) {
	name := s.Annotations[listMark]
	if name == "" {
		return nil, "", nil
	}
	there, err := x.k.Find(ctx, accountObject(s.Namespace, name))
	if kube.IsMissing(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	was := listed(there)
	if slices.Contains(was, s.Name) {
		return nil, "", nil
	}
	return there, strings.Join(append(was, s.Name), ","), nil
}

// listed are the names in an account's list that are the controller's.
func listed(account kube.Object) []string {
	names, _ := account.In("metadata", "annotations")[pullplan.ListAnnotation].(string)
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
}

// prune takes away what an earlier attach of other flags installed.
func (x *installation) prune(ctx context.Context, e env) error {
	old, err := x.outdated(ctx)
	if err != nil {
		return err
	}
	for _, o := range old {
		if _, err := x.k.Uninstall(ctx, o); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: removed.\n", capital(o.String()))
	}
	return nil
}

// outdated is what an earlier attach of other flags installed, and this one
// does not.
func (x *installation) outdated(ctx context.Context) ([]kube.Object, error) {
	wanted, err := files(deploy.Options{Webhook: !x.noWebhook, Recreate: x.recreate})
	if err != nil {
		return nil, err
	}
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		return nil, err
	}
	drop := slices.DeleteFunc(all, func(o kube.Object) bool {
		return slices.ContainsFunc(wanted, func(w kube.Object) bool { return w.String() == o.String() })
	})
	old, err := x.sources(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range old {
		if !slices.ContainsFunc(x.registries, func(r *clusterRegistry) bool { return sourceName(r) == s.Name }) {
			drop = append(drop, object("v1", "Secret", s.Namespace, s.Name))
		}
	}
	if !x.image.pulled() {
		drop = append(drop, ownPolicyObject())
	}
	var out []kube.Object
	for _, o := range drop {
		there, err := x.k.Find(ctx, o)
		switch {
		case kube.IsMissing(err):
		case err != nil:
			return nil, err
		case there.Label(clusterLabel) == x.name:
			out = append(out, there)
		}
	}
	return out, nil
}

// settle waits until the controller runs and has looked at every namespace, and
// then ends the tokens of an attach without it. That it cannot do its work in
// some namespaces, whoever has them, is no failure of the attach.
func (x *installation) settle(ctx context.Context, e env) error {
	m := newMeter(e, "wait for the controller")
	defer m.end()
	last, err := x.started(ctx, m)
	if err != nil {
		return err
	}
	policies := x.freshPolicies()
	slices.Reverse(policies)
	var broken []judgement
	for i, o := range policies {
		m.show(v1.Progress{Step: "policies", Done: int64(i), Total: int64(len(policies))})
		v, err := x.judged(ctx, o)
		if err != nil {
			return err
		}
		if !v.ready {
			broken = append(broken, v)
		}
	}
	m.end()
	fmt.Fprintf(e.stdout, "The controller runs: %d of %d replicas are ready.\n", last.Ready, last.Want)
	for _, v := range broken {
		v.warn(e.stderr)
	}
	return x.endPlaced(ctx, e)
}

// started waits until all replicas run.
func (x *installation) started(ctx context.Context, m *meter) (kube.Rollout, error) {
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
	return last, err
}

// calm is for how long what fails must stay the same to be taken for all that
// the controller can do: until then it may be at work.
const calm = 5 * time.Second

// judged waits for what the controller says of a policy.
func (x *installation) judged(ctx context.Context, o kube.Object) (judgement, error) {
	var now judgement
	since := time.Now()
	err := until(ctx, x.patience, func() (bool, error) {
		there, err := x.k.Find(ctx, o)
		if err != nil {
			return false, err
		}
		next, err := judgementOf(there)
		if next != now {
			since = time.Now()
		}
		now = next
		return now.settled && (now.ready || time.Since(since) >= calm), err
	}, func() error {
		if now.settled {
			return nil // it changes still, and is said
		}
		return &hintError{fmt.Errorf("%s is not ready after %s: %s", o, x.patience, now.why), "docs/controller.md has the reasons; then kubectl describe " + strings.ToLower(o.Kind()) + " " + o.Name()}
	})
	return now, err
}

// judgement is what the controller says of a policy.
type judgement struct {
	policy string
	// settled: it has all credentials, and has looked at every namespace.
	settled bool
	// ready: nothing is wrong in any of namespaces, of which bad are.
	ready           bool
	namespaces, bad int
	// why it is not settled, or not ready.
	why string
}

// judgementOf reads a policy's status.
func judgementOf(o kube.Object) (judgement, error) {
	var s struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			ObservedGeneration  int64
			Namespaces, Failing int
			Conditions          []struct {
				Type, Status, Reason, Message string
				ObservedGeneration            int64
			}
		}
	}
	if err := o.Into(&s); err != nil {
		return judgement{}, err
	}
	v := judgement{policy: o.String(), namespaces: s.Status.Namespaces, bad: s.Status.Failing, why: "the controller did not look at it yet"}
	if s.Status.ObservedGeneration != s.Metadata.Generation {
		return v, nil
	}
	said := map[string]bool{}
	for _, c := range s.Status.Conditions {
		if c.ObservedGeneration != s.Metadata.Generation {
			continue
		}
		said[c.Type+"="+c.Status] = true
		if c.Status != "True" && (c.Type == "CredentialsReady" || c.Type == "Ready" && !said["CredentialsReady=False"]) {
			v.why = shown(c.Reason + ": " + c.Message)
		}
	}
	v.ready = said["Ready=True"]
	v.settled = said["CredentialsReady=True"] && (v.ready || said["Ready=False"])
	return v, nil
}

// warn says where a policy fails.
func (v judgement) warn(w io.Writer) {
	fmt.Fprintf(w, "warning: %s fails in %d of %s: %s. Next: docs/controller.md has the reasons\n", v.policy, v.bad, count(v.namespaces, "namespace"), strings.TrimSuffix(v.why, "."))
}

// endPlaced revokes the tokens that were placed once, unless a secret still has
// them: pods that use it would pull nothing, not even what is public.
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
			var held []string
			if err := until(ctx, calm, func() (done bool, err error) { // the controller takes some away
				held, err = x.holders(ctx, t.ID)
				return len(held) == 0, err
			}, func() error { return nil }); err != nil {
				return err
			}
			if len(held) > 0 {
				fmt.Fprintf(e.stderr, "warning: the token %s of %s, which was placed without the controller, stays: it is in %s. Next: delete that, and the same command again\n", t.ID, r.url, strings.Join(held, ", "))
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

// holders names the secrets of the cluster that have a token, whoever made them.
func (x *installation) holders(ctx context.Context, id string) ([]string, error) {
	var out []string
	for s, err := range x.k.Labelled(ctx, "") {
		switch {
		case err != nil && s.Namespace == "":
			return nil, err
		case err != nil:
			out = append(out, "maybe a secret of "+s.Namespace+", which may not be seen")
		case slices.ContainsFunc(pullsecret.Logins(s), func(l pullsecret.Login) bool {
			has, _ := account.ParseValue(l.Password.Reveal()) // none of ours: ""
			return has == id
		}):
			out = append(out, "the secret "+s.ID())
		}
	}
	return out, nil
}
