package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
)

// docker starts a daemon of the test's own and gives its client.
func docker(t *testing.T, home *harness.Home) *harness.Tool {
	t.Helper()
	dir := short(t)
	sock := "unix://" + filepath.Join(dir, "sock")
	home.Setenv("DOCKER_BUILDKIT", "0") // no plugin is needed to build FROM scratch
	client := home.Tool("docker", "-H", sock)
	daemon(t, home.Tool("dockerd"), func() bool { return client.Works("version") },
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"-H", sock, "--pidfile", filepath.Join(dir, "pid"),
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none",
		"--insecure-registry", "127.0.0.0/8", "--log-level", "warn")
	return client
}

// short gives a folder beside the home: a socket's path may have 107
// characters only, and podman's runroot 50.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fld")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clearing up after a client: %v", err)
		}
	})
	return dir
}

// daemon runs a program until the test ends. If it ends by itself before it
// is ready, this machine cannot run it.
func daemon(t *testing.T, tool *harness.Tool, ready func() bool, args ...string) {
	t.Helper()
	cmd, cancel := tool.Command(args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "daemon.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	said := func() string {
		b, _ := os.ReadFile(log.Name())
		return string(b[max(0, len(b)-4000):])
	}
	t.Cleanup(func() {
		defer cancel()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s ended badly: %v\n%s", cmd.Path, err, said())
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not end:\n%s", cmd.Path, said())
		}
		_ = log.Close()
	})
	for deadline := time.Now().Add(30 * time.Second); !ready(); {
		select {
		case err := <-done:
			done <- err
			harness.Unavailable(t, "this machine cannot run %s: %v\n%s", filepath.Base(cmd.Path), err, said())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not ready in time:\n%s", cmd.Path, said())
		}
	}
}

func TestDocker(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	home := s.Home(t)
	c := docker(t, home)
	app := s.Ref("team/docker")

	said := c.Fails(strings.NewReader("wrong"), "login", "-u", harness.User, "--password-stdin", s.Host)
	if !strings.Contains(said, "the user name or the token is wrong") {
		t.Errorf("docker login with a wrong password said %q", said)
	}
	c.Run("build", "--network", "none", "-t", app+":v1", harness.Context(t, 30))
	c.Refused("push", app+":v1")
	s.Lacks(t, "team/docker", "v1")

	if said := c.Input(strings.NewReader(s.Token), "login", "-u", harness.User, "--password-stdin", s.Host); !strings.Contains(said, "Login Succeeded") {
		t.Errorf("docker login said %q", said)
	}
	plainPassword(t, home.DockerConfig(), s)
	id := c.Run("image", "inspect", "-f", "{{.Id}}", app+":v1")
	pushed := c.Run("push", app+":v1")
	digest := s.Has(t, "team/docker", "v1")
	if !strings.Contains(pushed, digest) {
		t.Errorf("docker push did not name the digest %s: %s", digest, pushed)
	}
	for _, ref := range []string{app + ":v1", app + "@" + digest} {
		c.Run("rmi", "-f", id)
		c.Run("pull", ref)
		if again := c.Run("image", "inspect", "-f", "{{.Id}}", ref); again != id {
			t.Errorf("pulled image %s, pushed %s", again, id)
		}
	}

	c.Run("logout", s.Host)
	c.Run("rmi", "-f", id)
	c.Refused("pull", app+":v1")
}

// TestDockerOtherImages: images that docker did not build, second
// repositories, and what other clients pushed.
func TestDockerOtherImages(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	home := s.Home(t)
	c := docker(t, home)
	app := s.Ref("team/docker")
	c.Input(strings.NewReader(s.Token), "login", "-u", harness.User, "--password-stdin", s.Host)

	c.Run("load", "-i", harness.Tarball(t, app+":loaded", harness.Image(t, 31, 2, 1000)))
	c.Run("push", app+":loaded")
	layer := home.Write("layer.tar", string(harness.Tar(t, "imported", harness.Random(32, 1000))))
	c.Run("import", layer, app+":imported")
	c.Run("push", "--all-tags", app)
	for _, tag := range []string{"loaded", "imported"} {
		if mt, _ := s.Manifest(t, "team/docker", tag); mt != dockerManifest {
			t.Errorf("docker pushed %s as %s", tag, mt)
		}
	}
	c.Run("tag", app+":loaded", s.Ref("other/docker")+":v1")
	if said := c.Run("push", s.Ref("other/docker")+":v1"); !strings.Contains(said, "Mounted from team/docker") {
		t.Errorf("pushing to a second repository mounted nothing: %s", said)
	}

	pushImage(t, s, "team/docker", "oci", 33)
	c.Run("pull", app+":oci")
	pushLayout(t, s, "team/docker", "multi", harness.IndexLayout(t, harness.MultiArch(t, 34)))
	for _, arch := range []string{"amd64", "arm64"} {
		c.Run("pull", "--platform", "linux/"+arch, app+":multi")
		if got := c.Run("image", "inspect", "-f", "{{.Architecture}}", app+":multi"); got != arch {
			t.Errorf("asked for %s, docker pulled %s", arch, got)
		}
	}
}

// plainPassword checks what a login left: a config.json that can become a
// pull secret holds user and password, and no identity token.
func plainPassword(t *testing.T, path string, s *harness.Server) {
	t.Helper()
	var config struct {
		Auths map[string]struct {
			Auth          []byte
			IdentityToken string
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	entry := config.Auths[s.Host]
	if string(entry.Auth) != harness.User+":"+s.Token || entry.IdentityToken != "" {
		t.Errorf("after the login %s does not hold user and token as they are", filepath.Base(path))
	}
}
