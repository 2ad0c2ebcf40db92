package clients

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// buildah keeps images in a store of the test's own.
func buildah(t *testing.T, home *harness.Home) *harness.Tool {
	t.Helper()
	tool := home.Tool("buildah", "--root", home.Path("images"), "--runroot", home.Path("run/buildah"), "--storage-driver", "vfs")
	if !tool.Works("info") {
		harness.Unavailable(t, "this machine cannot run buildah: %s", tool.Fails(nil, "info"))
	}
	return tool
}

func TestBuildah(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	home := s.Home(t)
	c := buildah(t, home)
	app := s.Ref("team/buildah")
	payload := home.Write("payload", string(harness.Random(50, 4096)))

	box := c.Run("from", "scratch")
	c.Run("copy", box, payload, "/payload")
	c.Run("config", "--cmd", "/payload", "--label", "made.by=fairlead-test", box)
	c.Run("commit", "--format", "oci", box, "built-oci")
	c.Run("commit", "--format", "docker", box, "built-docker")
	c.Refused("push", "--tls-verify=false", "built-oci", app+":v1")

	said := c.Fails(strings.NewReader("wrong"), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	if !strings.Contains(said, "invalid username/password") {
		t.Errorf("buildah login with a wrong password said %q", said)
	}
	c.Input(strings.NewReader(s.Token), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)

	for _, push := range []struct{ image, format, tag, want string }{
		{"built-oci", "", "oci", ociManifest},
		{"built-docker", "", "docker", dockerManifest},
		{"built-oci", "v2s2", "oci-as-docker", dockerManifest},
		{"built-docker", "oci", "docker-as-oci", ociManifest},
	} {
		args := []string{"push", "--tls-verify=false"}
		if push.format != "" {
			args = append(args, "--format", push.format)
		}
		c.Run(append(args, push.image, "docker://"+app+":"+push.tag)...)
		if mt, _ := s.Manifest(t, "team/buildah", push.tag); mt != push.want {
			t.Errorf("buildah pushed %s as %s, want %s", push.tag, mt, push.want)
		}
	}
	c.Run("rm", "--all")
	c.Run("rmi", "--all", "--force")
	c.Run("pull", "--tls-verify=false", app+":oci")
	c.Run("pull", "--tls-verify=false", app+":docker")
	derived := c.Run("from", "--pull-never", app+":oci")
	c.Run("config", "--env", "DERIVED=yes", derived)
	c.Run("commit", "--format", "oci", derived, "derived")
	c.Run("push", "--tls-verify=false", "derived", app+":derived")
	s.Has(t, "team/buildah", "derived")

	c.Run("logout", s.Host)
	c.Refused("pull", "--tls-verify=false", "--policy", "always", app+":oci")
}
