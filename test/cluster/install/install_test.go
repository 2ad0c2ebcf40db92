package install_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestInstall: what attach makes, that the dry run shows the same, and that the
// same attach again changes nothing.
func TestInstall(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 2)
	s.idle()
	before := s.everything()
	dry := s.attach(0, "--dry-run", "-o", "json")
	if len(s.active(s.registries[0])) != 0 || !s.missing("namespace", "fairlead-system", "") {
		t.Fatal("the dry run changed something")
	}
	if r := s.attach(0, "--dry-run", "--image", "docker.io/x/y:v1"); strings.Contains(r.Stdout, "The secret ") {
		t.Errorf("the dry run with an image that needs no credential says\n%s", r.Stdout)
	}
	first := s.attach(0, "--wait=false")
	for _, want := range []string{"is made: it makes tokens for this cluster", "The namespace acme-fairlead of " + s.registries[0].URL + " is made", "is pushed."} {
		if !strings.Contains(first.Stdout, want) {
			t.Errorf("attach says\n%s\nwant %q", first.Stdout, want)
		}
	}
	for i, r := range s.registries {
		var got []string
		for _, a := range s.active(r) {
			got = append(got, a.Access)
			if a.Access == "cluster" && (a.Description != "prod" || a.Expires != nil) || a.Access == "readonly" && (!slices.Equal(a.Reach.Namespaces, []string{"acme-fairlead"}) || a.Expires == nil) {
				t.Errorf("%s has the token %+v", r.URL, a)
			}
		}
		slices.Sort(got)
		if want := [][]string{{"cluster", "readonly"}, {"cluster"}}[i]; !slices.Equal(got, want) {
			t.Errorf("%s has tokens of %v, want %v", r.URL, got, want)
		}
	}
	image := s.image()
	if !strings.HasPrefix(image, s.registries[0].Host+"/acme-fairlead/fairlead:") || !strings.Contains(image, "@sha256:") {
		t.Errorf("the controller's image is %s", image)
	}
	// The first pull secret is said by itself.
	if want := fmt.Sprintf(": %d objects created, 0 changed, 0 as they were.", s.sameAsDry(dry.Stdout, before)-1); !strings.Contains(first.Stdout, want) {
		t.Errorf("attach says\n%s\nwant %q", first.Stdout, want)
	}
	if first, second := s.users(s.registries[0]), s.users(s.registries[1]); first != "fairlead / fairlead-system" || second != "fairlead / " {
		t.Errorf("the tokens are for %q and %q", first, second)
	}

	versions := s.versions()
	again := s.attach(0, "--wait=false")
	if !strings.Contains(again.Stdout, ": 0 objects created, 0 changed") || !strings.Contains(again.Stdout, " is there.") || strings.Contains(again.Stdout, "is made") {
		t.Errorf("again attach says\n%s", again.Stdout)
	}
	if d := cmp.Diff(versions, s.versions()); d != "" {
		t.Errorf("the same attach wrote:\n%s", d)
	}
	if n := len(s.active(s.registries[0])); n != 2 {
		t.Errorf("after the same attach there are %d tokens", n)
	}

	// What was changed or deleted is repaired, and what others added or set stays.
	s.ns.Kubectl("delete", "clusterrole", "fairlead-controller")
	s.ns.Kubectl("scale", "deployment", "fairlead-controller", "-n", "fairlead-system", "--replicas=0")
	s.ns.Kubectl("patch", "clusterpullsecret", "fairlead", "--type=json", "-p", `[{"op":"add","path":"/spec/registries/-","value":{"host":"docker.io","secret":{"name":"hub"}}},
		{"op":"add","path":"/spec/registries/0/namespaces","value":["acme-web"]}, {"op":"add","path":"/spec/registries/0/fairlead/lifetime","value":"48h"}, {"op":"add","path":"/spec/registries/0/fairlead/renewAfter","value":"1h"}]`)
	s.ns.Kubectl("annotate", "secret", source(s.registries[0]), "-n", "fairlead-system", "--overwrite", "fairlead.dev/cluster-pull-secrets=fairlead,more", "fairlead.dev/namespaces=fairlead-system,shop")
	s.ns.Kubectl("annotate", "secret", source(s.registries[1]), "-n", "fairlead-system", "fairlead.dev/cluster-pull-secrets-", "fairlead.dev/namespaces=shop")
	if r := s.attach(0, "--dry-run", "-o", "yaml"); !strings.Contains(r.Stdout, "host: docker.io\n") || !strings.Contains(r.Stdout, "lifetime: 48h\n") || strings.Contains(r.Stdout, ".dockerconfigjson: ") || strings.Contains(r.Stderr, "warning: "+s.registries[0].URL+" has tokens") {
		t.Errorf("the dry run of a repair prints %+v", r)
	}
	repaired := s.attach(0, "--wait=false", "--image", image) // the one that is there
	if !strings.Contains(repaired.Stdout, ": 1 object created, 1 changed") || strings.Contains(repaired.Stdout, "The image ") || s.image() != image {
		t.Errorf("of a repair attach says\n%s\nand the image is %s", repaired.Stdout, s.image())
	}
	if got := s.ns.Kubectl("get", "clusterpullsecret", "fairlead", "-o", "jsonpath={.spec.registries[*].host} {.spec.registries[0].namespaces} {.spec.registries[0].fairlead.lifetime} {.spec.registries[0].fairlead.renewAfter}"); got != s.registries[0].Host+" "+s.registries[1].Host+` docker.io ["acme-web"] 48h 1h` {
		t.Errorf("the registries are %s", got)
	}
	if first, second := s.users(s.registries[0]), s.users(s.registries[1]); first != "fairlead,more / fairlead-system,shop" || second != " / shop" {
		t.Errorf("the tokens are for %q and %q", first, second)
	}

	// Another program is another image: an upgrade.
	program, err := os.ReadFile(harness.FairleadBinary())
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "fairlead")
	if err := os.WriteFile(newer, append(program, "newer"...), 0o700); err != nil {
		t.Fatal(err)
	}
	upgraded := s.attach(0, "--wait=false", "--binary", newer, "--recreate-pods")
	if got := s.image(); got == image || !strings.Contains(upgraded.Stdout, got+" is pushed.") || !strings.Contains(upgraded.Stdout, ": 2 objects created, 2 changed") {
		t.Errorf("of an upgrade attach says\n%s\nand the image is %s", upgraded.Stdout, got)
	}
	if got := s.recreates(); got != "Stuck" || s.missing("clusterrole", "fairlead-controller-recreate", "") || s.missing("clusterrolebinding", "fairlead-controller-recreate", "") {
		t.Errorf("with --recreate-pods the policy says %s\n%s", got, upgraded.Stdout)
	}

	// With a registry less and without the webhook, that is taken away; and so
	// is the right to delete pods.
	left := source(s.registries[1])
	s.registries = s.registries[:1]
	soon := s.attach(0, "--dry-run", "--without-webhook")
	for _, what := range []string{"The Secret " + left + " in fairlead-system", "The MutatingWebhookConfiguration fairlead-pull-secrets", "The ClusterRole fairlead-controller-recreate"} {
		if !strings.Contains(soon.Stdout, what+" would be removed (dry run).\n") {
			t.Errorf("with less the dry run says\n%s\nwant %s", soon.Stdout, what)
		}
	}
	less := s.attach(0, "--wait=false", "--without-webhook")
	if !s.missing("mutatingwebhookconfiguration", "fairlead-pull-secrets", "") || !strings.Contains(less.Stderr, "goes out of the secrets") {
		t.Errorf("with less attach says %+v", less)
	}
	if args := s.ns.Kubectl("get", "deployment", "fairlead-controller", "-n", "fairlead-system", "-o", "jsonpath={.spec.template.spec.containers[0].args}"); strings.Contains(args, "webhook") {
		t.Errorf("the arguments are %s", args)
	}
	if got := s.recreates(); got != "Never" || !s.missing("clusterrole", "fairlead-controller-recreate", "") || !s.missing("clusterrolebinding", "fairlead-controller-recreate", "") || !s.missing("secret", left, "fairlead-system") {
		t.Errorf("with less the policy says %s\n%s", got, less.Stdout)
	}

	// An image that needs none of the cluster's credentials.
	given := s.attach(0, "--wait=false", "--without-webhook", "--image", "registry.example/x/y:v1")
	if got := s.image(); got != "registry.example/x/y:v1" || !s.missing("pullsecret", "fairlead-controller", "fairlead-system") || s.users(s.registries[0]) != "fairlead,more / fairlead-system,shop" {
		t.Errorf("with an image that is given it is %s, and attach says\n%s", got, given.Stdout)
	}
}

