package webhook_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// private pushes an image that needs a token, which becomes the source.
func (s *site) private(c *harness.Kubernetes) (host, image string) {
	s.t.Helper()
	r := harness.StartFairlead(s.t)
	r.Account(s.t, "acme", "acme-web")
	image = harness.Operator(r).Push(s.t, "acme-web/app:v1", c.App(s.t, s.t.Name()))
	token := r.Mint(s.t, harness.Minting{Account: "acme"})
	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: acme, namespace: %s, annotations: {fairlead.dev/namespaces: \"*\"}}\ntype: kubernetes.io/basic-auth\nstringData: {username: token, password: %q}\n", system, token.Value))
	return r.Host, image
}

// shop is a namespace and a Deployment of 3 replicas, in one file.
func shop(namespace, team, image string, scheduled bool) string {
	scheduler := "default-scheduler"
	if !scheduled {
		scheduler = "none"
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {team: %[2]s}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostNetwork: true
      schedulerName: %[4]s
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: %[3]q}]
`, namespace, team, image, scheduler)
}

func (s *site) clusterPolicy(name, team, host, more string) {
	s.t.Helper()
	s.Apply(fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: %s}\nspec:\n  namespaceSelector: {matchLabels: {team: %s}}\n  registries: [{host: %q, secret: {name: acme}}]\n%s", name, team, host, more))
	s.t.Cleanup(func() { s.Kubectl("delete", "clusterpullsecret", name, "--ignore-not-found", "--wait=false") })
}

// TestShopInOneFile applies a namespace and a Deployment of a private image in
// one file, with the webhook: all replicas run, and none was made twice.
// Beside it, without the webhook and a node, how many come too early.
func TestShopInOneFile(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t, c)
	host, image := s.private(c)
	port := freePort(t)
	s.start(serving(port)...)
	s.clusterPolicy("shop-"+s.Name, s.Name, host, appends)
	first := s.space("first")
	harness.Until(s.t, "the controller works", func() error { return s.ready(first) })

	const tries = 10
	early := 0
	for i := range tries {
		name := fmt.Sprintf("%s-%d", s.Name, i)
		s.Apply(shop(name, s.Name, image, false))
		t.Cleanup(func() { s.Kubectl("delete", "namespace", name, "--wait=false") })
		for _, p := range s.pods(name, "web", 3) {
			if !slices.Contains(names(&p), secret) {
				early++
			}
		}
	}
	t.Logf("without the webhook %d of %d pods came before the name", early, 3*tries)

	s.install(port)
	s.called(first)
	name := s.Name + "-shop"
	s.Apply(shop(name, s.Name, image, true))
	t.Cleanup(func() { s.Kubectl("delete", "namespace", name, "--wait=false") })
	s.Kubectl("-n", name, "rollout", "status", "deployment/web", "--timeout=90s")
	pods := s.pods(name, "web", 3)
	for _, p := range pods {
		if p.Status.Phase != corev1.PodRunning || !slices.Contains(names(&p), secret) {
			t.Errorf("%s is %s, its list is %q", p.Name, p.Status.Phase, names(&p))
		}
	}
	events, err := s.api.CoreV1().Events(name).List(context.Background(), metav1.ListOptions{FieldSelector: "reason=SuccessfulCreate"})
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, e := range events.Items {
		if strings.Contains(e.Message, "Created pod: web-") {
			made += max(1, int(e.Count))
		}
	}
	if made != 3 {
		t.Errorf("%d pods were made for 3 replicas", made)
	}
}

// TestStuckOnNode: Deployments that wait for a private image; then their
// policies come. The one that may be recreated runs, the other is told about.
func TestStuckOnNode(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t, c)
	s.Kubectl("apply", "-f", deployFile(t, "controller/recreate.yaml"))
	host, image := s.private(c)
	healed, told := s.Name+"-healed", s.Name+"-told"
	for _, name := range []string{healed, told} {
		s.Apply(shop(name, name, image, true))
		t.Cleanup(func() { s.Kubectl("delete", "namespace", name, "--wait=false") })
	}
	before := map[string][]corev1.Pod{}
	for _, name := range []string{healed, told} {
		before[name] = s.pods(name, "web", 3)
		harness.Until(s.t, "a pod waits for its image", func() error {
			for _, p := range s.pods(name, "web", 3) {
				for _, st := range p.Status.ContainerStatuses {
					if w := st.State.Waiting; w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff") {
						return nil
					}
				}
			}
			return fmt.Errorf("none does")
		})
	}
	s.start()
	s.clusterPolicy("healed-"+s.Name, healed, host, "  recreatePods: Stuck\n")
	s.clusterPolicy("told-"+s.Name, told, host, "")
	s.Kubectl("-n", healed, "rollout", "status", "deployment/web", "--timeout=90s")
	for _, p := range before[told] {
		s.says(p, "make it anew: kubectl -n "+told+" rollout restart deployment/web")
	}
	for _, p := range s.pods(told, "web", 3) {
		if p.Status.Phase != corev1.PodPending || !slices.ContainsFunc(before[told], func(b corev1.Pod) bool { return b.UID == p.UID }) {
			t.Errorf("%s is %s", p.Name, p.Status.Phase)
		}
	}
	// What the event says is what helps.
	s.Kubectl("-n", told, "rollout", "restart", "deployment/web")
	s.Kubectl("-n", told, "rollout", "status", "deployment/web", "--timeout=90s")
	s.tooEarly("told-"+s.Name, "")
}
