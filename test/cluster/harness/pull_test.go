package harness_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestPull is the road of issue 5: a private image with a pull secret runs,
// without one it does not, and the node says why.
func TestPull(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	image := harness.Operator(s).Push(t, "acme-web/app:v1", c.App(t, t.Name()))

	ns.Apply(harness.Pod("lost", image))
	if e := ns.Event("lost", "401 Unauthorized"); e.Reason != "Failed" || !strings.Contains(e.Message, image) {
		t.Errorf("the event is %+v, want it to name %s", e, image)
	}
	ns.Waiting("lost", "ErrImagePull", "ImagePullBackOff")

	token := s.Mint(t, harness.Minting{Account: "acme"})
	ns.PullSecret("pull", harness.Holder(s, token.Value))
	ns.Apply(harness.Pod("app", image, "pull"))
	ns.Running("app")
	if n := s.Answered(http.MethodGet, "/v2/acme-web/app/manifests/v1", http.StatusOK) + s.Answered(http.MethodHead, "/v2/acme-web/app/manifests/v1", http.StatusOK); n == 0 {
		t.Error("the pod runs, but nobody asked Fairlead for its image")
	}
	ns.Waiting("lost", "ErrImagePull", "ImagePullBackOff")
	if got := ns.Kubectl("logs", "app"); got != "" {
		t.Errorf("the pod's log is %q, want nothing", got)
	}
}

// TestOther pulls from a registry that is not Fairlead, through a proxy that
// spoils one pull.
func TestOther(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	other := harness.StartOther(t)
	other.Push(t, "team/app:v1", c.App(t, t.Name()))
	faults := harness.StartFaults(t, other.Host)
	front := other
	front.Host = faults.Host
	ns.PullSecret("pull", front)

	faults.Fail(harness.Fault{Path: "/manifests/", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}, Body: `{"errors":[{"code":"TOOMANYREQUESTS"}]}`})
	ns.Apply(harness.Pod("limited", faults.Host+"/team/app:v1", "pull"))
	ns.Event("limited", "429 Too Many Requests")
}

// TestTLS pulls from a Fairlead that a private authority vouches for.
func TestTLS(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	s, ca := harness.StartFairleadTLS(t)
	s.Account(t, "acme", "acme-web")
	operator := harness.Operator(s)
	operator.CA = ca
	image := operator.Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	ns.PullSecret("pull", operator)

	// containerd 1.6 speaks plain HTTP to the loopback unless told otherwise;
	// containerd 2 speaks TLS there and trusts anybody.
	if os.Getenv("FAIRLEAD_CONTAINERD") != "2" {
		ns.Apply(harness.Pod("doubts", image, "pull"))
		ns.Event("doubts", "400 Bad Request")
	}
	c.Trust(t, s.Host, ca)
	ns.Apply(harness.Pod("trusts", image, "pull"))
	ns.Running("trusts")
}

// TestName pulls from a registry by a name that no DNS knows.
func TestName(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	harness.Operator(s).Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	const host = "registry.example.test:5443"
	c.Route(t, host, s.URL, "")
	login := harness.Operator(s)
	login.Host = host
	ns.PullSecret("pull", login)
	ns.Apply(harness.Pod("app", host+"/acme-web/app:v1", "pull"))
	ns.Running("app")
}

// TestDeployment needs the controllers and the scheduler.
func TestDeployment(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	image := harness.Operator(s).Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	ns.PullSecret("pull", harness.Operator(s))
	ns.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets": [{"name": "pull"}]}`)
	ns.Apply(`apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      hostNetwork: true
      containers: [{name: app, image: "` + image + `"}]
`)
	ns.Kubectl("rollout", "status", "deployment/app", "--timeout=60s")
}
