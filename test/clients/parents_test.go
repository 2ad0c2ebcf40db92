package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// baseLayer is the size of each of the two layers of the provided image: much
// more than what is built on it.
const baseLayer = 1 << 20

// parent is a client that makes an image out of the provided one, and pushes
// it.
type parent struct {
	name string
	make func(t *testing.T, s *harness.Server, home *harness.Home, from, to string)
}

var parents = []parent{
	{"docker", func(t *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := docker(t, home)
		c.Run("build", "--network", "none", "--pull", "-t", to, onTop(t, from))
		c.Run("push", to)
		if said := c.Fails(nil, "push", retag(c, to, from)); !strings.Contains(said, "the operator's to change") {
			t.Errorf("docker push to the provided image said %q", said)
		}
	}},
	{"podman", func(t *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := podman(t, home)
		c.Run("build", "--isolation", "chroot", "--tls-verify=false", "-t", to, onTop(t, from))
		c.Run("push", "--tls-verify=false", to)
		c.Refused("push", "--tls-verify=false", to, from)
	}},
	{"buildah", func(t *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := buildah(t, home)
		box := c.Run("from", "--tls-verify=false", from)
		c.Run("copy", box, home.Write("payload", string(harness.Random(221, 4096))), "/payload")
		c.Run("commit", box, to)
		c.Run("push", "--tls-verify=false", to)
		c.Refused("push", "--tls-verify=false", to, from)
	}},
	{"skopeo", func(_ *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := copier(home)
		// It mounts what it knows of: what it has pulled before.
		c.Run("copy", "--src-tls-verify=false", "docker://"+from, "dir:"+home.Path("base"))
		c.Run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+from, "docker://"+to)
		c.Refused("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+to, "docker://"+from)
	}},
	{"crane-append", func(t *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := home.Tool("crane")
		layer := home.Write("layer.tar", string(harness.Tar(t, "more", harness.Random(222, 4096))))
		c.Run("append", "-b", from, "-f", layer, "-t", to)
		c.Refused("append", "-b", from, "-f", layer, "-t", from)
	}},
	{"crane-mutate", func(_ *testing.T, _ *harness.Server, home *harness.Home, from, to string) {
		c := home.Tool("crane")
		c.Run("mutate", from, "-l", "made.by=fairlead-test", "-t", to)
		c.Refused("mutate", from, "-l", "made.by=fairlead-test", "-t", from)
	}},
	{"regctl", func(_ *testing.T, s *harness.Server, home *harness.Home, from, to string) {
		home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
		c := home.Tool("regctl")
		c.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
		c.Run("image", "copy", from, to)
		c.Refused("tag", "delete", from)
	}},
}

// TestProvided: accounts build on images without a namespace, which are
// the operator's. They cannot change them, and what they build on them does
// not send the base again: it is mounted.
func TestProvided(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"})
	base := harness.Image(t, 220, 2, baseLayer)
	pushLayout(t, s, "ibmliberty", "v1", harness.Layout(t, base))
	want := harness.Digest(t, base)
	layers, err := base.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range parents {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			home := s.Home(t)
			login(t, home, s.Host, token.Value)
			repo := "acme/" + who.name
			who.make(t, s, home, s.Ref("ibmliberty:v1"), s.Ref(repo)+":v1")
			sent, mounted := s.Received(repo)
			if sent > baseLayer/2 || mounted < len(layers) {
				t.Errorf("%d bytes were sent and %d blobs mounted; the base has %d layers of %d bytes", sent, mounted, len(layers), baseLayer)
			}
			t.Logf("sent %d bytes, mounted %d blobs", sent, mounted)
			_, built := s.Manifest(t, repo, "v1")
			for _, layer := range layers {
				digest, err := layer.Digest()
				if err != nil || !strings.Contains(string(built), digest.String()) {
					t.Errorf("what was built lacks the base's layer %s, %v: %s", digest, err, built)
				}
			}
			if got := s.Has(t, "ibmliberty", "v1"); got != want {
				t.Errorf("the provided image is %s now, was %s", got, want)
			}
		})
	}
}

// onTop is a build context that adds a file to an image.
func onTop(t *testing.T, from string) string {
	t.Helper()
	dir := harness.Context(t, 223)
	file := "FROM " + from + "\nCOPY payload /payload\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func retag(c *harness.Tool, from, to string) string {
	c.Run("tag", from, to)
	return to
}

// TestCatalogOfAnAccount: lists show an account its own, what is public and
// what is provided; of the rest they do not tell that it is there.
func TestCatalogOfAnAccount(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	s.Account(t, "other", "other", "open")
	s.Public(t, "open")
	for i, repo := range []string{"acme/app", "acme/deep/er/app", "other/app", "open/app", "ibmliberty"} {
		pushImage(t, s, repo, "v1", uint64(230+i))
	}
	home := s.Home(t)
	login(t, home, s.Host, s.Mint(t, harness.Minting{Account: "acme"}).Value)
	home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
	c, r, k := home.Tool("crane"), home.Tool("regctl"), copier(home)
	r.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)

	mine := []string{"acme/app", "acme/deep/er/app", "ibmliberty", "open/app"}
	if got := strings.Fields(c.Run("catalog", s.Host)); !slices.Equal(got, mine) {
		t.Errorf("crane catalog = %v, want %v", got, mine)
	}
	if got := strings.Fields(r.Run("repo", "ls", s.Host)); !slices.Equal(got, mine) {
		t.Errorf("regctl repo ls = %v, want %v", got, mine)
	}
	if got := strings.Fields(r.Run("repo", "ls", "--limit", "1", "--last", "acme/deep/er/app", s.Host)); !slices.Equal(got, mine[2:3]) {
		t.Errorf("the next page of one = %v, want %v", got, mine[2:3])
	}
	for _, repo := range mine {
		if got := c.Run("ls", s.Ref(repo)); got != "v1" {
			t.Errorf("crane ls %s = %q, want v1", repo, got)
		}
		if said := k.Run("list-tags", "--tls-verify=false", "docker://"+s.Ref(repo)); !strings.Contains(said, `"v1"`) {
			t.Errorf("skopeo list-tags %s = %q", repo, said)
		}
	}
	// The same words, whether it is there or not.
	there, absent := c.Refused("ls", s.Ref("other/app")), c.Refused("ls", s.Ref("nobody/app"))
	if strings.ReplaceAll(there, "other/app", "nobody/app") != absent {
		t.Errorf("a foreign repository is refused with %q, an absent one with %q", there, absent)
	}
}
