// Package controller_test runs `fairlead controller` against a real API server
// and a real Fairlead.
package controller_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/kube/controller"
	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// administrator is who makes and reads what tests need: a client of the
// library, as kubectl takes a fifth of a second for each look.
var administrator struct {
	sync.Once
	client.Client
	err error
}

func admin(t testing.TB, c *harness.Kubernetes) client.Client {
	t.Helper()
	administrator.Do(func() {
		administrator.err = func() error {
			crds, err := filepath.Abs(filepath.Join("..", "..", "..", "deploy", "crds"))
			if err != nil {
				return err
			}
			ns := c.Namespace(t)
			ns.Kubectl("apply", "--server-side", "-f", crds)
			ns.Kubectl("wait", "--for=condition=Established", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
			cfg, err := kube.Config(kube.Options{Kubeconfig: c.Kubeconfig, Version: "test"})
			if err != nil {
				return err
			}
			scheme := runtime.NewScheme()
			if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
				return err
			}
			administrator.Client, err = client.New(cfg, client.Options{Scheme: scheme})
			return err
		}()
	})
	if administrator.err != nil {
		t.Fatal(administrator.err)
	}
	return administrator.Client
}

// running is a controller of a test's own: its namespace holds the sources, and
// its secrets have a name that no other test uses.
type running struct {
	*harness.Namespace
	api    client.Client
	secret string
	log    *harness.Record
	t      *testing.T

	// kubeconfig is the controller's; a proxy's, or the administrator's.
	kubeconfig string
	metrics    string
	cmd        *exec.Cmd
	starts     int
	// clock makes it run in this process.
	clock *clock
	end   func() error
}

// run starts a controller.
func run(t *testing.T, c *harness.Kubernetes, change ...func(*running)) *running {
	t.Helper()
	r := idle(t, c, change...)
	r.start()
	return r
}

// idle is one that is yet to be started.
func idle(t *testing.T, c *harness.Kubernetes, change ...func(*running)) *running {
	t.Helper()
	api := admin(t, c)
	ns := c.Namespace(t)
	r := &running{Namespace: ns, api: api, secret: "pull-" + ns.Name, log: &harness.Record{}, t: t, kubeconfig: ns.Kubeconfig}
	for _, f := range change {
		f(r)
	}
	t.Cleanup(func() {
		r.stop()
		if strings.Contains(r.log.String(), "flt_") {
			t.Error("a token is in the log")
		}
		if t.Failed() {
			t.Logf("the controller said:\n%s", r.log)
		}
	})
	return r
}

// at lets the controller run in this process, by a clock that can be set.
func at(c *clock) func(*running) { return func(r *running) { r.clock = c } }

// behind lets it reach the API server through a proxy.
func behind(p *proxy) func(*running) { return func(r *running) { r.kubeconfig = p.kubeconfig } }

func (r *running) start() {
	r.t.Helper()
	r.starts++
	if r.clock != nil {
		r.inside()
		return
	}
	args := []string{"controller", "--kubeconfig", r.kubeconfig, "--namespace", r.Name, "--secret-name", r.secret}
	if r.metrics != "" {
		args = append(args, "--metrics-listen", r.metrics)
	}
	r.cmd = exec.Command(harness.FairleadBinary(), args...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// works waits until the one that was started last does so.
func (r *running) works() {
	r.t.Helper()
	harness.Until(r.t, "it works", func() error {
		all := strings.Split(r.log.String(), `"msg":"controller starts"`)
		for _, part := range []string{"namespace", "policy"} {
			if len(all) <= r.starts || !strings.Contains(all[r.starts], `"msg":"Starting workers","controller":"`+part+`"`) {
				return fmt.Errorf("%s does not, after %d starts of %d", part, len(all)-1, r.starts)
			}
		}
		return nil
	})
}

func (r *running) inside() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	o := controller.Options{
		Cluster:     kube.Options{Kubeconfig: r.kubeconfig, Namespace: r.Name, Version: "test"},
		SecretNames: []string{r.secret}, MetricsListen: r.metrics,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Now: r.clock.now,
	}
	go func() { done <- controller.Run(ctx, o) }()
	r.end = func() error { cancel(); return <-done }
}

func (r *running) stop() {
	r.t.Helper()
	switch {
	case r.end != nil:
		if err := r.end(); err != nil {
			r.t.Errorf("the controller ended: %v", err)
		}
		r.end = nil
	case r.cmd != nil && r.cmd.ProcessState == nil:
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		if err := r.cmd.Wait(); err != nil {
			r.t.Errorf("the controller ended: %v", err)
		}
	}
}

// kill ends the process as a crash does, and returns once it is gone.
func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// clock runs as the machine's does, some way off.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return time.Now().Add(c.off) }

func (c *clock) move(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.off += d }
