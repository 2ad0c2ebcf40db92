// Package controller_test runs `fairlead controller` against a real API server
// and a real Fairlead.
package controller_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// running is a controller of a test's own: its namespace holds the sources, and
// its secrets have a name that no other test uses.
type running struct {
	*harness.Namespace
	secret string
	as     []string
	cmd    *exec.Cmd
	log    *safe
	t      *testing.T
}

type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }

func (s *safe) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

var kinds sync.Once

// run starts a controller.
func run(t *testing.T, c *harness.Kubernetes, as ...string) *running {
	t.Helper()
	ns := c.Namespace(t)
	kinds.Do(func() {
		crds, err := filepath.Abs(filepath.Join("..", "..", "..", "deploy", "crds"))
		if err != nil {
			t.Fatal(err)
		}
		ns.Kubectl("apply", "--server-side", "-f", crds)
		ns.Kubectl("wait", "--for=condition=Established", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
	})
	r := &running{Namespace: ns, secret: "pull-" + ns.Name, as: as, log: &safe{}, t: t}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("the controller said:\n%s", r.log)
		}
	})
	r.start()
	return r
}

func (r *running) start() {
	r.t.Helper()
	args := append([]string{"controller", "--kubeconfig", r.Kubeconfig, "--namespace", r.Name, "--secret-name", r.secret}, r.as...)
	r.cmd = exec.Command(harness.FairleadBinary(), args...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the controller ended: %v", err)
	}
	r.cmd = nil
}

// until waits for what must come to be.
func until(t *testing.T, what string, ready func() error) {
	t.Helper()
	end := time.Now().Add(90 * time.Second)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

type object struct {
	Metadata struct {
		UID, ResourceVersion string
		Annotations, Labels  map[string]string
	}
	Data             map[string][]byte
	ImagePullSecrets []struct{ Name string }
	Status           struct {
		Namespaces, Ready, Failing int
		Conditions                 []struct{ Type, Status, Reason, Message string }
	}
}

// get reads an object of a namespace; ok is false if there is none.
func get(t *testing.T, ns *harness.Namespace, kind, name string) (o object, ok bool) {
	t.Helper()
	text := ns.Kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
	if text == "" {
		return o, false
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o, true
}

func list(t *testing.T, ns *harness.Namespace, account string) string {
	t.Helper()
	o, _ := get(t, ns, "serviceaccount", account)
	var names []string
	for _, n := range o.ImagePullSecrets {
		names = append(names, n.Name)
	}
	return strings.Join(names, ",")
}

// has waits until a namespace has the secret, with text in it, and its default
// account the list.
func (r *running) has(ns *harness.Namespace, text, accounts string) object {
	r.t.Helper()
	var o object
	until(r.t, "the secret and the list", func() error {
		var is bool
		if o, is = get(r.t, ns, "secret", r.secret); !is {
			return fmt.Errorf("there is no secret")
		}
		if got := string(o.Data[".dockerconfigjson"]); !strings.Contains(got, text) {
			return fmt.Errorf("the secret has no %s", text)
		}
		if got := list(r.t, ns, "default"); got != accounts {
			return fmt.Errorf("the list is %q, want %q", got, accounts)
		}
		return nil
	})
	return o
}

// gone waits until a namespace has nothing of ours.
func (r *running) gone(ns *harness.Namespace, accounts string) {
	r.t.Helper()
	until(r.t, "ours is gone", func() error {
		_, is := get(r.t, ns, "secret", r.secret)
		if got := list(r.t, ns, "default"); is || got != accounts {
			return fmt.Errorf("secret %v, list %q, want %q", is, got, accounts)
		}
		return nil
	})
}

// condition waits for a reason.
func (r *running) condition(ns *harness.Namespace, kind, name, condition, reason string) {
	r.t.Helper()
	until(r.t, condition+" is "+reason, func() error {
		o, _ := get(r.t, ns, kind, name)
		for _, c := range o.Status.Conditions {
			if c.Type == condition && c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("the status is %+v", o.Status)
	})
}

// source makes a Secret with a user and a password.
func (r *running) source(name, allowed string) {
	r.t.Helper()
	r.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: %q}}\ntype: kubernetes.io/basic-auth\nstringData: {username: robot, password: wonder}\n", name, allowed))
}

// policy makes a ClusterPullSecret for namespaces with the label team=NAME of
// the controller's namespace, and takes it away in the end.
func (r *running) policy(name, registry string) {
	r.t.Helper()
	r.Apply(fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: %s}\nspec:\n  secretName: %s\n  namespaceSelector: {matchLabels: {team: %s}}\n  registries: [%s]\n", name, r.secret, r.Name, registry))
	r.t.Cleanup(func() { r.Kubectl("delete", "clusterpullsecret", name, "--ignore-not-found", "--wait=false") })
}

// chosen makes a namespace that the policies of r choose.
func (r *running) chosen(c *harness.Kubernetes) *harness.Namespace {
	r.t.Helper()
	ns := c.Namespace(r.t)
	ns.Kubectl("label", "namespace", ns.Name, "team="+r.Name)
	return ns
}
