package secret_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// fairlead runs the program, which must end with this exit code.
func fairlead(t *testing.T, ns *harness.Namespace, code int, stdin string, args ...string) harness.Result {
	t.Helper()
	r := ns.Run(stdin, harness.FairleadBinary(), args...)
	if r.Code != code {
		t.Fatalf("fairlead %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}

// TestSameBytesAsKubectl: the same server, user and password give the same
// data, name and type.
func TestSameBytesAsKubectl(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	for i, c := range []struct{ server, user, password, email string }{
		{"registry.example:5000", "jo", "s3cr3t", "jo@registry.example"},
		{"https://index.docker.io/v1/", "jo", "s3cr3t", ""},
		{"registry.example", `j"o\<&>`, "p ä😀<>&\u2028'$x`", ""},
		{"[2001:db8::1]:5000", "robot$ci", strings.Repeat("long", 500), "a@b"},
	} {
		args := []string{"create", "secret", "docker-registry", "regcred", "--docker-server=" + c.server, "--docker-username=" + c.user, "--docker-password=" + c.password, "--dry-run=client", "-o"}
		if c.email != "" {
			args = append(args[:len(args)-1], "--docker-email="+c.email, "-o")
		}
		own := []string{"secret", "create", "regcred", "--server", c.server, "--username", c.user, "--email", c.email, "--password-stdin", "-o"}
		want := ns.Kubectl(append(args, "yaml")...)
		if got := fairlead(t, ns, 0, c.password, append(own, "yaml")...).Stdout; got != want {
			t.Errorf("%d: fairlead writes\n%.1000s\nkubectl\n%.1000s", i, got, want)
		}
		var theirs, ours any // kubectl's order of fields is that of its structs
		if err := errors.Join(json.Unmarshal([]byte(ns.Kubectl(append(args, "json")...)), &theirs),
			json.Unmarshal([]byte(fairlead(t, ns, 0, c.password, append(own, "json")...).Stdout), &ours)); err != nil || !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%d: as JSON: %v, fairlead writes\n%.1000v\nkubectl\n%.1000v", i, err, ours, theirs)
		}
		want = ns.Kubectl(append(args, "name", "--append-hash")...)
		got := fairlead(t, ns, 0, c.password, append(own, "json", "--append-hash")...).Stdout
		var s struct{ Metadata struct{ Name string } }
		if err := json.Unmarshal([]byte(got), &s); err != nil || "secret/"+s.Metadata.Name+"\n" != want {
			t.Errorf("%d: with its hash it is %s, %v, want %s", i, s.Metadata.Name, err, want)
		}
	}
}

// TestWalk is the road of both documents that people follow: create, look at
// it with jsonpath and base64, use it, copy it, take it off.
func TestWalk(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, other := c.Namespace(t), c.Namespace(t)
	create := []string{"secret", "create", "regcred", "--server", "registry.example", "--username", "jo", "--password-stdin", "--label", "team=shop", "--annotation", "note=x"}
	if r := fairlead(t, ns, 0, "s3cr3t\n", create...); r.Stdout != "The secret regcred in "+ns.Name+": created.\n" || !strings.Contains(r.Stderr, "Next: fairlead secret use regcred --serviceaccount default") {
		t.Errorf("create says %+v", r)
	}
	version := func() string {
		return ns.Kubectl("get", "secret", "regcred", "-o", "jsonpath={.metadata.resourceVersion}")
	}
	before := version()
	if r := fairlead(t, ns, 0, "s3cr3t", create...); r.Stdout != "The secret regcred in "+ns.Name+": unchanged.\n" || version() != before {
		t.Errorf("created again: %+v, version %s, was %s", r, version(), before)
	}
	if r := fairlead(t, ns, 0, "other", create...); r.Stdout != "The secret regcred in "+ns.Name+": changed.\n" {
		t.Errorf("with another password: %+v", r)
	}
	shell := ns.Run("", "sh", "-c", `kubectl get secret regcred -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d`)
	if want := `{"auths":{"registry.example":{"username":"jo","password":"other","auth":"am86b3RoZXI="}}}`; shell.Stdout != want {
		t.Errorf("jsonpath and base64 give %s, want %s", shell.Stdout, want)
	}

	if r := fairlead(t, ns, 0, "", "secret", "use", "regcred", "--serviceaccount", "default"); r.Stdout != "The list of pull secrets in "+ns.Name+"/default: changed.\n" || !strings.Contains(r.Stderr, "kubectl rollout restart") {
		t.Errorf("use says %+v", r)
	}
	if r := fairlead(t, ns, 0, "", "secret", "use", "regcred", "--all-serviceaccounts", "-n", ns.Name); r.Stdout != "The list of pull secrets in "+ns.Name+"/default: unchanged.\n" {
		t.Errorf("use again says %+v", r)
	}
	ns.Apply(harness.Pod("p", "registry.example/app:v1"))
	if got := ns.Kubectl("get", "pod", "p", "-o", "jsonpath={.spec.imagePullSecrets[*].name}"); got != "regcred" {
		t.Errorf("a pod made now has %q", got)
	}

	if r := fairlead(t, ns, 0, "", "secret", "copy", "regcred", "--to", other.Name); r.Stdout != "The copy of "+ns.Name+"/regcred in "+other.Name+": created.\n" {
		t.Errorf("copy says %+v", r)
	}
	labels := other.Kubectl("get", "secret", "regcred", "-o", "jsonpath={.metadata.labels}{.metadata.annotations}{.metadata.ownerReferences} {.data.\\.dockerconfigjson}")
	if want := `{"team":"shop"} ` + ns.Kubectl("get", "secret", "regcred", "-o", "jsonpath={.data.\\.dockerconfigjson}"); labels != want {
		t.Errorf("the copy has %s, want %s", labels, want)
	}
	if r := fairlead(t, ns, 0, "", "secret", "check", "regcred"); !strings.Contains(r.Stdout, "nothing is wrong") {
		t.Errorf("check says %+v", r)
	}
	if r := fairlead(t, ns, 0, "", "secret", "inspect", "regcred"); !strings.Contains(r.Stdout, "registry.example") || strings.Contains(r.Stdout, "other") && !strings.Contains(r.Stdout, "another") {
		t.Errorf("inspect says %+v", r)
	}

	if r := fairlead(t, ns, 0, "", "secret", "unuse", "regcred", "--serviceaccount", "default"); r.Stdout != "The list of pull secrets in "+ns.Name+"/default: changed.\n" {
		t.Errorf("unuse says %+v", r)
	}
	if got := ns.Kubectl("get", "serviceaccount", "default", "-o", "jsonpath={.imagePullSecrets}"); got != "" {
		t.Errorf("the list is %s", got)
	}
	if r := fairlead(t, ns, 4, "", "secret", "use", "regcred", "--serviceaccount", "absent"); !strings.Contains(r.Stderr, "there is no service account absent in the namespace "+ns.Name) {
		t.Errorf("no account: %+v", r)
	}
	if r := fairlead(t, ns, 0, "", "secret", "use", "missing", "--serviceaccount", "default"); !strings.Contains(r.Stderr, "warning: there is no secret missing in the namespace "+ns.Name+" yet") {
		t.Errorf("no secret: %+v", r)
	}
	if r := fairlead(t, ns, 4, "", "secret", "copy", "regcred", "--to", "no-such-namespace"); !strings.Contains(r.Stderr, "there is no namespace no-such-namespace") {
		t.Errorf("no namespace: %+v", r)
	}
}

// TestPlugin: kubectl finds the program by its name, and it is the same one.
func TestPlugin(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	bin := t.TempDir()
	if err := os.Symlink(harness.FairleadBinary(), filepath.Join(bin, "kubectl-fairlead")); err != nil {
		t.Fatal(err)
	}
	run := func(command string) harness.Result {
		return ns.Run("s3cr3t", "sh", "-c", "PATH="+bin+":$PATH; "+command)
	}
	if r := run("kubectl fairlead secret create regcred --server registry.example --username jo --password-stdin"); r.Code != 0 || r.Stdout != "The secret regcred in "+ns.Name+": created.\n" || !strings.Contains(r.Stderr, "Next: kubectl fairlead secret use regcred") {
		t.Errorf("create: %+v", r)
	}
	if r := run("kubectl fairlead secret use"); r.Code != 2 || !strings.HasPrefix(r.Stderr, "kubectl fairlead: name one secret\nNext: kubectl fairlead secret use --help\n") {
		t.Errorf("usage: %+v", r)
	}
}

// TestRights: what is refused is named, with what an admin types.
func TestRights(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	nobody := ns.User("[]")
	for _, args := range [][]string{
		{"create", "regcred", "--server", "registry.example", "--username", "jo", "--password-stdin"},
		{"use", "regcred", "--serviceaccount", "default"},
		{"use", "regcred", "--all-serviceaccounts"},
		{"copy", "regcred", "--to", "default"},
		{"check", "regcred"},
		{"check", "--all-namespaces"},
		{"inspect", "regcred"},
	} {
		want := map[string]string{"create": "patch secrets", "use": "serviceaccounts", "copy": "get secrets", "inspect": "get secrets"}[args[0]]
		if want == "" {
			want = "secrets"
		}
		where := " in the namespace " + ns.Name
		if args[len(args)-1] == "--all-namespaces" {
			where = " in all namespaces"
		}
		r := fairlead(t, nobody, 3, "s3cr3t", append([]string{"secret"}, args...)...)
		if !strings.Contains(r.Stderr, "the user user-") || !strings.Contains(r.Stderr, want+where) || !strings.Contains(r.Stderr, "Next: an admin of the cluster allows it: kubectl create ") || strings.Contains(r.Stderr+r.Stdout, "s3cr3t") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := ns.Run("", harness.FairleadBinary(), "secret", "check", "--all-namespaces", "--as", "somebody"); r.Code != 3 || !strings.Contains(r.Stderr, "the user somebody may not list secrets in all namespaces") {
		t.Errorf("as another: %+v", r)
	}
}

// TestPartly: what can be written is, the rest is listed.
func TestPartly(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, other := c.Namespace(t), c.Namespace(t)
	other.Kubectl("create", "secret", "generic", "regcred", "--from-literal=a=b")
	r := fairlead(t, ns, 5, "s3cr3t", "secret", "create", "regcred", "--server", "registry.example", "--username", "jo", "--password-stdin",
		"-n", ns.Name, "-n", other.Name, "-n", "no-such-namespace")
	if r.Stdout != "The secret regcred in "+ns.Name+": created.\n" {
		t.Errorf("it says %s", r.Stdout)
	}
	for _, want := range []string{"it failed in 2 places:", "  no-such-namespace: there is no namespace no-such-namespace\n", fmt.Sprintf("  %s: the secret regcred in the namespace %[1]s is no pull secret", other.Name)} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("it says %s, want %q", r.Stderr, want)
		}
	}
}

// TestKeptByAPolicy: the controller's secrets are not taken from it unless that
// is said.
func TestKeptByAPolicy(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns, other := c.Namespace(t), c.Namespace(t)
	keep(ns, "regcred")
	keep(other, "regcred")
	create := []string{"secret", "create", "regcred", "--server", "registry.example", "--username", "jo", "--password-stdin"}
	policy := func(n *harness.Namespace) string {
		return n.Kubectl("get", "secret", "regcred", "-o", `jsonpath={.metadata.annotations.fairlead\.dev/policy}`)
	}
	for _, args := range [][]string{create, {"secret", "copy", "regcred", "-n", other.Name, "--to", ns.Name}} {
		r := fairlead(t, ns, 5, "s3cr3t", args...)
		if want := "the secret regcred in the namespace " + ns.Name + " is kept by the policy ClusterPullSecret/fairlead\nNext: change the policy, or delete it"; !strings.Contains(r.Stderr, want) || policy(ns) == "" {
			t.Errorf("%v: %+v\nwant %q", args, r, want)
		}
	}
	if r := fairlead(t, ns, 0, "s3cr3t", append(create, "--force-conflicts")...); !strings.Contains(r.Stdout, ": changed.") || policy(ns) != "" {
		t.Errorf("forced: %+v", r)
	}
}
