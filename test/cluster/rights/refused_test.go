package rights_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestCannotReadAnotherSecret: by rights.
func TestCannotReadAnotherSecret(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	ns.Kubectl("create", "secret", "generic", "app", "--from-literal=password="+password)
	for _, args := range [][]string{
		{"get", "secret", "app", "-n", ns.Name},
		{"get", "secrets", "-n", ns.Name},
		{"get", "secrets", "-A"},
		{"get", "secrets", "-n", ns.Name, "--watch"},
		{"get", "secrets", "-n", ns.Name, "--field-selector", "metadata.name=app"},
	} {
		s.refused(s.keeper, forbidden, "", args...)
	}
	s.refusedRequest(forbidden, "GET", ns.Name+"/secrets/"+pull, "", "") // not even its own: it watches
	s.refusedRequest(forbidden, "PATCH", ns.Name+"/secrets/app", mergePatch, "{}")
	s.refusedRequest(forbidden, "DELETE", ns.Name+"/secrets/app", "", "")
	s.refusedRequest(forbidden, "DELETE", ns.Name+"/secrets", "", "")
}

// secret is YAML of one, with our annotation if a policy is named.
func secret(namespace, name, kind, policy string) string {
	data := "{}"
	switch kind {
	case "kubernetes.io/dockerconfigjson":
		data = `{.dockerconfigjson: '{"auths":{}}'}`
	case "kubernetes.io/tls":
		data = "{tls.crt: '', tls.key: ''}"
	}
	notes := map[string]string{}
	if policy != "" {
		notes["fairlead.dev/policy"] = policy
	}
	if kind == "kubernetes.io/service-account-token" {
		notes["kubernetes.io/service-account.name"] = "default"
	}
	var annotations []string
	for k, v := range notes {
		annotations = append(annotations, fmt.Sprintf("%s: %q", k, v))
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s, annotations: {%s}}\ntype: %s\nstringData: %s\n", name, namespace, strings.Join(annotations, ", "), kind, data)
}

// apply is what the controller does.
var apply = []string{"apply", "--server-side", "--force-conflicts", "--field-manager=fairlead", "-f", "-"}

const (
	dockerType = "kubernetes.io/dockerconfigjson"
	tokenType  = "kubernetes.io/service-account-token" //nolint:gosec // a type
	policyName = "ClusterPullSecret/any"
)

// TestCannotMakeServiceAccountToken: under the permitted name, and in the
// controller's namespace under any; the controllers of the cluster would put a
// token into such a secret, and the name may be read.
func TestCannotMakeServiceAccountToken(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	for _, one := range []struct{ namespace, name, kind, policy string }{
		{ns.Name, pull, tokenType, policyName},
		{ns.Name, pull, tokenType, ""},
		{"kube-system", pull, tokenType, policyName},
		{ns.Name, pull, "Opaque", policyName},
		{ns.Name, pull, "kubernetes.io/dockercfg", policyName},
		{ns.Name, pull, dockerType, ""}, // nobody would know whose it is
		{harness.System, pull, tokenType, policyName},
		{harness.System, "fairlead-state-0", tokenType, policyName},
		{harness.System, "fairlead-webhook", tokenType, policyName},
		{harness.System, "fairlead-webhook", dockerType, policyName},
		{harness.System, "some", tokenType, policyName},
		{harness.System, "some", dockerType, policyName},
		{harness.System, "some", "Opaque", policyName},
	} {
		text := secret(one.namespace, one.name, one.kind, one.policy)
		if one.kind == "kubernetes.io/dockercfg" {
			text = strings.Replace(text, "stringData: {}", "stringData: {.dockercfg: '{}'}", 1)
		}
		s.refused(s.keeper, denied, text, apply...)
	}
	s.refused(s.keeper, denied, secret(harness.System, pull, tokenType, policyName), "create", "-f", "-")
	s.refused(s.keeper, denied, strings.Replace(secret(harness.System, "x", tokenType, ""), "name: x", "generateName: fairlead-state-", 1), "create", "-f", "-")
	s.refused(s.keeper, denied, strings.Replace(secret(harness.System, "x", "Opaque", ""), "name: x", "generateName: some-", 1), "create", "-f", "-")
	s.refused(s.keeper, forbidden, "", "create", "token", "default", "-n", "kube-system")
	s.refused(s.keeper, forbidden, "", "create", "token", harness.Keeper)
	// What it may, lest everything be refused.
	for _, one := range []struct{ namespace, name, kind string }{
		{ns.Name, pull, dockerType},
		{harness.System, pull, dockerType},
		{harness.System, "fairlead-state-0", dockerType},
		{harness.System, "fairlead-webhook", "kubernetes.io/tls"},
	} {
		s.keeper.Input(secret(one.namespace, one.name, one.kind, policyName), apply...)
	}
}

