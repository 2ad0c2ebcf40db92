package cli

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImageHost: a host that no image can name, or no Secret, is found before
// anything is made.
func TestImageHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"registry.example": true, "registry.example:5443": true, "registry:5000": true, "localhost": true, "127.0.0.1:5000": true,
		"[::1]:5000": true, "a-b.example": true,
		"registry": false, "my_host.example": false, "registry.example.": false, "a..example": false, "-a.example": false, "a-.example": false,
		"registry.example:": false, "registry.example:0": false, "": false,
	} {
		if got := imageHost(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

// TestLoopback: by these names a node would look for the registry on itself,
// and of these it must be told that they are plain http.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		server         string
		loopback, told bool
	}{
		{"http://127.0.0.1:5000", true, false},
		{"http://localhost:5000", true, false},
		{"http://[::1]:5000", true, false},
		{"http://0.0.0.0:5000", true, true},
		{"http://localhost.:5000", true, true},
		{"http://eu.localhost:5000", true, true},
		{"https://eu.localhost", true, false},
		{"http://registry.example", false, true},
		{"https://notlocalhost", false, false},
	} {
		r, err := addressOf(login{Server: x.server})
		if err != nil {
			t.Fatal(err)
		}
		if got, told := r.loopback(), r.untold(); got != x.loopback || told != x.told {
			t.Errorf("%s: loopback %t, to be told %t", x.server, got, told)
		}
	}
}

// TestRequestKey: a registry takes it whatever the names are, and it differs
// with each of them.
func TestRequestKey(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, of := range [][]string{
		{clusterAccess, "3f1b2c1e-3c61-4b0e-8a9c-0f6b1d2e3a4b", strings.Repeat("p", 63), "0Ue2O9QAQJRI"},
		{pullAccess, "3f1b2c1e-3c61-4b0e-8a9c-0f6b1d2e3a4b", strings.Repeat("p", 63), "0Ue2O9QAQJRI"},
		{pullAccess, "3f1b2c1e-3c61-4b0e-8a9c-0f6b1d2e3a4c", strings.Repeat("p", 63), "0Ue2O9QAQJRI"},
		{pullAccess, "3f1b2c1e-3c61-4b0e-8a9c-0f6b1d2e3a4b", "prod", ""},
		{pullAccess, "3f1b2c1e-3c61-4b0e-8a9c-0f6b1d2e3a4b", "prod", "0Ue2O9QAQJRI"},
	} {
		k := requestKey(of...)
		if len(k) > 128 || seen[k] || k != requestKey(of...) {
			t.Errorf("%v: %q of %d bytes", of, k, len(k))
		}
		seen[k] = true
	}
}

// TestReadCA: of a file with a key in it the certificates alone are taken.
func TestReadCA(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(nil)
	t.Cleanup(srv.Close)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("not to be shown")}))
	for name, x := range map[string]struct{ text, want string }{
		"cert": {cert, cert}, "key first": {key + cert, cert}, "both sides": {"subject=x\n" + cert + key + cert, cert + cert}, "key alone": {key, ""}, "nothing": {"", ""},
	} {
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, []byte(x.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readCA(file)
		if string(got) != x.want || (err != nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), "holds no certificate in PEM") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		r := &clusterRegistry{at: login{CAFile: file}}
		if shown, _ := r.authority(t.Context()); string(shown) != x.want {
			t.Errorf("%s: nodes are given %q", name, shown)
		}
	}
}

// TestImageNamespace: what the account's name makes of it must be a namespace;
// that is found before tokens are made.
func TestImageNamespace(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ account, given, want string }{
		{"acme.eu", "", `the namespace name "acme.eu-fairlead" is not valid`},
		{strings.Repeat("a", 22), "", "is not valid"},
		{"acme", "a/b", `the namespace name "a/b" is not valid`},
		{"acme", "v2", `the namespace name "v2" is reserved`},
	} {
		i := &installation{attachment: &attachment{
			attachFlags: &attachFlags{installFlags: installFlags{imageNamespace: x.given}},
			registries:  clusterRegistries{{account: x.account}},
		}}
		_, err := i.prepareImage(t.Context())
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(hintOf(err), "--image-namespace") {
			t.Errorf("%+v: %v, next %q", x, err, hintOf(err))
		}
	}
}
