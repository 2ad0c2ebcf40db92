package clients

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/clients/harness"
)

// reloadLimit is how long a server may go on showing an old certificate.
const reloadLimit = 30 * time.Second

// TestTLS pushes and pulls with a private authority, and goes on with another
// one after the certificate files changed under the running server.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	first, second := harness.NewAuthority(t, "first"), harness.NewAuthority(t, "second")
	first.Issue(t, cert, key)
	s := harness.StartTLS(t, cert, key)
	img := harness.Image(t, 100, 2, 1000)
	want := harness.Digest(t, img)

	exchange(t, s, first, "team/first", harness.Layout(t, img), want)
	distrusts(t, s, second, "team/first")

	second.Issue(t, cert, key)
	for begin := time.Now(); !second.Signed(s); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > reloadLimit {
			t.Fatalf("the server shows its old certificate %s after the files changed", reloadLimit)
		}
	}
	exchange(t, s, second, "team/second", harness.Layout(t, img), want)
	distrusts(t, s, first, "team/second")
}

// exchange pushes with skopeo and pulls with crane; both know the authority.
func exchange(t *testing.T, s *harness.Server, ca *harness.Authority, repo, layout, want string) {
	t.Helper()
	pusher := copier(s.Home(t))
	pusher.Input(strings.NewReader(s.Token), "login", "--cert-dir", ca.Dir, "-u", harness.User, "--password-stdin", s.Host)
	pusher.Run("copy", "--dest-cert-dir", ca.Dir, "oci:"+layout+":v1", "docker://"+s.Ref(repo)+":v1")

	home := s.Home(t)
	home.Setenv("SSL_CERT_FILE", ca.File)
	puller := home.Tool("crane")
	puller.Input(strings.NewReader(s.Token), "auth", "login", s.Host, "-u", harness.User, "--password-stdin")
	if got := puller.Run("digest", s.Ref(repo)+":v1"); got != want {
		t.Errorf("crane found %s over TLS, want %s", got, want)
	}
	puller.Run("pull", s.Ref(repo)+":v1", home.Path("image.tar"))
}

// distrusts checks that a client with another authority does not talk to the
// server at all.
func distrusts(t *testing.T, s *harness.Server, ca *harness.Authority, repo string) {
	t.Helper()
	said := copier(s.Home(t)).Fails(nil, "inspect", "--cert-dir", ca.Dir, "docker://"+s.Ref(repo)+":v1")
	if !strings.Contains(said, "x509") {
		t.Errorf("a client that trusts another authority said %q", said)
	}
}
