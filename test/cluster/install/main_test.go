// Package install_test attaches a real cluster with the controller. There is
// one controller in a cluster: its tests do not run in parallel, and each
// leaves the cluster as it was.
package install_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// site is a cluster's administrator, who is signed in to registries as an
// admin of acme, and whatever else a test needs.
type site struct {
	t          *testing.T
	c          *harness.Kubernetes
	ns         *harness.Namespace // some namespace that was there before
	registries []*harness.Fairlead
}

// newSite starts registries on this machine.
func newSite(t *testing.T, c *harness.Kubernetes, registries int) *site {
	t.Helper()
	s := &site{t: t, c: c, ns: c.Namespace(t)}
	for range registries {
		s.registries = append(s.registries, s.registry())
	}
	t.Cleanup(s.clean)
	return s
}

// registry starts one, and signs in.
func (s *site) registry() *harness.Fairlead {
	s.t.Helper()
	r := harness.StartFairlead(s.t)
	r.Account(s.t, "acme", "acme-web")
	s.signIn(r)
	return r
}

func (s *site) signIn(r *harness.Fairlead, flags ...string) {
	s.t.Helper()
	token := r.Mint(s.t, harness.Minting{Account: "acme", Access: "admin"})
	args := append([]string{"login", r.URL, "--token-stdin", "--name", strings.ReplaceAll(r.Host, ":", "-")}, flags...)
	if got := s.ns.Run(token.Value, harness.FairleadBinary(), args...); got.Code != 0 {
		s.t.Fatalf("login: %+v", got)
	}
}

// clean takes away what a failed test left.
func (s *site) clean() {
	s.t.Helper()
	if s.t.Failed() {
		for _, args := range [][]string{{"get", "pods,deployments", "-n", "fairlead-system", "-o", "wide"}, {"get", "events", "-n", "fairlead-system"}, {"logs", "-n", "fairlead-system", "deployment/fairlead-controller", "--tail=40"}, {"get", "clusterpullsecrets,pullsecrets", "-A", "-o", "yaml"}} {
			r := s.ns.Try("", args...)
			s.t.Logf("kubectl %s\n%s%s", strings.Join(args, " "), r.Stdout, r.Stderr)
		}
	}
	r := s.ns.Run("", harness.FairleadBinary(), "cluster", "detach", "prod", "--force")
	if s.t.Failed() {
		s.t.Logf("detach: %+v", r)
	}
	s.ns.Try("", "uncordon", "localhost")
	s.ns.Try("", "delete", "namespace", "fairlead-system", "--ignore-not-found", "--timeout=60s")
}

// attach attaches as prod to all registries, which are on this machine.
func (s *site) attach(code int, flags ...string) harness.Result {
	s.t.Helper()
	args := []string{"cluster", "attach", "prod", "--allow-loopback"}
	for _, r := range s.registries {
		args = append(args, "--registry", r.URL)
	}
	return s.ns.Fairlead(code, append(args, flags...)...)
}

// idle lets no pod run: the test is about what is in the API.
func (s *site) idle() {
	s.t.Helper()
	s.ns.Try("", "cordon", "localhost") // clean ends it
}

// controller runs the controller as a process of this machine: the tests of
// the API have no pods.
func (s *site) controller() (stop func()) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.t.TempDir(), "controller.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(harness.FairleadBinary(), "controller", "--kubeconfig", s.c.Kubeconfig)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); s.t.Failed() {
			s.t.Logf("the controller said:\n%s", text)
		}
	}
	s.t.Cleanup(stop)
	return stop
}

type token struct {
	ID, Access, Description, Cluster, State, Account string
	Expires                                          *string
	Reach                                            struct {
		All        bool
		Namespaces []string
	}
}

// active tokens of the cluster in a registry.
func (s *site) active(r *harness.Fairlead) []token {
	s.t.Helper()
	var page struct{ Items []token }
	r.Manage(s.t, "GET", "tokens?cluster=prod", nil, &page)
	return page.Items
}

// user gives rights of the whole cluster to somebody for --as.
func (s *site) user(name, rules string) {
	s.t.Helper()
	s.ns.Apply(fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: t-%[1]s}
rules: %[2]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: t-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: t-%[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[1]s}]
`, name, rules))
	s.t.Cleanup(func() { s.ns.Kubectl("delete", "clusterrole,clusterrolebinding", "t-"+name) })
}

// everything lists all objects of the cluster, with what is in service
// accounts, but for namespaces of tests. What comes and goes by itself is left out.
func (s *site) everything() []string {
	s.t.Helper()
	var kinds []string
	for k := range strings.FieldsSeq(s.ns.Kubectl("api-resources", "--verbs=list", "-o", "name")) {
		if !strings.HasPrefix(k, "events") && !strings.HasPrefix(k, "endpoint") && !strings.HasPrefix(k, "leases") {
			kinds = append(kinds, k)
		}
	}
	var list struct {
		Items []struct {
			Kind, APIVersion string
			Metadata         struct {
				Name, Namespace     string
				Labels, Annotations map[string]string
			}
			ImagePullSecrets []map[string]string
		}
	}
	text := s.ns.Kubectl("get", strings.Join(kinds, ","), "-A", "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, i := range list.Items {
		if strings.HasPrefix(i.Metadata.Namespace, "t-") || strings.HasPrefix(i.Metadata.Name, "t-") {
			continue // tests' own, which end whenever they do
		}
		line := i.APIVersion + " " + i.Kind + " " + i.Metadata.Namespace + "/" + i.Metadata.Name
		if i.Kind == "ServiceAccount" {
			line += fmt.Sprint(" ", i.ImagePullSecrets, i.Metadata.Labels, i.Metadata.Annotations)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// has waits until a namespace has the secret and its account the name.
func (s *site) has(namespace string) {
	s.t.Helper()
	harness.Until(s.t, "the secret in "+namespace, func() error {
		if r := s.ns.Try("", "get", "secret", "fairlead-pull", "-n", namespace); r.Code != 0 {
			return fmt.Errorf("%s", r.Stderr)
		}
		if got := s.list(namespace); got != "fairlead-pull" {
			return fmt.Errorf("the list is %q", got)
		}
		return nil
	})
}

func (s *site) list(namespace string) string {
	s.t.Helper()
	return s.ns.Kubectl("get", "serviceaccount", "default", "-n", namespace, "-o", "jsonpath={.imagePullSecrets[*].name}")
}

// missing says whether there is no such object.
func (s *site) missing(kind, name, namespace string) bool {
	s.t.Helper()
	return s.ns.Kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name") == ""
}
