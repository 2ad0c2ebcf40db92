package install_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestUninstall: after detach the cluster is as it was before attach.
func TestUninstall(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 2)
	s.idle()
	s.ns.Kubectl("create", "namespace", "before")
	t.Cleanup(func() { s.ns.Kubectl("delete", "namespace", "before") }) // the next test lists all that is there
	harness.Until(s.t, "its account", func() error {
		if s.missing("serviceaccount", "default", "before") {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	s.ns.Kubectl("patch", "serviceaccount", "default", "-n", "before", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	before := s.everything()
	s.attach(0, "--wait=false")
	stop := s.controller()
	s.has("default")
	harness.Until(s.t, "the list of before", func() error {
		if got := s.list("before"); got != "theirs fairlead-pull" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	if n := len(s.active(s.registries[1])); n != 2 {
		t.Errorf("%d tokens, want the cluster's and the one that it minted", n)
	}
	if r := s.ns.Fairlead(2, "cluster", "detach", "prod", "--registry", s.registries[0].URL, "--force"); !strings.Contains(r.Stderr, "is attached to "+s.registries[1].URL+" as well") || len(s.active(s.registries[0])) == 0 {
		t.Errorf("detach of one registry: %+v", r)
	}
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	s.ended(r, before)
	stop()
}

// ended: nothing of attach is left, in the cluster or in registries.
func (s *site) ended(r harness.Result, before []string) {
	s.t.Helper()
	harness.Until(s.t, "the namespace is gone", func() error {
		if !s.missing("namespace", "fairlead-system", "") {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	if d := cmp.Diff(before, s.everything()); d != "" {
		s.t.Errorf("before attach (-) and after detach (+) differ:\n%s\n%+v", d, r)
	}
	for _, at := range s.registries {
		if left := s.active(at); len(left) != 0 {
			s.t.Errorf("%s has the tokens %+v\n%+v", at.URL, left, r)
		}
	}
	if r := s.ns.Fairlead(4, "cluster", "detach", "prod", "--force"); !strings.Contains(r.Stderr, "is not attached as prod") {
		s.t.Errorf("detach again says %+v", r)
	}
}

// TestUninstallDeadController: an attach that was cut off goes on. Nobody is
// needed for a detach; it takes away itself what the controller left.
func TestUninstallDeadController(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	before := s.everything()
	s.halfway() // the same command goes on from there
	if r := s.attach(0, "--wait=false"); !strings.Contains(r.Stdout, s.registries[0].URL+" is kept") {
		t.Errorf("of an attach that was cut off the same says %+v", r)
	}
	stop := s.controller()
	s.has("default")
	s.has(s.ns.Name)
	stop()
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	if !strings.Contains(r.Stdout, "that the controller left: removed") || s.list(s.ns.Name) != "" || !s.missing("secret", "fairlead-pull", s.ns.Name) {
		t.Errorf("detach says %+v", r)
	}
	s.ended(r, before)
}

// TestInstallCutOff: what there is of an attach that stopped half way holds its
// name, and detach takes it away.
func TestInstallCutOff(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	before := s.everything()
	s.halfway()
	s.ns.Kubectl("delete", "secrets", "-n", "fairlead-system", "-l", "fairlead.dev/cluster=prod")
	if r := s.ns.Fairlead(5, "cluster", "attach", "test", "--registry", s.registries[0].URL, "--allow-loopback"); !strings.Contains(r.Stderr, "the cluster is attached as prod, as the CustomResourceDefinition") {
		t.Errorf("a second name: %+v", r)
	}
	s.ended(s.ns.Fairlead(0, "cluster", "detach", "prod", "--force", "--registry", s.registries[0].URL), before)
}

// halfway attaches as somebody who may not give rights, and so gets as far as
// the secrets with the tokens.
func (s *site) halfway() {
	s.t.Helper()
	s.user("halfway", `[{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}, {apiGroups: ["", apiextensions.k8s.io], resources: ["*"], verbs: ["*"]}]`)
	if r := s.attach(3, "--as", "halfway"); !strings.Contains(r.Stderr, "the user halfway may not patch clusterroles") || len(s.active(s.registries[0])) != 1 {
		s.t.Errorf("half way attach says %+v", r)
	}
	if got := s.ns.Kubectl("get", "secrets", "-n", "fairlead-system", "-l", "fairlead.dev/cluster=prod", "-o", "name"); !strings.HasPrefix(got, "secret/fairlead-token-127.0.0.1-") {
		s.t.Errorf("half way there are %q", got)
	}
}

// TestUninstallPartly: where one namespace cannot be written the others are
// done, and tokens stay; with the controller's namespace gone, detach finds the
// rest by its labels, and asks for the registries.
func TestUninstallPartly(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	before := s.everything()
	s.attach(0, "--wait=false")
	stop := s.controller()
	s.has("default")
	s.has(s.ns.Name)
	stop()
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", s.ns.Name) // its name stays in the list
	s.user("partly", `[{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}, {apiGroups: [fairlead.dev, rbac.authorization.k8s.io, admissionregistration.k8s.io, apiextensions.k8s.io], resources: ["*"], verbs: ["*"]}]`)
	for _, n := range []string{s.ns.Name, "fairlead-system"} {
		s.ns.Kubectl("create", "rolebinding", "partly", "-n", n, "--clusterrole=cluster-admin", "--user=partly")
	}
	r := s.ns.Fairlead(3, "cluster", "detach", "prod", "--force", "--as", "partly")
	if !strings.Contains(r.Stderr, "the user partly may not patch serviceaccounts in the namespace default") || s.list(s.ns.Name) != "" || s.list("default") != "fairlead-pull" || s.missing("secret", "fairlead-pull", "default") || len(s.active(s.registries[0])) == 0 {
		t.Errorf("detach of who may not write everywhere: %+v", r)
	}
	s.ns.Kubectl("delete", "namespace", "fairlead-system")
	if r := s.ns.Fairlead(2, "cluster", "detach", "prod", "--force"); !strings.Contains(r.Stderr, "the secrets that say to which registries are gone: name them with --registry") {
		t.Errorf("without its namespace: %+v", r)
	}
	s.ended(s.ns.Fairlead(0, "cluster", "detach", "prod", "--force", "--registry", s.registries[0].URL), before)
}

// TestUninstallKeeps what is not attach's: policies, and with them their kinds,
// and what lies in the controller's namespace.
func TestUninstallKeeps(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	s.attach(0, "--wait=false")
	stop := s.controller()
	s.has("default")
	s.ns.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: hub, namespace: fairlead-system, annotations: {fairlead.dev/namespaces: "*"}}
type: kubernetes.io/basic-auth
stringData: {username: robot, password: wonder}
---
apiVersion: fairlead.dev/v1alpha1
kind: PullSecret
metadata: {name: theirs, namespace: %s}
spec: {registries: [{host: docker.io, secret: {name: hub}}]}
`, s.ns.Name))
	harness.Until(s.t, "the secret of the other policy", func() error {
		if s.missing("secret", "fairlead-pull", s.ns.Name) {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	stop() // it runs as the administrator here; a pod would end with its Deployment
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	for _, want := range []string{"PullSecret/" + s.ns.Name + "/theirs", "The namespace fairlead-system stays, since there is more in it: secrets/hub"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("detach says %+v\nwant %q", r, want)
		}
	}
	if s.missing("crd", "pullsecrets.fairlead.dev", "") || !s.missing("secret", "fairlead-pull", s.ns.Name) || s.missing("secret", "hub", "fairlead-system") || len(s.active(s.registries[0])) != 0 {
		t.Errorf("detach took the wrong things: %+v", r)
	}
	s.ns.Kubectl("delete", "namespace", "fairlead-system")
	s.ns.Kubectl("delete", "crd", "pullsecrets.fairlead.dev", "clusterpullsecrets.fairlead.dev")
}

// TestUninstallStrangers: marks that a tenant writes stop neither attach nor
// detach and lead nowhere; and what belongs to a controller of others stays.
func TestUninstallStrangers(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	at := s.registries[0]
	uid := s.ns.Kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
	for name, x := range map[string]struct{ kind, cluster, url string }{
		"evil": {"kubernetes.io/dockerconfigjson", "prod", "https://evil.example"}, "second": {"kubernetes.io/dockerconfigjson", "other", at.URL},
		"occupied": {"kubernetes.io/dockerconfigjson", "prod", at.URL}, "fairlead-pull": {"Opaque", "prod", at.URL},
	} {
		s.ns.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: %s
  labels: {fairlead.dev/cluster: %s}
  annotations: {fairlead.dev/cluster-uid: %s, fairlead.dev/registries: %q, fairlead.dev/accounts: evil, fairlead.dev/serviceaccount: default}
type: %s
stringData: {.dockerconfigjson: '{"auths":{}}'}
`, name, x.cluster, uid, x.url, x.kind))
	}
	warned := func(r harness.Result) {
		t.Helper()
		for line := range strings.SplitSeq(r.Stdout+r.Stderr, "\n") {
			if strings.Contains(line, "evil.example") && !strings.HasPrefix(line, "warning: ") {
				t.Errorf("it says %q", line)
			}
		}
		if !strings.Contains(r.Stderr, "evil.example") {
			t.Errorf("it does not warn: %+v", r)
		}
	}
	warned(s.attach(0, "--wait=false"))
	warned(s.attach(0, "--wait=false"))
	if n := len(s.active(at)); n != 2 {
		t.Errorf("%d tokens, want the cluster's and its first", n)
	}

	s.ns.Kubectl("delete", "deployment", "fairlead-controller", "-n", "fairlead-system")
	t.Cleanup(func() { s.ns.Kubectl("delete", "namespace", "fairlead-system", "--ignore-not-found") }) // with what is not ours
	s.ns.Kubectl("create", "deployment", "fairlead-controller", "--image=x", "-n", "fairlead-system")
	s.ns.Kubectl("create", "secret", "generic", "fairlead-webhook", "-n", "fairlead-system", "--from-literal=a=b")
	s.ns.Input(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"fairlead-controller","namespace":"fairlead-system"}}`, "create", "-f", "-")
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	warned(r)
	if len(s.active(at)) != 0 || s.missing("deployment", "fairlead-controller", "fairlead-system") || s.missing("secret", "fairlead-webhook", "fairlead-system") || s.missing("lease", "fairlead-controller", "fairlead-system") {
		t.Errorf("detach took the wrong things: %+v", r)
	}
	if !s.missing("secret", "occupied", s.ns.Name) || s.missing("secret", "evil", s.ns.Name) || s.missing("secret", "second", s.ns.Name) || s.missing("secret", "fairlead-pull", s.ns.Name) {
		t.Errorf("detach took the wrong secrets: %+v", r)
	}
}
