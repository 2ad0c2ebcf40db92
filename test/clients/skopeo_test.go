package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// copier gives a skopeo that is not logged in.
func copier(home *harness.Home) *harness.Tool {
	return home.Tool("skopeo", "--tmpdir", home.Path("tmp"))
}

// skopeo logs in over plain HTTP and gives a skopeo that may do what the
// operator may. The subcommands take --tls-verify under their own names.
func skopeo(t *testing.T, s *harness.Server) *harness.Tool {
	t.Helper()
	tool := copier(s.Home(t))
	tool.Input(strings.NewReader(s.Token), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	return tool
}

func TestSkopeo(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := skopeo(t, s)
	img := harness.Image(t, 10, 3, 2000)
	want := harness.Digest(t, img)
	app := "docker://" + s.Ref("team/skopeo")

	c.Run("copy", "--dest-tls-verify=false", "oci:"+harness.Layout(t, img)+":v1", app+":v1")
	if got := s.Has(t, "team/skopeo", "v1"); got != want {
		t.Fatalf("skopeo copy oci to registry made %s, want %s", got, want)
	}
	dir := filepath.Join(t.TempDir(), "dir")
	c.Run("copy", "--src-tls-verify=false", app+":v1", "dir:"+dir)
	c.Run("copy", "--dest-tls-verify=false", "dir:"+dir, app+":v2")
	if got := s.Has(t, "team/skopeo", "v2"); got != want {
		t.Errorf("an image that went through dir: is %s, want %s", got, want)
	}
	c.Run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format", "v2s2", app+":v1", app+":docker")
	if mt, _ := s.Manifest(t, "team/skopeo", "docker"); mt != dockerManifest {
		t.Errorf("skopeo copy --format v2s2 stored %s", mt)
	}
	// From one repository to another: the blobs are mounted.
	c.Run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", app+":v1", "docker://"+s.Ref("other/skopeo")+":v1")
	if got := s.Has(t, "other/skopeo", "v1"); got != want {
		t.Errorf("the copy in another repository is %s, want %s", got, want)
	}

	var seen struct {
		Digest   string
		RepoTags []string
	}
	if err := json.Unmarshal([]byte(c.Run("inspect", "--tls-verify=false", app+":v1")), &seen); err != nil {
		t.Fatal(err)
	}
	if seen.Digest != want || !slices.Equal(seen.RepoTags, []string{"docker", "v1", "v2"}) {
		t.Errorf("skopeo inspect = %+v, want %s with tags docker, v1, v2", seen, want)
	}
	if err := json.Unmarshal([]byte(c.Run("list-tags", "--tls-verify=false", app)), &struct{ Tags *[]string }{&seen.RepoTags}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen.RepoTags, []string{"docker", "v1", "v2"}) {
		t.Errorf("skopeo list-tags = %v", seen.RepoTags)
	}

	c.Run("delete", "--tls-verify=false", app+":v1") // by digest: v2 goes, too
	s.Lacks(t, "team/skopeo", "v1")
	s.Lacks(t, "team/skopeo", "v2")
	s.Has(t, "team/skopeo", "docker")
}

func TestSkopeoMultiArch(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := skopeo(t, s)
	idx := harness.MultiArch(t, 20)
	want := harness.Digest(t, idx)
	app := "docker://" + s.Ref("team/multi")

	c.Run("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "oci:"+harness.IndexLayout(t, idx)+":v1", app+":v1")
	if got := s.Has(t, "team/multi", "v1"); got != want {
		t.Fatalf("the pushed index is %s, want %s", got, want)
	}
	back := filepath.Join(t.TempDir(), "back")
	c.Run("copy", "--all", "--src-tls-verify=false", app+":v1", "oci:"+back+":v1")
	if body, err := os.ReadFile(filepath.Join(back, "blobs", "sha256", strings.TrimPrefix(want, "sha256:"))); err != nil || len(body) == 0 {
		t.Errorf("the index did not come back byte by byte: %v", err)
	}
	for _, p := range harness.Platforms {
		got := c.Run("inspect", "--tls-verify=false", "--override-os", p.OS, "--override-arch", p.Architecture, "--override-variant", p.Variant,
			"--format", "{{.Architecture}}", app+":v1")
		if got != p.Architecture {
			t.Errorf("asked for %s, skopeo found %q", p, got)
		}
	}
	c.Run("copy", "--all", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false", app+":v1", app+":docker")
	if mt, _ := s.Manifest(t, "team/multi", "docker"); mt != dockerList {
		t.Errorf("skopeo copy --all --format v2s2 stored %s", mt)
	}
}

func TestSkopeoWrongPassword(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := copier(s.Home(t))
	said := c.Fails(strings.NewReader("wrong"), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
	if !strings.Contains(said, "invalid username/password") {
		t.Errorf("skopeo login with a wrong password said %q", said)
	}
}
