package clients

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"fairlead.dev/fairlead/test/clients/harness"
)

// act is one run of a client: what it said, and whether it succeeded.
type act func(secret, ref string) (said string, ok bool)

// acts of a client; nil is what it cannot do. All but oras and ctr find the
// secret in the files of their home.
type acts struct {
	login, pull, push, remove act
}

// tenant is a client of an account.
type tenant struct {
	name string
	// pulls is the image or chart that it pulls.
	pulls string
	// silent are the refusals of which it does not show the server's reason:
	// it looks by HEAD, whose answer has no body, or reads the status only.
	silent  []string
	prepare func(t *testing.T, s *harness.Server, home *harness.Home) acts
}

var (
	ownWords = []string{"expired login", "revoked login"}
	looks    = []string{"foreign push"}
	statuses = []string{"readonly push", "expired pull", "expired push", "revoked pull", "revoked push", "foreign pull", "foreign push"}
)

var tenants = []tenant{
	{"docker", "acme/base:v1", nil, dockerActs},
	{"podman", "acme/base:v1", slices.Concat(ownWords, looks), podmanActs},
	{"buildah", "acme/base:v1", slices.Concat(ownWords, looks), buildahActs},
	{"skopeo", "acme/base:v1", slices.Concat(ownWords, looks), skopeoActs},
	{"ctr", "acme/base:v1", statuses, ctrActs},
	{"crane", "acme/base:v1", looks, craneActs},
	{"regctl", "acme/base:v1", []string{
		"expired login", "expired pull", "expired push", "expired remove",
		"revoked login", "revoked pull", "revoked push", "revoked remove", "foreign remove",
	}, regctlActs},
	{"helm", "acme/charts/beacon", looks, helmActs},
	{"cosign", "acme/cosign", nil, cosignActs},
	{"oras", "acme/base:v1", looks, orasActs},
}

// right is what a kind of token may do, and the reason that is given for what
// it may not.
type right struct {
	name                      string
	token                     harness.Token
	login, pull, push, remove bool
	reason                    *regexp.Regexp
}

// rights makes a token of each kind. Those that may the most come last: they
// change what is there.
func rights(t *testing.T, s *harness.Server) []right {
	t.Helper()
	s.Account(t, "acme", "acme")
	s.Account(t, "other", "other")
	expired := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite", Expires: "1s"})
	revoked := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite", NonExpiring: true})
	s.Revoke(t, revoked)
	time.Sleep(1100 * time.Millisecond) // the first one ends
	return []right{
		{name: "readonly", token: s.Mint(t, harness.Minting{Account: "acme"}), login: true, pull: true, reason: regexp.MustCompile(`is read-only`)},
		{name: "expired", token: expired, reason: regexp.MustCompile(`the token acme/\w+ expired on`)},
		{name: "revoked", token: revoked, reason: regexp.MustCompile(`the token acme/\w+ was revoked on`)},
		{name: "foreign", token: s.Mint(t, harness.Minting{Account: "other", Access: "readwrite"}), login: true, reason: regexp.MustCompile(`has no right to`)},
		{name: "readwrite", token: s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"}), login: true, pull: true, push: true, remove: true},
	}
}

// TestRights: every client with every kind of token. What is refused is not
// done, and the client's user reads why.
func TestRights(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	kinds := rights(t, s)
	pushImage(t, s, "acme/base", "v1", 200)
	for i, who := range tenants {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			home := s.Home(t)
			do := who.prepare(t, s, home)
			doomed := "acme/doomed/" + who.name
			if do.remove != nil {
				pushImage(t, s, doomed, "v1", uint64(210+i))
			}
			for _, k := range kinds {
				login(t, home, s.Host, "")
				who.try(t, k, "login", do.login, k.login, "")
				login(t, home, s.Host, k.token.Value) // as if it had been good once
				who.try(t, k, "pull", do.pull, k.pull, s.Ref(who.pulls))
				before := s.Stored("acme/" + who.name)
				who.try(t, k, "push", do.push, k.push, s.Ref("acme/"+who.name))
				if after := s.Stored("acme/" + who.name); (after != before) != k.push {
					t.Errorf("%s: after pushing the server had taken %d manifests, before it %d", k.name, after, before)
				}
				if do.remove == nil {
					continue
				}
				who.try(t, k, "remove", do.remove, k.remove, s.Ref(doomed)+":v1")
				if k.remove {
					s.Lacks(t, doomed, "v1")
				} else {
					s.Has(t, doomed, "v1")
				}
			}
		})
	}
}

