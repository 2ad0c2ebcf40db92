package install_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// newPodSite is a site whose controller runs as a pod.
func newPodSite(t *testing.T, registries int) *site {
	t.Helper()
	c := harness.Node(t)
	harness.Ports(t)
	c.ServeAPI(t)
	return newSite(t, c, registries)
}

// runs applies a Deployment in a namespace, and waits until all of it runs. It
// is taken away in the end.
func (s *site) runs(namespace, name, image string, replicas int) {
	s.t.Helper()
	s.ns.Input(harness.Deployment(name, image, replicas), "apply", "-n", namespace, "-f", "-")
	s.t.Cleanup(func() {
		s.ns.Kubectl("delete", "deployment", name, "-n", namespace, "--ignore-not-found", "--wait=false")
	})
	if r := s.ns.Try("", "rollout", "status", "deployment/"+name, "-n", namespace, "--timeout=90s"); r.Code != 0 {
		s.t.Fatalf("%s does not run in %s: %s\n%s", image, namespace, r.Stderr, s.ns.Try("", "describe", "pods", "-n", namespace, "-l", "app="+name).Stdout)
	}
}

// refused applies a Deployment, and waits until the node could not pull.
func (s *site) refused(namespace, name, image string) {
	s.t.Helper()
	s.ns.Input(harness.Deployment(name, image, 1), "apply", "-n", namespace, "-f", "-")
	s.t.Cleanup(func() {
		s.ns.Kubectl("delete", "deployment", name, "-n", namespace, "--ignore-not-found", "--wait=false")
	})
	harness.Until(s.t, image+" is refused", func() error {
		got := s.ns.Kubectl("get", "pods", "-n", namespace, "-l", "app="+name, "-o", "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}")
		if !strings.Contains(got, "Pull") {
			return fmt.Errorf("it waits for %q", got)
		}
		return nil
	})
}

