package clients

import (
	"bytes"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// regctl knows the server as one without TLS and is logged in.
func regctl(t *testing.T, s *harness.Server) *harness.Tool {
	t.Helper()
	home := s.Home(t)
	home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
	tool := home.Tool("regctl")
	tool.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
	tool.Input(strings.NewReader(s.Token), "registry", "login", s.Host, "-u", harness.User, "--pass-stdin")
	return tool
}

func TestRegctl(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := regctl(t, s)
	app := s.Ref("team/regctl")
	idx := harness.MultiArch(t, 70)
	want := harness.Digest(t, idx)

	c.Run("image", "copy", "ocidir://"+harness.IndexLayout(t, idx)+":v1", app+":v1")
	if got := c.Run("image", "digest", app+":v1"); got != want {
		t.Fatalf("regctl copied %s, want %s", got, want)
	}
	c.Run("image", "copy", app+":v1", app+":v2")
	c.Run("image", "copy", app+":v1", s.Ref("other/regctl")+":v1") // mounts the blobs
	if got := s.Has(t, "other/regctl", "v1"); got != want {
		t.Errorf("the copy in another repository is %s, want %s", got, want)
	}
	if got := c.Run("tag", "ls", app); got != "v1\nv2" {
		t.Errorf("regctl tag ls = %q, want v1 and v2", got)
	}
	if got := c.Run("tag", "ls", "--last", "v1", app); got != "v2" {
		t.Errorf("regctl tag ls after v1 = %q, want v2", got)
	}
	if got := c.Run("repo", "ls", s.Host); got != "other/regctl\nteam/regctl" {
		t.Errorf("regctl repo ls = %q, want two repositories", got)
	}

	c.Run("tag", "delete", app+":v2")
	s.Lacks(t, "team/regctl", "v2")
	s.Has(t, "team/regctl", "v1") // the tag went, and nothing else
	c.Run("manifest", "delete", app+"@"+want)
	s.Lacks(t, "team/regctl", "v1")
}

func TestRegctlArtifact(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := regctl(t, s)
	app := s.Ref("team/regctl")
	subject := harness.Digest(t, pushImage(t, s, "team/regctl", "v1", 75))

	const kind = "application/vnd.example.sbom"
	c.Input(strings.NewReader("an sbom"), "artifact", "put", "--artifact-type", kind, "--subject", app+":v1")
	c.Input(strings.NewReader("a note"), "artifact", "put", "--artifact-type", "text/note", "--subject", app+":v1")
	if got := c.Run("artifact", "get", "--subject", app+":v1", "--filter-artifact-type", kind); got != "an sbom" {
		t.Errorf("regctl artifact get = %q", got)
	}
	list := c.Run("artifact", "list", app+":v1")
	tree := c.Run("artifact", "tree", app+":v1")
	for _, want := range []string{kind, "text/note"} {
		if !strings.Contains(list, want) || !strings.Contains(tree, want) {
			t.Errorf("%s is missing in regctl artifact list %q or tree %q", want, list, tree)
		}
	}
	// Without the API a client would keep an index under this tag.
	s.Lacks(t, "team/regctl", strings.Replace(subject, ":", "-", 1))

	c.Run("image", "copy", "--referrers", app+":v1", s.Ref("other/regctl")+":v1")
	if got := c.Run("artifact", "get", "--subject", s.Ref("other/regctl")+":v1", "--filter-artifact-type", kind); got != "an sbom" {
		t.Errorf("after a copy with referrers the artifact is %q", got)
	}
}

func TestRegctlBlob(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := regctl(t, s)
	app := s.Ref("team/regctl")
	content := harness.Random(76, 3_000_000)

	digest := c.Input(bytes.NewReader(content), "blob", "put", app)
	c.Run("blob", "head", app, digest)
	var back bytes.Buffer
	c.Pipe(&back, "blob", "get", app, digest)
	if !bytes.Equal(back.Bytes(), content) {
		t.Errorf("a blob of %d bytes came back as %d bytes, or others", len(content), back.Len())
	}
	c.Run("blob", "copy", app, s.Ref("other/regctl"), digest)
	c.Run("blob", "delete", app, digest)
	c.Fails(nil, "blob", "head", app, digest)
	c.Run("blob", "head", s.Ref("other/regctl"), digest)
}