// try does one thing and judges what came of it.
func (who tenant) try(t *testing.T, k right, action string, do act, may bool, ref string) {
	t.Helper()
	if do == nil {
		return
	}
	said, ok := do(k.token.Value, ref)
	said = strings.TrimSpace(said)
	switch {
	case ok != may:
		t.Errorf("%s, %s: success is %v, want %v\n%s", k.name, action, ok, may, said)
	case may:
	case k.reason.MatchString(said):
	case !slices.Contains(who.silent, k.name+" "+action):
		t.Errorf("%s, %s: refused, but the user does not read why (%s):\n%s", k.name, action, k.reason, said)
	case !refused.MatchString(said):
		t.Errorf("%s, %s: failed, but not because it was refused:\n%s", k.name, action, said)
	}
}

// refused is what the silent ones say.
var refused = regexp.MustCompile(`(?i)unauthorized|forbidden|invalid username/password`)

func dockerActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := docker(t, home)
	layer := home.Write("layer.tar", string(harness.Tar(t, "file", harness.Random(201, 1000))))
	c.Run("import", layer, "mine")
	return acts{
		login: func(secret, _ string) (string, bool) {
			return c.Try(strings.NewReader(secret), "login", "-u", harness.User, "--password-stdin", s.Host)
		},
		pull: func(_, ref string) (string, bool) { return c.Try(nil, "pull", ref) },
		push: func(_, ref string) (string, bool) {
			c.Run("tag", "mine", ref+":v1")
			return c.Try(nil, "push", ref+":v1")
		},
	}
}

func podmanActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := podman(t, home)
	layer := home.Write("layer.tar", string(harness.Tar(t, "file", harness.Random(202, 1000))))
	c.Run("import", layer, "mine")
	return librarian(c, s)
}

func buildahActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := buildah(t, home)
	c.Run("commit", c.Run("from", "scratch"), "mine")
	a := librarian(c, s)
	a.pull = func(_, ref string) (string, bool) {
		return c.Try(nil, "pull", "--tls-verify=false", "--policy", "always", ref)
	}
	return a
}

// librarian is what podman and buildah have in common.
func librarian(c *harness.Tool, s *harness.Server) acts {
	return acts{
		login: func(secret, _ string) (string, bool) {
			return c.Try(strings.NewReader(secret), "login", "--tls-verify=false", "-u", harness.User, "--password-stdin", s.Host)
		},
		pull: func(_, ref string) (string, bool) { return c.Try(nil, "pull", "--tls-verify=false", ref) },
		push: func(_, ref string) (string, bool) {
			return c.Try(nil, "push", "--tls-verify=false", "mine", ref+":v1")
		},
	}
}

func skopeoActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := copier(home)
	mine := "oci:" + harness.Layout(t, harness.Image(t, 203, 1, 1000)) + ":v1"
	a := librarian(c, s)
	a.pull = func(_, ref string) (string, bool) {
		return c.Try(nil, "copy", "--src-tls-verify=false", "docker://"+ref, "dir:"+filepath.Join(t.TempDir(), "loot"))
	}
	a.push = func(_, ref string) (string, bool) {
		return c.Try(nil, "copy", "--dest-tls-verify=false", mine, "docker://"+ref+":v1")
	}
	a.remove = func(_, ref string) (string, bool) {
		return c.Try(nil, "delete", "--tls-verify=false", "docker://"+ref)
	}
	return a
}

func ctrActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := containerd(t, home)
	mine := s.Ref("mine")
	c.Run("images", "import", "--snapshotter", "native", "--base-name", mine, archive(t, harness.Layout(t, harness.Image(t, 204, 1, 1000))))
	return acts{
		pull: func(secret, ref string) (string, bool) {
			return c.TryTyped(secret, "images", "pull", "--plain-http", "--snapshotter", "native", "--user", harness.User, ref)
		},
		push: func(secret, ref string) (string, bool) {
			return c.TryTyped(secret, "images", "push", "--plain-http", "--user", harness.User, ref+":v1", mine+":v1")
		},
	}
}

func craneActs(t *testing.T, _ *harness.Server, home *harness.Home) acts {
	c := home.Tool("crane")
	mine := harness.Layout(t, harness.Image(t, 205, 1, 1000))
	return acts{
		// Its login asks nobody: it writes the file.
		pull:   func(_, ref string) (string, bool) { return c.Try(nil, "pull", ref, home.Path("loot.tar")) },
		push:   func(_, ref string) (string, bool) { return c.Try(nil, "push", mine, ref+":v1") },
		remove: func(_, ref string) (string, bool) { return c.Try(nil, "delete", ref) },
	}
}

func regctlActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
	c := home.Tool("regctl")
	mine := "ocidir://" + harness.Layout(t, harness.Image(t, 206, 1, 1000)) + ":v1"
	return acts{
		login: func(secret, _ string) (string, bool) {
			home.Write("regctl.json", "{}")
			c.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
			said, ok := c.Try(strings.NewReader(secret), "registry", "login", s.Host, "-u", harness.User, "--pass-stdin")
			if !ok { // keep it all the same, for the next steps
				c.Input(strings.NewReader(secret), "registry", "login", "--skip-check", s.Host, "-u", harness.User, "--pass-stdin")
			}
			return said, ok
		},
		pull: func(_, ref string) (string, bool) {
			return c.Try(nil, "image", "copy", ref, "ocidir://"+filepath.Join(t.TempDir(), "loot")+":v1")
		},
		push:   func(_, ref string) (string, bool) { return c.Try(nil, "image", "copy", mine, ref+":v1") },
		remove: func(_, ref string) (string, bool) { return c.Try(nil, "tag", "delete", ref) },
	}
}

func helmActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	c := home.Tool("helm")
	home.Write("beacon/Chart.yaml", "apiVersion: v2\nname: beacon\nversion: 1.0.0\n")
	home.Write("helm/Chart.yaml", "apiVersion: v2\nname: helm\nversion: 1.0.0\n")
	c.Run("package", "beacon", "helm")
	login(t, home, s.Host, s.Token)
	c.Run("push", "--plain-http", "beacon-1.0.0.tgz", "oci://"+s.Ref("acme/charts"))
	return acts{
		login: func(secret, _ string) (string, bool) {
			return c.Try(strings.NewReader(secret), "registry", "login", s.Host, "--plain-http", "-u", harness.User, "--password-stdin")
		},
		pull: func(_, ref string) (string, bool) {
			return c.Try(nil, "pull", "--plain-http", "--destination", home.Path("tmp"), "oci://"+ref, "--version", "1.0.0")
		},
		push: func(_, ref string) (string, bool) { // a chart goes into a repository of its own name
			return c.Try(nil, "push", "--plain-http", "helm-1.0.0.tgz", "oci://"+strings.TrimSuffix(ref, "/helm"))
		},
	}
}

// cosignActs: to pull is to verify, to push is to sign.
func cosignActs(t *testing.T, s *harness.Server, home *harness.Home) acts {
	digest := "@" + harness.Digest(t, pushImage(t, s, "acme/cosign", "v1", 207))
	c := keyed(home)
	login(t, home, s.Host, s.Token)
	sign := func(_, ref string) (string, bool) {
		return c.Try(nil, "sign", "--yes", "--key", "cosign.key", "--signing-config", "signing.json", ref+digest)
	}
	if said, ok := sign("", s.Ref("acme/cosign")); !ok {
		t.Fatal(said)
	}
	return acts{
		pull: func(_, ref string) (string, bool) {
			return c.Try(nil, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ref+digest)
		},
		push: sign,
	}
}

func orasActs(t *testing.T, s *harness.Server, _ *harness.Home) acts {
	mine, err := oci.NewFromFS(t.Context(), os.DirFS(harness.Layout(t, harness.Image(t, 208, 1, 1000))))
	if err != nil {
		t.Fatal(err)
	}
	open := func(secret, ref string) *remote.Repository {
		return s.RepositoryAs(t, strings.TrimSuffix(ref, ":v1"), auth.Credential{Username: harness.User, Password: secret})
	}
	said := func(err error) (string, bool) {
		if err == nil {
			return "", true
		}
		var answer *errcode.ErrorResponse
		if !errors.As(err, &answer) {
			t.Errorf("oras: %v, want an answer of the server", err)
		}
		return err.Error(), false
	}
	return acts{
		login: func(secret, _ string) (string, bool) {
			registry, err := remote.NewRegistry(s.Host)
			if err != nil {
				t.Fatal(err)
			}
			registry.PlainHTTP = true
			registry.Client = s.HTTP(auth.Credential{Username: harness.User, Password: secret})
			return said(registry.Ping(t.Context()))
		},
		pull: func(secret, ref string) (string, bool) {
			_, err := oras.Copy(t.Context(), open(secret, ref), "v1", memory.New(), "v1", oras.DefaultCopyOptions)
			return said(err)
		},
		push: func(secret, ref string) (string, bool) {
			_, err := oras.Copy(t.Context(), mine, "v1", open(secret, ref), "v1", oras.DefaultCopyOptions)
			return said(err)
		},
		remove: func(secret, ref string) (string, bool) {
			repo := open(secret, ref)
			desc, err := s.Repository(t, strings.TrimSuffix(strings.TrimPrefix(ref, s.Host+"/"), ":v1")).Resolve(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			return said(repo.Delete(t.Context(), desc))
		},
	}
}
