package deploy_test

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// image is the program as a container image.
func image(t *testing.T) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fairlead.tar")
	r := (&site{harness.Cluster(t).Namespace(t), nil, t}).Run("", harness.FairleadBinary(), "image", "self", file, "--tag", "fairlead:test")
	if r.Code != 0 {
		t.Fatalf("fairlead image self: %s", r.Stderr)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// ports that nobody listens on: pods of the tests' node use its network.
func ports(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

// told waits for a pod of these labels that is ready, and fails with what the
// cluster says of it.
func (s *site) told(namespace, labels string) {
	s.t.Helper()
	r := s.Try("", "wait", "--namespace", namespace, "--for=condition=Ready", "pod", "-l", labels, "--timeout=90s")
	if r.Code != 0 {
		s.t.Fatalf("no pod is ready: %s\n%s\n%s", r.Stderr,
			s.Try("", "describe", "pod", "--namespace", namespace, "-l", labels).Stdout,
			s.Try("", "logs", "--namespace", namespace, "-l", labels).Stdout)
	}
}

// registry is one that the administrator is signed in to, with the images of
// the controller and of an app.
func (s *site) registry() (registry *harness.Fairlead, app string) {
	s.t.Helper()
	registry = harness.StartFairlead(s.t)
	registry.Account(s.t, "acme", "acme-web", "acme-platform")
	harness.Operator(registry).Push(s.t, "acme-platform/fairlead:v1", image(s.t))
	app = harness.Operator(registry).Push(s.t, "acme-web/app:v1", s.c.App(s.t, s.t.Name()))
	admin := registry.Mint(s.t, harness.Minting{Account: "acme", Access: "admin"})
	if got := s.Run(admin.Value, harness.FairleadBinary(), "login", registry.URL, "--token-stdin", "--name", "here"); got.Code != 0 {
		s.t.Fatalf("login: %+v", got)
	}
	return registry, app
}

// TestHelmController types what docs/install.md shows: the controller's image
// lies in the registry that it makes pull secrets for.
func TestHelmController(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t)
	s.crds()
	s.homes()
	registry, app := s.registry()
	before := s.inventory()
	r := s.reader("https://registry.example.com", registry.URL, "registry.example.com", registry.Host)
	part := section(t, "## The controller, in a cluster", "### By kustomize")
	values := blocks(part, "yaml")[0]
	r.saves("registries.yaml", values, nodeOnly(t, c))
	lines := typed(part)
	if len(lines) != 11 {
		t.Fatalf("the document shows %q", lines)
	}
	// The namespace is there already, and pods on the node's network need
	// another level.
	for _, line := range lines[2:7] {
		r.types(line)
	}
	s.told(system, "app.kubernetes.io/name=fairlead-controller")
	team := s.runs(app)

	// The controller's own secret, and an upgrade that goes on with it alone.
	s.Kubectl("wait", "--namespace", system, "--for=condition=Ready", "pullsecret/fairlead-controller", "--timeout=60s")
	s.Kubectl("delete", "secret", "bootstrap", "--namespace", system)
	r.saves("registries.yaml", values, nodeOnly(t, c)+"podAnnotations: {again: \"true\"}\n")
	r.types(strings.Replace(lines[5], "helm install", "helm upgrade", 1))
	s.Kubectl("rollout", "status", "--namespace", system, "deployment/fairlead-controller", "--timeout=90s")
	after := s.runs(app)

	if got := s.Kubectl("get", "mutatingwebhookconfiguration", "fairlead-pull-secrets", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got == "" {
		t.Error("the webhook has no authority after the upgrade")
	}
	notes := s.helm("get", "notes", controller, "--namespace", system)
	for _, line := range lines[7:9] {
		if !strings.Contains(notes, line) {
			t.Errorf("the notes do not say %q:\n%s", line, notes)
		}
		r.types(line)
	}
	s.noSecrets()
	r.types(lines[9])
	r.types(lines[10])
	s.Kubectl("delete", "secret", "cluster", "--namespace", system)
	s.left(before, team.Name, after.Name)
}

// TestKustomizeController types what docs/install.md shows. The node has no
// network of pods, so that there is one replica, on the node's own.
func TestKustomizeController(t *testing.T) {
	c := harness.Node(t)
	harness.Ports(t)
	c.ServeAPI(t)
	s := newSite(t)
	s.crds()
	s.homes()
	registry, app := s.registry()
	before := s.inventory()
	r := s.reader("https://registry.example.com", registry.URL, "registry.example.com", registry.Host, "count: 2", "count: 1")
	base, err := filepath.Rel(r.dir, at(t))
	if err != nil {
		t.Fatal(err)
	}
	prepare, part := typed(section(t, "## The controller, in a cluster", "### By Helm")), section(t, "### By kustomize", "## The server")
	files, lines := blocks(part, "yaml"), typed(part)
	if len(prepare) != 5 || len(lines) != 2 {
		t.Fatalf("the document shows %q and %q", prepare, lines)
	}
	r.saves("kustomization.yaml", strings.ReplaceAll(files[0], "../fairlead/deploy", base), `- target: {kind: Deployment, name: fairlead-controller}
  patch: |
    - {op: add, path: /spec/template/spec/hostNetwork, value: true}
- target: {kind: Namespace}
  patch: |
    - {op: remove, path: /metadata/labels}
`)
	r.saves("policies.yaml", files[1], "")
	for _, line := range slices.Concat(prepare[2:], lines) { // the namespace is there
		r.types(line)
	}
	s.told(system, "app.kubernetes.io/name=fairlead-controller")
	team := s.runs(app)

	// The first pull's secret is needed no more: a pod is made anew without.
	s.Kubectl("wait", "--namespace", system, "--for=condition=Ready", "pullsecret/fairlead-controller", "--timeout=60s")
	s.Kubectl("delete", "secret", "bootstrap", "--namespace", system)
	s.Kubectl("delete", "pod", "--namespace", system, "-l", "app.kubernetes.io/name=fairlead-controller")
	s.told(system, "app.kubernetes.io/name=fairlead-controller")

	s.Kubectl("delete", "-f", filepath.Join(r.dir, "policies.yaml"))
	s.noSecrets()
	ours := slices.DeleteFunc(objects(t, s.build(r.dir)), func(o object) bool {
		return o.kind() == "CustomResourceDefinition" || o.kind() == "Namespace"
	})
	s.Input(write(t, ours...), "delete", "--timeout=60s", "-f", "-")
	s.Kubectl("delete", "secret", "cluster", "fairlead-webhook", "--namespace", system, "--ignore-not-found")
	s.left(before, team.Name)
}

// nodeOnly are values for a node without a network of pods, and without the
// address of the API server that pods are told.
func nodeOnly(t *testing.T, c *harness.Kubernetes) string {
	t.Helper()
	api, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := ports(t, 3)
	return fmt.Sprintf(`hostNetwork: true
webhook: {enabled: true} # though Services lead nowhere here: pods are made as they are
ports: {metrics: %d, health: %d, webhook: %d}
env: {KUBERNETES_SERVICE_HOST: %s, KUBERNETES_SERVICE_PORT: %q}
`, p[0], p[1], p[2], api.Hostname(), api.Port())
}

// noSecrets waits until no pull secret is left.
func (s *site) noSecrets() {
	s.t.Helper()
	harness.Until(s.t, "the secrets are gone", func() error {
		if got := s.Kubectl("get", "secrets", "--all-namespaces", "--field-selector=metadata.name=fairlead-pull", "-o", "name"); got != "" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
}

// runs an image in a new namespace, once its default account has the name.
func (s *site) runs(image string) *harness.Namespace {
	s.t.Helper()
	team := s.c.Namespace(s.t)
	harness.Until(s.t, "the account of a new namespace has the name", func() error {
		if got := team.Kubectl("get", "serviceaccount", "default", "-o", "jsonpath={.imagePullSecrets[*].name}"); got != "fairlead-pull" {
			return fmt.Errorf("its list is %q", got)
		}
		return nil
	})
	team.Apply(harness.Pod("web", image))
	team.Running("web")
	return team
}

// left fails if something is in the cluster that was not before, outside of
// some namespaces.
func (s *site) left(before []string, except ...string) {
	s.t.Helper()
	harness.Until(s.t, "all is gone", func() error {
		var more []string
		for _, o := range s.inventory() {
			other := slices.ContainsFunc(except, func(ns string) bool { return strings.Contains(o, "/"+ns) })
			if !other && !slices.Contains(before, o) {
				more = append(more, o)
			}
		}
		if len(more) > 0 {
			return fmt.Errorf("there is more than before: %q", more)
		}
		return nil
	})
}
