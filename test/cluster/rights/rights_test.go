package rights_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestRightsAreEnough: all that the controller does, it may; nothing that it
// asked of the API server was refused.
func TestRightsAreEnough(t *testing.T) {
	live(t)
}

// live goes through all that a policy can live to see, and gives what the
// controller asked of the API server.
func live(t *testing.T, env ...string) []harness.Asked {
	s := newSite(t)
	s.system.Kubectl("delete", "lease", harness.Keeper, "--ignore-not-found")
	before := len(s.c.Asked(t))
	f, other := harness.StartFairlead(t), harness.StartFairlead(t)
	f.Account(t, "acme", "acme-web")
	other.Account(t, "acme", "acme-web")
	s.source("hub", "robot", "*")
	s.cluster("cluster", f, "*")
	s.keeper.With(env...).Controller("--leader-elect").Ready()

	// From policy to secret and list, by both kinds of policies and sources.
	a, tenant := s.chosen(), s.c.Namespace(t)
	s.policy("{host: docker.io, secret: {name: hub}}", fmt.Sprintf("{host: %q, fairlead: {tokenSecret: cluster}}", f.Host))
	first := has(t, a, f.Host, `"username":"robot"`)
	for again := range 2 { // what repeats is counted in its event
		if again > 0 {
			tenant.Kubectl("delete", "pullsecret", "own")
			gone(t, tenant)
		}
		tenant.PullSecret(pull, harness.Login{Host: "theirs.example", User: "u", Password: "p"})
		tenantPolicy(tenant, pull, "{host: registry.example, secret: {name: hub}}")
		condition(t, tenant, "pullsecret", "own", "Ready", "NotOurs")
		tenant.Kubectl("delete", "secret", pull)
		has(t, tenant, "registry.example")
	}
	condition(t, tenant, "pullsecret", "own", "Ready", "Ready")
	condition(t, s.system, "clusterpullsecret", s.name, "Ready", "Ready")

	// Rotation keeps the secret.
	token := func() string {
		return s.system.Kubectl("get", "secret", "-l", "fairlead.dev/state", "-o", "jsonpath={.items[*].metadata.annotations.fairlead\\.dev/token-id}")
	}
	minted := token()
	s.source("hub", "robot2", "*")
	s.cluster("cluster", other, "*")
	later := has(t, a, `"username":"robot2"`)
	if later.Metadata.UID != first.Metadata.UID {
		t.Error("rotation made another secret")
	}
	harness.Until(t, "a token of the other Fairlead", func() error {
		if now := token(); minted == "" || now == "" || now == minted {
			return fmt.Errorf("the token %q was %q", now, minted)
		}
		return nil
	})

	// What others do is mended.
	a.Kubectl("delete", "secret", pull)
	has(t, a, `"username":"robot2"`)
	a.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":null}`)
	has(t, a, `"username":"robot2"`)
	s.system.Kubectl("delete", "secret", "hub")
	condition(t, tenant, "pullsecret", "own", "Ready", "SourceNotAllowed") // not even that it is missing is said to a tenant
	s.source("hub", "robot2", "*")
	condition(t, tenant, "pullsecret", "own", "Ready", "Ready")

	for _, kind := range []string{"events", "clusterpullsecrets,pullsecrets"} {
		if text := s.system.Kubectl("get", kind, "-A", "-o", "yaml"); strings.Contains(text, password) || strings.Contains(text, "flt_") {
			t.Errorf("%s have a secret in them", kind)
		}
	}
	tenant.Kubectl("delete", "pullsecret", "own")
	gone(t, tenant)
	s.system.Kubectl("delete", "clusterpullsecret", s.name)
	gone(t, a)
	harness.Until(t, "nothing is remembered", func() error {
		if got := s.system.Kubectl("get", "secret", "-l", "fairlead.dev/state", "-o", "name"); got != "" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
	time.Sleep(time.Second) // events are written later
	asked := slices.DeleteFunc(s.c.Asked(t)[before:], func(r harness.Asked) bool { return !strings.HasPrefix(r.UserAgent, "fairlead/") })
	for _, r := range asked {
		if r.ResponseStatus.Code == 403 {
			t.Errorf("the API server refused %+v", r)
		}
	}
	return asked
}

// rule of a role.
type rule struct{ APIGroups, Resources, ResourceNames, Verbs []string }

// TestRightsAreLeast: each verb that the controller's account has on each
// resource was used while it lived through all that it can, as with an API
// server that gives no list by a watch.
//
// `create` of a secret is not seen in the audit log, where a server-side apply
// is a patch: TestApplyCreates takes it away.
func TestRightsAreLeast(t *testing.T) {
	asked := live(t, "KUBE_FEATURE_WatchListClient=false")
	s := newSite(t)
	used := map[string]bool{}
	for _, r := range asked {
		resource := r.ObjectRef.Resource
		if r.ObjectRef.Subresource != "" {
			resource += "/" + r.ObjectRef.Subresource
		}
		own := ""
		if r.ObjectRef.Namespace == harness.System {
			own = "own "
		}
		used[own+r.ObjectRef.APIGroup+" "+resource+" "+r.Verb] = true
	}
	given := map[string]bool{}
	for _, role := range []string{"clusterrole", "role"} {
		own := ""
		if role == "role" {
			own = "own "
		}
		var of struct{ Rules []rule }
		if err := json.Unmarshal([]byte(s.system.Kubectl("get", role, harness.Keeper, "-o", "json")), &of); err != nil {
			t.Fatal(err)
		}
		for _, r := range of.Rules {
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						given[own+group+" "+resource+" "+verb] = true
					}
				}
			}
		}
	}
	unseen := map[string]bool{" secrets create": true, "own  secrets create": true}
	for _, one := range slices.Sorted(maps.Keys(given)) {
		if strings.Contains(one, "*") {
			t.Errorf("the right %q is not for one thing", one)
		}
		if !used[one] && !unseen[one] {
			t.Errorf("nobody used the right %q", one)
		}
	}
	if len(given) < 20 {
		t.Errorf("only %d rights were looked at", len(given))
	}
}