// source is the Secret with the cluster's token of a registry.
func source(r *harness.Fairlead) string {
	return "fairlead-token-" + strings.ReplaceAll(r.Host, ":", "-")
}

// users are the policies and the namespaces that may use a registry's source.
func (s *site) users(r *harness.Fairlead) string {
	s.t.Helper()
	return s.ns.Kubectl("get", "secret", source(r), "-n", "fairlead-system", "-o", `jsonpath={.metadata.annotations.fairlead\.dev/cluster-pull-secrets} / {.metadata.annotations.fairlead\.dev/namespaces}`)
}

// recreates is what becomes of pods that wait from before.
func (s *site) recreates() string {
	s.t.Helper()
	return s.ns.Kubectl("get", "clusterpullsecret", "fairlead", "-o", "jsonpath={.spec.recreatePods}")
}

// image of the controller.
func (s *site) image() string {
	s.t.Helper()
	return s.ns.Kubectl("get", "deployment", "fairlead-controller", "-n", "fairlead-system", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

type plain struct {
	Kind, APIVersion string
	Metadata         struct{ Name, Namespace string }
}

// sameAsDry: the dry run printed all that attach made, and nothing else, as it
// is in the cluster: kubectl finds nothing to change but tokens. It gives how
// many objects there are.
func (s *site) sameAsDry(text string, before []string) int {
	s.t.Helper()
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(text), &list); err != nil || strings.Contains(text, "flt_") {
		s.t.Fatalf("the dry run prints, %v:\n%s", err, text)
	}
	var printed, made []string
	for _, doc := range list.Items {
		var o struct {
			plain
			ImagePullSecrets []struct{ Name string }
		}
		if err := json.Unmarshal(doc, &o); err != nil {
			s.t.Fatal(err)
		}
		printed = append(printed, o.APIVersion+" "+o.Kind+" "+o.Metadata.Namespace+"/"+o.Metadata.Name)
		if o.Kind == "ServiceAccount" && (len(o.ImagePullSecrets) != 1 || o.ImagePullSecrets[0].Name != "fairlead-pull") {
			s.t.Errorf("the dry run's account has the list %+v", o.ImagePullSecrets)
		}
		if o.Kind == "Secret" {
			continue
		}
		r := s.ns.Try(string(doc), "diff", "--server-side", "--force-conflicts", "--field-manager=fairlead-attach", "-f", "-")
		if r.Code != 0 {
			s.t.Errorf("the dry run differs from what is there (%s):\n%s%s", doc[:min(len(doc), 200)], r.Stdout, r.Stderr)
		}
	}
	for _, line := range s.everything() {
		object := strings.Join(strings.Fields(line)[:3], " ")
		switch {
		case slices.Contains(before, line):
		case slices.Contains([]string{"ReplicaSet", "Pod", "APIService", "IPAddress"}, strings.Fields(line)[1]): // Kubernetes' own, of what is made
		case object == "v1 ConfigMap fairlead-system/kube-root-ca.crt", object == "v1 ServiceAccount fairlead-system/default": // any namespace's
		default:
			made = append(made, object)
		}
	}
	slices.Sort(printed)
	if d := cmp.Diff(made, printed); d != "" {
		s.t.Errorf("what attach made (-) and what the dry run prints (+) differ:\n%s", d)
	}
	return len(printed)
}

// versions are the resourceVersions of all that attach made.
func (s *site) versions() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	kinds := "crd,namespace,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,mutatingwebhookconfiguration,clusterpullsecret,serviceaccount,secret,service,role,rolebinding,deployment,pullsecret"
	var list struct {
		Items []struct {
			plain
			Metadata struct {
				Name, Namespace, ResourceVersion string
				Generation                       int
			}
		}
	}
	if err := json.Unmarshal([]byte(s.ns.Kubectl("get", kinds, "-A", "-l", "fairlead.dev/cluster=prod", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, i := range list.Items {
		v := i.Metadata.ResourceVersion
		if i.Metadata.Generation > 0 { // what has a status changes by itself
			v = fmt.Sprint("generation ", i.Metadata.Generation)
		}
		out[i.Kind+" "+i.Metadata.Namespace+"/"+i.Metadata.Name] = v
	}
	if len(out) < 12 {
		s.t.Errorf("attach made %v", out)
	}
	return out
}

// TestInstallRefuses: each refusal, and that nothing was made.
func TestInstallRefuses(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	at := s.registries[0]
	attach := func(flags ...string) []string {
		return append([]string{"cluster", "attach", "prod", "--registry", at.URL}, flags...)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "is this machine's own address: a node looks for it on itself", attach()},
		{2, "--namespace is for --without-controller", attach("--allow-loopback", "-n", "shop")},
		{2, "--secret-name is for --without-controller", attach("--allow-loopback", "--secret-name", "x")},
		{2, "--image names an image that is there", attach("--allow-loopback", "--image", "x/y", "--binary", "z")},
		{2, "--timeout must be above 0", attach("--allow-loopback", "--timeout", "0s")},
		{2, "the namespace name \"a/b\" is not valid", attach("--allow-loopback", "--image-namespace", "a/b")},
		{2, "--image: couldn't parse image name", attach("--allow-loopback", "--image", "a//b")},
		{2, "--host-network is about the controller", attach("--allow-loopback", "--without-controller", "--host-network")},
		{1, "is no program for Linux", attach("--allow-loopback", "--binary", s.c.Kubeconfig)},
		{3, "the user somebody may not get namespaces", attach("--allow-loopback", "--as", "somebody")},
	} {
		if r := s.ns.Fairlead(c.code, c.args...); !strings.Contains(r.Stderr, c.want) || !strings.Contains(r.Stderr, "\nNext: ") {
			t.Errorf("%v: %+v\nwant %q", c.args, r, c.want)
		}
	}
	if n := len(s.active(at)); n != 0 || !s.missing("namespace", "fairlead-system", "") {
		t.Fatalf("the refusals left %d tokens", n)
	}

	// The controller, installed in another way.
	s.ns.Kubectl("create", "namespace", "fairlead-system")
	s.ns.Kubectl("create", "deployment", "fairlead-controller", "--image=x", "-n", "fairlead-system")
	if r := s.attach(5); !strings.Contains(r.Stderr, "there is the Deployment fairlead-controller in fairlead-system, and attach did not make it") || len(s.active(at)) != 0 {
		t.Errorf("another installation: %+v", r)
	}
	s.ns.Kubectl("delete", "deployment", "fairlead-controller", "-n", "fairlead-system")
	s.ns.Kubectl("create", "secret", "generic", "fairlead-pull", "-n", "fairlead-system", "--from-literal=a=b")
	if r := s.attach(5); !strings.Contains(r.Stderr, "there is a secret fairlead-pull in the namespace fairlead-system, and attach did not make it") || len(s.active(at)) != 0 {
		t.Errorf("another secret: %+v", r)
	}
	s.ns.Kubectl("delete", "namespace", "fairlead-system")
	s.ns.Kubectl("create", "clusterrole", "fairlead-pullsecret-viewer", "--verb=get", "--resource=pods")
	if r := s.attach(5); !strings.Contains(r.Stderr, "there is the ClusterRole fairlead-pullsecret-viewer, and attach did not make it") || len(s.active(at)) != 0 {
		t.Errorf("another role: %+v", r)
	}
	s.ns.Kubectl("delete", "clusterrole", "fairlead-pullsecret-viewer")

	// Another cluster's name; a second name; without the controller beside it.
	at.Manage(t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "description": "prod", "cluster": "prod", "nonExpiring": true}, nil)
	if r := s.attach(5); !strings.Contains(r.Stderr, "has tokens of another cluster with the name prod") || len(s.active(at)) != 1 {
		t.Errorf("the name of another cluster: %+v", r)
	}
	if r := s.attach(0, "--dry-run"); !strings.Contains(r.Stderr, "warning: "+at.URL+" has tokens of a cluster with the name prod") {
		t.Errorf("the name of another cluster in a dry run: %+v", r)
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--registry-only", "--registry", at.URL, "--force")
	at.Account(t, "umbrella", "umbrella-lab")
	if r := s.attach(5, "--image-namespace", "umbrella-lab"); !strings.Contains(r.Stderr, "umbrella-lab is not to be had") || !strings.Contains(r.Stderr, "Next: another namespace of your own with --image-namespace NS") || len(s.active(at)) != 0 || !s.missing("namespace", "fairlead-system", "") {
		t.Errorf("another account's namespace: %+v, %d tokens", r, len(s.active(at)))
	}
	s.attach(0, "--wait=false", "--image-namespace", "acme-own")
	var page struct{ Items []struct{ Digest string } }
	at.Manage(t, "GET", "digests?repository=acme-own/fairlead", nil, &page)
	if image := s.image(); !strings.HasPrefix(image, at.Host+"/acme-own/fairlead:") || len(page.Items) != 1 || !strings.HasSuffix(image, "@"+page.Items[0].Digest) {
		t.Errorf("in a namespace of one's own the registry has %+v, and the image is %s", page.Items, image)
	}
	added := s.registry()
	added.Manage(t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "description": "prod", "cluster": "prod", "nonExpiring": true}, nil)
	if r := s.attach(5, "--registry", added.URL); !strings.Contains(r.Stderr, added.URL+" has tokens of another cluster with the name prod") || len(s.active(added)) != 1 {
		t.Errorf("the name of another cluster at an added registry: %+v", r)
	}
	if r := s.ns.Fairlead(5, "cluster", "attach", "test", "--registry", at.URL, "--allow-loopback"); !strings.Contains(r.Stderr, "the cluster is attached as prod") {
		t.Errorf("a second name: %+v", r)
	}
	// Somebody of another account, who may do all in the cluster.
	theirs := at.Mint(t, harness.Minting{Account: "umbrella", Access: "admin"})
	as := func(code int, verb string, flags ...string) {
		t.Helper()
		home := t.TempDir()
		run := func(stdin string, args ...string) harness.Result {
			return s.ns.Run(stdin, "env", append([]string{"XDG_CONFIG_HOME=" + home, harness.FairleadBinary()}, args...)...)
		}
		if r := run(theirs.Value, "login", at.URL, "--token-stdin", "--name", "theirs"); r.Code != 0 {
			t.Fatalf("login: %+v", r)
		}
		if r := run("", append([]string{"cluster", verb, "prod", "--registry", at.URL}, flags...)...); r.Code != code || !strings.Contains(r.Stderr, "the cluster is attached with the account acme of "+at.URL+", and you act for umbrella") {
			t.Errorf("another account's %s: %+v", verb, r)
		}
	}
	as(5, "attach", "--allow-loopback")
	as(5, "detach", "--force")
	if n := len(s.active(at)); n != 2 {
		t.Errorf("%d tokens, want the cluster's and its first", n)
	}
	if r := s.attach(5, "--without-controller"); !strings.Contains(r.Stderr, "the cluster is attached as prod with the controller") || !strings.Contains(r.Stderr, "Next: fairlead cluster detach prod") {
		t.Errorf("without the controller beside it: %+v", r)
	}
	if r := s.attach(1, "--timeout", "2s"); !strings.Contains(r.Stderr, "the controller does not run after 2s: 0 of 1 ready") {
		t.Errorf("where it cannot run: %+v", r)
	}
}

// TestInstallOtherArchitecture: a cluster with nodes that the image is not for
// is refused, with what to type; with a build for each it is an index.
func TestInstallOtherArchitecture(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	s.ns.Input(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"other"},"status":{"nodeInfo":{"architecture":"arm64","operatingSystem":"linux"}}}`, "create", "-f", "-")
	t.Cleanup(func() { s.ns.Kubectl("delete", "node", "other") })
	s.ns.Kubectl("patch", "node", "other", "--subresource=status", "--type=merge", "-p", `{"status":{"nodeInfo":{"architecture":"arm64","operatingSystem":"linux","bootID":"","containerRuntimeVersion":"","kernelVersion":"","kubeProxyVersion":"","kubeletVersion":"","machineID":"","osImage":"","systemUUID":""}}}`)
	r := s.attach(2)
	if !strings.Contains(r.Stderr, "1 node of the cluster is linux/arm64, and the controller's image would be for linux/amd64") || !strings.Contains(r.Stderr, "GOARCH=arm64 go build") || len(s.active(s.registries[0])) != 0 {
		t.Fatalf("it says %+v", r)
	}
	// The machine stands in two bytes of the program's header.
	program, err := os.ReadFile(harness.FairleadBinary())
	if err != nil {
		t.Fatal(err)
	}
	program[18] = 183 // EM_AARCH64
	file := filepath.Join(t.TempDir(), "fairlead-linux-arm64")
	if err := os.WriteFile(file, program, 0o700); err != nil {
		t.Fatal(err)
	}
	// The operator does it, and says for whom.
	at := s.registries[0]
	operator := s.ns.With("XDG_CONFIG_HOME=" + t.TempDir())
	if r := operator.Run(at.Token, harness.FairleadBinary(), "login", at.URL, "--token-stdin"); r.Code != 0 {
		t.Fatalf("login: %+v", r)
	}
	args := []string{"cluster", "attach", "prod", "--allow-loopback", "--registry", at.URL, "--wait=false", "--binary", harness.FairleadBinary(), "--binary", file}
	if r := operator.Fairlead(2, args...); !strings.Contains(r.Stderr, "you are the operator of "+at.URL+": say with --account whose cluster it is") || len(s.active(at)) != 0 {
		t.Errorf("the operator without an account: %+v", r)
	}
	operator.Fairlead(0, append(args, "--account", "acme")...)
	for _, a := range s.active(at) {
		if a.Account != "acme" || a.Access != "cluster" && !slices.Equal(a.Reach.Namespaces, []string{"acme-fairlead"}) {
			t.Errorf("the operator made the token %+v", a)
		}
	}
	if n := len(s.active(at)); n != 2 {
		t.Errorf("the operator made %d tokens, want the cluster's and its first", n)
	}
	image := s.image()
	_, digest, _ := strings.Cut(image, "@")
	var page struct {
		Items []struct{ Digest, MediaType string }
	}
	at.Manage(t, "GET", "digests?repository=acme-fairlead/fairlead", nil, &page)
	if i := slices.IndexFunc(page.Items, func(d struct{ Digest, MediaType string }) bool { return d.Digest == digest }); len(page.Items) != 3 || i < 0 || !strings.Contains(page.Items[i].MediaType, "index") {
		t.Errorf("the registry has %+v, and the image is %s", page.Items, image)
	}
}

// TestNoKinds: a controller in a cluster without its kinds says so and ends.
func TestNoKinds(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 0)
	r := s.ns.Fairlead(1, "controller", "--kubeconfig", s.c.Kubeconfig)
	if !strings.Contains(r.Stderr, "the cluster lacks Fairlead's kinds, or does not know them yet: apply deploy/crds, or let fairlead cluster attach do it") {
		t.Errorf("it says %s", r.Stderr)
	}
}

// TestInstallTakesOver: secrets that were placed without the controller become
// its own in place, and their tokens end when it has others.
func TestInstallTakesOver(t *testing.T) {
	s := newSite(t, harness.Cluster(t), 1)
	s.idle()
	// The kinds were there before, and stay.
	kinds, err := filepath.Abs("../../../deploy/crds")
	if err != nil {
		t.Fatal(err)
	}
	s.ns.Kubectl("apply", "-k", kinds)
	t.Cleanup(func() { s.ns.Kubectl("delete", "crd", "pullsecrets.fairlead.dev", "clusterpullsecrets.fairlead.dev") })
	before := s.everything()
	s.attach(0, "--without-controller")
	s.ns.Kubectl("patch", "secret", "fairlead-pull", "-n", "kube-system", "-p", `{"data":{".dockerconfigjson":"e30="}}`)
	uid := s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", "default", "-o", "jsonpath={.metadata.uid}")
	placed := s.active(s.registries[0])
	dry := s.attach(0, "--dry-run", "-o", "yaml")
	for _, want := range []string{
		"The secret fairlead-pull in default would be the controller's, with its token until that is renewed (dry run).\n",
		"The ServiceAccount default in default would have the annotation fairlead.dev/pull-secrets: fairlead-pull (dry run).\n",
		"The secret fairlead-pull in kube-system would be the controller's", "The tokens that were placed would be revoked once no secret has them (dry run).\n",
	} {
		if !strings.Contains(dry.Stderr, want) {
			t.Errorf("of what it takes over the dry run says\n%s\nwant %q", dry.Stderr, want)
		}
	}
	r := s.attach(0, "--wait=false")
	if !strings.Contains(r.Stdout, "The secret fairlead-pull in default: the controller takes it over.") || s.list("default") != "fairlead-pull" {
		t.Errorf("attach says %+v", r)
	}
	if !strings.Contains(r.Stderr, "the same command without --wait=false, which ends them") {
		t.Errorf("of the placed tokens attach says %+v", r)
	}
	s.controller()
	harness.Until(s.t, "the spoilt secret is as the others", func() error {
		if data := s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", "kube-system", "-o", `go-template={{index .data ".dockerconfigjson" | base64decode}}`); !strings.Contains(data, s.registries[0].Host) {
			return fmt.Errorf("it is %s", data)
		}
		return nil
	})
	harness.Until(s.t, "the token in default is minted", func() error {
		data := s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", "default", "-o", `go-template={{index .data ".dockerconfigjson" | base64decode}}`)
		if strings.Contains(data, placed[0].ID) {
			return fmt.Errorf("it is the placed one")
		}
		return nil
	})
	if got := s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", "default", "-o", "jsonpath={.metadata.uid}"); got != uid {
		t.Errorf("the secret was made anew: %s, was %s", got, uid)
	}
	s.keptFromTenants()
	s.ended(s.ns.Fairlead(0, "cluster", "detach", "prod", "--force"), before)
}

// keptFromTenants: a policy of a namespace that the cluster's policy leaves out
// names the cluster's token, and gets nothing of it.
func (s *site) keptFromTenants() {
	s.t.Helper()
	minted := func() int { return len(s.active(s.registries[0])) }
	s.ns.Kubectl("patch", "clusterpullsecret", "fairlead", "--type=json", "-p", fmt.Sprintf(`[{"op":"add","path":"/spec/excludeNamespaces/-","value":%q}]`, s.ns.Name))
	before := minted()
	s.ns.Apply(fmt.Sprintf(`apiVersion: fairlead.dev/v1alpha1
kind: PullSecret
metadata: {name: greedy}
spec: {registries: [{host: %q, fairlead: {tokenSecret: %s}}]}
`, s.registries[0].Host, source(s.registries[0])))
	harness.Until(s.t, "it is refused", func() error {
		if got := s.ns.Kubectl("get", "pullsecret", "greedy", "-o", `jsonpath={.status.conditions[?(@.type=="CredentialsReady")].reason}`); got != "SourceNotAllowed" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	harness.Until(s.t, "the cluster's own secret is gone, and no other comes", func() error {
		if !s.missing("secret", "fairlead-pull", s.ns.Name) {
			return fmt.Errorf("there is one")
		}
		return nil
	})
	if n := minted(); n != before {
		s.t.Errorf("a tenant's policy had a token minted: there are %d, were %d", n, before)
	}
	s.ns.Kubectl("delete", "pullsecret", "greedy")
}
