package clients

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// TestDockerNeighbours: docker as its users have used it for years, user and
// password and no e-mail; two accounts on one server that do not see each
// other, but for what is public.
func TestDockerNeighbours(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	s.Account(t, "other", "other", "open")
	s.Public(t, "open")
	home := s.Home(t)
	c := docker(t, home)
	layer := home.Write("layer.tar", string(harness.Tar(t, "file", harness.Random(250, 1000))))
	c.Run("import", layer, "mine")
	signIn := func(account string) {
		t.Helper()
		token := s.Mint(t, harness.Minting{Account: account, Access: "readwrite"})
		if said := c.Input(strings.NewReader(token.Value), "login", "-u", harness.User, "--password-stdin", s.Host); !strings.Contains(said, "Login Succeeded") {
			t.Errorf("docker login said %q", said)
		}
		noMail(t, home.DockerConfig(), s.Host, token.Value)
	}

	signIn("other")
	for _, ref := range []string{"other/secret:v1", "open/app:v1"} {
		c.Run("push", retag(c, "mine", s.Ref(ref)))
		c.Run("rmi", s.Ref(ref))
	}
	c.Run("pull", s.Ref("other/secret:v1"))
	c.Run("rmi", s.Ref("other/secret:v1"))
	c.Run("logout", s.Host)
	c.Refused("pull", s.Ref("open/app:v1")) // public is for those who signed in

	signIn("acme")
	c.Run("push", retag(c, "mine", s.Ref("acme/app:v1")))
	c.Run("pull", s.Ref("open/app:v1"))
	there, absent := c.Refused("pull", s.Ref("other/secret:v1")), c.Refused("pull", s.Ref("other/absent:v1"))
	if !strings.Contains(there, "has no right to pull from") || strings.ReplaceAll(there, "other/secret", "other/absent") != absent {
		t.Errorf("a foreign image is refused with %q, an absent one with %q", there, absent)
	}
	for _, ref := range []string{"other/secret:v1", "open/app:v1", "absent/app:v1"} {
		if said := c.Refused("push", retag(c, "mine", s.Ref(ref))); !strings.Contains(said, "has no right to push to") {
			t.Errorf("docker push to %s said %q", ref, said)
		}
	}
}

// TestDockerAnonymous: with --anonymous-public everybody pulls what is public,
// and nothing else.
func TestDockerAnonymous(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, "--anonymous-public")
	s.Account(t, "acme", "acme", "open")
	s.Public(t, "open")
	for i, repo := range []string{"acme/app", "open/app", "ibmliberty"} {
		pushImage(t, s, repo, "v1", uint64(260+i))
	}
	home := s.Home(t)
	c := docker(t, home)
	c.Run("pull", s.Ref("open/app:v1"))
	c.Refused("push", retag(c, s.Ref("open/app:v1"), s.Ref("open/app:v2")))
	s.Lacks(t, "open/app", "v2")
	there, absent := c.Refused("pull", s.Ref("acme/app:v1")), c.Refused("pull", s.Ref("acme/absent:v1"))
	if strings.ReplaceAll(there, "acme/app", "acme/absent") != absent {
		t.Errorf("a private image is refused with %q, an absent one with %q", there, absent)
	}
	c.Refused("pull", s.Ref("ibmliberty:v1")) // provided is for accounts

	token := s.Mint(t, harness.Minting{Account: "acme"})
	c.Input(strings.NewReader(token.Value), "login", "-u", harness.User, "--password-stdin", s.Host)
	for _, ref := range []string{"acme/app:v1", "open/app:v1", "ibmliberty:v1"} {
		c.Run("pull", s.Ref(ref))
	}
	said := c.Fails(strings.NewReader("wrong"), "login", "-u", harness.User, "--password-stdin", s.Host)
	if !strings.Contains(said, "the user name or the token is wrong") {
		t.Errorf("docker login with a wrong password said %q", said)
	}
}

// noMail checks that a login left user and password, and nothing more.
func noMail(t *testing.T, path, host, secret string) {
	t.Helper()
	var config struct {
		Auths map[string]map[string][]byte `json:"auths"`
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	entry := config.Auths[host]
	if len(entry) != 1 || string(entry["auth"]) != harness.User+":"+secret {
		t.Errorf("docker login left other than user and token, %d fields", len(entry))
	}
}
