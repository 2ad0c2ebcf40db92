package deploy_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	client "fairlead.dev/fairlead/test/clients/harness"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// volume makes a volume on the node and gives the folder: what a claim of a
// namespace is bound to that asks for no class.
func (s *site) volume(namespace, claim string) (dir string) {
	s.t.Helper()
	dir = s.t.TempDir()
	s.Input(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: %s, name: %s}
  local: {path: %q}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: Exists}]}]}}
`, s.Name, namespace, claim, dir), "apply", "--server-side", "-f", "-")
	s.t.Cleanup(func() { s.Kubectl("delete", "persistentvolume", s.Name, "--wait=false") })
	return dir
}

// TestHelmServer types what docs/install.md shows: the server as a pod, with TLS, the operator's token and a
// volume; pushed to and pulled from, before and after it is made anew.
func TestHelmServer(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t)
	s.homes()
	mirror := harness.StartFairlead(t)
	mirror.Account(t, "acme", "acme-platform")
	harness.Operator(mirror).Push(t, "acme-platform/fairlead:v1", image(t))
	pulling := mirror.Mint(t, harness.Minting{Account: "acme"})
	ns := c.Namespace(t)
	ns.PullSecret("mirror", harness.Holder(mirror, pulling.Value))
	before := s.inventory()

	authority, dir := client.NewAuthority(t, "fairlead-test"), t.TempDir()
	cert, key, token := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "token")
	authority.Issue(t, cert, key)
	operator := rand.Text()
	save(t, token, operator+"\n")
	data := s.volume(ns.Name, "fairlead")
	port := ports(t, 1)[0]
	login := harness.Login{Host: fmt.Sprintf("127.0.0.1:%d", port), User: client.User, Password: operator, CA: authority.File}
	c.Trust(t, login.Host, authority.File)
	r := s.reader("mirror.example.com/platform", mirror.Host+"/acme-platform", "https://registry.example.com", "https://"+login.Host, "--namespace fairlead", "--namespace "+ns.Name)
	part := section(t, "## The server", "### By compose")
	lines := typed(part)
	if len(lines) != 6 || !strings.Contains(lines[3], "helm install") {
		t.Fatalf("the document shows %q", lines)
	}
	r.saves("server.yaml", blocks(part, "yaml")[0], fmt.Sprintf(`imagePullSecrets: [{name: mirror}]
persistence: {storageClassName: "", size: 1Gi}
hostNetwork: true
port: %d
`, port))
	for _, file := range []string{cert, key, token} {
		if err := os.Rename(file, filepath.Join(r.dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	r.types(lines[1])
	r.types(lines[2])
	install := func() {
		t.Helper()
		r.types(lines[3])
		s.told(ns.Name, "app.kubernetes.io/name=fairlead")
	}
	install()

	one := login.Push(t, "acme-web/app:one", c.App(t, "one"))
	ns.PullSecret("pull", login)
	ns.Apply(harness.Pod("one", one, "pull"))
	ns.Running("one")

	// Commands in the container find the configuration, and the server by its
	// control socket.
	r.types(lines[4])

	// Made anew: what was pushed is there, and the keys are closed to others.
	ns.Kubectl("delete", "pod", "fairlead-0", "--timeout=60s")
	s.told(ns.Name, "app.kubernetes.io/name=fairlead")
	login.Push(t, "acme-web/app:two", c.App(t, "two"))
	closed(t, filepath.Join(data, "data", "keys"))

	// The claim outlives the release.
	s.helm("uninstall", server, "--namespace", ns.Name, "--wait")
	harness.Until(t, "the pod is gone", func() error {
		if got := ns.Kubectl("get", "pod", "fairlead-0", "--ignore-not-found", "-o", "name"); got != "" {
			return fmt.Errorf("there is %s", got)
		}
		return nil
	})
	install()
	ns.Apply(harness.Pod("two", strings.Replace(one, ":one", ":two", 1), "pull"))
	ns.Running("two")
	s.helm("uninstall", server, "--namespace", ns.Name, "--wait")
	s.left(before, ns.Name, s.Name)
}

// closed fails if others than their owner may read the files of a folder.
func closed(t *testing.T, dir string) {
	t.Helper()
	found := 0
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		found++
		return err
	}); err != nil || found == 0 {
		t.Errorf("%d keys, %v", found, err)
	}
}
