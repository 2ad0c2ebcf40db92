package attach_test

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestAttachPulls is the road of 2018: after attach, default deploys any image
// of the account, from both registries, and nobody copied anything; another
// namespace does not, and is told why; a cluster that is detached pulls no
// more.
func TestAttachPulls(t *testing.T) {
	s := newSite(t, harness.Node(t))
	images := map[string]string{
		"regional": harness.Operator(s.regional).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()+"regional")),
		"global":   harness.Operator(s.global).Push(t, "acme-web/app:v1", s.c.App(t, t.Name()+"global")),
	}
	s.attach(0)
	for name, image := range images {
		s.ns.Input(harness.Deployment(name, image, 3), "apply", "-n", "default", "-f", "-")
	}
	for name := range images {
		s.ns.Kubectl("rollout", "status", "deployment/"+name, "-n", "default", "--timeout=90s")
	}
	if got := s.ns.Kubectl("get", "deployments", "-n", "default", "-o", "jsonpath={.items[*].spec.template.spec.imagePullSecrets}"); got != "" {
		t.Errorf("the Deployments name pull secrets: %s", got)
	}

	// A namespace of the account that is added later is reached, too.
	var made struct{ Name string }
	s.regional.Manage(t, "POST", "namespaces", map[string]string{"name": "acme-later", "account": "acme"}, &made)
	later := harness.Operator(s.regional).Push(t, "acme-later/app:v1", s.c.App(t, t.Name()+"later"))
	s.ns.Input(harness.Deployment("later", later, 1), "apply", "-n", "default", "-f", "-")
	s.ns.Kubectl("rollout", "status", "deployment/later", "-n", "default", "--timeout=90s")

	// kube-system has the secret for who names it.
	s.ns.Input(harness.Pod("system", images["global"], "fairlead-pull"), "apply", "-n", "kube-system", "-f", "-")
	t.Cleanup(func() { s.ns.Kubectl("delete", "pod", "system", "-n", "kube-system", "--wait=false") })
	s.ns.Kubectl("wait", "pod/system", "-n", "kube-system", "--for=condition=Ready", "--timeout=90s")

	// Another namespace has nothing.
	s.ns.Apply(harness.Pod("lost", later))
	s.ns.Waiting("lost", "ErrImagePull", "ImagePullBackOff")
	if r := s.ns.Fairlead(1, "why", "pod/lost"); !strings.Contains(r.Stdout, "wants a credential for acme-later/app, and the pod has none") {
		t.Errorf("why says %+v", r)
	}

	// Another account's images are not its.
	s.regional.Account(t, "umbrella", "umbrella-lab")
	theirs := harness.Operator(s.regional).Push(t, "umbrella-lab/app:v1", s.c.App(t, t.Name()+"theirs"))
	s.ns.Input(harness.Pod("foreign", theirs), "apply", "-n", "default", "-f", "-")
	t.Cleanup(func() { s.ns.Kubectl("delete", "pod", "foreign", "-n", "default", "--wait=false") })
	s.refused("foreign")

	// A copy of the secret outlives the detach; the token in it does not.
	s.ns.Fairlead(0, "secret", "copy", "fairlead-pull", "-n", "default", "--to", s.ns.Name)
	s.ns.Apply(harness.Pod("before", later, "fairlead-pull"))
	s.ns.Running("before")
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	fresh := harness.Operator(s.regional).Push(t, "acme-later/app:v2", s.c.App(t, t.Name()+"fresh"))
	s.ns.Apply(harness.Pod("after", fresh, "fairlead-pull"))
	s.ns.Waiting("after", "ErrImagePull", "ImagePullBackOff")
	s.ns.Event("after", "401 Unauthorized")
}

// refused waits until the node could not pull the image of a pod in default.
func (s *site) refused(pod string) {
	s.t.Helper()
	const seen = `i=0; while [ $i -lt 300 ]; do kubectl get pod "$1" -n default -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}' | grep -q Pull && exit 0; i=$((i+1)); sleep 0.2; done; kubectl describe pod "$1" -n default; exit 1`
	if r := s.ns.Run("", "sh", "-c", seen, "sh", pod); r.Code != 0 {
		s.t.Fatalf("the pod %s is not refused its image:\n%s", pod, r.Stdout)
	}
}

