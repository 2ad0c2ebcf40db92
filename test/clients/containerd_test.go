package clients

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = %q
`

// containerd starts a daemon of the test's own and gives its ctr.
func containerd(t *testing.T, home *harness.Home) *harness.Tool {
	t.Helper()
	dir, err := os.MkdirTemp("", "flc") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clearing up after containerd: %v", err)
		}
	})
	sock := filepath.Join(dir, "sock")
	config := home.Write("containerd.toml", fmt.Sprintf(containerdConfig, filepath.Join(dir, "root"), filepath.Join(dir, "state"), sock))
	client := home.Tool("ctr", "--address", sock, "--namespace", "fairlead")
	daemon(t, home.Tool("containerd"), func() bool { return client.Works("version") }, "--config", config)
	return client
}

// TestContainerd types the token: ctr takes it from a terminal or from the
// command line, and the command line is for everybody to read.
func TestContainerd(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := containerd(t, s.Home(t))
	app := s.Ref("team/ctr")
	img := harness.Image(t, 60, 3, 1500)
	want := harness.Digest(t, img)

	c.Run("images", "import", "--snapshotter", "native", "--base-name", app, archive(t, harness.Layout(t, img)))
	c.Refused("images", "push", "--plain-http", app+":v1")
	c.TypedRefused("wrong", "images", "push", "--plain-http", "--user", harness.User, app+":v1")
	s.Lacks(t, "team/ctr", "v1")
	c.Typed(s.Token, "images", "push", "--plain-http", "--user", harness.User, app+":v1")
	if s.Answered(http.MethodPost, "/token", http.StatusOK) == 0 {
		t.Error("ctr got no token by OAuth2, it fell back")
	}
	if got := s.Has(t, "team/ctr", "v1"); got != want {
		t.Errorf("ctr pushed %s, want %s", got, want)
	}

	c.Run("images", "rm", "--sync", app+":v1")
	c.Refused("images", "pull", "--plain-http", "--snapshotter", "native", app+":v1")
	c.TypedRefused("wrong", "images", "pull", "--plain-http", "--snapshotter", "native", "--user", harness.User, app+":v1")
	c.Typed(s.Token, "images", "pull", "--plain-http", "--snapshotter", "native", "--user", harness.User, app+":v1")
	if list := c.Run("images", "list"); !strings.Contains(list, want) {
		t.Errorf("after ctr images pull the list is %s", list)
	}
}

func TestContainerdMultiArch(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := containerd(t, s.Home(t))
	app := s.Ref("team/ctr")
	idx := harness.MultiArch(t, 61)
	want := harness.Digest(t, idx)

	c.Run("images", "import", "--all-platforms", "--snapshotter", "native", "--base-name", app, archive(t, harness.IndexLayout(t, idx)))
	c.Typed(s.Token, "images", "push", "--plain-http", "--user", harness.User, app+":v1")
	if got := s.Has(t, "team/ctr", "v1"); got != want {
		t.Errorf("ctr pushed the index %s, want %s", got, want)
	}
	c.Run("images", "rm", "--sync", app+":v1")
	c.Typed(s.Token, "images", "pull", "--plain-http", "--snapshotter", "native", "--platform", "linux/arm64", "--user", harness.User, app+":v1")
	if list := c.Run("images", "list"); !strings.Contains(list, want) {
		t.Errorf("after ctr images pull the list is %s", list)
	}
}

// archive packs an image layout into one file.
func archive(t *testing.T, layout string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(layout)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
