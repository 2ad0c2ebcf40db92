package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"fairlead.dev/fairlead/test/cluster/boot"
	"fairlead.dev/fairlead/test/cluster/program"
)

// node runs pods: containerd and a kubelet, in namespaces of their own for
// processes and mounts, so that nothing of them can be left.
type node struct {
	process *process
	socket  string
	// routes is the folder of hosts.toml files that containerd reads before
	// every pull.
	routes string
}

const (
	nodeName   = "localhost"
	pauseImage = "fairlead.test/pause:v1"
)

// settings are what a kubelet sets for its whole machine.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// nodeParts tells what is missing for a node.
func nodeParts() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed (run make deps): %w", name, err)
		}
	}
	isolated := exec.CommandContext(context.Background(), "true")
	isolated.SysProcAttr = &syscall.SysProcAttr{Cloneflags: nodeNamespaces}
	if err := isolated.Run(); err != nil {
		return fmt.Errorf("this machine gives no namespaces: %w", err)
	}
	roots, err := hierarchies()
	if err != nil {
		return fmt.Errorf("no control groups: %w", err)
	}
	for _, root := range roots {
		if err := syscall.Access(root, 2 /* may write */); err != nil {
			return fmt.Errorf("%s cannot be written to: %w", root, err)
		}
	}
	_, err = nodeAddress()
	return err
}

const nodeNamespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS

// nodeAddress is what the node calls its own: a kubelet takes no loopback.
func nodeAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no IPv4 address but loopback, and a kubelet wants one")
}

func (c *Kubernetes) startNode() error {
	name := filepath.Base(c.dir)
	n := &node{socket: filepath.Join(c.dir, "containerd.sock"), routes: filepath.Join(c.dir, "certs.d")}
	path, err := containerdPath()
	if err != nil {
		return err
	}
	containerd, err := c.containerd(n)
	if err != nil {
		return err
	}
	kubelet, err := c.kubelet(name, n)
	if err != nil {
		return err
	}
	if err := makeCgroup(name); err != nil {
		return err
	}
	plan := boot.Plan{
		Hide:     c.hidden(),
		Settings: settings,
		Copies:   filepath.Join(c.dir, "settings"),
		Hosts:    c.hosts(),
		Run: []boot.Program{
			{Args: containerd, Log: filepath.Join(c.dir, "logs", "containerd.log")},
			{Args: kubelet, Log: filepath.Join(c.dir, "logs", "kubelet.log"), Needs: n.socket},
		},
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "boot.json")
	known, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return err
	}
	if err := os.WriteFile(plan.Hosts, known, 0o644); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.Mkdir(plan.Copies, 0o700)); err != nil {
		return err
	}
	if n.process, err = launch(c.dir, "init", path, nodeNamespaces, filepath.Join(c.dir, "init"), file); err != nil {
		return err
	}
	c.node = n
	if err := c.importPause(); err != nil {
		return err
	}
	if err := await("the node is ready", startLimit, c.nodeReady, n.process); err != nil {
		text, _ := os.ReadFile(filepath.Join(c.dir, "logs", "kubelet.log"))
		return fmt.Errorf("%w; the end of the kubelet's log:\n%s", err, tail(string(text), 8_000))
	}
	return nil
}

// containerdPath is a PATH in which the wanted containerd comes first.
// containerd finds its shim there, too.
func containerdPath() (string, error) {
	switch version := os.Getenv("FAIRLEAD_CONTAINERD"); version {
	case "", "1":
		return "", nil
	case "2":
		dir, err := program.Containerd(context.Background(), os.Stderr)
		return dir + ":" + os.Getenv("PATH"), err
	default:
		return "", fmt.Errorf("FAIRLEAD_CONTAINERD is %q, want 1 or 2", version)
	}
}

