package secret_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/test/cluster/harness"
)

const body = `{"auths":{"registry.example":{"username":"u","password":"p","auth":"dTpw"}}}`

func secret(ns, name string) pullsecret.Secret {
	return pullsecret.Secret{
		Namespace: ns, Name: name, Type: pullsecret.TypeConfigJSON, Labels: map[string]string{"team": "shop"},
		Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(body)},
	}
}

func apply(t *testing.T, k *kube.Cluster, s pullsecret.Secret, want kube.Result) {
	t.Helper()
	if got, err := k.Apply(t.Context(), s, false); err != nil || got != want {
		t.Fatalf("apply: %q, %v, want %s", got, err, want)
	}
}

func reason(err error) kube.Reason {
	var e *kube.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// TestApply: created, unchanged, changed; what others wrote stays.
func TestApply(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	k := open(t, ns.Kubeconfig)
	s := secret(ns.Name, "regcred")
	apply(t, k, s, kube.Created)
	before, err := k.Secret(t.Context(), ns.Name, "regcred")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, k, s, kube.Unchanged)
	after, err := k.Secret(t.Context(), ns.Name, "regcred")
	if err != nil || after.ResourceVersion != before.ResourceVersion || after.UID != before.UID {
		t.Errorf("applied again: %s became %s, %v", before.ResourceVersion, after.ResourceVersion, err)
	}
	if string(after.Data[pullsecret.KeyConfigJSON]) != body || after.Labels["team"] != "shop" {
		t.Errorf("it holds %v", after.Labels)
	}

	ns.Kubectl("label", "secret", "regcred", "other=kept")
	ns.Kubectl("annotate", "secret", "regcred", "note=kept")
	s.Labels = map[string]string{"tier": "1"}
	s.Data = map[string][]byte{pullsecret.KeyConfigJSON: []byte(strings.ReplaceAll(body, "registry.example", "other.example"))}
	apply(t, k, s, kube.Changed)
	after, err = k.Secret(t.Context(), ns.Name, "regcred")
	if err != nil || after.Labels["other"] != "kept" || after.Annotations["note"] != "kept" || after.Labels["tier"] != "1" || after.Labels["team"] != "" || after.UID != before.UID {
		t.Errorf("changed: %v %v uid %s, was %s, %v", after.Labels, after.Annotations, after.UID, before.UID, err)
	}
}

// TestApplyRefuses: what cannot be changed is said, and stays.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	k := open(t, ns.Kubeconfig)
	ns.Kubectl("create", "secret", "generic", "app", "--from-literal=password=x")
	ns.Kubectl("create", "secret", "docker-registry", "theirs", "--docker-server=a.example", "--docker-username=u", "--docker-password=p")
	ns.Apply(`apiVersion: v1
kind: Secret
metadata: {name: old}
type: kubernetes.io/dockercfg
stringData: {.dockercfg: '{"a.example":{"auth":"dTpw"}}'}
---
apiVersion: v1
kind: Secret
metadata: {name: fixed}
immutable: true
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{}}'}
`)
	keep(ns, "kept")
	for name, want := range map[string]struct {
		reason kube.Reason
		text   string
		hint   string
	}{
		"app":    {kube.Foreign, "is no pull secret, its type is Opaque: it stays as it is", "another name"},
		"theirs": {kube.Owned, "data..dockerconfigjson of kubectl-create", "--force-conflicts"},
		"old":    {kube.Immutable, "its type is kubernetes.io/dockercfg, and a type never changes", "fairlead secret use old-2"},
		"fixed":  {kube.Immutable, "it is immutable", "fairlead secret create fixed-2"},
		"kept":   {kube.Owned, "is kept by the policy ClusterPullSecret/fairlead", "change the policy, or delete it"},
	} {
		before := ns.Kubectl("get", "secret", name, "-o", "yaml", "--show-managed-fields")
		_, err := k.Apply(t.Context(), secret(ns.Name, name), false)
		var hint interface{ Hint() string }
		if reason(err) != want.reason || !strings.Contains(err.Error(), want.text) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), want.hint) {
			t.Errorf("%s: %s %v, want %s, %q", name, reason(err), err, want.reason, want.text)
		}
		if after := ns.Kubectl("get", "secret", name, "-o", "yaml", "--show-managed-fields"); after != before {
			t.Errorf("%s was changed", name)
		}
	}
	if got, err := k.Apply(t.Context(), secret(ns.Name, "theirs"), true); err != nil || got != kube.Changed {
		t.Errorf("forced: %q %v", got, err)
	}
	// The same content again is no change that an immutable one refuses.
	same := secret(ns.Name, "fixed")
	same.Data[pullsecret.KeyConfigJSON] = []byte(`{"auths":{}}`)
	apply(t, k, same, kube.Changed) // its label
	apply(t, k, same, kube.Unchanged)
	_, err := k.Apply(t.Context(), secret("no-such-namespace", "regcred"), false)
	if reason(err) != kube.NotFound || err.Error() != "there is no namespace no-such-namespace" {
		t.Errorf("no namespace: %v", err)
	}
}

