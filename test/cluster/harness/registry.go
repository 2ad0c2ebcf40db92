package harness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"

	"fairlead.dev/fairlead/test/clients/harness"
)

// Fairlead is a server of the test's own; its accounts and tokens are made
// by its methods.
type Fairlead = harness.Server

// Minting is what a token is made with.
type Minting = harness.Minting

// Login is what somebody signs in to a registry with.
type Login struct {
	Host, User, Password string
	// CA is the file of the authority that signed the registry's certificate;
	// it speaks plain HTTP if that is empty.
	CA string
	// At is the address to dial in the place of the host; "" for none.
	At string
}

// StartFairlead runs a server over plain HTTP until the test ends.
func StartFairlead(t testing.TB, flags ...string) *Fairlead {
	t.Helper()
	return harness.Start(t, flags...)
}

// StartFairleadTLS runs a server whose certificate a private authority signed;
// ca is its file. Trust makes the node trust it.
func StartFairleadTLS(t testing.TB) (s *Fairlead, ca string) {
	t.Helper()
	authority := harness.NewAuthority(t, "fairlead-test")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	authority.Issue(t, cert, key)
	return harness.StartTLS(t, cert, key), authority.File
}

// StartNamed runs a server behind a name and a non-loopback address of this
// machine, with a certificate of a private authority. It is known by the name
// on the node, to RunThere and to the operator's login, which has the name;
// s is reached as always.
func (c *Kubernetes) StartNamed(t testing.TB, host string) (s *Fairlead, operator Login) {
	t.Helper()
	outside, err := nodeAddress()
	if err != nil {
		skip(t, err)
	}
	l, err := net.Listen("tcp", outside+":0") // for its port
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort(host, port)
	authority := harness.NewAuthority(t, "fairlead-test")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	authority.Issue(t, cert, key, host)
	s = harness.StartTLS(t, cert, key, "--public-url", "https://"+at)
	c.Forward(t, address, s.Host)
	c.Host(t, host, outside)
	operator = Operator(s)
	operator.Host, operator.CA, operator.At = at, authority.File, address
	return s, operator
}

// FairleadBinary is the path of the program under test.
func FairleadBinary() string { return harness.Binary() }

// Operator may do everything in a Fairlead.
func Operator(s *Fairlead) Login { return Holder(s, s.Token) }

// Holder has a token's value.
func Holder(s *Fairlead, token string) Login {
	return Login{Host: s.Host, User: harness.User, Password: token}
}

// Push stores an image under a name without the host, acme-web/app:v1, and
// gives its whole reference.
func (l Login) Push(t testing.TB, repo string, image v1.Image) string {
	t.Helper()
	return l.push(t, repo, func(ref name.Reference, o ...remote.Option) error { return remote.Write(ref, image, o...) })
}

// PushIndex is Push of an image index.
func (l Login) PushIndex(t testing.TB, repo string, index v1.ImageIndex) string {
	t.Helper()
	return l.push(t, repo, func(ref name.Reference, o ...remote.Option) error { return remote.WriteIndex(ref, index, o...) })
}

func (l Login) push(t testing.TB, repo string, write func(name.Reference, ...remote.Option) error) string {
	t.Helper()
	options := []name.Option{name.StrictValidation}
	transport := remote.DefaultTransport
	if l.CA == "" {
		options = append(options, name.Insecure)
	} else {
		transport = trusting(t, l.CA, l.At)
	}
	ref, err := name.ParseReference(l.Host+"/"+repo, options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(ref,
		remote.WithAuth(&authn.Basic{Username: l.User, Password: l.Password}),
		remote.WithTransport(transport), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("pushing %s: %v", ref, err)
	}
	return ref.String()
}

// StartOther runs a registry that is not Fairlead, with one user: Debian's
// docker-registry, or where there is no such package the CNCF distribution that
// make deps builds, which is the same program, newer.
func StartOther(t testing.TB) Login {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Logf("distribution in the place of Debian's docker-registry: %v", err)
		if binary, err = harness.Find("registry"); err != nil {
			harness.Unavailable(t, "registry is not installed (run make deps): %v", err)
		}
	}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l := Login{Host: fmt.Sprintf("127.0.0.1:%d", ports[0]), User: "robot", Password: rand.Text()}
	hash, err := bcrypt.GenerateFromPassword([]byte(l.Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	users, config := filepath.Join(dir, "htpasswd"), filepath.Join(dir, "registry.yaml")
	const form = `version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, secret: test}
auth: {htpasswd: {realm: other, path: %q}}
`
	for path, text := range map[string]string{
		users:  l.User + ":" + string(hash) + "\n",
		config: fmt.Sprintf(form, filepath.Join(dir, "data"), l.Host, users),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := launch(dir, "registry", "", 0, binary, "serve", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(stopLimit) })
	if err := await("the other registry listens", startLimit, func() error {
		conn, err := net.DialTimeout("tcp", l.Host, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}, p); err != nil {
		t.Fatal(err)
	}
	return l
}

// Trust makes the node trust the authority of a registry that speaks TLS.
func (c *Kubernetes) Trust(t testing.TB, host, ca string) {
	t.Helper()
	c.Route(t, host, "https://"+host, ca)
}

// Route makes the node pull from a URL what it is told to pull from a host,
// which needs not be known to anybody; ca is empty for plain HTTP.
func (c *Kubernetes) Route(t testing.TB, host, to, ca string) {
	t.Helper()
	if c.node == nil {
		t.Fatal("Route and Trust need a node")
	}
	dir := filepath.Join(c.node.routes, host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", to, to)
	if ca != "" {
		text += fmt.Sprintf("  ca = %q\n", ca)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
}

// certsFolder is where containerd looks on a usual node; ours is elsewhere.
const certsFolder = "/etc/containerd/certs.d"

// Certs gives the node the files of containerd that attach printed, until the
// test ends. That there is none fails.
func (c *Kubernetes) Certs(t testing.TB, printed string) {
	t.Helper()
	if c.node == nil {
		t.Fatal("Certs needs a node")
	}
	files := map[string]string{}
	path := ""
	for line := range strings.Lines(printed) {
		switch {
		case strings.HasPrefix(line, "# "+certsFolder+"/"):
			path = strings.TrimSpace(strings.Replace(line[2:], certsFolder, c.node.routes, 1))
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "With "), line == "\n":
			path = ""
		case path != "":
			files[path] += strings.ReplaceAll(line, certsFolder, c.node.routes)
		}
	}
	if len(files) == 0 {
		t.Fatalf("no file for containerd is printed:\n%s", printed)
	}
	for path, text := range files {
		dir := filepath.Dir(path)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
}

func trusting(t testing.TB, ca, at string) http.RoundTripper {
	t.Helper()
	config, err := trust(ca)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if at != "" {
			address = at
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}
