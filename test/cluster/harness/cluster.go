package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
	"fairlead.dev/fairlead/test/cluster/program"
)

const (
	startLimit = 90 * time.Second
	stopLimit  = 10 * time.Second
)

// Kubernetes is a running cluster. The tests of a binary share it.
type Kubernetes struct {
	// URL of the API server: https://127.0.0.1:PORT.
	URL string
	// Kubeconfig is the path of the administrator's.
	Kubeconfig string
	// Bin is a folder with kubectl in it, for those who run what they read.
	Bin string

	dir      string
	services string // the range of their addresses
	lock     *os.File
	program  string
	workload []byte // the program of the images
	ca       *authority
	admin    pair
	http     *http.Client
	parts    []*process
	node     *node
	noNode   error // why there is none
	system   sync.Once
	noSystem error // why there is none
}

// shared is the cluster of this test binary, started by the first test that
// asks for one.
var shared struct {
	once    sync.Once
	cluster *Kubernetes
	err     error
}

// Main builds fairlead, runs the tests, ends the cluster that they shared,
// and gives the exit code: TestMain of every package that uses one calls it.
func Main(m *testing.M) int {
	code := harness.Main(m)
	c := shared.cluster
	if c == nil {
		return code
	}
	if os.Getenv("FAIRLEAD_KEEP") == "1" {
		c.keep()
	}
	if err := c.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "ending the cluster:", err)
		code = max(code, 1)
	}
	return code
}

// Cluster gives the cluster; it may have no node, so that pods stay Pending.
func Cluster(t testing.TB) *Kubernetes {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = start() })
	if shared.err != nil {
		t.Fatalf("no cluster: %v", shared.err)
	}
	return shared.cluster
}

// Node gives the cluster with a node, where pods run. Where there can be none
// the test is skipped; it fails if FAIRLEAD_REQUIRE_NODE=1 says that there
// must be one.
func Node(t testing.TB) *Kubernetes {
	t.Helper()
	c := Cluster(t)
	switch {
	case c.noNode == nil:
	case os.Getenv("FAIRLEAD_REQUIRE_NODE") == "1":
		t.Fatalf("no node: %v", c.noNode)
	default:
		skip(t, fmt.Errorf("no node: %w", c.noNode))
	}
	return c
}

// skip ends a test that this machine cannot run, and notes it in the file that
// FAIRLEAD_SKIPPED names, as go test says nothing of it.
func skip(t testing.TB, why error) {
	t.Helper()
	if name := os.Getenv("FAIRLEAD_SKIPPED"); name != "" {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := fmt.Fprintf(f, "%s: %v\n", t.Name(), why); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(why)
}

// start brings a cluster up, or nothing.
func start() (c *Kubernetes, err error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	module := filepath.Join(root, "test", "cluster")
	programs, err := program.Path(context.Background(), filepath.Join(module, "kubernetes"), os.Stderr)
	if err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("what a killed test left: %w", err)
	}
	dir, lock, err := claim()
	if err != nil {
		return nil, err
	}
	c = &Kubernetes{dir: dir, services: serviceRange(), lock: lock, program: filepath.Join(programs, "kubernetes"), Bin: filepath.Join(dir, "bin")}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
			c = nil
		}
	}()
	if err := c.prepare(); err != nil {
		return c, err
	}
	if err := c.buildPrograms(module); err != nil {
		return c, err
	}
	if err := c.startControl(); err != nil {
		return c, err
	}
	if c.noNode = nodeParts(); c.noNode == nil {
		err = c.startNode()
	}
	return c, err
}

// prepare makes folders and identities.
func (c *Kubernetes) prepare() error {
	for _, sub := range []string{"bin", "logs", "pki", "users"} {
		if err := os.Mkdir(filepath.Join(c.dir, sub), 0o700); err != nil {
			return err
		}
	}
	if err := os.Symlink(filepath.Join(filepath.Dir(c.program), "kubectl"), filepath.Join(c.Bin, "kubectl")); err != nil {
		return err
	}
	pki := filepath.Join(c.dir, "pki")
	var err error
	if c.ca, err = newAuthority(pki); err != nil {
		return err
	}
	return errors.Join(c.writeAuditPolicy(), accountKey(filepath.Join(pki, "accounts.key")))
}

