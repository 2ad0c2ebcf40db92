package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// crane logs in and gives a crane that may do what the operator may.
func crane(t *testing.T, s *harness.Server) *harness.Tool {
	t.Helper()
	tool := s.Home(t).Tool("crane")
	tool.Input(strings.NewReader(s.Token), "auth", "login", s.Host, "-u", harness.User, "--password-stdin")
	return tool
}

func TestCrane(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := crane(t, s)
	img := harness.Image(t, 1, 3, 1000)
	want := harness.Digest(t, img)
	app := s.Ref("team/crane")

	c.Run("push", harness.Layout(t, img), app+":v1")
	if got := c.Run("digest", app+":v1"); got != want {
		t.Errorf("crane digest after push = %s, want %s", got, want)
	}
	c.Run("validate", "--remote", app+":v1")

	pulled := filepath.Join(t.TempDir(), "pulled")
	c.Run("pull", "--format=oci", app+":v1", pulled)
	again := s.Ref("team/again")
	c.Run("push", pulled, again+":v1")
	if got := s.Has(t, "team/again", "v1"); got != want {
		t.Errorf("an image pulled and pushed again is %s, want %s", got, want)
	}

	c.Run("copy", app+":v1", s.Ref("other/copy")+":v1") // mounts the blobs
	if got := s.Has(t, "other/copy", "v1"); got != want {
		t.Errorf("the copy is %s, want %s", got, want)
	}
	c.Run("tag", app+":v1", "stable")
	if got := c.Run("ls", app); got != "stable\nv1" {
		t.Errorf("crane ls = %q, want stable and v1", got)
	}
	if got := c.Run("catalog", s.Host); got != "other/copy\nteam/again\nteam/crane" {
		t.Errorf("crane catalog = %q, want the three repositories", got)
	}
}

func TestCraneChanges(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := crane(t, s)
	app := s.Ref("team/crane")
	c.Run("push", harness.Layout(t, harness.Image(t, 2, 2, 1000)), app+":v1")

	layer := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(layer, harness.Tar(t, "added", harness.Random(3, 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Run("append", "-b", app+":v1", "-f", layer, "-t", app+":v2")
	if n := layers(t, s, "team/crane", "v2"); n != 3 {
		t.Errorf("after crane append the image has %d layers, want 3", n)
	}
	c.Run("mutate", app+":v2", "--label", "made=by-test", "-t", app+":v3")
	if config := c.Run("config", app+":v3"); !strings.Contains(config, "by-test") {
		t.Errorf("crane mutate left no label: %s", config)
	}
	c.Run("flatten", app+":v3", "-t", app+":flat")
	if n := layers(t, s, "team/crane", "flat"); n != 1 {
		t.Errorf("after crane flatten the image has %d layers, want 1", n)
	}
	c.Run("index", "append", "-m", app+":v1", "-m", app+":v2", "-t", app+":both")
	if list := c.Run("index", "list", app+":both"); strings.Count(list, "sha256:") != 2 {
		t.Errorf("crane index list = %q, want two manifests", list)
	}

	digest := s.Has(t, "team/crane", "v3")
	c.Run("delete", app+":v3")
	s.Lacks(t, "team/crane", "v3")
	if got := s.Has(t, "team/crane", digest); got != digest {
		t.Errorf("deleting a tag took the manifest %s with it", digest)
	}
	c.Run("delete", app+"@"+digest)
	s.Lacks(t, "team/crane", digest)
}

// layers counts the layers of an image.
func layers(t *testing.T, s *harness.Server, repo, ref string) int {
	t.Helper()
	_, body := s.Manifest(t, repo, ref)
	var manifest struct{ Layers []json.RawMessage }
	if err := json.Unmarshal(body, &manifest); err != nil {
		t.Fatal(err)
	}
	return len(manifest.Layers)
}