// TestAttachPlaces: what is made, where, and that the same attach again makes
// nothing.
func TestAttachPlaces(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.ns.Kubectl("patch", "serviceaccount", "default", "-n", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	first := s.attach(0, "-n", s.ns.Name)
	for _, want := range []string{
		"The secret fairlead-pull in default: created.\nThe list of pull secrets in default/default: changed.\n",
		"The secret fairlead-pull in " + s.ns.Name + ": created.\n", "The secret fairlead-pull in kube-system: created.\n",
		s.regional.URL + " is made", s.global.URL + " is made",
	} {
		if !strings.Contains(first.Stdout, want) {
			t.Errorf("attach says %s, want %q", first.Stdout, want)
		}
	}
	if got := s.list("default"); got != "theirs fairlead-pull" {
		t.Errorf("the list in default is %q", got)
	}
	if got := s.list(s.ns.Name); got != "fairlead-pull" {
		t.Errorf("the list in the further namespace is %q", got)
	}
	if got := s.list("kube-system"); got != "" {
		t.Errorf("the list in kube-system is %q, want it untouched", got)
	}
	for _, r := range []*harness.Fairlead{s.regional, s.global} {
		all := s.tokens(r, "prod")
		if len(all) != 1 {
			t.Fatalf("%s has %d tokens", r.URL, len(all))
		}
		if a := all[0]; a.Access != "readonly" || a.Description != "prod" || a.Account != "acme" || a.Expires != nil || !a.Reach.All {
			t.Errorf("%s has the token %+v", r.URL, a)
		}
	}
	version := s.secret("default", "{.metadata.resourceVersion}")
	again := s.attach(0, "-n", s.ns.Name)
	if strings.Contains(again.Stdout, "created") || strings.Contains(again.Stdout, "changed.") && !strings.Contains(again.Stdout, "unchanged.") || strings.Contains(again.Stdout, "is made") {
		t.Errorf("the second attach says %s", again.Stdout)
	}
	if got := s.secret("default", "{.metadata.resourceVersion}"); got != version {
		t.Errorf("the second attach wrote to the secret: %s, was %s", got, version)
	}
	if n, m := len(s.tokens(s.regional, "prod")), len(s.tokens(s.global, "prod")); n != 1 || m != 1 {
		t.Errorf("the second attach made tokens: there are %d and %d", n, m)
	}

	// Detach takes away its own, and leaves others'.
	s.ns.Kubectl("create", "secret", "generic", "theirs", "-n", "default", "--from-literal=a=b")
	if r := s.ns.Fairlead(2, "cluster", "detach", "prod", "--registry", s.global.URL, "--force"); !strings.Contains(r.Stderr, "is attached to "+s.regional.URL+" as well") || s.active(s.global) != 1 || s.missing("default") {
		t.Errorf("detach of one registry: %+v", r)
	}
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	if got := s.list("default"); got != "theirs" {
		t.Errorf("after detach the list is %q\n%s", got, r.Stdout)
	}
	if got := s.list(s.ns.Name); got != "" {
		t.Errorf("after detach the further list is %q", got)
	}
	if !s.missing("default") || !s.missing("kube-system") || !s.missing(s.ns.Name) {
		t.Errorf("after detach there are secrets left:\n%s", r.Stdout)
	}
	s.ns.Kubectl("get", "secret", "theirs", "-n", "default")
	if s.active(s.regional)+s.active(s.global) != 0 {
		t.Error("after detach there are active tokens")
	}
	if r := s.ns.Fairlead(4, "cluster", "detach", "prod", "--force"); !strings.Contains(r.Stderr, "is not attached as prod") {
		t.Errorf("detach again says %+v", r)
	}

	// It can be attached again, with new tokens.
	s.attach(0)
	if len(s.tokens(s.regional, "prod")) != 2 || s.active(s.regional) != 1 {
		t.Errorf("attached anew it has %+v", s.tokens(s.regional, "prod"))
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
}

// TestAttachRepairs: what was changed or deleted is as it was, with the same
// tokens, and show says what differs.
func TestAttachRepairs(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.attach(0)
	data := s.secret("default", `{.data.\.dockerconfigjson}`)
	if r := s.ns.Fairlead(0, "cluster", "show", "prod"); strings.Count(r.Stdout, " none\n") != 2 || !strings.Contains(r.Stdout, "default/fairlead-pull") || strings.Contains(r.Stdout, "no entry") {
		t.Errorf("show says\n%s", r.Stdout)
	}
	s.ns.Kubectl("patch", "secret", "fairlead-pull", "-n", "default", "-p", `{"data":{".dockerconfigjson":"e30="}}`)
	s.ns.Kubectl("patch", "serviceaccount", "default", "-n", "default", "--type=merge", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "kube-system")
	r := s.ns.Fairlead(0, "cluster", "show", "prod", "-o", "json")
	for _, want := range []string{"it has no entry for " + s.global.Host, "does not name it", "there is no secret", `"present": false`} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("show says\n%s\nwant %q", r.Stdout, want)
		}
	}
	s.attach(0)
	if s.secret("default", `{.data.\.dockerconfigjson}`) != data || s.secret("kube-system", `{.data.\.dockerconfigjson}`) != data || s.list("default") != "theirs fairlead-pull" {
		t.Errorf("it is not repaired: the list is %q", s.list("default"))
	}

	// Without any mark in the cluster it finds its tokens, too: by the key that
	// they were asked for with.
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "kube-system")
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "default")
	s.attach(0)
	if s.secret("default", `{.data.\.dockerconfigjson}`) != data || len(s.tokens(s.regional, "prod")) != 1 {
		t.Errorf("after the secrets were deleted there are the tokens %+v", s.tokens(s.regional, "prod"))
	}
	// A token that somebody revoked is replaced.
	id := s.tokens(s.regional, "prod")[0].ID
	s.regional.Manage(t, "DELETE", "tokens/"+id, nil, nil)
	if r := s.ns.Fairlead(0, "cluster", "show", "prod"); !strings.Contains(r.Stdout, "its token "+id+" is none that") {
		t.Errorf("show says of a revoked token\n%s", r.Stdout)
	}
	s.attach(0)
	if s.active(s.regional) != 1 || s.secret("default", `{.data.\.dockerconfigjson}`) == data {
		t.Error("the revoked token was not replaced")
	}
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "default")
	if r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force"); s.list("default") != "theirs" {
		t.Errorf("detach leaves the name of a secret that is gone: %q\n%+v", s.list("default"), r)
	}
}