// startControl starts everything but the node.
func (c *Kubernetes) startControl() error {
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	pki := filepath.Join(c.dir, "pki")
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	server, err := c.ca.issueFor(net.ParseIP(c.apiAddress()), pki, "apiserver", "kube-apiserver", "system:masters")
	if err != nil {
		return err
	}
	if c.admin, err = c.ca.issue(pki, "admin", "admin", "system:masters"); err != nil {
		return err
	}
	c.Kubeconfig = filepath.Join(c.dir, "admin.kubeconfig")
	if err := c.kubeconfig(c.Kubeconfig, c.admin, "default"); err != nil {
		return err
	}
	if c.http, err = c.client(); err != nil {
		return err
	}
	etcd := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := c.run("etcd", "etcd", "-data-dir", filepath.Join(c.dir, "etcd"), "-client", etcd, "-peer", fmt.Sprintf("http://127.0.0.1:%d", ports[1])); err != nil {
		return err
	}
	if err := c.run("kube-apiserver", c.apiserver(etcd, ports[2], server)...); err != nil {
		return err
	}
	if err := await("the API server is ready", startLimit, c.ready, c.parts...); err != nil {
		return err
	}
	if err := c.run("kube-controller-manager", "kube-controller-manager",
		"--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[3]),
		"--service-account-private-key-file="+filepath.Join(pki, "accounts.key"), "--root-ca-file="+c.ca.file,
		"--controllers="+strings.Join(controllers, ","),
	); err != nil {
		return err
	}
	return c.run("kube-scheduler", "kube-scheduler",
		"--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[4]))
}

// controllers that the tests' objects need.
var controllers = []string{
	"namespace-controller", "serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller", "validatingadmissionpolicy-status-controller", "garbage-collector-controller", "node-lifecycle-controller", "taint-eviction-controller",
	"deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller", "job-controller", "cronjob-controller",
	"persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
}

func (c *Kubernetes) apiserver(etcd string, port int, server pair) []string {
	accounts := filepath.Join(c.dir, "pki", "accounts.key")
	return []string{
		"kube-apiserver",
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		fmt.Sprintf("--secure-port=%d", port), "--cert-dir=" + filepath.Join(c.dir, "pki"),
		"--tls-cert-file=" + server.cert, "--tls-private-key-file=" + server.key, "--client-ca-file=" + c.ca.file,
		"--service-account-issuer=" + c.URL, "--service-account-key-file=" + accounts, "--service-account-signing-key-file=" + accounts,
		"--service-cluster-ip-range=" + c.services + ".0/24",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--audit-policy-file=" + c.auditPolicy(), "--audit-log-path=" + c.auditLog(),
		"--kubelet-preferred-address-types=Hostname",
		"--kubelet-client-certificate=" + server.cert, "--kubelet-client-key=" + server.key,
	}
}

// run starts a part of the control plane.
func (c *Kubernetes) run(name string, args ...string) error {
	p, err := launch(c.dir, name, "", 0, append([]string{c.program}, args...)...)
	if err != nil {
		return err
	}
	c.parts = append(c.parts, p)
	return nil
}

func (c *Kubernetes) client() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(c.admin.cert, c.admin.key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.cert)
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 16,
		},
	}, nil
}

// stop ends everything and leaves nothing.
func (c *Kubernetes) stop() error {
	var errs []error
	if c.node != nil {
		c.node.process.stop(stopLimit)
	}
	errs = append(errs, removeCgroup(filepath.Base(c.dir)))
	for i := len(c.parts) - 1; i >= 0; i-- {
		c.parts[i].stop(stopLimit)
	}
	errs = append(errs, os.RemoveAll(c.dir), c.lock.Close())
	return errors.Join(errs...)
}

// keep says how to look at the cluster, and waits for Ctrl-C.
func (c *Kubernetes) keep() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	fmt.Fprintf(os.Stderr, "the cluster is kept until Ctrl-C, its logs are in %s/logs:\n  export KUBECONFIG=%s PATH=%s:$PATH\n", c.dir, c.Kubeconfig, c.Bin)
	<-stop
}