// namespace makes a namespace that ends with the test.
func (s *site) namespace(name string) {
	s.t.Helper()
	s.ns.Kubectl("create", "namespace", name)
	s.t.Cleanup(func() { s.ns.Kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found") })
}

// TestControllerInAPod: attach pushes the controller's image, the node pulls it
// with the first secret, and from then on every namespace deploys what is in
// both registries, with no credential seen. After detach the cluster is as it
// was.
func TestControllerInAPod(t *testing.T) {
	s := newPodSite(t, 2)
	private := harness.Operator(s.registries[0]).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()))
	global := harness.Operator(s.registries[1]).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()+"global"))
	provided := harness.Operator(s.registries[1]).Push(t, "provided:v1", s.c.App(t, t.Name()+"provided"))
	before := s.everything()
	r := s.attach(0, "--without-webhook")
	if strings.Contains(r.Stderr, "ClusterPullSecret") {
		t.Errorf("attach warns: %+v", r)
	}
	for _, want := range []string{"The controller runs: 1 of 1 replicas are ready.", "The cluster prod is attached: pods of every namespace pull from " + s.registries[0].Host + " and " + s.registries[1].Host} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("attach says %+v\nwant %q", r, want)
		}
	}
	s.runs("default", "web", private, 3)
	s.namespace("moment")
	s.has("moment")
	s.runs("moment", "web", private, 3)
	s.runs("moment", "global", global, 1)
	s.runs("moment", "provided", provided, 1)
	if got := s.ns.Kubectl("get", "deployments", "-A", "-o", "jsonpath={.items[*].spec.template.spec.imagePullSecrets}"); got != "" {
		t.Errorf("the Deployments name pull secrets: %s", got)
	}
	show := s.ns.Fairlead(0, "cluster", "show", "prod")
	for _, want := range []string{"The controller in fairlead-system: 1 of 1 replica ready.", "ClusterPullSecret/fairlead ", "PullSecret/fairlead-system/fairlead-controller "} {
		if !strings.Contains(show.Stdout, want) {
			t.Errorf("show says\n%s\nwant %q", show.Stdout, want)
		}
	}

	// The same again leaves the pod alone.
	pod := s.ns.Kubectl("get", "pods", "-n", "fairlead-system", "-o", "name")
	again := s.attach(0, "--without-webhook")
	if got := s.ns.Kubectl("get", "pods", "-n", "fairlead-system", "-o", "name"); got != pod || strings.Contains(again.Stdout, "is made") {
		t.Errorf("after the same attach the pods are %s, were %s\n%s", got, pod, again.Stdout)
	}

	for _, n := range []string{"web -n default", "web -n moment", "global -n moment", "provided -n moment"} {
		s.ns.Kubectl(append([]string{"delete", "deployment"}, strings.Fields(n)...)...)
	}
	s.ns.Kubectl("delete", "namespace", "moment")
	harness.Until(s.t, "the pods are gone", func() error {
		if got := s.ns.Kubectl("get", "pods", "-n", "default", "-o", "name"); got != "" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
	d := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	if strings.Contains(d.Stdout, "that the controller left") {
		t.Errorf("the controller, which was alive, left secrets:\n%s", d.Stdout)
	}
	s.ended(d, before)
}

// TestControllerPrivateCA: a registry by its name, on an address that is not
// loopback, whose authority nobody knows: pods trust it by the secret, and nodes
// by the files that attach prints.
func TestControllerPrivateCA(t *testing.T) {
	s := newPodSite(t, 0)
	at, operator := s.c.StartNamed(t, "registry.fairlead.test")
	at.Account(t, "acme", "acme-web")
	token := at.Mint(t, harness.Minting{Account: "acme", Access: "admin"})
	url := "https://" + operator.Host
	fairlead := func(code int, stdin string, args ...string) harness.Result {
		t.Helper()
		r := s.ns.RunThere(stdin, harness.FairleadBinary(), args...)
		if r.Code != code {
			t.Fatalf("fairlead %s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
		}
		return r
	}
	fairlead(0, token.Value, "login", url, "--token-stdin", "--ca-file", operator.CA)
	attach := []string{"cluster", "attach", "prod", "--registry", url, "--host-network", "--without-webhook"}
	r := fairlead(0, "", append(attach, "--wait=false")...)
	dir := "/etc/containerd/certs.d/" + operator.Host
	if !strings.Contains(r.Stdout, "# "+dir+"/hosts.toml\n") || !strings.Contains(r.Stdout, "-----BEGIN CERTIFICATE-----") {
		t.Fatalf("it says\n%s", r.Stdout)
	}
	s.c.Certs(t, r.Stdout)
	fairlead(0, "", attach...)
	image := operator.Push(t, "acme-web/app:v1", s.c.App(t, t.Name()))
	s.runs("default", "named", image, 2)
	fairlead(0, "", "cluster", "detach", "prod", "--force")
}

// takesOver attaches without the controller, and then with it. While somebody
// else's secret has the token that was placed, the attach says so, and the token
// stays; afterwards it ends.
func (s *site) takesOver() {
	s.t.Helper()
	at := s.registries[0]
	s.attach(0, "--without-controller")
	placed := s.active(at)
	if len(placed) != 1 || placed[0].Expires != nil {
		s.t.Fatalf("without the controller there are the tokens %+v", placed)
	}
	id := placed[0].ID
	is := func() bool { return slices.ContainsFunc(s.active(at), func(a token) bool { return a.ID == id }) }
	s.ns.Fairlead(0, "secret", "copy", "fairlead-pull", "-n", "default", "--to", s.ns.Name)
	r := s.attach(0, "--without-webhook")
	for _, want := range []string{
		"warning: the ClusterPullSecret fairlead fails in 1 of ", ": NotOurs: " + s.ns.Name + ": ",
		"warning: the token " + id + " of " + at.URL + ", which was placed without the controller, stays: it is in the secret " + s.ns.Name + "/fairlead-pull.",
	} {
		if !strings.Contains(r.Stderr, want) {
			s.t.Errorf("beside somebody else's secret attach says %+v\nwant %q", r, want)
		}
	}
	if !is() || strings.Contains(s.data("default"), id) {
		s.t.Errorf("the placed token is active: %t; what attach says: %+v", is(), r)
	}
	s.ns.Kubectl("delete", "secret", "fairlead-pull")
	r = s.attach(0, "--without-webhook")
	if is() || !strings.Contains(r.Stdout, "The token "+id+" of "+at.URL+", which was placed without the controller, is revoked.") || strings.Contains(r.Stderr, "ClusterPullSecret") {
		s.t.Errorf("the placed token is active: %t; what attach says: %+v", is(), r)
	}
}

// TestOtherAccountsCluster takes over from an attach without the controller, and
// pulls nothing of another account.
func TestOtherAccountsCluster(t *testing.T) {
	s := newPodSite(t, 1)
	at := s.registries[0]
	at.Account(t, "umbrella", "umbrella-lab")
	theirs := harness.Operator(at).Push(t, "umbrella-lab/app:v1", s.c.App(t, t.Name()))
	ours := harness.Operator(at).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()+"ours"))
	s.takesOver()
	s.refused("default", "theirs", theirs)
	s.runs("default", "ours", ours, 1)

	// Two accounts of one registry in one pod: their token beside ours, each
	// for its namespaces.
	token := at.Mint(t, harness.Minting{Account: "umbrella", Access: "cluster", Cluster: "prod"})
	s.secret("theirs", map[string]string{"url": at.URL, "token": token.Value, "insecure-http": "true"})
	s.ns.Kubectl("patch", "clusterpullsecret", "fairlead", "--type=json", "-p",
		fmt.Sprintf(`[{"op":"add","path":"/spec/registries/-","value":{"host":%q,"namespaces":["umbrella-lab"],"fairlead":{"tokenSecret":"theirs"}}}]`, at.Host))
	harness.Until(s.t, "the entry", func() error {
		if data := s.data("default"); !strings.Contains(data, at.Host+"/umbrella-lab/") {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	pod := harness.Pod("two", ours)
	pod = strings.Replace(pod, "containers: [", fmt.Sprintf("containers: [{name: theirs, image: %q, imagePullPolicy: Always}, ", theirs), 1)
	s.ns.Input(pod, "apply", "-n", "default", "-f", "-")
	t.Cleanup(func() { s.ns.Kubectl("delete", "pod", "two", "-n", "default", "--wait=false") })
	s.ns.Kubectl("wait", "pod/two", "-n", "default", "--for=condition=Ready", "--timeout=90s")
}

// secret makes a source that all namespaces may use.
func (s *site) secret(name string, data map[string]string) {
	s.t.Helper()
	text := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: fairlead-system, annotations: {fairlead.dev/namespaces: \"*\"}}\nstringData:\n", name)
	if _, is := data["username"]; is {
		text = strings.Replace(text, "stringData:", "type: kubernetes.io/basic-auth\nstringData:", 1)
	}
	for k, v := range data {
		text += fmt.Sprintf("  %s: %q\n", k, v)
	}
	s.ns.Input(text, "apply", "-f", "-")
	s.t.Cleanup(func() { s.ns.Kubectl("delete", "secret", name, "-n", "fairlead-system", "--ignore-not-found") })
}

// data is the secret of a namespace, decoded.
func (s *site) data(namespace string) string {
	s.t.Helper()
	return s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", namespace, "-o", `go-template={{index .data ".dockerconfigjson" | base64decode}}`)
}

// TestExternalRegistry: a registry that is not Fairlead, with a user and a
// password, in the same policy.
func TestExternalRegistry(t *testing.T) {
	s := newPodSite(t, 1)
	other := harness.StartOther(t)
	theirs := other.Push(t, "team/app:v1", s.c.App(t, t.Name()))
	ours := harness.Operator(s.registries[0]).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()+"ours"))
	s.attach(0, "--without-webhook")
	s.secret("other", map[string]string{"username": other.User, "password": other.Password})
	s.ns.Kubectl("patch", "clusterpullsecret", "fairlead", "--type=json", "-p",
		fmt.Sprintf(`[{"op":"add","path":"/spec/registries/-","value":{"host":%q,"secret":{"name":"other"}}}]`, other.Host))
	harness.Until(s.t, "the entry", func() error {
		if data := s.data("default"); !strings.Contains(data, other.Host) {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	s.runs("default", "theirs", theirs, 1)
	// Beside them what is public is pulled without a credential: this registry
	// refuses everybody who brings one that it does not know.
	open := harness.StartFairlead(t, "--anonymous-public")
	open.Account(t, "open", "open-web")
	open.Manage(t, http.MethodPatch, "namespaces/open-web", map[string]string{"visibility": "public"}, nil)
	s.runs("default", "public", harness.Operator(open).Push(t, "open-web/app:v1", s.c.App(t, t.Name()+"public")), 1)
	s.runs("default", "ours", ours, 1)
	s.attach(0, "--without-webhook") // keeps the entry
	if data := s.data("default"); !strings.Contains(data, other.Host) {
		t.Error("the same attach took others' registry away")
	}
}

// TestRotationSeenByTheNode: a rotated secret keeps its UID, so that an image
// that is there starts without the registry; a revoked token ends pulls within
// seconds, and what the node holds runs on.
func TestRotationSeenByTheNode(t *testing.T) {
	s := newPodSite(t, 1)
	at := s.registries[0]
	image := harness.Operator(at).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()))
	s.attach(0, "--without-webhook")
	s.has("default")
	cached := strings.ReplaceAll(harness.Deployment("cached", image, 1), "Always", "IfNotPresent")
	apply := func(name string) {
		t.Helper()
		s.ns.Input(strings.ReplaceAll(cached, "cached", name), "apply", "-n", "default", "-f", "-")
		t.Cleanup(func() {
			s.ns.Kubectl("delete", "deployment", name, "-n", "default", "--ignore-not-found", "--wait=false")
		})
		s.ns.Kubectl("rollout", "status", "deployment/"+name, "-n", "default", "--timeout=60s")
	}
	apply("cached")
	uid, was := s.uid(), s.data("default")

	// The cluster's token is rotated, and with it what is made of it.
	for _, a := range s.active(at) {
		if a.Access == "cluster" {
			at.Manage(t, "POST", "tokens/"+a.ID+"/rotate", map[string]string{"overlap": "1h"}, nil)
		}
	}
	s.attach(0, "--without-webhook")
	harness.Until(s.t, "the token is another", func() error {
		if s.data("default") == was {
			return fmt.Errorf("it is the same")
		}
		return nil
	})
	if got := s.uid(); got != uid {
		t.Errorf("the secret was made anew: %s, was %s", got, uid)
	}
	apply("again")
	// What the kubelet says of it, and not what the registry counts: that comes
	// up to a minute later.
	said := s.ns.Kubectl("get", "events", "-n", "default", "--field-selector=reason=Pulled", "-o", `jsonpath={range .items[*]}{.involvedObject.name} {.message}{"\n"}{end}`)
	for _, want := range []string{"cached-[^ ]+ Successfully pulled image", "again-[^ ]+ Container image .* already present on machine and can be accessed by the pod"} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(said) {
			t.Errorf("the kubelet says\n%s\nwant %s", said, want)
		}
	}

	// Revoked: the next pull of what is not there fails soon. The controller
	// would put a new token in the place of one that ended.
	s.ns.Kubectl("scale", "deployment", "fairlead-controller", "-n", "fairlead-system", "--replicas=0")
	harness.Until(s.t, "it ended", func() error {
		if got := s.ns.Kubectl("get", "pods", "-n", "fairlead-system", "-o", "name"); got != "" {
			return fmt.Errorf("there is %s", got)
		}
		return nil
	})
	for _, a := range s.active(at) {
		if a.Access == "readonly" {
			at.Manage(t, "DELETE", "tokens/"+a.ID, nil, nil)
		}
	}
	revoked := time.Now()
	fresh := harness.Operator(at).Push(t, "acme-web/app:v2", s.c.App(t, t.Name()+"fresh"))
	s.refused("default", "fresh", fresh)
	t.Logf("a new pull was refused %s after the revocation", time.Since(revoked).Round(100*time.Millisecond))
	if got := s.ns.Kubectl("get", "deployment", "cached", "-n", "default", "-o", "jsonpath={.status.availableReplicas}"); got != "1" {
		t.Errorf("of the running image %q pods are left", got)
	}
}

func (s *site) uid() string {
	s.t.Helper()
	return s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", "default", "-o", "jsonpath={.metadata.uid}")
}
