package deploy_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// build is kubectl kustomize of a folder.
func (s *site) build(dir string) string {
	s.t.Helper()
	return s.Kubectl("kustomize", dir)
}

// overlay is a folder with a kustomization of the test's own over deploy/.
func (s *site) overlay(text string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	base, err := filepath.Rel(dir, at(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + strings.ReplaceAll(text, "DEPLOY", base)
	save(s.t, filepath.Join(dir, "kustomization.yaml"), text)
	return dir
}

// TestKustomize: a cluster takes both bases whole, the second time changes
// nothing, and nothing is left when they are deleted. There are no pods: that
// is another test's.
func TestKustomize(t *testing.T) {
	s := newSite(t)
	s.crds()
	s.homes()
	before := s.inventory()
	for _, text := range []string{
		"resources: [DEPLOY/controller]\nreplicas: [{name: fairlead-controller, count: 0}]\n",
		"resources: [DEPLOY/server]\nreplicas: [{name: fairlead, count: 0}]\n",
	} {
		dir := s.overlay(text)
		apply := []string{"apply", "--server-side", "--validate=strict", "-k", dir}
		if out := s.Kubectl(apply...); !strings.Contains(out, "apps/fairlead") {
			t.Errorf("kubectl made %s", out)
		}
		s.Kubectl(apply...)
		if r := s.Try("", "diff", "--server-side", "-k", dir); r.Code != 0 {
			t.Errorf("the second time changes something:\n%s%s", r.Stdout, r.Stderr)
		}
		ours := slices.DeleteFunc(objects(t, s.build(dir)), func(o object) bool {
			return o.kind() == "CustomResourceDefinition" || o.kind() == "Namespace"
		})
		s.Input(write(t, ours...), "delete", "--timeout=60s", "-f", "-")
	}
	s.left(before)
}

// TestOverlays are those of docs/install.md: what they change, and that a
// cluster would take it.
func TestOverlays(t *testing.T) {
	s := newSite(t)
	s.crds()
	s.homes()
	overlay := func(part string, i int) string {
		_, text, ok := strings.Cut(blocks(part, "yaml")[i], "kind: Kustomization\n")
		if !ok {
			t.Fatalf("docs/install.md has no kustomization there")
		}
		text = s.build(s.overlay(strings.ReplaceAll(text, "../fairlead/deploy", "DEPLOY")))
		s.accepts(text)
		return text
	}
	part := section(t, "### By kustomize", "## The server")
	d := only(t, overlay(part, 0), "Deployment")
	if got := container(d)["image"]; got != "registry.example.com/acme-platform/fairlead:v1" {
		t.Errorf("the image is %v", got)
	}
	if got := d.at("spec", "replicas"); got != 2 {
		t.Errorf("there are %v replicas", got)
	}
	if got := fmt.Sprint(d.at("spec", "template", "spec", "imagePullSecrets")); got != "[map[name:bootstrap] map[name:fairlead-pull]]" {
		t.Errorf("the pods name %s", got)
	}
	bare := overlay(part, 2)
	for _, o := range objects(t, bare) {
		if o.kind() == "MutatingWebhookConfiguration" || strings.Contains(o.name(), "webhook") {
			t.Errorf("without the webhook there is %s", o.id())
		}
	}
	if strings.Contains(bare, "--webhook") || !strings.Contains(bare, "--health-listen=:9091") {
		t.Errorf("without the webhook the arguments are %v", container(only(t, bare, "Deployment"))["args"])
	}
	part = section(t, "## The server", "### By compose")
	if got := container(only(t, overlay(part, 1), "StatefulSet"))["image"]; got != "mirror.example.com/platform/fairlead:v1" {
		t.Errorf("the server's image is %v", got)
	}
}

// container is the only one of a workload.
func container(o object) map[string]any {
	list, _ := o.at("spec", "template", "spec", "containers").([]any)
	if len(list) != 1 {
		return nil
	}
	m, _ := list[0].(map[string]any)
	return m
}

// TestPodSecurity: a namespace that enforces the level restricted takes the
// pods, and notices one that is not.
func TestPodSecurity(t *testing.T) {
	s := newSite(t)
	s.Kubectl("label", "namespace", s.Name, "pod-security.kubernetes.io/enforce=restricted")
	for from, text := range map[string]string{
		"controller, kustomize": s.build(at(t, "controller")),
		"controller, Helm":      s.render(controller, "--namespace", system),
		"server, kustomize":     s.build(at(t, "server")),
		"server, Helm":          s.render(server, "--set", "tls.existingSecret=a", "--set", "operatorToken.existingSecret=b"),
	} {
		var workload object
		for _, o := range objects(t, text) {
			if o.kind() == "Deployment" || o.kind() == "StatefulSet" {
				workload = o
			}
		}
		spec, _ := workload.at("spec", "template", "spec").(map[string]any)
		if spec == nil {
			t.Fatalf("%s has no pods", from)
		}
		spec["serviceAccountName"] = "default" // whose rights are no matter here
		pod := write(t, object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "one", "namespace": s.Name}, "spec": spec})
		if r := s.Try(pod, "create", "--dry-run=server", "--validate=strict", "-f", "-"); r.Code != 0 || r.Stderr != "" {
			t.Errorf("%s: %s", from, r.Stderr)
		}
		delete(container(workload), "securityContext")
		if r := s.Try(write(t, object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "one", "namespace": s.Name}, "spec": spec}), "create", "--dry-run=server", "-f", "-"); r.Code == 0 || !strings.Contains(r.Stderr, "violates PodSecurity") {
			t.Errorf("%s without a security context: %+v", from, r)
		}
	}
}
