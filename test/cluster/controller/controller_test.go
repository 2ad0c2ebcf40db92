package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/keyring"
	"fairlead.dev/fairlead/test/cluster/harness"
)

const hub = "{host: registry.example, secret: {name: hub}}"

// TestSecretSource goes through the life of a policy whose credential is a
// Secret.
func TestSecretSource(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	account := accountOf(ns, "default")
	r.patch(account, `{"imagePullSecrets":[{"name":"theirs"}]}`)
	p := r.policy(hub)
	before := r.has(ns, "registry.example", "theirs,"+r.secret)
	r.condition(p, "Ready", "Ready")

	r.patch(secretOf(ns, r.secret), `{"data":{".dockerconfigjson":"e30="}}`)
	after := r.has(ns, "registry.example", "theirs,"+r.secret)
	if after.UID != before.UID {
		t.Error("an edit was repaired by another secret")
	}
	r.patch(account, `{"imagePullSecrets":[{"name":"theirs"},{"name":"more"}]}`)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.remove(secretOf(ns, r.secret))
	r.has(ns, "registry.example", "theirs,more,"+r.secret)

	r.source("hub", "other, "+ns)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.source("hub", "other")
	r.gone(ns, "theirs,more")
	r.condition(p, "Ready", "SourceNotAllowed")
	r.source("hub", "*")
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.patch(&corev1.Namespace{ObjectMeta: named("", ns)}, `{"metadata":{"labels":{"team":"another"}}}`)
	r.gone(ns, "theirs,more")
	r.patch(&corev1.Namespace{ObjectMeta: named("", ns)}, `{"metadata":{"labels":{"team":"`+r.Name+`"}}}`)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.remove(p)
	r.gone(ns, "theirs,more")
}

// TestAccounts: a policy names accounts by name and by label, those added later
// as well, and lets go of those that it names no more.
func TestAccounts(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	r.policy(hub, "serviceAccounts: {names: [build], selector: {matchLabels: {pulls: 'yes'}}}")
	r.has(ns, "registry.example", "")
	for _, a := range []string{"build", "other"} {
		r.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", a, ns)
	}
	lists := func(want string) {
		t.Helper()
		harness.Until(t, "the lists", func() error {
			var got []string
			for _, a := range []string{"build", "default", "other"} {
				got = append(got, a+" "+r.list(ns, a))
			}
			if s := strings.ReplaceAll(strings.Join(got, "; "), r.secret, "it"); s != want {
				return fmt.Errorf("%s, want %s", s, want)
			}
			return nil
		})
	}
	lists("build it; default ; other ")
	r.patch(accountOf(ns, "other"), `{"metadata":{"labels":{"pulls":"yes"}}}`)
	lists("build it; default ; other it")
	r.policy(hub, "serviceAccounts: {all: true}")
	lists("build it; default it; other it")
	r.remove(accountOf(ns, "build"))
	r.policy(hub)
	lists("build ; default it; other ")
}

