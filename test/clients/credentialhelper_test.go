package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// TestCredentialHelper: clients push and pull a private image with nothing but
// the login of the CLI and docker-credential-fairlead, and do not once the CLI
// is signed out.
func TestCredentialHelper(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, w *helped)
	}{
		{"docker", helpedDocker},
		{"docker-login", helpedDockerLogin},
		{"podman", helpedPodman},
		{"podman-registries", helpedPodmanRegistries},
		{"podman-login", helpedPodmanLogin},
		{"skopeo", helpedSkopeo},
		{"crane", helpedCrane},
		{"helm", helpedHelm},
		{"regctl", helpedRegctl},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newHelped(t))
		})
	}
}

// helped is a home whose clients ask docker-credential-fairlead.
type helped struct {
	s    *harness.Server
	home *harness.Home
	cli  *harness.Tool
	// admin is the login's token; the account owns the namespace acme.
	admin harness.Token
}

func newHelped(t *testing.T) *helped {
	t.Helper()
	s := harness.Start(t)
	home := s.Home(t)
	bin := home.Path("bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fairlead", "docker-credential-fairlead"} {
		if err := os.Symlink(harness.Binary(), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	home.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	s.Account(t, "acme", "acme")
	w := &helped{s: s, home: home, cli: home.Tool(filepath.Join(bin, "fairlead")), admin: s.Mint(t, harness.Minting{Account: "acme", Access: "admin"})}
	w.signIn()
	helpers := `{"credHelpers": {"` + s.Host + `": "fairlead"}}`
	home.Write("docker/config.json", helpers)
	home.Write("auth.json", helpers)
	return w
}

func (w *helped) signIn() {
	w.cli.Input(strings.NewReader(w.admin.Value), "login", w.s.URL, "--name", "acme")
}

// tokens are those that the helper made, with their access.
func (w *helped) tokens() []string {
	said := w.cli.Run("token", "list", "--format", "{{.Access}} {{.Description}}")
	var made []string
	for line := range strings.Lines(said) {
		if access, _, ok := strings.Cut(line, " docker-credential-fairlead on "); ok {
			made = append(made, access)
		}
	}
	return made
}

// judge checks that the client used the helper and that one token was made,
// and what the client does once the CLI is signed out.
func (w *helped) judge(t *testing.T, repo string, pull func() (string, bool)) {
	t.Helper()
	w.s.Has(t, repo, "v1")
	if made := w.tokens(); len(made) != 1 || made[0] != "readwrite" {
		t.Errorf("the helper made the tokens %q, want one that may write", made)
	}
	for _, file := range []string{"docker/config.json", "auth.json"} {
		if text := w.home.Read(file); strings.Contains(text, `"auth"`) {
			t.Errorf("the client wrote a credential into %s", file)
		}
	}
	w.cli.Run("logout", "acme")
	if said, ok := pull(); ok || !refused.MatchString(said) && !strings.Contains(said, "authentication required") && !strings.Contains(said, "no basic auth credentials") {
		t.Errorf("after signing out: success is %v\n%s", ok, said)
	}
}

func helpedDocker(t *testing.T, w *helped) {
	c := docker(t, w.home)
	app := w.s.Ref("acme/app") + ":v1"
	c.Run("build", "--network", "none", "-t", app, harness.Context(t, 601))
	c.Run("push", app)
	c.Run("rmi", "-f", app)
	c.Run("pull", app)
	w.judge(t, "acme/app", func() (string, bool) { return c.Try(nil, "pull", app) })
}

// helpedDockerLogin: docker's own login and logout go through the helper.
func helpedDockerLogin(t *testing.T, w *helped) {
	c := docker(t, w.home)
	app := w.s.Ref("acme/app") + ":v1"
	// Without a user docker tries what the helper has, and gives it back.
	if said := c.Run("login", w.s.Host); !strings.Contains(said, "Login Succeeded") {
		t.Errorf("docker login: %s", said)
	}
	if who := w.cli.Run("whoami", "--context", "acme"); !strings.Contains(who, "admin") {
		t.Errorf("after docker login the CLI is signed in as\n%s", who)
	}
	c.Run("build", "--network", "none", "-t", app, harness.Context(t, 602))
	c.Run("push", app)
	c.Run("logout", w.s.Host)
	if said := w.cli.Run("context", "list", "-o", "name"); said != "" {
		t.Errorf("after docker logout there are the contexts %q", said)
	}
	c.Refused("push", app)

	c.Input(strings.NewReader(w.admin.Value), "login", "-u", harness.User, "--password-stdin", w.s.Host)
	if who := w.cli.Run("whoami"); !strings.Contains(who, w.admin.ID) {
		t.Errorf("after docker login the CLI is signed in as\n%s", who)
	}
	c.Run("push", app)
	if text := w.home.Read("docker/config.json"); strings.Contains(text, `"auth"`) {
		t.Error("docker wrote a credential into its file")
	}
	if said := c.Fails(strings.NewReader(w.admin.Value), "login", "-u", "jo", "--password-stdin", w.s.Host); strings.Contains(said, w.admin.Value) {
		t.Error("docker login shows the token")
	}
	c.Run("pull", app)
}

func helpedPodman(t *testing.T, w *helped) {
	c := podman(t, w.home)
	app := w.s.Ref("acme/app") + ":v1"
	c.Run("build", "--isolation", "chroot", "-t", app, harness.Context(t, 603))
	c.Run("push", "--tls-verify=false", app)
	c.Run("rmi", "--all", "--force")
	c.Run("pull", "--tls-verify=false", app)
	w.judge(t, "acme/app", func() (string, bool) { return c.Try(nil, "pull", "--tls-verify=false", app) })
}

// helpedPodmanRegistries: the helper stands in registries.conf, for all hosts.
func helpedPodmanRegistries(t *testing.T, w *helped) {
	w.home.Write("auth.json", "{}")
	w.home.Write("registries.conf", "unqualified-search-registries = []\ncredential-helpers = [\"containers-auth.json\", \"fairlead\"]\n")
	helpedPodman(t, w)
}

// helpedPodmanLogin: podman's own login and logout go through the helper.
func helpedPodmanLogin(t *testing.T, w *helped) {
	c := podman(t, w.home)
	w.cli.Run("logout", "acme")
	c.Input(strings.NewReader(w.admin.Value), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", w.s.Host)
	if who := w.cli.Run("whoami"); !strings.Contains(who, w.admin.ID) {
		t.Errorf("after podman login the CLI is signed in as\n%s", who)
	}
	if got := c.Run("login", "--get-login", w.s.Host); got != harness.User {
		t.Errorf("podman is logged in as %q", got)
	}
	c.Run("logout", w.s.Host)
	if said := w.cli.Run("context", "list", "-o", "name"); said != "" {
		t.Errorf("after podman logout there are the contexts %q", said)
	}
}

func helpedSkopeo(t *testing.T, w *helped) {
	c := copier(w.home)
	app := "docker://" + w.s.Ref("acme/app") + ":v1"
	pull := func() (string, bool) {
		return c.Try(nil, "copy", "--src-tls-verify=false", app, "dir:"+filepath.Join(t.TempDir(), "got"))
	}
	c.Run("copy", "--dest-tls-verify=false", "oci:"+harness.Layout(t, harness.Image(t, 604, 1, 1000))+":v1", app)
	if said, ok := pull(); !ok {
		t.Error(said)
	}
	w.judge(t, "acme/app", pull)
}

func helpedCrane(t *testing.T, w *helped) {
	c := w.home.Tool("crane")
	app := w.s.Ref("acme/app") + ":v1"
	c.Run("push", harness.Layout(t, harness.Image(t, 605, 1, 1000)), app)
	c.Run("pull", app, w.home.Path("got.tar"))
	w.judge(t, "acme/app", func() (string, bool) { return c.Try(nil, "pull", app, w.home.Path("got.tar")) })
}

func helpedHelm(t *testing.T, w *helped) {
	c := w.home.Tool("helm")
	w.home.Write("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
	c.Run("package", "app")
	c.Run("push", "--plain-http", "app-1.0.0.tgz", "oci://"+w.s.Ref("acme"))
	pull := func() (string, bool) {
		return c.Try(nil, "pull", "--plain-http", "--destination", w.home.Path("tmp"), "oci://"+w.s.Ref("acme/app"), "--version", "1.0.0")
	}
	if said, ok := pull(); !ok {
		t.Error(said)
	}
	digest := w.s.Has(t, "acme/app", "1.0.0")
	tagAs(t, w.s, "acme/app", digest)
	w.judge(t, "acme/app", pull)
}

// tagAs gives a chart the tag that judge looks at.
func tagAs(t *testing.T, s *harness.Server, repo, digest string) {
	t.Helper()
	r := s.Repository(t, repo)
	desc, err := r.Resolve(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(t.Context(), desc, "v1"); err != nil {
		t.Fatal(err)
	}
}

func helpedRegctl(t *testing.T, w *helped) {
	w.home.Setenv("REGCTL_CONFIG", w.home.Path("regctl.json"))
	c := w.home.Tool("regctl")
	c.Run("registry", "set", "--skip-check", "--tls", "disabled", w.s.Host)
	app := w.s.Ref("acme/app") + ":v1"
	c.Run("image", "copy", "ocidir://"+harness.Layout(t, harness.Image(t, 606, 1, 1000))+":v1", app)
	pull := func() (string, bool) {
		return c.Try(nil, "image", "copy", app, "ocidir://"+filepath.Join(t.TempDir(), "got")+":v1")
	}
	if said, ok := pull(); !ok {
		t.Error(said)
	}
	w.judge(t, "acme/app", pull)
}