// TestAttachRefuses: names that something else has, and who is not signed in.
func TestAttachRefuses(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.ns.Kubectl("create", "secret", "generic", "fairlead-pull", "-n", "kube-system", "--from-literal=a=b")
	if r := s.attach(5); !strings.Contains(r.Stderr, "there is a secret fairlead-pull in the namespace kube-system, and attach did not make it") || len(s.tokens(s.regional, "prod")) != 0 {
		t.Errorf("a secret of somebody else: %+v, %d tokens", r, len(s.tokens(s.regional, "prod")))
	}
	s.ns.Kubectl("delete", "secret", "fairlead-pull", "-n", "kube-system")

	// The name of another cluster, whose tokens are there already.
	s.taken(s.regional)
	if r := s.attach(0, "--dry-run"); !strings.Contains(r.Stderr, "warning: "+s.regional.URL+" has tokens of a cluster with the name prod") || strings.Contains(r.Stderr, s.global.URL+" has") {
		t.Errorf("a dry run with the name of another cluster: %+v", r)
	}
	if r := s.attach(5); !strings.Contains(r.Stderr, "has tokens of another cluster with the name prod") || s.active(s.regional) != 1 || !s.missing("default") {
		t.Errorf("the name of another cluster: %+v, %d tokens", r, s.active(s.regional))
	}
	if r := s.ns.Fairlead(0, "cluster", "list", "-o", "name"); r.Stdout != "prod\n" {
		t.Errorf("list says %+v", r)
	}
	// It is lost: the registry's side ends it.
	if r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--registry-only", "--registry", s.regional.URL, "--force"); !strings.Contains(r.Stdout, "is revoked") || s.active(s.regional) != 0 {
		t.Errorf("a lost cluster: %+v", r)
	}
	// A registry that is added may have another cluster of the name, too.
	s.ns.Fairlead(0, "cluster", "attach", "prod", "--registry", s.regional.URL, "--without-controller", "--allow-loopback")
	s.taken(s.global)
	if r := s.attach(5); !strings.Contains(r.Stderr, s.global.URL+" has tokens of another cluster with the name prod") || s.active(s.global) != 1 {
		t.Errorf("an added registry: %+v, %d tokens", r, s.active(s.global))
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--registry-only", "--registry", s.global.URL, "--force")
	s.attach(0)
	if r := s.ns.Fairlead(5, "cluster", "attach", "test", "--registry", s.regional.URL, "--without-controller", "--allow-loopback"); !strings.Contains(r.Stderr, "the cluster is attached as prod") {
		t.Errorf("a second name: %+v", r)
	}
	if r := s.ns.Fairlead(5, "cluster", "attach", "test", "--registry", s.regional.URL, "--without-controller", "--allow-loopback", "--secret-name", "other"); !strings.Contains(r.Stderr, "the cluster is attached as prod") {
		t.Errorf("a second name with another secret: %+v", r)
	}
	if r := s.ns.Fairlead(0, "cluster", "list"); !strings.Contains(r.Stdout, s.regional.URL+", "+s.global.URL) && !strings.Contains(r.Stdout, s.global.URL+", "+s.regional.URL) {
		t.Errorf("list says %s", r.Stdout)
	}
	// A copy of its secret in another namespace stays, and is said.
	s.ns.Fairlead(0, "secret", "copy", "fairlead-pull", "-n", "default", "--to", s.ns.Name)
	if r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--force"); !strings.Contains(r.Stderr, "The secret "+s.ns.Name+"/fairlead-pull stays: attach did not make it") || s.missing(s.ns.Name) {
		t.Errorf("with a copy: %+v", r)
	}

	if r := s.attach(3, "--as", "somebody"); !strings.Contains(r.Stderr, "the user somebody may not get namespaces") || s.active(s.global) != 0 {
		t.Errorf("without rights: %+v", r)
	}
	nobody := t.TempDir()
	for want, args := range map[string][]string{
		"nobody is signed in to " + s.regional.URL: {"--registry", s.regional.URL, "--allow-loopback"},
	} {
		r := s.runAt(nobody, "", append([]string{"cluster", "attach", "prod", "--without-controller"}, args...)...)
		if r.Code != 3 || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "Next: fairlead login "+s.regional.URL) {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// taken makes a token as an attach of another cluster of the name does.
func (s *site) taken(r *harness.Fairlead) {
	s.t.Helper()
	r.Manage(s.t, "POST", "tokens", map[string]any{"account": "acme", "access": "readonly", "description": "prod", "cluster": "prod", "nonExpiring": true}, nil)
}

// TestAttachDryRun prints all, changes nothing, and makes no token.
func TestAttachDryRun(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.ns.Kubectl("patch", "serviceaccount", "default", "-n", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	r := s.attach(0, "--dry-run", "-o", "yaml")
	if !s.missing("default") || s.list("default") != "theirs" || len(s.tokens(s.regional, "prod")) != 0 {
		t.Fatal("the dry run changed something")
	}
	if got := s.ns.Try(r.Stdout, "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-", "-o", "name"); got.Stdout != "secret/fairlead-pull\nserviceaccount/default\nsecret/fairlead-pull\n" {
		t.Errorf("kubectl says %+v of\n%s", got, r.Stdout)
	}
	if strings.Contains(r.Stdout, "flt_") || !strings.Contains(r.Stdout, "- name: theirs\n  - name: fairlead-pull\n") {
		t.Errorf("it prints\n%s", r.Stdout)
	}
	if r := s.attach(0, "--dry-run", "-o", "json"); !strings.Contains(r.Stdout, `"kind": "List"`) {
		t.Errorf("as JSON it prints\n%s", r.Stdout)
	}
	if r := s.attach(0, "--dry-run"); !strings.Contains(r.Stdout, "The secret fairlead-pull would be applied in kube-system (dry run).\n") || len(s.tokens(s.regional, "prod")) != 0 {
		t.Errorf("for people it prints %+v", r)
	}
}

// TestDetachPartly: while a registry is away the rest is done, the mark stays,
// and the same command ends it.
func TestDetachPartly(t *testing.T) {
	c := harness.Cluster(t)
	s := newSite(t, c)
	front, faults := harness.StartFairleadFaults(t)
	front.Account(t, "acme", "acme-web")
	s.signIn(front, "acme", "")
	s.ns.Fairlead(0, "cluster", "attach", "prod", "--registry", s.regional.URL, "--registry", front.URL, "--without-controller", "--allow-loopback")
	undo := faults.Fail(harness.Fault{Method: "DELETE", Path: "/api/v1/tokens/", Status: 503, Body: `{"title":"away","status":503}`})
	r := s.ns.Fairlead(1, "cluster", "detach", "prod", "--force")
	if s.active(s.regional) != 0 || !s.missing("default") || s.missing("kube-system") || !strings.Contains(r.Stderr, front.URL) {
		t.Errorf("half of it: %+v", r)
	}
	undo()
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	if s.active(front) != 0 || !s.missing("kube-system") {
		t.Error("the rest is not done")
	}
}

// TestDetachBlind: a namespace whose secrets may not be seen may have one in
// use, so tokens and the mark stay.
func TestDetachBlind(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.attach(0, "-n", s.ns.Name)
	s.ns.Apply(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: t-blind-namespaces}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: t-blind-namespaces}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: t-blind-namespaces}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: blind}]