// keep makes a secret as the controller does.
func keep(ns *harness.Namespace, name string) {
	ns.Input(`apiVersion: v1
kind: Secret
metadata:
  name: `+name+`
  labels: {app.kubernetes.io/managed-by: fairlead}
  annotations: {fairlead.dev/policy: ClusterPullSecret/fairlead}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{"a.example":{"auth":"dTpw"}}}'}
`, "apply", "--server-side", "--field-manager="+kube.Manager, "-f", "-")
}

// TestAdmission: a quota and a rule of the cluster are told apart from rights.
func TestAdmission(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, ruled := c.Namespace(t), c.Namespace(t)
	ns.Kubectl("create", "quota", "few", "--hard=secrets=0")
	ns.Kubectl("patch", "resourcequota", "few", "--subresource=status", "--type=merge", "-p", `{"status":{"hard":{"secrets":"0"},"used":{"secrets":"0"}}}`)
	k := open(t, ns.Kubeconfig)
	if _, err := k.Apply(t.Context(), secret(ns.Name, "regcred"), false); reason(err) != kube.Quota || !strings.Contains(err.Error(), "few") {
		t.Errorf("quota: %s %v", reason(err), err)
	}

	ruled.Apply(fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]
  validations: [{expression: "'owner' in object.metadata.labels", message: secrets have an owner here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, ruled.Name))
	t.Cleanup(func() {
		ruled.Kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", ruled.Name)
	})
	var err error
	for range 100 { // a policy takes effect some time after it was written
		s := secret(ruled.Name, "regcred")
		if _, err = k.Apply(t.Context(), s, false); err != nil {
			break
		}
		ruled.Kubectl("delete", "secret", "regcred")
		time.Sleep(100 * time.Millisecond)
	}
	if reason(err) != kube.Refused || !strings.Contains(err.Error(), "secrets have an owner here") {
		t.Errorf("policy: %s %v", reason(err), err)
	}
}

