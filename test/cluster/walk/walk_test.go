// Package walk_test walks the two guides that Fairlead answers to, as scripts
// that a person could type: the registry's guide of 2018 and Kubernetes' task
// page on private registries.
package walk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestRegistryGuide: namespaces, tokens, a secret for another Kubernetes
// namespace and account, deployments, service accounts.
func TestRegistryGuide(t *testing.T) {
	t.Parallel()
	walk(t, "registry-guide.sh")
}

// TestKubernetesTask: a login's file, a credential store, the command line,
// looking at the secret, a pod that runs.
func TestKubernetesTask(t *testing.T) {
	t.Parallel()
	walk(t, "kubernetes-task.sh")
}

func walk(t *testing.T, script string) {
	t.Helper()
	c := harness.Node(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	s.Account(t, "rival", "rival-web")
	other := harness.StartOther(t)
	ns, second := c.Namespace(t), c.Namespace(t)
	app := c.App(t, t.Name())
	image := harness.Operator(s).Push(t, "acme-web/app:v1", app)
	provided := harness.Operator(s).Push(t, "ibmliberty:latest", c.App(t, t.Name()+"provided"))
	rival := harness.Operator(s).Push(t, "rival-web/app:v1", c.App(t, t.Name()+"rival"))
	foreign := other.Push(t, "team/app:v1", c.App(t, t.Name()+"foreign"))

	dir := t.TempDir()
	admin := s.Mint(t, harness.Minting{Account: "acme", Access: "admin"})
	rivals := s.Mint(t, harness.Minting{Account: "rival", Access: "admin"})
	for name, text := range map[string]string{"admin.token": admin.Value, "rival.token": rivals.Value, "other.password": other.Password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	head := []string{
		"set -eu", `PATH="` + filepath.Dir(harness.FairleadBinary()) + `:$PATH"`, "export TMP=" + dir,
		"export URL=" + s.URL, "export REGISTRY=" + s.Host, "export NS=" + ns.Name, "export SECOND=" + second.Name,
		"export IMAGE=" + image, "export RIVAL=" + rival, "export PROVIDED=" + provided, "export OTHER=" + other.Host, "export OTHER_USER=" + other.User, "export FOREIGN=" + foreign,
		`cd "$TMP"`, ". " + file,
	}
	r := ns.Run("", "sh", "-c", strings.Join(head, "\n"))
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, secret := range []string{admin.Value, rivals.Value, other.Password} {
		if strings.Contains(r.Stdout+r.Stderr, secret) {
			t.Error("a secret was printed")
		}
	}
}