`)
	t.Cleanup(func() { s.ns.Kubectl("delete", "clusterrole,clusterrolebinding", "t-blind-namespaces") })
	for _, n := range []string{"default", "kube-system"} {
		s.ns.Kubectl("create", "rolebinding", "t-blind", "-n", n, "--clusterrole=admin", "--user=blind")
		t.Cleanup(func() { s.ns.Kubectl("delete", "rolebinding", "t-blind", "-n", n) })
	}
	r := s.ns.Fairlead(3, "cluster", "detach", "prod", "--force", "--as", "blind")
	if !strings.Contains(r.Stderr, "the user blind may not list secrets in the namespace "+s.ns.Name) || s.active(s.regional) != 1 || s.missing("kube-system") || s.missing(s.ns.Name) {
		t.Errorf("detach of who does not see all: %+v", r)
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
	if s.active(s.regional) != 0 || !s.missing(s.ns.Name) || !s.missing("kube-system") {
		t.Error("the rest is not done")
	}
}

// TestAttachAtOnce: two people attach the same cluster at the same time, and
// there is one token and one name in the list.
func TestAttachAtOnce(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	args := []string{
		"-c", `"$@" >/dev/null & first=$!; "$@" && wait $first`, "sh", harness.FairleadBinary(),
		"cluster", "attach", "prod", "--registry", s.regional.URL, "--without-controller", "--allow-loopback",
	}
	if r := s.ns.Run("", "sh", args...); r.Code != 0 {
		t.Errorf("one of them failed: %+v", r)
	}
	if n := len(s.tokens(s.regional, "prod")); n != 1 || s.list("default") != "fairlead-pull" {
		t.Errorf("there are %d tokens, and the list is %q", n, s.list("default"))
	}
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
}
