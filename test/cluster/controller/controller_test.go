package controller_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestSecretSource goes through the life of a policy whose credential is a
// Secret.
func TestSecretSource(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	ns.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	name := "p-" + r.Name
	r.policy(name, "{host: registry.example, secret: {name: hub}}")
	before := r.has(ns, "registry.example", "theirs,"+r.secret)
	r.condition(r.Namespace, "clusterpullsecret", name, "Ready", "Ready")

	ns.Kubectl("patch", "secret", r.secret, "-p", `{"data":{".dockerconfigjson":"e30="}}`)
	after := r.has(ns, "registry.example", "theirs,"+r.secret)
	if after.Metadata.UID != before.Metadata.UID {
		t.Error("an edit was repaired by another secret")
	}
	ns.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"},{"name":"more"}]}`)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	ns.Kubectl("delete", "secret", r.secret)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)

	r.source("hub", "other, "+ns.Name)
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.source("hub", "other")
	r.gone(ns, "theirs,more")
	r.condition(r.Namespace, "clusterpullsecret", name, "Ready", "SourceNotAllowed")
	r.source("hub", "*")
	r.has(ns, "registry.example", "theirs,more,"+r.secret)
	r.Kubectl("delete", "clusterpullsecret", name)
	r.gone(ns, "theirs,more")
}

// TestNotOurs: a secret that somebody else made stays as it is.
func TestNotOurs(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	ns.PullSecret(r.secret, harness.Login{Host: "theirs.example", User: "u", Password: "p"})
	before, _ := get(t, ns, "secret", r.secret)
	name := "p-" + r.Name
	r.policy(name, "{host: registry.example, secret: {name: hub}}")
	r.condition(r.Namespace, "clusterpullsecret", name, "Ready", "NotOurs")
	if after, _ := get(t, ns, "secret", r.secret); after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Error("it was written")
	}
}

// TestRefusedSpecs: the schema names the field.
func TestRefusedSpecs(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	for registry, want := range map[string]string{
		"{host: registry.example}":                                                "give one of fairlead and secret",
		"{host: Registry.Example, secret: {name: a}}":                             "registries[0].host",
		"{host: registry.example, fairlead: {tokenSecret: a, lifetime: 1m}}":      "lifetime must be 1h to 8760h",
		"{host: registry.example, fairlead: {tokenSecret: a, lifetime: 2h}}":      "renewAfter must be less than lifetime",
		"{host: registry.example, fairlead: {tokenSecret: a, renewAfter: 1m}}":    "renewAfter must be 10m at least",
		"{host: registry.example, secret: {name: a}, fairlead: {tokenSecret: a}}": "give one of fairlead and secret",
		"{host: registry.example, namespaces: [UPPER], secret: {name: a}}":        "namespaces",
	} {
		text := fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: bad}\nspec: {registries: [%s]}\n", registry)
		if got := r.Run(text, filepath.Join(c.Bin, "kubectl"), "apply", "-f", "-"); got.Code == 0 || !strings.Contains(got.Stderr, want) {
			t.Errorf("%s: %d %s, want %s", registry, got.Code, got.Stderr, want)
		}
	}
}

// TestMinted: tokens of a Fairlead; a restart mints nothing, and a registry
// that is away withdraws nothing.
func TestMinted(t *testing.T) {
	c := harness.Cluster(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	var made struct{ Value string }
	s.Manage(t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "cluster": "test", "nonExpiring": true}, &made)
	r := run(t, c)
	r.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: cluster, annotations: {fairlead.dev/namespaces: \"*\"}}\nstringData: {url: \"http://%s\", token: %s}\n", s.Host, made.Value))
	ns := r.chosen(c)
	name := "p-" + r.Name
	r.policy(name, fmt.Sprintf("{host: %q, namespaces: [acme-web], fairlead: {tokenSecret: cluster}}", s.Host))
	before := r.has(ns, s.Host+"/acme-web/", r.secret)
	r.condition(r.Namespace, "clusterpullsecret", name, "CredentialsReady", "Ready")
	tokens := func() int {
		var page struct {
			Items []struct{ Cluster, Access string }
		}
		s.Manage(t, "GET", "tokens?account=acme", nil, &page)
		n := 0
		for _, one := range page.Items {
			if one.Cluster == "test" && one.Access == "readonly" {
				n++
			}
		}
		return n
	}
	r.stop()
	ns.Kubectl("delete", "secret", r.secret)
	r.start()
	after := r.has(ns, s.Host+"/acme-web/", r.secret)
	if string(after.Data[".dockerconfigjson"]) != string(before.Data[".dockerconfigjson"]) {
		t.Error("the restart changed the credential")
	}
	if n := tokens(); n != 1 {
		t.Errorf("%d tokens were minted, want 1", n)
	}
	if strings.Contains(r.log.String(), "flt_") {
		t.Error("a token is in the log")
	}
	time.Sleep(3 * time.Second)
	if steady, _ := get(t, ns, "secret", r.secret); steady.Metadata.ResourceVersion != after.Metadata.ResourceVersion {
		t.Error("it is written without need")
	}
}
