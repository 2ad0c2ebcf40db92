package clients

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"fairlead.dev/fairlead/test/clients/harness"
)

// intruder is a client that has something to push and knows what to pull.
type intruder struct {
	name string
	// try pulls and pushes with what the home holds, and checks that both
	// are refused; ctr and oras are told the secret ("" for none).
	prepare func(t *testing.T, s *harness.Server, home *harness.Home) (try func(pull, push, secret string))
}

var intruders = []intruder{
	{"docker", dockerIntruder},
	{"podman", podmanIntruder},
	{"buildah", buildahIntruder},
	{"skopeo", skopeoIntruder},
	{"ctr", ctrIntruder},
	{"crane", craneIntruder},
	{"regctl", regctlIntruder},
	{"helm", helmIntruder},
	{"cosign", cosignIntruder},
	{"oras", orasIntruder},
}

// TestNobodyElse: every client is refused without a credential, with a wrong
// one, and with a good one of another server; for pulling and for pushing,
// whether the thing is there or not.
func TestNobodyElse(t *testing.T) {
	t.Parallel()
	s, other := harness.StartCrowd(t), harness.Start(t)
	pushImage(t, s, "team/secret", "v1", 150)
	for _, who := range intruders {
		t.Run(who.name, func(t *testing.T) {
			home := s.Home(t)
			try := who.prepare(t, s, home)
			for credential, secret := range map[string]string{"none": "", "wrong": "wrong", "another server's": other.Token} {
				t.Log("credential:", credential)
				login(t, home, s.Host, secret)
				repo := "team/" + who.name
				try(s.Ref("team/secret"), s.Ref(repo), secret)
				try(s.Ref("team/absent"), s.Ref("team/secret"), secret)
				s.Lacks(t, repo, "intruded")
				s.Lacks(t, "team/secret", "intruded")
			}
		})
	}
	if got := tagList(t, s.Repository(t, "team/secret")); len(got) != 1 {
		t.Errorf("after it all the repository has the tags %v, want v1", got)
	}
}

// login writes credential files as a login would have written them.
func login(t *testing.T, home *harness.Home, host, secret string) {
	t.Helper()
	auths := map[string]any{}
	if secret != "" {
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(harness.User + ":" + secret))}
	}
	b, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	home.Write("docker/config.json", string(b))
	home.Write("auth.json", string(b))
	home.Write(".config/helm/registry/config.json", string(b))
}

func dockerIntruder(t *testing.T, s *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := docker(t, home)
	layer := home.Write("layer.tar", string(harness.Tar(t, "file", harness.Random(151, 1000))))
	c.Run("import", layer, "mine")
	return func(pull, push, _ string) {
		c.Refused("pull", pull+":v1")
		c.Run("tag", "mine", push+":intruded")
		c.Refused("push", push+":intruded")
	}
}

func podmanIntruder(t *testing.T, _ *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := podman(t, home)
	layer := home.Write("layer.tar", string(harness.Tar(t, "file", harness.Random(152, 1000))))
	c.Run("import", layer, "mine")
	return func(pull, push, _ string) {
		c.Refused("pull", "--tls-verify=false", pull+":v1")
		c.Refused("push", "--tls-verify=false", "mine", push+":intruded")
	}
}

func buildahIntruder(t *testing.T, _ *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := buildah(t, home)
	c.Run("commit", c.Run("from", "scratch"), "mine")
	return func(pull, push, _ string) {
		c.Refused("pull", "--tls-verify=false", pull+":v1")
		c.Refused("push", "--tls-verify=false", "mine", push+":intruded")
	}
}

func skopeoIntruder(t *testing.T, _ *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := copier(home)
	mine := "oci:" + harness.Layout(t, harness.Image(t, 153, 1, 1000)) + ":v1"
	return func(pull, push, _ string) {
		c.Refused("inspect", "--tls-verify=false", "docker://"+pull+":v1")
		c.Refused("list-tags", "--tls-verify=false", "docker://"+pull)
		c.Refused("copy", "--src-tls-verify=false", "docker://"+pull+":v1", "dir:"+filepath.Join(t.TempDir(), "loot"))
		c.Refused("copy", "--dest-tls-verify=false", mine, "docker://"+push+":intruded")
		c.Refused("delete", "--tls-verify=false", "docker://"+pull+":v1")
	}
}