// hidden are folders where the node's programs write, wherever they are told
// to. What we need ourselves stays in sight.
func (c *Kubernetes) hidden() []string {
	var dirs []string
	for _, dir := range []string{"/run", "/var/log", "/var/lib"} {
		if !strings.HasPrefix(c.dir, dir+"/") && !strings.HasPrefix(c.program, dir+"/") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// containerd's CRI with everything in our folder. The snapshotter copies, so
// that it works on every file system; the images are small.
const containerdConfig = `version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  # Where CAP_SYS_RESOURCE is missing nothing may be lowered.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[5]q
    conf_dir = %[5]q
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %[6]q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
# containerd 2 pulls through this, and asks it again what to unpack with.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = %[7]q
  snapshotter = "native"
`

// The pods use the host's network: this is never called.
const network = `{"cniVersion": "0.4.0", "name": "none", "plugins": [{"type": "loopback"}]}`

func (c *Kubernetes) containerd(n *node) (args []string, err error) {
	cni := filepath.Join(c.dir, "cni")
	for _, dir := range []string{n.routes, cni} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	config := fmt.Sprintf(containerdConfig, filepath.Join(c.dir, "containerd"), filepath.Join(c.dir, "state"), n.socket, pauseImage, cni, n.routes, runtime.GOOS+"/"+runtime.GOARCH)
	file := filepath.Join(c.dir, "containerd.toml")
	return []string{"containerd", "--config", file}, errors.Join(
		os.WriteFile(filepath.Join(cni, "net.conflist"), []byte(network), 0o600),
		os.WriteFile(file, []byte(config), 0o600))
}

// The kubelet's settings are the defaults but for the last ones: no pod is
// evicted because the machine's disk is full, and a pull that hangs in one
// test does not keep those of others waiting.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %[1]d
readOnlyPort: 0
healthzPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: %[2]q}
authorization: {mode: AlwaysAllow}
tlsCertFile: %[3]q
tlsPrivateKeyFile: %[4]q
containerRuntimeEndpoint: "unix://%[5]s"
cgroupDriver: cgroupfs
cgroupRoot: /%[6]s
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: %[7]q
podLogsDir: %[8]q
volumePluginDir: %[9]q
serializeImagePulls: false
evictionHard: {nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
`

func (c *Kubernetes) kubelet(cgroup string, n *node) (args []string, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	address, err := nodeAddress()
	if err != nil {
		return nil, err
	}
	self, err := c.ca.issue(filepath.Join(c.dir, "pki"), "kubelet", "system:node:"+nodeName, "system:nodes")
	if err != nil {
		return nil, err
	}
	plugins, err := c.plugins()
	if err != nil {
		return nil, err
	}
	path := func(name string) string { return filepath.Join(c.dir, name) }
	config := fmt.Sprintf(kubeletConfig, ports[0], c.ca.file, self.cert, self.key, n.socket, cgroup, path("resolv.conf"), path("podlogs"), path("volumeplugins"))
	args = []string{
		c.program, "kubelet", "--config=" + path("kubelet.yaml"), "--kubeconfig=" + path("kubelet.kubeconfig"),
		"--hostname-override=" + nodeName, "--node-ip=" + address, "--root-dir=" + path("kubelet"), "--cert-dir=" + path("pki"),
	}
	return append(args, plugins...), errors.Join(
		c.kubeconfig(path("kubelet.kubeconfig"), self, "default"),
		os.WriteFile(path("resolv.conf"), nil, 0o600),
		os.WriteFile(path("kubelet.yaml"), []byte(config), 0o600))
}

// importPause gives the node the image of its pause containers.
func (c *Kubernetes) importPause() error {
	file := filepath.Join(c.dir, "pause.tar")
	if err := writeArchive(file, pauseImage, c.workload); err != nil {
		return err
	}
	return await("containerd takes the pause image", startLimit, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "ctr", "--address", c.node.socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "native", file).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, tail(string(out), 1_000))
		}
		return nil
	}, c.node.process)
}

// nodeReady tells why pods cannot be scheduled yet.
func (c *Kubernetes) nodeReady() error {
	var got struct {
		Spec   struct{ Taints []struct{ Key string } }
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.get("/api/v1/nodes/"+nodeName, &got); err != nil {
		return err
	}
	for _, condition := range got.Status.Conditions {
		if condition.Type == "Ready" && condition.Status != "True" {
			return errors.New(condition.Message)
		}
	}
	if len(got.Spec.Taints) > 0 {
		return fmt.Errorf("tainted: %v", got.Spec.Taints)
	}
	return nil
}