// TestApplyCreates: a server-side apply of what is not there needs create by
// the name, beside patch.
func TestApplyCreates(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	const form = "- {apiGroups: [''], resources: [secrets], resourceNames: [%s], verbs: [%s]}"
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {a: b}\n", pull)
	apply := []string{"apply", "--server-side", "-f", "-"}
	s.refused(ns.User(fmt.Sprintf(form, pull, "patch")), forbidden, secret, apply...)
	s.refused(ns.User(fmt.Sprintf(form, "other", "patch, create")), forbidden, secret, apply...)
	if r := ns.User(fmt.Sprintf(form, pull, "patch, create")).Try(secret, apply...); r.Code != 0 {
		t.Errorf("with create by the name: %+v", r)
	}
}

// TestListByName: who may list by a name sees the secrets of that name in all
// namespaces, and must ask for just that.
func TestListByName(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	ns.Kubectl("create", "secret", "generic", pull, "--from-literal=a=b")
	ns.Kubectl("create", "secret", "generic", "other", "--from-literal=a=b")
	got := s.keeper.Kubectl("get", "secrets", "-A", "--field-selector", "metadata.name="+pull, "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}`)
	if !strings.Contains(got, ns.Name+"/"+pull) || strings.Contains(got, "other") {
		t.Errorf("by its name there are %s", got)
	}
	for _, selector := range []string{"", "metadata.name=other", "metadata.name!=" + pull, "metadata.namespace=" + ns.Name} {
		s.refused(s.keeper, forbidden, "", "get", "secrets", "-A", "--field-selector", selector)
	}
}

// TestCannot is what a thief of the controller's token would like to do.
func TestCannot(t *testing.T) {
	s := newSite(t)
	const other = "kube-system"
	ask := func(want bool, verb, group, resource, namespace, name string) {
		t.Helper()
		resource, sub, _ := strings.Cut(resource, "/")
		question, err := json.Marshal(map[string]any{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
			"spec": map[string]any{"resourceAttributes": map[string]string{"verb": verb, "group": group, "resource": resource, "subresource": sub, "namespace": namespace, "name": name}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Status struct{ Allowed bool } }
		status, text := s.keeper.Request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", jsonType, string(question))
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 201 {
			t.Fatalf("%d %s %v", status, text, err)
		}
		if answer.Status.Allowed != want {
			t.Errorf("%s %s/%s/%s in %q named %q: %v, want %v", verb, group, resource, sub, namespace, name, answer.Status.Allowed, want)
		}
	}
	for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
		ask(false, verb, "", "secrets", other, "")
		ask(false, verb, "", "secrets", other, "other")
		ask(false, verb, "", "secrets", "", "")
		ask(verb == "list" || verb == "watch", verb, "", "pods", other, "one") // those that came too early
		ask(false, verb, "", "configmaps", other, "one")
		ask(false, verb, "rbac.authorization.k8s.io", "clusterroles", "", "fairlead-controller")
		ask(false, verb, "rbac.authorization.k8s.io", "clusterrolebindings", "", "fairlead-controller")
		ask(false, verb, "rbac.authorization.k8s.io", "roles", harness.System, "fairlead-controller")
		ask(false, verb, "rbac.authorization.k8s.io", "rolebindings", harness.System, "fairlead-controller")
		ask(false, verb, "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "fairlead-controller-secrets")
		ask(false, verb, "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "fairlead-controller-secrets")
		ask(false, verb, "apiextensions.k8s.io", "customresourcedefinitions", "", "pullsecrets.fairlead.dev")
		ask(false, verb, "apps", "deployments", harness.System, "fairlead-controller")
		ask(false, verb, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "other")
	}
	for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
		ask(false, verb, "fairlead.dev", "clusterpullsecrets", "", "one")
		ask(false, verb, "fairlead.dev", "pullsecrets", other, "one")
		ask(false, verb, "", "namespaces", "", other)
	}
	for _, resource := range []string{"serviceaccounts/token", "pods/exec", "pods/ephemeralcontainers", "nodes/proxy"} {
		ask(false, "create", "", resource, other, "default")
		ask(false, "create", "", resource, harness.System, harness.Keeper)
	}
	for _, verb := range []string{"create", "update", "delete", "impersonate"} {
		ask(false, verb, "", "serviceaccounts", other, "default")
	}
	ask(false, "bind", "rbac.authorization.k8s.io", "clusterroles", "", "cluster-admin")
	ask(false, "escalate", "rbac.authorization.k8s.io", "clusterroles", "", "fairlead-controller")
	ask(false, "deletecollection", "", "secrets", other, pull)
	ask(false, "deletecollection", "", "secrets", harness.System, "")
	// What it can, lest all answers be no.
	ask(true, "list", "", "secrets", other, pull)
	ask(true, "patch", "", "serviceaccounts", other, "default")
}
