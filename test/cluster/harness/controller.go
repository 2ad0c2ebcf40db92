package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
)

const (
	// System is the controller's namespace, Keeper its service account, and
	// SecretName the name that its rights permit.
	System     = "fairlead-system"
	Keeper     = "fairlead-controller"
	SecretName = "fairlead-pull"
)

// System installs what the controller lives by, from the files that are
// shipped: its kinds, its rights, and what the API server refuses it. It is the
// controller's namespace, for the administrator; the tests of a binary share it.
func (c *Kubernetes) System(t testing.TB) *Namespace {
	t.Helper()
	c.system.Do(func() {
		c.noSystem = errors.New("they were not installed") // should the test that does end here
		c.noSystem = c.install(t)
	})
	if c.noSystem != nil {
		t.Fatalf("the controller's files: %v", c.noSystem)
	}
	return c.administrator(t)
}

func (c *Kubernetes) administrator(t testing.TB) *Namespace {
	return &Namespace{Name: System, Kubeconfig: filepath.Join(c.dir, "users", System), c: c, t: t}
}

func (c *Kubernetes) install(t testing.TB) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	n := c.administrator(t)
	if err := c.kubeconfig(n.Kubeconfig, c.admin, System); err != nil {
		return err
	}
	n.Kubectl("create", "namespace", System)
	args := []string{"apply", "--server-side"}
	for _, f := range []string{"crds/fairlead.dev_clusterpullsecrets.yaml", "crds/fairlead.dev_pullsecrets.yaml", "controller/rbac.yaml", "controller/admission.yaml"} {
		args = append(args, "-f", filepath.Join(root, "deploy", f))
	}
	n.Kubectl(args...)
	n.Kubectl("wait", "--for=condition=Established", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
	// The API server sees policies of admission a moment later.
	keeper := n.Account(Keeper)
	return await("the API server refuses what it should", startLimit, func() error {
		for path, body := range map[string]string{
			"secrets/" + SecretName + "?fieldManager=test&dryRun=All": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"` + SecretName + `"}}`,
			"serviceaccounts/default?fieldManager=test&dryRun=All":    `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","annotations":{"a":"b"}}}`,
		} {
			status, answer := keeper.Request(http.MethodPatch, keeper.path(path), "application/apply-patch+yaml", body)
			if status < 400 || !strings.Contains(answer, "ValidatingAdmissionPolicy") {
				return fmt.Errorf("%s: %d %s", path, status, answer)
			}
		}
		return nil
	}, c.parts...)
}

// Account is the same namespace for one of its service accounts, by a token
// that is good for an hour.
func (n *Namespace) Account(name string) *Namespace {
	n.t.Helper()
	path := filepath.Join(n.c.dir, "users", n.Name+"."+name)
	token := strings.TrimSpace(n.Kubectl("create", "token", name, "--duration=1h"))
	if err := os.WriteFile(path+".token", []byte(token), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := n.c.kubeconfigOf(path, fmt.Sprintf("{tokenFile: %q}", path+".token"), n.Name); err != nil {
		n.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(n.c.ca.cert)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	n.t.Cleanup(client.CloseIdleConnections)
	return &Namespace{Name: n.Name, Kubeconfig: path, c: n.c, t: n.t, token: token, http: client}
}

// Request asks the API server as an Account: kubectl reads before it writes,
// which not everybody may. body is of a type, such as that of a patch.
func (n *Namespace) Request(method, path, kind, body string) (status int, answer string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, n.c.URL+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.token)
	r.Header.Set("Content-Type", kind)
	got, err := n.http.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// Controller is a running `fairlead controller`.
type Controller struct {
	// Metrics and Health are the URLs of its listeners.
	Metrics, Health string
	// Cmd is its process.
	Cmd *exec.Cmd

	t    testing.TB
	log  *Record
	done chan struct{}
	err  error
}

// Controller runs one with the rights of n until the test ends. Its log must
// show no token and no Password.
func (n *Namespace) Controller(flags ...string) *Controller {
	n.t.Helper()
	ports, err := freePorts(2)
	if err != nil {
		n.t.Fatal(err)
	}
	metrics, health := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	args := append([]string{
		"controller", "--kubeconfig", n.Kubeconfig, "--namespace", n.Name, "--secret-name", SecretName,
		"--metrics-listen", metrics, "--health-listen", health,
	}, flags...)
	p := &Controller{Metrics: "http://" + metrics + "/metrics", Health: "http://" + health, t: n.t, log: &Record{}, done: make(chan struct{})}
	p.Cmd = exec.Command(harness.Binary(), args...)
	p.Cmd.Env = n.environment()
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.Cmd.Stdout, p.Cmd.Stderr = p.log, p.log
	if err := p.Cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() { p.err = p.Cmd.Wait(); close(p.done) }()
	n.t.Cleanup(func() {
		p.Stop()
		if n.t.Failed() {
			n.t.Logf("the controller said:\n%s", tail(p.log.String(), 20_000))
		}
		for _, secret := range []string{"flt_", Password} {
			if strings.Contains(p.log.String(), secret) {
				n.t.Errorf("the log has %q in it", secret)
			}
		}
	})
	return p
}

// Password is what tests give sources that must not be seen anywhere else.
const Password = "open-sesame"

// Log is what it said up to now.
func (p *Controller) Log() string { return p.log.String() }

// Stop asks it to end; it must do so, without an error.
func (p *Controller) Stop() {
	p.t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(stopLimit); err != nil {
		p.t.Errorf("the controller ended: %v", err)
	}
}

// Kill ends it without a warning.
func (p *Controller) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.done
}

// Wait until it ends by itself, and gives its error.
func (p *Controller) Wait(limit time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		_ = p.Cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("not within %s", limit)
	}
}

// Page gets a URL of the controller; the status is 0 while nobody listens.
func (p *Controller) Page(url string) (status int, body string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 0, ""
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// Ready waits until its caches are filled.
func (p *Controller) Ready() {
	p.t.Helper()
	if err := await("the controller is ready", startLimit, func() error {
		select {
		case <-p.done:
			p.t.Fatalf("the controller ended: %v\n%s", p.err, p.Log())
		default:
		}
		if status, body := p.Page(p.Health + "/readyz"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
}
