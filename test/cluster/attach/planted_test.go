package attach_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// plant makes a secret with attach's marks, as whoever may make secrets in the
// namespace can.
func (s *site) plant(name, kind, cluster, url string) {
	s.t.Helper()
	uid := s.ns.Kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
	s.ns.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: %s
  labels: {fairlead.dev/cluster: %s}
  annotations: {fairlead.dev/cluster-uid: %s, fairlead.dev/registries: %q, fairlead.dev/accounts: evil, fairlead.dev/serviceaccount: default}
type: %s
stringData: {.dockerconfigjson: '{"auths":{}}'}
`, name, cluster, uid, url, kind))
}

// onlyWarned: what a tenant wrote is in warnings, and nowhere else.
func onlyWarned(t *testing.T, r harness.Result, text string) {
	t.Helper()
	warned := false
	for line := range strings.SplitSeq(r.Stdout+r.Stderr, "\n") {
		if strings.Contains(line, text) {
			warned = true
			if !strings.HasPrefix(line, "warning: ") {
				t.Errorf("it says %q", line)
			}
		}
	}
	if !warned {
		t.Errorf("nothing warns of %s: %+v", text, r)
	}
}

// TestAttachPlanted: marks in a tenant's namespace stop nobody, lead nowhere,
// and do not make another cluster's tokens this one's.
func TestAttachPlanted(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	const pull = "kubernetes.io/dockerconfigjson"
	s.plant("evil", pull, "prod", "https://evil.example")
	s.plant("fairlead-pull", pull, "prod", s.regional.URL)
	s.plant("second", pull, "other", s.regional.URL)
	s.taken(s.regional)
	if r := s.attach(5); !strings.Contains(r.Stderr, "has tokens of another cluster with the name prod") || s.active(s.regional) != 1 {
		t.Errorf("the tokens of another cluster: %+v", r)
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--registry-only", "--registry", s.regional.URL, "--force")
	for range 2 {
		r := s.attach(0)
		onlyWarned(t, r, "evil.example")
		onlyWarned(t, r, "other")
	}
	if s.active(s.regional) != 1 || s.active(s.global) != 1 {
		t.Errorf("there are %d and %d tokens", s.active(s.regional), s.active(s.global))
	}
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	onlyWarned(t, r, "evil.example")
	if s.active(s.regional)+s.active(s.global) != 0 || !s.missing("default") || !s.missing("kube-system") || !s.missing(s.ns.Name) {
		t.Errorf("detach leaves something: %+v", r)
	}
	s.ns.Kubectl("get", "secret", "evil", "second") // they are nobody's but the tenant's
	if r := s.ns.Fairlead(2, "cluster", "detach", "prod", "--force"); strings.Contains(r.Stdout+r.Stderr, "evil.example") || !strings.Contains(r.Stderr, "could have marked "+s.ns.Name+"/evil") {
		t.Errorf("with nothing but that: %+v", r)
	}

	// An attach that was cut off before kube-system, or lost what is there, is
	// detached by who says of which registries it is.
	s.attach(0)
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "kube-system")
	if r := s.ns.Fairlead(2, "cluster", "detach", "prod", "--force"); strings.Contains(r.Stderr, "evil.example") || s.missing("default") || s.active(s.regional) != 1 {
		t.Errorf("without the secret in kube-system: %+v", r)
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force", "--registry", s.regional.URL, "--registry", s.global.URL)
	if s.active(s.regional)+s.active(s.global) != 0 || !s.missing("default") || s.list("default") != "" {
		t.Error("it is not detached")
	}
}
