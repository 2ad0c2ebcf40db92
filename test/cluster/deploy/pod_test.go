package deploy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	client "fairlead.dev/fairlead/test/clients/harness"
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
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
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
	r := s.try("", "wait", "--namespace", namespace, "--for=condition=Ready", "pod", "-l", labels, "--timeout=90s")
	if r.Code != 0 {
		s.t.Fatalf("no pod is ready: %s\n%s\n%s", r.Stderr,
			s.try("", "describe", "pod", "--namespace", namespace, "-l", labels).Stdout,
			s.try("", "logs", "--namespace", namespace, "-l", labels).Stdout)
	}
}

// TestHelmController goes the way of docs/install.md: the controller's image
// lies in the registry that it makes pull secrets for.
func TestHelmController(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t)
	s.crds()
	s.homes()
	registry := harness.StartFairlead(t)
	registry.Account(t, "acme", "acme-web", "acme-platform")
	harness.Operator(registry).Push(t, "acme-platform/fairlead:v1", image(t))
	app := harness.Operator(registry).Push(t, "acme-web/app:v1", c.App(t, "helm"))
	before := s.inventory()

	// The credentials: the cluster's token for the controller, and a first pull
	// secret for its own image.
	var token struct{ Value string }
	registry.Manage(t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "cluster": "helm", "nonExpiring": true}, &token)
	s.Input(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: cluster, namespace: %s, annotations: {fairlead.dev/namespaces: \"*\"}}\nstringData: {url: %q, token: %s}\n", system, registry.URL, token.Value), "apply", "--server-side", "-f", "-")
	bootstrap := registry.Mint(t, harness.Minting{Account: "acme"})
	auth, err := json.Marshal(map[string]any{"auths": map[string]any{registry.Host: map[string]string{"username": client.User, "password": bootstrap.Value}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	save(t, file, string(auth))
	s.Kubectl("create", "secret", "docker-registry", "bootstrap", "--namespace", system, "--from-file=.dockerconfigjson="+file)

	server, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := ports(t, 3)
	values := fmt.Sprintf(`image: {repository: %s/acme-platform/fairlead, tag: v1}
imagePullSecrets: [{name: bootstrap}, {name: fairlead-pull}]
registries: [{host: %q, fairlead: {tokenSecret: cluster}}]
hostNetwork: true
webhook: {enabled: false} # Services lead nowhere here
ports: {metrics: %d, health: %d, webhook: %d}
env: {KUBERNETES_SERVICE_HOST: %s, KUBERNETES_SERVICE_PORT: %q}
`, registry.Host, registry.Host, p[0], p[1], p[2], server.Hostname(), server.Port())
	run := func(verb, more string) {
		t.Helper()
		s.helm(verb, controller, at(t, "charts", controller), "--namespace", system, given(t, values+more))
	}
	run("install", "")
	s.told(system, "app.kubernetes.io/name=fairlead-controller")

	team := c.Namespace(t)
	until(t, "the account of a new namespace has the name", func() error {
		if got := team.Kubectl("get", "serviceaccount", "default", "-o", "jsonpath={.imagePullSecrets[*].name}"); got != "fairlead-pull" {
			return fmt.Errorf("its list is %q", got)
		}
		return nil
	})
	team.Apply(harness.Pod("web", app))
	team.Running("web")

	// The controller's own secret, and an upgrade that goes on with it alone.
	s.Kubectl("wait", "--namespace", system, "--for=condition=Ready", "pullsecret/fairlead-controller", "--timeout=60s")
	s.Kubectl("delete", "secret", "bootstrap", "--namespace", system)
	run("upgrade", "podAnnotations: {again: \"true\"}\n")
	s.Kubectl("rollout", "status", "--namespace", system, "deployment/fairlead-controller", "--timeout=90s")
	after := c.Namespace(t)
	after.Apply(harness.Pod("web", app))
	after.Running("web")

	// The end, as the chart's notes say it.
	notes := s.helm("get", "notes", controller, "--namespace", system)
	for _, line := range []string{"kubectl delete clusterpullsecrets --all", "kubectl delete pullsecrets --all --all-namespaces"} {
		if !strings.Contains(notes, line) {
			t.Errorf("the notes do not say %q:\n%s", line, notes)
		}
		s.Kubectl(strings.Fields(strings.TrimPrefix(line, "kubectl "))...)
	}
	until(t, "the secrets are gone", func() error {
		if got := s.Kubectl("get", "secrets", "--all-namespaces", "--field-selector=metadata.name=fairlead-pull", "-o", "name"); got != "" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
	s.helm("uninstall", controller, "--namespace", system, "--wait")
	s.Kubectl("delete", "secret", "cluster", "--namespace", system)
	s.left(before, team.Name, after.Name)
}

// left fails if something is in the cluster that was not before, outside of
// some namespaces.
func (s *site) left(before []string, except ...string) {
	s.t.Helper()
	until(s.t, "all is gone", func() error {
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
