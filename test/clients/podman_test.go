package clients

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// podman keeps images in a store of the test's own.
func podman(t *testing.T, home *harness.Home) *harness.Tool {
	t.Helper()
	// vfs: no mounts, so that it runs where overlay does not.
	tool := home.Tool("podman", "--root", home.Path("images"), "--runroot", short(t), "--tmpdir", home.Path("run/libpod"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
	if !tool.Works("info") {
		harness.Unavailable(t, "this machine cannot run podman: %s", tool.Fails(nil, "info"))
	}
	return tool
}

func TestPodman(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := podman(t, s.Home(t))
	app := s.Ref("team/podman")

	said := c.Fails(strings.NewReader("wrong"), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	if !strings.Contains(said, "invalid username/password") {
		t.Errorf("podman login with a wrong password said %q", said)
	}
	c.Run("build", "--isolation", "chroot", "-t", app+":v1", harness.Context(t, 40))
	c.Refused("push", "--tls-verify=false", app+":v1")
	s.Lacks(t, "team/podman", "v1")

	c.Input(strings.NewReader(s.Token), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	plainPassword(t, c.Home().AuthFile(), s)
	if got := c.Run("login", "--get-login", s.Host); got != harness.User {
		t.Errorf("podman is logged in as %q", got)
	}
	c.Run("push", "--tls-verify=false", app+":v1")
	c.Run("push", "--tls-verify=false", "--format", "v2s2", app+":v1", app+":docker")
	for tag, want := range map[string]string{"v1": ociManifest, "docker": dockerManifest} {
		if mt, _ := s.Manifest(t, "team/podman", tag); mt != want {
			t.Errorf("podman pushed %s as %s, want %s", tag, mt, want)
		}
	}
	id := c.Run("image", "inspect", "-f", "{{.Id}}", app+":v1")
	c.Run("rmi", "--all", "--force")
	c.Run("pull", "--tls-verify=false", app+":v1")
	if again := c.Run("image", "inspect", "-f", "{{.Id}}", app+":v1"); again != id {
		t.Errorf("pulled image %s, pushed %s", again, id)
	}
	c.Run("pull", "--tls-verify=false", app+":docker")
	c.Run("pull", "--tls-verify=false", app+"@"+s.Has(t, "team/podman", "v1"))

	c.Run("logout", s.Host)
	c.Run("rmi", "--all", "--force")
	c.Refused("pull", "--tls-verify=false", app+":v1")
}

// TestPodmanManifest makes an index out of two images and pushes it whole.
func TestPodmanManifest(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := podman(t, s.Home(t))
	c.Input(strings.NewReader(s.Token), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	app := s.Ref("team/podman")

	for i, arch := range []string{"amd64", "arm64"} {
		c.Run("build", "--isolation", "chroot", "--platform", "linux/"+arch, "--manifest", "both", harness.Context(t, uint64(41+i)))
	}
	c.Run("manifest", "push", "--all", "--tls-verify=false", "both", "docker://"+app+":both")
	mt, body := s.Manifest(t, "team/podman", "both")
	if mt != ociIndex && mt != dockerList || strings.Count(string(body), `"architecture"`) != 2 {
		t.Errorf("podman manifest push stored %s: %s", mt, body)
	}
	c.Run("rmi", "--all", "--force")
	c.Run("pull", "--tls-verify=false", "--platform", "linux/arm64", app+":both")
	if arch := c.Run("image", "inspect", "-f", "{{.Architecture}}", app+":both"); arch != "arm64" {
		t.Errorf("asked for arm64, podman pulled %s", arch)
	}
}
