package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
)

// runLimit bounds one run of a program.
const runLimit = 2 * time.Minute

// Namespace is a test's own part of the cluster, and who works in it.
type Namespace struct {
	// Name is random.
	Name string
	// Kubeconfig is the path of one whose default namespace this is.
	Kubeconfig string

	c     *Kubernetes
	t     testing.TB
	env   []string
	token string // of an Account, and http is for it
	http  *http.Client
}

// Namespace makes a namespace whose default ServiceAccount is there. The end
// of the test deletes it, without waiting for that.
func (c *Kubernetes) Namespace(t testing.TB) *Namespace {
	t.Helper()
	name := "t-" + strings.ToLower(rand.Text()[:10])
	n := &Namespace{Name: name, Kubeconfig: c.Kubeconfig, c: c, t: t}
	n.Kubectl("create", "namespace", name)
	t.Cleanup(func() {
		admin := &Namespace{Name: name, Kubeconfig: c.Kubeconfig, c: c, t: t}
		admin.Kubectl("delete", "namespace", name, "--wait=false")
	})
	n.Kubeconfig = filepath.Join(c.dir, "users", name)
	if err := c.kubeconfig(n.Kubeconfig, c.admin, name); err != nil {
		t.Fatalf("writing a kubeconfig: %v", err)
	}
	if err := await("the default ServiceAccount", startLimit, func() error {
		return errors.Join(c.get(n.path("serviceaccounts/default"), nil), c.get(n.path("configmaps/kube-root-ca.crt"), nil))
	}, c.parts...); err != nil {
		t.Fatal(err)
	}
	return n
}

// User is the same namespace for somebody who may do nothing in it but what
// the rules say: the value of "rules" of a Role, in YAML or JSON, [] for
// nothing at all.
func (n *Namespace) User(rules string) *Namespace {
	n.t.Helper()
	name := "user-" + strings.ToLower(rand.Text()[:10])
	p, err := n.c.ca.issue(filepath.Join(n.c.dir, "users"), name, name)
	if err != nil {
		n.t.Fatalf("making a user: %v", err)
	}
	u := &Namespace{Name: n.Name, Kubeconfig: filepath.Join(n.c.dir, "users", name), c: n.c, t: n.t}
	if err := n.c.kubeconfig(u.Kubeconfig, p, n.Name); err != nil {
		n.t.Fatalf("writing a kubeconfig: %v", err)
	}
	n.Apply(fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: %[1]s}
rules:
%[2]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[1]s}]
`, name, indent(rules)))
	return u
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// With is the same namespace for programs that get more of an environment.
func (n *Namespace) With(env ...string) *Namespace {
	more := *n
	more.env = append(slices.Clone(n.env), env...)
	return &more
}

// environment of a program.
func (n *Namespace) environment() []string {
	return append(append(cleanEnvironment(n.home()), "KUBECONFIG="+n.Kubeconfig, "PATH="+n.c.Bin+":"+os.Getenv("PATH")), n.env...)
}

// Kubectl runs kubectl, which must succeed, and gives its standard output.
func (n *Namespace) Kubectl(args ...string) string {
	n.t.Helper()
	return n.Input("", args...)
}

// Input is Kubectl with a standard input.
func (n *Namespace) Input(stdin string, args ...string) string {
	n.t.Helper()
	r := n.Try(stdin, args...)
	if r.Code != 0 {
		n.t.Fatalf("kubectl %s: exit code %d\n%s", strings.Join(args, " "), r.Code, tail(r.Stderr, 4_000))
	}
	return r.Stdout
}

// Try is Input, whatever comes of it.
func (n *Namespace) Try(stdin string, args ...string) Result {
	n.t.Helper()
	return n.Run(stdin, filepath.Join(n.c.Bin, "kubectl"), args...)
}

// Fairlead runs fairlead, which must end with this exit code, and show no
// token.
func (n *Namespace) Fairlead(code int, args ...string) Result {
	n.t.Helper()
	r := n.Run("", harness.Binary(), args...)
	if r.Code != code || strings.Contains(r.Stdout+r.Stderr, "flt_") {
		n.t.Fatalf("fairlead %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}

// Apply is kubectl apply of YAML documents.
func (n *Namespace) Apply(yaml string) {
	n.t.Helper()
	n.Input(yaml, "apply", "-f", "-")
}

// Result of a program.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a program with KUBECONFIG set and kubectl in its PATH, in a home
// of its own. Whatever its exit code is, it must end by itself.
func (n *Namespace) Run(stdin, program string, args ...string) Result {
	n.t.Helper()
	for _, arg := range args {
		if strings.Contains(arg, "flt_") {
			n.t.Fatalf("%s would get a token on its command line", program)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = n.home()
	cmd.Env = n.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		n.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, tail(stderr.String(), 4_000))
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// home is kept for all programs of a user in a namespace: kubectl caches what
// the API server can do.
func (n *Namespace) home() string {
	n.t.Helper()
	dir := n.Kubeconfig + ".home"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// PullSecret makes a pull secret with what a node needs for these registries.
// The passwords pass through a file only.
func (n *Namespace) PullSecret(name string, logins ...Login) {
	n.t.Helper()
	type entry struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     []byte `json:"auth"`
	}
	auths := map[string]entry{}
	for _, l := range logins {
		auths[l.Host] = entry{l.User, l.Password, []byte(l.User + ":" + l.Password)}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.t.TempDir(), "config.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.Kubectl("create", "secret", "docker-registry", name, "--from-file=.dockerconfigjson="+file)
}

// Pod is YAML of a pod that runs an image with these pull secrets.
func Pod(name, image string, secrets ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: %q}]
`, name, image)
	if len(secrets) > 0 {
		_, _ = io.WriteString(&b, "  imagePullSecrets:\n")
	}
	for _, s := range secrets {
		fmt.Fprintf(&b, "  - name: %s\n", s)
	}
	return b.String()
}

// Deployment is YAML of one whose pods run an image, pulled anew each time.
func Deployment(name, image string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: %[2]q, imagePullPolicy: Always}]
`, name, image, replicas)
}

// path of the API of this namespace.
func (n *Namespace) path(rest string) string {
	return "/api/v1/namespaces/" + n.Name + "/" + rest
}