// TestCannotTouchOthersSecrets: one of the permitted name that is not ours, and
// sources.
func TestCannotTouchOthersSecrets(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	ns.PullSecret(pull, harness.Login{Host: "theirs.example", User: "u", Password: "p"})
	s.source("hub", "robot", "*")
	before, _ := get(t, ns, "secret", pull)
	s.refused(s.keeper, denied, secret(ns.Name, pull, dockerType, policyName), apply...)
	s.refusedRequest(denied, "PATCH", ns.Name+"/secrets/"+pull, mergePatch, `{"metadata":{"annotations":{"fairlead.dev/policy":"any"}}}`)
	s.refusedRequest(denied, "DELETE", ns.Name+"/secrets/"+pull, "", "")
	s.refusedRequest(denied, "DELETE", harness.System+"/secrets/hub", "", "")
	s.refusedRequest(denied, "PATCH", harness.System+"/secrets/hub", mergePatch, `{"metadata":{"annotations":{"fairlead.dev/namespaces":"kube-public"}}}`)
	if after, is := get(t, ns, "secret", pull); !is || after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Error("it was touched")
	}
}

// TestCannotHoldNamespaces: a finalizer of a secret would keep its namespace
// from ending.
func TestCannotHoldNamespaces(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	const owner = `ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b}]`
	for _, more := range []string{"finalizers: [a.example/b]", owner} {
		s.refused(s.keeper, denied, strings.Replace(secret(ns.Name, pull, dockerType, policyName), "metadata: {", "metadata: {"+more+", ", 1), apply...)
	}
	s.keeper.Input(secret(ns.Name, pull, dockerType, policyName), apply...)
	mine := ns.Name + "/secrets/" + pull
	s.refusedRequest(denied, "PATCH", mine, mergePatch, `{"metadata":{"finalizers":["a.example/b"]}}`)
	s.refusedRequest(denied, "PATCH", mine, mergePatch, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]}}`)
	// Another's stays, and does not keep the controller from its work.
	ns.Kubectl("patch", "secret", pull, "--type=merge", "-p", `{"metadata":{"finalizers":["a.example/b"]}}`)
	s.keeper.Input(secret(ns.Name, pull, dockerType, "ClusterPullSecret/other"), apply...)
	s.refusedRequest(denied, "PATCH", mine, mergePatch, `{"metadata":{"finalizers":null}}`)
	ns.Kubectl("patch", "secret", pull, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
}

// TestCannotChangeOtherFields of a service account than its list, and of that
// others' names.
func TestCannotChangeOtherFields(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	ns.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"}],"metadata":{"labels":{"team":"a"},"annotations":{"note":"kept"}}}`)
	account := ns.Name + "/serviceaccounts/default"
	for _, body := range []string{
		`{"metadata":{"labels":{"team":"b"}}}`,
		`{"metadata":{"labels":{"team":"b","new":"b"}}}`,
		`{"metadata":{"labels":{"team":null,"new":"b"}}}`,
		`{"metadata":{"labels":null}}`,
		`{"metadata":{"annotations":{"note":null}}}`,
		`{"metadata":{"annotations":{"note":"other"}}}`,
		`{"metadata":{"annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::1:role/admin"}}}`, // would give the account another's rights
		`{"metadata":{"finalizers":["a.example/b"]}}`,
		`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"a","uid":"b"}]}}`,
		`{"secrets":[{"name":"any"}]}`,
		`{"automountServiceAccountToken":true}`,
		`{"imagePullSecrets":[]}`,
		`{"imagePullSecrets":null}`,
		`{"imagePullSecrets":[{"name":"fairlead-pull"}]}`,
		`{"imagePullSecrets":[{"name":"theirs"},{"name":"other"}]}`,
		`{"imagePullSecrets":[{"name":"theirs"},{"name":"fairlead-pull"}],"metadata":{"labels":{"team":"b"}}}`,
	} {
		s.refusedRequest(denied, "PATCH", account, mergePatch, body)
	}
	for _, body := range []string{
		`{"imagePullSecrets":[{"name":"theirs"},{"name":"fairlead-pull"}],"metadata":{"annotations":{"fairlead.dev/pull-secrets":"fairlead-pull"}}}`,
		`{"imagePullSecrets":[{"name":"theirs"}],"metadata":{"annotations":{"fairlead.dev/pull-secrets":null}}}`,
	} {
		if status, answer := s.keeper.Request("PATCH", "/api/v1/namespaces/"+account, mergePatch, body); status != 200 {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	s.refusedRequest(forbidden, "DELETE", account, "", "")
	s.refusedRequest(forbidden, "POST", ns.Name+"/serviceaccounts", jsonType, `{"metadata":{"name":"new"}}`)
	s.refusedRequest(forbidden, "POST", account+"/token", jsonType, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`)
}

// TestNobodyElseIsBound: the policies of admission are about the controller's
// account alone, and the API server finds no fault with them.
func TestNobodyElseIsBound(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	ns.Kubectl("create", "secret", "generic", pull, "--from-literal=a=b")
	ns.Kubectl("delete", "secret", pull)
	ns.Kubectl("label", "serviceaccount", "default", "a=b")
	s.system.Input(secret(harness.System, "some", tokenType, ""), "apply", "-f", "-")
	harness.Until(t, "the policies are checked", func() error {
		got := s.system.Kubectl("get", "validatingadmissionpolicies", "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.status.observedGeneration} {.status.typeChecking}{"\n"}{end}`)
		if want := "fairlead-controller-accounts 1 1 {}\nfairlead-controller-secrets 1 1 {}\nfairlead-controller-webhook 1 1 {}\n"; got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}
