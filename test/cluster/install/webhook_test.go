package install_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestWebhookInAPod: with the webhook, which attach installs by default, pods
// that are made in the same moment as their namespace have the secret's name,
// and pull at the first try.
func TestWebhookInAPod(t *testing.T) {
	s := newPodSite(t, 1)
	image := harness.Operator(s.registries[0]).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()))
	s.attach(0)
	address := s.ns.Kubectl("get", "service", "fairlead-webhook", "-n", "fairlead-system", "-o", "jsonpath={.spec.clusterIP}")
	s.c.Forward(t, address+":443", "127.0.0.1:9443")
	s.until("the webhook's authority is known", func() error {
		if got := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got == "" {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	const name = "instant"
	t.Cleanup(func() { s.ns.Kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found") })
	// The account is made here, too: a pod needs one, and it is not waited for.
	s.ns.Input(fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: %[1]s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: %[2]q, imagePullPolicy: Always}]
`, name, image), "apply", "-f", "-")
	s.ns.Kubectl("wait", "pod/app", "-n", name, "--for=condition=Ready", "--timeout=90s")
	if got := s.ns.Kubectl("get", "pod", "app", "-n", name, "-o", "jsonpath={.spec.imagePullSecrets[*].name}"); got != "fairlead-pull" {
		t.Errorf("the pod names %q", got)
	}

	asked := `apiserver_admission_webhook_request_total{code="200",name="pods.fairlead.dev"`
	if all := s.ns.Kubectl("get", "--raw", "/metrics"); !strings.Contains(all, asked) {
		t.Errorf("the API server did not reach the webhook: it has no %s", asked)
	}

	// The same attach leaves the authority where it is.
	before := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	s.attach(0)
	if got := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got != before {
		t.Error("the same attach took the webhook's authority away")
	}
	s.ns.Kubectl("delete", "namespace", name)
}
