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
	harness.Until(s.t, "the webhook's authority is known", func() error {
		if got := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got == "" {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	// The API server takes a moment to use what it was told.
	asked := `apiserver_admission_webhook_request_total{code="200",name="pods.fairlead.dev"`
	harness.Until(s.t, "the API server asks the webhook", func() error {
		if r := s.ns.Try(harness.Pod("asks", image), "create", "--dry-run=server", "-n", s.ns.Name, "-f", "-"); r.Code != 0 {
			return fmt.Errorf("%s", r.Stderr)
		}
		if all := s.ns.Kubectl("get", "--raw", "/metrics"); !strings.Contains(all, asked) {
			return fmt.Errorf("it has no %s", asked)
		}
		return nil
	})
	const name = "instant"
	t.Cleanup(func() { s.ns.Kubectl("delete", "namespace", name, "--ignore-not-found") })
	s.ns.Input("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+"}\n---\n"+
		strings.Replace(harness.Deployment("app", image, 3), "metadata: {", "metadata: {namespace: "+name+", ", 1), "apply", "-f", "-")
	if r := s.ns.Try("", "rollout", "status", "deployment/app", "-n", name, "--timeout=90s"); r.Code != 0 {
		t.Fatalf("it does not run: %s\n%s", r.Stderr, s.ns.Try("", "describe", "pods", "-n", name).Stdout)
	}
	if got := s.ns.Kubectl("get", "pods", "-n", name, "-o", "jsonpath={.items[*].spec.imagePullSecrets[*].name}"); got != "fairlead-pull fairlead-pull fairlead-pull" {
		t.Errorf("the pods name %q", got)
	}

	// The same attach leaves the authority where it is.
	before := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	s.attach(0)
	if got := s.ns.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got != before {
		t.Error("the same attach took the webhook's authority away")
	}
}