// TestKubeSystem: the secret is there; its accounts name it only if a policy
// says so.
func TestKubeSystem(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	system := &corev1.Namespace{ObjectMeta: named("", "kube-system")}
	r.patch(system, `{"metadata":{"labels":{"team":"`+r.Name+`"}}}`)
	t.Cleanup(func() {
		_ = r.api.Patch(ended, system, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":null}}}`)))
	})
	r.policy(hub)
	r.has("kube-system", "registry.example", "")
	r.policy(hub, "nameInKubeSystem: true")
	r.has("kube-system", "registry.example", r.secret)
	r.policy(hub)
	r.has("kube-system", "registry.example", "")
}

// tries are the users that the kubelet would try for an image with the secret.
func tries(t *testing.T, s *corev1.Secret, name string) string {
	t.Helper()
	image, err := keyring.ParseImage(name)
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, m := range keyring.New(keyring.Source{Name: s.Name, Type: string(s.Type), Data: s.Data}).Match(image) {
		users = append(users, m.Username+" "+m.Password)
	}
	return strings.Join(users, ", ")
}

// TestPublicPulls: what no entry is for is pulled without a credential, as are
// other namespaces of a registry, and two accounts of one stand side by side.
func TestPublicPulls(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	for _, who := range []string{"one", "two"} {
		r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: %[1]s, annotations: {fairlead.dev/namespaces: '*'}}\ntype: kubernetes.io/basic-auth\nstringData: {username: %[1]s, password: pw}\n", who)
	}
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: file, annotations: {fairlead.dev/namespaces: '*'}}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{\"auths\":{\"https://index.docker.io/v1/\":{\"username\":\"hubber\",\"password\":\"hp\",\"email\":\"a@b\"},\"https://other.example/v2/\":{\"auth\":\"b3RoZXI6b3A=\"}}}'}\n")
	ns := r.chosen(c)
	p := r.policy("{host: registry.example, namespaces: [acme-one], secret: {name: one}}, {host: registry.example, namespaces: [acme-two], secret: {name: two}}, {host: docker.io, namespaces: [private-org], secret: {name: file}}, {host: other.example, secret: {name: file}}")
	s := r.has(ns, "other.example", r.secret)
	r.condition(p, "Ready", "Ready")
	for image, want := range map[string]string{
		"registry.example/acme-one/app":   "one pw",
		"registry.example/acme-two/app":   "two pw",
		"registry.example/acme-two-b/app": "",
		"registry.example/public/app":     "",
		"registry.example/provided":       "",
		"nginx":                           "",
		"docker.io/grafana/grafana":       "",
		"private-org/app":                 "hubber hp",
		"other.example/any/app":           "other op",
		"quay.io/any/app":                 "",
	} {
		if got := tries(t, s, image); got != want {
			t.Errorf("for %s the kubelet tries %q, want %q", image, got, want)
		}
	}
}

