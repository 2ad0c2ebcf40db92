package harness_test

import (
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestUser may do what the rules say, and nothing else.
func TestUser(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns := c.Namespace(t)
	ns.Apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
	nobody := ns.User("[]")
	reader := ns.User(`- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list]`)
	kubectl := filepath.Join(c.Bin, "kubectl")
	if r := nobody.Run("", kubectl, "get", "configmap", "one"); r.Code != 1 || !strings.Contains(r.Stderr, "(Forbidden)") {
		t.Errorf("nobody reads: %+v, want it forbidden", r)
	}
	if got := reader.Kubectl("get", "configmap", "one", "-o", "name"); got != "configmap/one\n" {
		t.Errorf("the reader got %q", got)
	}
	if r := reader.Run("", kubectl, "get", "secrets"); r.Code != 1 || !strings.Contains(r.Stderr, "(Forbidden)") {
		t.Errorf("the reader reads secrets: %+v, want it forbidden", r)
	}
}

// TestNamespace is another one each time, and the default of its kubeconfig.
func TestNamespace(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	a, b := c.Namespace(t), c.Namespace(t)
	a.Apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
	if got := a.Kubectl("get", "configmap", "one", "-o", "jsonpath={.metadata.namespace}"); got != a.Name {
		t.Errorf("the object is in %q, want %q", got, a.Name)
	}
	if got := b.Kubectl("get", "configmaps", "-o", "name"); strings.Contains(got, "one") {
		t.Errorf("the other namespace has it, too: %s", got)
	}
	if got := a.Kubectl("version"); !strings.Contains(got, "Server Version: v1.36.3") || !strings.Contains(got, "Client Version: v1.36.3") {
		t.Errorf("kubectl version says %s", got)
	}
}