func ctrIntruder(t *testing.T, s *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := containerd(t, home)
	mine := s.Ref("mine")
	c.Run("images", "import", "--snapshotter", "native", "--base-name", mine, archive(t, harness.Layout(t, harness.Image(t, 154, 1, 1000))))
	return func(pull, push, secret string) {
		flags := []string{"--plain-http"}
		pulling, pushing := []string{pull + ":v1"}, []string{push + ":intruded", mine + ":v1"}
		if secret == "" {
			c.Refused(slices.Concat([]string{"images", "pull"}, flags, pulling)...)
			c.Refused(slices.Concat([]string{"images", "push"}, flags, pushing)...)
			return
		}
		flags = append(flags, "--user", harness.User)
		c.TypedRefused(secret, slices.Concat([]string{"images", "pull"}, flags, pulling)...)
		c.TypedRefused(secret, slices.Concat([]string{"images", "push"}, flags, pushing)...)
	}
}

func craneIntruder(t *testing.T, s *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := home.Tool("crane")
	mine := harness.Layout(t, harness.Image(t, 155, 1, 1000))
	return func(pull, push, _ string) {
		c.Refused("pull", pull+":v1", home.Path("loot.tar"))
		c.Refused("ls", pull)
		c.Refused("catalog", s.Host)
		c.Refused("push", mine, push+":intruded")
		c.Refused("delete", pull+":v1")
	}
}

func regctlIntruder(t *testing.T, s *harness.Server, home *harness.Home) func(pull, push, secret string) {
	home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
	c := home.Tool("regctl")
	c.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
	mine := "ocidir://" + harness.Layout(t, harness.Image(t, 156, 1, 1000)) + ":v1"
	return func(pull, push, _ string) {
		c.Refused("image", "copy", pull+":v1", "ocidir://"+filepath.Join(t.TempDir(), "loot")+":v1")
		c.Refused("tag", "ls", pull)
		c.Refused("image", "copy", mine, push+":intruded")
		c.Refused("tag", "delete", pull+":v1")
	}
}

func helmIntruder(t *testing.T, _ *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := home.Tool("helm")
	home.Write("intruded/Chart.yaml", "apiVersion: v2\nname: intruded\nversion: 1.0.0\n")
	c.Run("package", "intruded")
	return func(pull, push, _ string) {
		c.Refused("pull", "--plain-http", "oci://"+pull, "--version", "1.0.0")
		c.Refused("push", "--plain-http", "intruded-1.0.0.tgz", "oci://"+push)
	}
}

func cosignIntruder(t *testing.T, s *harness.Server, home *harness.Home) func(pull, push, secret string) {
	c := keyed(home)
	digest := "@" + s.Has(t, "team/secret", "v1")
	return func(pull, push, _ string) {
		c.Refused("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", pull+digest)
		c.Refused("sign", "--yes", "--key", "cosign.key", "--signing-config", "signing.json", push+digest)
	}
}

func orasIntruder(t *testing.T, s *harness.Server, _ *harness.Home) func(pull, push, secret string) {
	mine, err := oci.NewFromFS(t.Context(), os.DirFS(harness.Layout(t, harness.Image(t, 157, 1, 1000))))
	if err != nil {
		t.Fatal(err)
	}
	return func(pull, push, secret string) {
		credential := auth.EmptyCredential
		if secret != "" {
			credential = auth.Credential{Username: harness.User, Password: secret}
		}
		from, to := s.RepositoryAs(t, pull, credential), s.RepositoryAs(t, push, credential)
		_, err := oras.Copy(t.Context(), from, "v1", memory.New(), "v1", oras.DefaultCopyOptions)
		unauthorized(t, "pulling", err)
		_, err = oras.Copy(t.Context(), mine, "v1", to, "intruded", oras.DefaultCopyOptions)
		unauthorized(t, "pushing", err)
		unauthorized(t, "listing tags", from.Tags(t.Context(), "", func([]string) error { return nil }))
	}
}

// TestWrongUserName: the right secret under another user name is no
// credential.
func TestWrongUserName(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	pushImage(t, s, "team/secret", "v1", 158)
	for _, name := range []string{"operator", "Token", "token "} {
		_, err := s.RepositoryAs(t, "team/secret", auth.Credential{Username: name, Password: s.Token}).Resolve(t.Context(), "v1")
		unauthorized(t, "resolving as "+name, err)
	}
}

func unauthorized(t *testing.T, what string, err error) {
	t.Helper()
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
	default:
		t.Fatalf("%s: %v, want a refusal", what, err)
	}
}
