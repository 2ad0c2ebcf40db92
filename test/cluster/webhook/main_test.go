// Package webhook_test runs `fairlead controller` with its webhook, as the
// account and with the rights that deploy/controller gives it, against a real
// API server. There is one MutatingWebhookConfiguration in a cluster: the tests
// do not run in parallel.
package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

const (
	system = "fairlead-system"
	secret = "fairlead-pull"
	// configuration of the webhook, and the Secret of its certificate.
	configuration = "mutatingwebhookconfiguration/fairlead-pull-secrets"
	certSecret    = "secret/fairlead-webhook"
)

// site is a cluster where the controller is installed, but for its Deployment.
type site struct {
	*harness.Namespace // the administrator, in a namespace of the test
	t                  *testing.T
	c                  *harness.Kubernetes
	api                *kubernetes.Clientset
	url                string // where the configuration says that the webhook is
	port               int    // of the webhook that works started
}

func deployFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newSite installs what is the same for all tests; each makes the policies
// that it needs.
func newSite(t *testing.T, c *harness.Kubernetes) *site {
	t.Helper()
	s := &site{Namespace: c.Namespace(t), t: t, c: c}
	config, err := kube.Config(kube.Options{Kubeconfig: s.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 1000, 1000
	if s.api, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	s.Kubectl("apply", "-f", deployFile(t, "controller/namespace.yaml"))
	s.Kubectl("apply", "--server-side", "-f", deployFile(t, "crds/fairlead.dev_clusterpullsecrets.yaml"), "-f", deployFile(t, "crds/fairlead.dev_pullsecrets.yaml"))
	s.Kubectl("wait", "--for=condition=Established", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
	s.Kubectl("apply", "-f", deployFile(t, "controller/rbac.yaml"), "-f", deployFile(t, "controller/admission.yaml"))
	s.Kubectl("delete", configuration, "--ignore-not-found")
	s.Kubectl("-n", system, "delete", certSecret, "--ignore-not-found")
	s.Kubectl("delete", "clusterrolebinding/fairlead-controller-webhook", "clusterrolebinding/fairlead-controller-recreate", "--ignore-not-found")
	return s
}

// install applies deploy/controller/webhook.yaml, with the URL of a process
// of this machine in place of the Service.
func (s *site) install(port int) {
	s.t.Helper()
	s.url = fmt.Sprintf("https://127.0.0.1:%d/mutate-pods", port)
	text := read(s.t, deployFile(s.t, "controller/webhook.yaml"))
	const service = "service: {name: fairlead-webhook, namespace: fairlead-system, path: /mutate-pods, port: 443}"
	if !strings.Contains(text, service) {
		s.t.Fatal("webhook.yaml has another Service than the test knows")
	}
	s.Apply(strings.Replace(text, service, "url: "+s.url, 1))
	s.t.Cleanup(func() { s.Kubectl("delete", configuration, "--ignore-not-found") })
}

// asked is a dry run of a pod whose list only the webhook can add to.
func (s *site) asked(namespace string) bool {
	s.t.Helper()
	return slices.Equal(s.dry(namespace, pod([]string{"mine"})), []string{"mine", secret})
}

// called waits until the API server calls the webhook, and believes it.
func (s *site) called(namespace string) {
	s.t.Helper()
	harness.Until(s.t, "the webhook is called", func() error {
		if !s.asked(namespace) {
			return errors.New("a pod did not get the name")
		}
		return nil
	})
}

// appends is a policy that gives every pod of its namespaces the name.
const appends = "  appendToOwnList: true\n"

type running struct {
	cmd *exec.Cmd
	log harness.Record
	t   *testing.T
}

// start runs a controller with the account that deploy/controller makes.
func (s *site) start(args ...string) *running {
	s.t.Helper()
	r := &running{t: s.t}
	all := []string{"controller", "--kubeconfig", s.Kubeconfig, "--as", "system:serviceaccount:" + system + ":fairlead-controller", "--namespace", system}
	r.cmd = exec.Command(harness.FairleadBinary(), append(all, args...)...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		r.stop()
		if s.t.Failed() {
			text := r.log.String()
			s.t.Logf("the end of what the controller said:\n%s", text[max(0, len(text)-6000):])
		}
		if strings.Contains(r.log.String(), "PRIVATE KEY") {
			s.t.Error("a key is in the log")
		}
	})
	return r
}

// works starts a controller whose webhook is called for a new namespace, where a
// policy appends to own lists.
func (s *site) works(prefix string) (namespace, policy string, r *running) {
	s.t.Helper()
	s.port = freePort(s.t)
	s.source("*")
	s.install(s.port)
	r = s.start(serving(s.port)...)
	namespace = s.space(prefix)
	policy = s.policy(appends)
	s.called(namespace)
	return namespace, policy, r
}

// serving are the flags of the webhook.
func serving(port int) []string {
	return []string{"--webhook-listen", fmt.Sprintf("127.0.0.1:%d", port), "--webhook-url", fmt.Sprintf("https://127.0.0.1:%d/mutate-pods", port)}
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

// kill ends it without a word.
func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// pod with a list of its own, if there is one; it is never scheduled.
func pod(list []string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"},
		Spec:       corev1.PodSpec{SchedulerName: "none", Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:v1"}}},
	}
	yes, no, nobody := true, false, int64(65532) // our own namespace takes no others
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &nobody, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	for _, name := range list {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func account(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }
}

func names(p *corev1.Pod) []string {
	out := []string{}
	for _, r := range p.Spec.ImagePullSecrets {
		out = append(out, r.Name)
	}
	return out
}

// create makes a pod as soon as its account is there, and gives its list.
func (s *site) create(namespace string, p *corev1.Pod, o metav1.CreateOptions) []string {
	s.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		made, err := s.api.CoreV1().Pods(namespace).Create(context.Background(), p, o)
		if err == nil {
			return names(made)
		}
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "serviceaccount") || time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
}

// dry is create that leaves nothing.
func (s *site) dry(namespace string, p *corev1.Pod) []string {
	s.t.Helper()
	return s.create(namespace, p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// space makes a namespace at once, without waiting for its account.
func (s *site) space(prefix string) string {
	s.t.Helper()
	ns, err := s.api.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: prefix + "-", Labels: map[string]string{"team": s.Name},
	}}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.api.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}) })
	return ns.Name
}

// source makes a Secret with a user and a password.
func (s *site) source(allowed string) {
	s.t.Helper()
	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: hub, namespace: %s, annotations: {fairlead.dev/namespaces: %q}}\ntype: kubernetes.io/basic-auth\nstringData: {username: robot, password: wonder}\n", system, allowed))
}

// policy makes a ClusterPullSecret for the namespaces of the test.
func (s *site) policy(more string) string {
	s.t.Helper()
	name := "p-" + s.Name
	s.Apply(fmt.Sprintf(`apiVersion: fairlead.dev/v1alpha1
kind: ClusterPullSecret
metadata: {name: %s}
spec:
  namespaceSelector: {matchLabels: {team: %s}}
  registries: [{host: registry.example, secret: {name: hub}}]
%s`, name, s.Name, more))
	s.t.Cleanup(func() { s.Kubectl("delete", "clusterpullsecret", name, "--ignore-not-found", "--wait=false") })
	return name
}

// metric sums up the API server's counters of a name whose labels have a text.
func (s *site) metric(name, labels string) (sum float64) {
	s.t.Helper()
	text, err := s.api.RESTClient().Get().AbsPath("/metrics").DoRaw(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+"{") || !strings.Contains(line, labels) {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, "}")+1:], &n); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		sum += n
	}
	return sum
}