// TestTenant: a namespace's own policy gets a source that names the namespace,
// and of every other one it learns nothing, not even whether it is there.
func TestTenant(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	s := fairlead(t)
	ns := c.Namespace(t).Name
	r.source("hub", "another")
	s.source(r, "cluster", "another")
	own := func(name, registries string) *v1alpha1.PullSecret {
		r.apply("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: %s, namespace: %s}\nspec:\n  secretName: %s\n  registries: [%s]\n", name, ns, r.secret, registries)
		return ownPolicy(ns, name)
	}
	p := own("mine", hub)
	minted := fmt.Sprintf("{host: %q, fairlead: {tokenSecret: %%s}}", s.Host)
	saw := map[string]string{}
	for _, name := range []string{"hub", "cluster", "no-such"} {
		own("mine", strings.ReplaceAll(hub, "name: hub", "name: "+name))
		saw[name] = r.condition(p, "CredentialsReady", "SourceNotAllowed")
		saw[name] += " " + r.condition(p, "Ready", "SourceNotAllowed")
		own("mine", fmt.Sprintf(minted, name))
		saw[name] += r.condition(p, "CredentialsReady", "SourceNotAllowed")
	}
	for _, name := range []string{"hub", "cluster"} {
		if got := strings.ReplaceAll(saw[name], name, "no-such"); got != saw["no-such"] {
			t.Errorf("it learns that %s is there: %q, not %q", name, got, saw["no-such"])
		}
	}
	if r.pull(ns) != nil || r.list(ns, "default") != "" {
		t.Error("something was written")
	}
	if n := len(s.tokens(t)); n != 0 {
		t.Errorf("%d tokens were minted", n)
	}
	r.source("hub", "another,"+ns)
	own("mine", hub)
	r.has(ns, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")
	r.condition(p, "CredentialsReady", "Ready")
	r.remove(p)
	r.gone(ns, "")

	// What a ClusterPullSecret may use is no namespace's, not even of one that it
	// chooses, whatever the name of a PullSecret; nor is it another's.
	all := "p-" + r.Name
	s.source(r, "cluster", "")
	r.Kubectl("annotate", "secret", "cluster", "fairlead.dev/cluster-pull-secrets="+all)
	chosen := r.chosen(c)
	other := r.policyOf("q-"+r.Name, s.entry(""), "excludeNamespaces: ["+chosen+"]")
	r.condition(other, "CredentialsReady", "SourceNotAllowed")
	r.condition(r.policyOf(all, s.entry("")), "CredentialsReady", "Ready")
	r.has(chosen, s.key(), r.secret)
	p = own(all, s.entry(""))
	r.condition(p, "CredentialsReady", "SourceNotAllowed")
	r.condition(p, "Ready", "SourceNotAllowed")
	if n := len(s.tokens(t)); n != 1 {
		t.Errorf("%d tokens were minted", n)
	}
}

// TestTokensOfTenants: whoever may make PullSecrets makes tokens for those alone
// that have a secret, and no more than sixty at once; the operator's policy gets
// its own meanwhile.
func TestTokensOfTenants(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	s := fairlead(t)
	s.source(r, "cluster", "*")
	chosen, free := r.chosen(c), c.Namespace(t).Name
	all := r.policy(s.entry(""))
	r.condition(all, "Ready", "Ready")
	own := func(ns, name string, hosts int) *v1alpha1.PullSecret {
		var entries []string
		for i := range hosts {
			entries = append(entries, fmt.Sprintf("{host: %s-%d.example, fairlead: {tokenSecret: cluster}}", name, i))
		}
		r.apply("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: %s, namespace: %s}\nspec:\n  secretName: %s\n  registries: [%s]\n", name, ns, r.secret, strings.Join(entries, ", "))
		return ownPolicy(ns, name)
	}
	for i := range 20 {
		own(chosen, fmt.Sprint("loser-", i), 3)
	}
	for i := range 20 {
		p := ownPolicy(chosen, fmt.Sprint("loser-", i))
		r.condition(p, "CredentialsReady", "Conflict")
		r.condition(p, "Ready", "Conflict")
	}
	if tokens, states := len(s.tokens(t)), len(r.states()); tokens != 1 || states != 1 {
		t.Errorf("%d tokens were minted, and %d states remembered", tokens, states)
	}
	p := own(free, "first", 50)
	r.has(free, "first-49.example", r.secret)
	r.remove(p)
	r.gone(free, "")
	p = own(free, "second", 50)
	if text := r.condition(p, "CredentialsReady", "CredentialPending"); !strings.Contains(text, "many tokens") {
		t.Errorf("it says %q", text)
	}
	r.has(free, "second-9.example", r.secret) // what could be had
	if n := len(s.tokens(t)); n != 61 {
		t.Errorf("%d tokens were minted, want 61", n)
	}
	// Its name is as long as names may be.
	more := r.policyOf(strings.Repeat("p", 253-len(r.Name))+r.Name, "{host: more.example, fairlead: {tokenSecret: cluster}}", "excludeNamespaces: ["+chosen+"]")
	r.condition(more, "CredentialsReady", "Ready")
	// The name is free again: its next owner gets a token.
	for i := range 19 {
		r.remove(ownPolicy(chosen, fmt.Sprint("loser-", i)))
	}
	r.remove(all)
	r.has(chosen, "loser-19-2.example", r.secret)
}

// TestHeldPolicy: one that is deleted, but held by somebody's finalizer, counts
// as gone: what was made and its token's state go, nothing is minted, and
// nobody looks at it again and again.
func TestHeldPolicy(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, func(r *running) { r.metrics = freeAddress(t) })
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	r.has(ns, s.key(), r.secret)
	r.condition(p, "Ready", "Ready")
	r.patch(p, `{"metadata":{"finalizers":["test.example/held"]}}`)
	t.Cleanup(func() {
		_ = r.api.Patch(ended, p, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	})
	r.remove(p)
	r.gone(ns, "")
	r.stateless()
	const looks = `controller_runtime_reconcile_total{controller="policy",result="requeue_after"} `
	before := r.metric(looks)
	time.Sleep(1500 * time.Millisecond)
	if after := r.metric(looks); after != before {
		t.Errorf("it is looked at again: %s times, then %s", before, after)
	}
	if !r.read(p) || len(r.states()) > 0 || len(s.tokens(t)) != 1 {
		t.Errorf("the states are %v, the tokens %v", r.states(), s.tokens(t))
	}
}

// TestSeries: what the metrics say of a token goes with its registry.
func TestSeries(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, func(r *running) { r.metrics = freeAddress(t) })
	s.source(r, "cluster", "*")
	r.source("hub", "*")
	p := r.policy(s.entry(""))
	r.condition(p, "CredentialsReady", "Ready")
	series := fmt.Sprintf("fairlead_controller_credential_expires_timestamp_seconds{host=%q,policy=%q} ", s.Host+"/acme-web", "ClusterPullSecret/"+p.Name)
	if r.metric(series) == "" {
		t.Fatalf("there is no %s", series)
	}
	r.policy(hub)
	r.condition(p, "CredentialsReady", "Ready")
	if got := r.metric(series); got != "" {
		t.Errorf("it says %s of a registry that left", got)
	}
}