// TestForbidden: the refusal names user, verb, resource and namespace.
func TestForbidden(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	nobody := ns.User("[]")
	k := open(t, nobody.Kubeconfig)
	ctx := t.Context()
	for what, c := range map[string]struct {
		do                        func() error
		verb, resource, namespace string
	}{
		"apply":  {func() error { _, err := k.Apply(ctx, secret(ns.Name, "regcred"), false); return err }, "patch", "secrets", ns.Name},
		"secret": {func() error { _, err := k.Secret(ctx, ns.Name, "regcred"); return err }, "get", "secrets", ns.Name},
		"use":    {func() error { _, err := k.Use(ctx, ns.Name, "default", "regcred"); return err }, "get", "serviceaccounts", ns.Name},
		"where":  {func() error { _, err := k.WhereIs(ctx, "regcred"); return err }, "list", "secrets", ""},
		"node":   {func() error { _, err := k.Node(ctx, "n"); return err }, "get", "nodes", ""},
		"workload": {func() error {
			_, _, err := k.Workload(ctx, kube.Deployment, ns.Name, "web")
			return err
		}, "get", "deployments", ns.Name},
	} {
		err := c.do()
		var f *kube.Forbidden
		if !errors.As(err, &f) || f.Verb != c.verb || f.Resource != c.resource || f.Namespace != c.namespace || !strings.HasPrefix(f.User, "user-") {
			t.Errorf("%s: %#v, want %s %s in %q", what, err, c.verb, c.resource, c.namespace)
		}
	}
	// What the hint says to an admin is what helps.
	_, err := k.Secret(ctx, ns.Name, "regcred")
	var f *kube.Forbidden
	if !errors.As(err, &f) {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(f.Hint(), ": ")
	for command := range strings.SplitSeq(commands, "; ") {
		ns.Kubectl(strings.Fields(strings.ReplaceAll(command, "NAME", "allowed"))[1:]...)
	}
	for range 50 { // the authorizer hears of it by a watch
		if _, err = k.Secret(ctx, ns.Name, "regcred"); reason(err) == kube.NotFound {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("after %s: %v", f.Hint(), err)
}

// TestUse: in the list once, at its end; others' entries and order stay.
func TestUse(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	k := open(t, ns.Kubeconfig)
	ctx := t.Context()
	ns.Apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: app, annotations: {note: kept}}\nimagePullSecrets: [{name: z}, {name: a}]\nautomountServiceAccountToken: false\n")
	for _, want := range []kube.Result{kube.Changed, kube.Unchanged} {
		if got, err := k.Use(ctx, ns.Name, "app", "regcred"); err != nil || got != want {
			t.Fatalf("use: %q %v, want %s", got, err, want)
		}
	}
	a, err := k.Account(ctx, ns.Name, "app")
	if err != nil || !slices.Equal(a.PullSecrets, []string{"z", "a", "regcred"}) {
		t.Errorf("the list is %v, %v", a.PullSecrets, err)
	}
	if n := len(a.ListOwners); n == 0 || a.ListOwners[n-1].Manager != kube.Manager || a.ListOwners[n-1].At.IsZero() {
		t.Errorf("its owners are %+v", a.ListOwners)
	}
	if got := ns.Kubectl("get", "serviceaccount", "app", "-o", "jsonpath={.metadata.annotations.note} {.automountServiceAccountToken}"); got != "kept false" {
		t.Errorf("the rest is %q", got)
	}
	for _, want := range []kube.Result{kube.Changed, kube.Unchanged} {
		if got, err := k.Unuse(ctx, ns.Name, "app", "z"); err != nil || got != want {
			t.Errorf("unuse: %q %v, want %s", got, err, want)
		}
	}
	if a, err := k.Account(ctx, ns.Name, "app"); err != nil || !slices.Equal(a.PullSecrets, []string{"a", "regcred"}) {
		t.Errorf("the list is %v, %v", a.PullSecrets, err)
	}
	for _, name := range []string{"a", "regcred"} {
		if _, err := k.Unuse(ctx, ns.Name, "app", name); err != nil {
			t.Error(err)
		}
	}
	if a, err := k.Account(ctx, ns.Name, "app"); err != nil || !a.Exists || len(a.PullSecrets) != 0 {
		t.Errorf("emptied: %+v, %v", a, err)
	}
	if _, err := k.Use(ctx, ns.Name, "absent", "regcred"); reason(err) != kube.NotFound {
		t.Errorf("no account: %v", err)
	}
	if a, err := k.Account(ctx, ns.Name, "absent"); err != nil || a.Exists {
		t.Errorf("no account: %+v, %v", a, err)
	}
}

// TestUseTogether: eight writers at a time, and another manager that writes
// the whole list with its version, lose nobody's entry.
func TestUseTogether(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	ns.Kubectl("patch", "serviceaccount", "default", "--type=merge", "-p", `{"imagePullSecrets":[{"name":"first"}]}`)
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		k := open(t, ns.Kubeconfig)
		wg.Go(func() {
			for i := range each {
				if _, err := k.Use(context.Background(), ns.Name, "default", fmt.Sprintf("s-%d-%d", w, i)); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	a, err := open(t, ns.Kubeconfig).Account(t.Context(), ns.Name, "default")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, n := range a.PullSecrets {
		seen[n] = true
	}
	if len(a.PullSecrets) != writers*each+1 || len(seen) != len(a.PullSecrets) || a.PullSecrets[0] != "first" {
		t.Errorf("%d entries, %d different, the first is %s; want %d", len(a.PullSecrets), len(seen), a.PullSecrets[0], writers*each+1)
	}
}

// TestPullSecrets: by type, by looks, by a list that names it; in pages.
func TestPullSecrets(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, other := c.Namespace(t), c.Namespace(t)
	k := open(t, ns.Kubeconfig, func(o *kube.Options) { o.Page = 3 })
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		apply(t, k, secret(ns.Name, n), kube.Created)
	}
	apply(t, k, secret(other.Name, "b"), kube.Created)
	ns.Kubectl("create", "secret", "generic", "looks", "--from-literal=.dockerconfigjson={}")
	ns.Kubectl("create", "secret", "generic", "named", "--from-literal=password=x")
	ns.Kubectl("create", "secret", "generic", "pod-named", "--from-literal=password=x")
	ns.Kubectl("create", "secret", "generic", "unrelated", "--from-literal=config.json={}", "--from-literal=password=x")
	ns.Kubectl("create", "secret", "generic", "misspelt", "--type=kubernetes.io/dockerconfig", "--from-literal=x=y")
	if _, err := k.Use(t.Context(), ns.Name, "default", "named"); err != nil {
		t.Fatal(err)
	}
	ns.Apply(harness.Pod("p", "registry.example/app:v1", "pod-named"))
	var got []string
	for s, err := range k.PullSecrets(t.Context(), ns.Name) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Name)
	}
	if want := []string{"a", "b", "c", "d", "e", "f", "g", "looks", "misspelt", "named", "pod-named"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	where, err := k.WhereIs(t.Context(), "b")
	if err != nil || !slices.Contains(where, ns.Name) || !slices.Contains(where, other.Name) || len(where) != 2 {
		t.Errorf("b is in %v, %v", where, err)
	}
	names, err := k.SecretNames(t.Context(), ns.Name)
	if err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("the first page of names is %v, %v", names, err)
	}
}

// TestPullSecretsWhereAllowed: who may read some namespaces only is told of
// the others, and gets those.
func TestPullSecretsWhereAllowed(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, other := c.Namespace(t), c.Namespace(t)
	apply(t, open(t, ns.Kubeconfig), secret(ns.Name, "regcred"), kube.Created)
	user := ns.User("- apiGroups: [\"\"]\n  resources: [secrets]\n  verbs: [list]")
	k := open(t, user.Kubeconfig)
	for s, err := range k.PullSecrets(t.Context(), "") {
		var f *kube.Forbidden
		if !errors.As(err, &f) || f.Resource != "secrets" || f.Namespace != "" {
			t.Errorf("without the right to list namespaces: %v, %v", s, err)
		}
	}
	name := strings.TrimSpace(user.Kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"))
	ns.Kubectl("create", "clusterrole", name, "--verb=list", "--resource=namespaces")
	ns.Kubectl("create", "clusterrolebinding", name, "--clusterrole="+name, "--user="+name)
	t.Cleanup(func() {
		ns.Kubectl("delete", "clusterrolebinding", name)
		ns.Kubectl("delete", "clusterrole", name)
	})
	for range 50 {
		if _, err := firstNamespace(t, k); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	read, unread := 0, map[string]bool{}
	for s, err := range k.PullSecrets(t.Context(), "") {
		var f *kube.Forbidden
		switch {
		case err == nil && s.ID() == ns.Name+"/regcred":
			read++
		case errors.As(err, &f) && f.Namespace == s.Namespace:
			unread[s.Namespace] = true
		default:
			t.Errorf("%s: %v", s, err)
		}
	}
	if read != 1 || !unread[other.Name] || unread[ns.Name] {
		t.Errorf("%d read, not read: %v", read, unread)
	}
}

func firstNamespace(t *testing.T, k *kube.Cluster) (string, error) {
	t.Helper()
	for n, err := range k.Namespaces(t.Context(), "") {
		return n.Name, err
	}
	return "", nil
}

// TestWriteOnly: the rights that the document names are enough: who may write
// secrets need not be allowed to read them.
func TestWriteOnly(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	k := open(t, ns.User("- apiGroups: [\"\"]\n  resources: [secrets]\n  verbs: [patch, create]").Kubeconfig)
	apply(t, k, secret(ns.Name, "regcred"), kube.Created)
	apply(t, k, secret(ns.Name, "regcred"), kube.Changed) // it cannot know
	k = open(t, ns.User("- apiGroups: [\"\"]\n  resources: [secrets]\n  verbs: [patch]").Kubeconfig)
	var f *kube.Forbidden
	if _, err := k.Apply(t.Context(), secret(ns.Name, "other"), false); !errors.As(err, &f) || f.Verb != "create" {
		t.Errorf("without create: %v", err)
	}
	k = open(t, ns.User("- apiGroups: [\"\"]\n  resources: [serviceaccounts]\n  verbs: [get, patch]").Kubeconfig)
	if got, err := k.Use(t.Context(), ns.Name, "default", "regcred"); err != nil || got != kube.Changed {
		t.Errorf("use: %q %v", got, err)
	}
}
