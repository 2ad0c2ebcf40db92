package controller_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestNotOurs: a secret that somebody else made stays as it is.
func TestNotOurs(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{\"auths\":{}}'}\n", r.secret, ns)
	before := r.pull(ns)
	p := r.policy(hub)
	r.condition(p, "Ready", "NotOurs")
	if after := r.pull(ns); after.ResourceVersion != before.ResourceVersion || r.list(ns, "default") != "" {
		t.Error("something was written")
	}
	r.event(ns, r.secret, "NotOurs", p.Name)
	r.remove(before)
	r.has(ns, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")
}

// event waits for one about an object.
func (r *running) event(namespace, object, reason, text string) {
	r.t.Helper()
	harness.Until(r.t, "the event "+reason, func() error {
		var all corev1.EventList
		if err := r.api.List(r.t.Context(), &all, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, e := range all.Items {
			if e.InvolvedObject.Name == object && e.Reason == reason && strings.Contains(e.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("there are %d others", len(all.Items))
	})
}

// TestConflict: of policies that want one name the oldest has it, the other is
// told, and has it once the first is gone.
func TestConflict(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	first := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	time.Sleep(1100 * time.Millisecond) // ages are in whole seconds
	r.apply("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: a, namespace: %s}\nspec: {secretName: %s, registries: [{host: another.example, secret: {name: hub}}]}\n", ns, r.secret)
	second := ownPolicy(ns, "a")
	if text := r.condition(second, "Ready", "Conflict"); !strings.Contains(text, first.Name) {
		t.Errorf("%q does not name the other", text)
	}
	r.condition(first, "Ready", "Ready")
	r.event(ns, r.secret, "Conflict", "ClusterPullSecret/"+first.Name)
	if got := r.pull(ns); password(got, "another.example") != "" {
		t.Error("two policies were merged")
	}
	r.remove(first)
	r.has(ns, "another.example", r.secret)
	r.condition(second, "Ready", "Ready")
}

// TestBadSelector: what was made stays until the selector is corrected.
func TestBadSelector(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	p := r.policy(hub)
	before := r.has(ns, "registry.example", r.secret)
	r.policy(hub, "serviceAccounts: {selector: {matchExpressions: [{key: a, operator: Near, values: [b]}]}}")
	if text := r.condition(p, "Ready", "BadSelector"); !strings.Contains(text, "serviceAccounts.selector") {
		t.Errorf("%q does not name the field", text)
	}
	if after := r.has(ns, "registry.example", r.secret); after.ResourceVersion != before.ResourceVersion {
		t.Error("something was written")
	}
	r.policy(hub)
	r.condition(p, "Ready", "Ready")
}

// TestBadSources: each is said by its name, writes nothing that a pod would
// stumble over, and is over once it is corrected.
func TestBadSources(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	ns := r.chosen(c)
	for _, one := range []struct{ name, kind, data, registry, reason, says string }{
		{"missing", "", "", "host: registry.example", "SourceMissing", "no Secret missing"},
		{"opaque", "Opaque", "{a: b}", "host: registry.example", "SourceMalformed", "has the type Opaque"},
		{"half", "kubernetes.io/basic-auth", "{username: robot}", "host: registry.example", "SourceMalformed", "lacks username or password"},
		{"text", "kubernetes.io/dockerconfigjson", `{.dockerconfigjson: '{"auths":{"registry.example":{"auth":"!!!!"}}}'}`, "host: registry.example", "SourceMalformed", "registry.example"},
		{"other", "kubernetes.io/dockerconfigjson", `{.dockerconfigjson: '{"auths":{"other.example":{"username":"u","password":"p"}}}'}`, "host: registry.example", "SourceMalformed", "for registry.example"},
		{"two", "kubernetes.io/dockerconfigjson", `{.dockerconfigjson: '{"auths":{"registry.example/one":{"username":"u","password":"p"},"registry.example/two":{"username":"u","password":"q"}}}'}`, "host: registry.example, namespaces: [one, two]", "SourceMalformed", "different users"},
		{"colon", "kubernetes.io/basic-auth", "{username: 'a:b', password: p}", "host: registry.example", "EntryInvalid", "colon"},
		{"line", "kubernetes.io/basic-auth", `{username: a, password: "p\n"}`, "host: registry.example", "EntryInvalid", "line"},
		{"large", "kubernetes.io/basic-auth", "{username: a, password: " + strings.Repeat("x", 900_000) + "}", "host: registry.example", "TooLarge", "bytes"},
		{"address", "kubernetes.io/basic-auth", "{username: a, password: b}", "host: '[::1]'", "EntryInvalid", "[::1]"},
	} {
		if one.kind != "" {
			r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: '*'}}\ntype: %s\nstringData: %s\n", one.name, one.kind, one.data)
		}
		p := r.policy("{" + one.registry + ", secret: {name: " + one.name + "}}")
		if text := r.condition(p, "Ready", one.reason); !strings.Contains(text, one.says) {
			t.Errorf("%s: %q does not say %q", one.name, text, one.says)
		}
		if strings.HasPrefix(one.reason, "Source") {
			r.condition(p, "CredentialsReady", one.reason)
		}
		if r.pull(ns) != nil || r.list(ns, "default") != "" {
			t.Errorf("%s: something was written", one.name)
		}
	}
	r.source("missing", "*")
	p := r.policy("{host: registry.example, secret: {name: missing}}, {host: b.example, secret: {name: no-such}}")
	r.has(ns, "registry.example", r.secret)
	r.condition(p, "Ready", "SourceMissing")
	r.source("no-such", "*")
	before := r.has(ns, "b.example", r.secret)
	r.condition(p, "Ready", "Ready")

	// Who makes a source anew finds the same secret, and withdraws nothing
	// meanwhile.
	r.Kubectl("delete", "secret", "missing", "no-such")
	r.condition(p, "Ready", "SourceMissing")
	r.has(ns, "registry.example", r.secret)
	r.apply(`apiVersion: v1
kind: Secret
metadata: {name: missing, annotations: {fairlead.dev/namespaces: '*'}}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{"registry.example":{"username":"another","password":"p"}}}'}
`)
	after := r.has(ns, "another", r.secret)
	if after.UID != before.UID || !strings.Contains(string(after.Data[".dockerconfigjson"]), "b.example") {
		t.Errorf("the secret is another: %s", after.Data)
	}
	// No longer allowed is withdrawn.
	r.Kubectl("annotate", "secret", "missing", "fairlead.dev/namespaces=other", "--overwrite")
	harness.Until(t, "the entry goes", func() error {
		if s := r.pull(ns); s == nil || strings.Contains(string(s.Data[".dockerconfigjson"]), "registry.example") {
			return errors.New("it is there")
		}
		return nil
	})
}

// TestNames: a name that was not given at the start is neither read nor
// written.
func TestNames(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	p := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	r.patch(p, `{"spec":{"secretName":"another"}}`)
	if text := r.condition(p, "Ready", "NameNotPermitted"); !strings.Contains(text, r.secret) {
		t.Errorf("%q does not say which are", text)
	}
	r.gone(ns, "")
	if r.read(secretOf(ns, "another")) {
		t.Error("it was written")
	}
}

// TestImmutable: one of ours that cannot be changed any more is made anew.
func TestImmutable(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	p := r.policy(hub)
	before := r.has(ns, "registry.example", r.secret)
	r.patch(before.DeepCopy(), `{"immutable":true}`)
	time.Sleep(500 * time.Millisecond)
	if same := r.pull(ns); same.UID != before.UID {
		t.Error("it was made anew without need")
	}
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: hub, annotations: {fairlead.dev/namespaces: '*'}}\ntype: kubernetes.io/basic-auth\nstringData: {username: robot, password: changed}\n")
	harness.Until(t, "the change", func() error {
		if s := r.pull(ns); s == nil || password(s, "registry.example") != "changed" {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	r.condition(p, "Ready", "Ready")
	if r.list(ns, "default") != r.secret {
		t.Error("the list lost the name")
	}
}

// TestRefused: a quota, an admission policy and a namespace that ends stop one
// namespace, are said, and are over when they are gone.
func TestRefused(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	rule := "no-" + r.secret
	r.apply(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]}
  validations: [{expression: "object.metadata.name != '%[2]s' || !(object.metadata.namespace == '%[3]s')", message: no pull secrets here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, rule, r.secret, "placeholder")
	t.Cleanup(func() {
		r.Kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", rule, "--ignore-not-found")
	})
	quota, ruled, good := c.Namespace(t).Name, c.Namespace(t).Name, c.Namespace(t).Name
	r.noSecrets(quota)
	r.Kubectl("patch", "validatingadmissionpolicy", rule, "--type=json", "-p",
		fmt.Sprintf(`[{"op":"replace","path":"/spec/validations/0/expression","value":"object.metadata.name != '%s' || object.metadata.namespace != '%s'"}]`, r.secret, ruled))
	harness.Until(t, "the rule", func() error {
		err := r.try(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\n", r.secret, ruled))
		if err != nil && strings.Contains(err.Error(), "no pull secrets here") {
			return nil
		}
		r.remove(secretOf(ruled, r.secret))
		if err == nil {
			return errors.New("it is not in force")
		}
		return fmt.Errorf("it is not in force: %w", err)
	})
	for _, ns := range []string{quota, ruled, good} {
		r.patch(&corev1.Namespace{ObjectMeta: named("", ns)}, `{"metadata":{"labels":{"team":"`+r.Name+`"}}}`)
	}
	p := r.policy(hub)
	r.has(good, "registry.example", r.secret)
	text := r.condition(p, "Ready", "WriteFailed")
	if !strings.Contains(text, "exceeded quota") && !strings.Contains(text, "no pull secrets here") || !strings.Contains(text, "1 other") {
		t.Errorf("the condition says %q", text)
	}
	r.event(quota, r.secret, "WriteFailed", "exceeded quota")
	r.event(ruled, r.secret, "WriteFailed", "no pull secrets here")
	for _, ns := range []string{quota, ruled} {
		if r.list(ns, "default") != "" {
			t.Error("a list names what is not there")
		}
	}
	if p.Status.Namespaces != 3 || p.Status.Ready != 1 || p.Status.Failing != 2 {
		t.Errorf("the counts are %+v", p.Status)
	}
	r.Kubectl("delete", "resourcequota", "none", "-n", quota)
	r.Kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", rule)
	r.has(quota, "registry.example", r.secret)
	r.has(ruled, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")
}

// TestAccountDeleted: a service account that is deleted just before its list is
// written, and made again by the cluster, has the name all the same; one that
// nobody makes again is forgotten.
func TestAccountDeleted(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	var once sync.Once
	p.before = func(w write) {
		if strings.HasPrefix(w.what, "PATCH serviceaccounts/") {
			once.Do(func() { // the API server answers when it is gone
				for _, name := range []string{"default", "build"} {
					if err := r.api.Delete(t.Context(), accountOf(w.namespace, name)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	r.source("hub", "*")
	ns := c.Namespace(t).Name
	r.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: build, namespace: %s}\n", ns)
	r.Kubectl("label", "namespace", ns, "team="+r.Name)
	policy := r.policy(hub, "serviceAccounts: {all: true}")
	r.has(ns, "registry.example", r.secret)
	r.condition(policy, "Ready", "Ready")
	if r.read(accountOf(ns, "build")) {
		t.Error("the controller made an account")
	}
	if n := len(p.writes("PATCH serviceaccounts/")); n > 8 {
		t.Errorf("it took %d writes", n)
	}
}

// noSecrets gives a namespace the ResourceQuota none, of no secret.
func (r *running) noSecrets(namespace string) {
	r.t.Helper()
	r.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: %s}\nspec: {hard: {count/secrets: '0'}}\n", namespace)
	limit := &corev1.ResourceQuota{ObjectMeta: named(namespace, "none")} // the cluster of the tests has no controller that does this
	if err := r.api.Status().Patch(r.t.Context(), limit, client.RawPatch(types.MergePatchType, []byte(`{"status":{"hard":{"count/secrets":"0"},"used":{"count/secrets":"0"}}}`))); err != nil {
		r.t.Fatal(err)
	}
}

// TestTerminating: a namespace that is about to go is left alone, and counted
// no more.
func TestTerminating(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns, stays := r.chosen(c), r.chosen(c)
	p := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	r.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: holds, namespace: %s, finalizers: [test.example/hold]}\n", ns)
	holds := &corev1.ConfigMap{ObjectMeta: named(ns, "holds")}
	let := func() {
		_ = r.api.Patch(ended, holds, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	}
	t.Cleanup(let)
	r.remove(&corev1.Namespace{ObjectMeta: named("", ns)})
	harness.Until(t, "the secret goes", func() error {
		if r.pull(ns) != nil {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	r.has(stays, "registry.example", r.secret)
	harness.Until(t, "the count", func() error {
		if r.read(p); p.Status.Namespaces != 1 || p.Status.Failing != 0 {
			return fmt.Errorf("%+v", p.Status)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	if n := strings.Count(r.log.String(), "Reconciler error"); n > 2 {
		t.Errorf("it tried %d times", n)
	}
	let()
}
