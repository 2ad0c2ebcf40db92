package deploy_test

import (
	"slices"
	"strings"
	"testing"
)

// TestHelmLife installs the controller's chart, changes it, and takes it away.
// There are no pods: that is TestHelmController's.
func TestHelmLife(t *testing.T) {
	s := newSite(t)
	s.crds()
	s.homes()
	before := s.inventory()
	run := func(verb, values string) {
		t.Helper()
		s.helm(slices.Concat([]string{verb, controller, at(t, "charts", controller), "--namespace", system}, needed[controller], []string{given(t, "replicas: 0\n"+values)})...)
	}
	hub := "registries: [{host: docker.io, secret: {name: hub}}, {host: registry.example, fairlead: {tokenSecret: cluster}}]\n"
	run("install", hub)
	for _, kind := range []string{"serviceaccount/fairlead-controller", "deployment/fairlead-controller", "service/fairlead-webhook", "pullsecret/fairlead-controller", "clusterpullsecret/fairlead", "mutatingwebhookconfiguration/fairlead-pull-secrets", "validatingadmissionpolicy/fairlead-controller-secrets", "validatingadmissionpolicy/fairlead-controller-webhook"} {
		s.Kubectl("get", kind, "--namespace", system)
	}
	if got := s.Kubectl("get", "pullsecret/fairlead-controller", "--namespace", system, "-o", "jsonpath={range .spec.registries[*]}{.host} {.namespaces} {.fairlead.lifetime} {.fairlead.renewAfter};{end}"); got != `registry.example ["acme-platform"] 8760h 720h;` {
		t.Errorf("the controller's own pull secret is for %s", got)
	}
	if r := s.tryHelm("install", "again", at(t, "charts", controller), "--namespace", system, needed[controller][0], needed[controller][1]); r.Code == 0 || !strings.Contains(r.Stderr, "fairlead-controller") {
		t.Errorf("a second release in the cluster: %+v", r)
	}

	// What others write into the release's objects stays: a pull secret in the
	// service account's list, the authority of the webhook.
	s.Kubectl("patch", "serviceaccount", controller, "--namespace", system, "--field-manager=other", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	s.Kubectl("patch", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "--field-manager=other", "--type=json", "-p", `[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"`+s.authority()+`"}]`)
	run("upgrade", hub+"policy: {excludeNamespaces: [kube-public]}\n")
	if got := s.Kubectl("get", "clusterpullsecret", "fairlead", "-o", "jsonpath={.spec.excludeNamespaces}"); got != `["kube-public","fairlead-system"]` {
		t.Errorf("after the upgrade the policy leaves out %s", got)
	}
	for what, path := range map[string]string{
		"serviceaccount/" + controller:                       "{.imagePullSecrets[0].name}",
		"mutatingwebhookconfiguration/fairlead-pull-secrets": "{.webhooks[0].clientConfig.caBundle}",
	} {
		if got := s.Kubectl("get", what, "--namespace", system, "-o", "jsonpath="+path); got == "" {
			t.Errorf("the upgrade took %s of %s away", path, what)
		}
	}

	run("upgrade", "webhook: {enabled: false}\nrights: {admissionPolicy: false, recreatePods: true}\n")
	for _, gone := range []string{"mutatingwebhookconfiguration/fairlead-pull-secrets", "validatingadmissionpolicy/fairlead-controller-secrets", "validatingadmissionpolicy/fairlead-controller-webhook", "clusterpullsecret/fairlead", "pullsecret/fairlead-controller"} {
		if got := s.Kubectl("get", gone, "--namespace", system, "--ignore-not-found"); got != "" {
			t.Errorf("%s is still there", gone)
		}
	}
	s.Kubectl("get", "clusterrole/fairlead-controller-recreate")
	s.helm("rollback", controller, "1", "--namespace", system)
	s.Kubectl("get", "mutatingwebhookconfiguration/fairlead-pull-secrets")

	s.helm("uninstall", controller, "--namespace", system, "--wait")
	s.left(before)
	s.Kubectl("get", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
}

// authority is the cluster's certificate, as a webhook names its own.
func (s *site) authority() string {
	s.t.Helper()
	return s.Kubectl("config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}")
}
