package cli

import (
	"strings"
	"testing"
)

// TestNodeFiles: what nodes need is written, and nothing where they need
// nothing.
func TestNodeFiles(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ server, ca, want string }{
		{"https://registry.example", "", ""},
		{"http://127.0.0.1:5000", "", ""},
		{"https://registry.example:5443", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", `
Each node must trust the authority of registry.example:5443. With containerd (config_path = "/etc/containerd/certs.d"):
# /etc/containerd/certs.d/registry.example:5443/hosts.toml
server = "https://registry.example:5443"
[host."https://registry.example:5443"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/registry.example:5443/ca.crt"
# /etc/containerd/certs.d/registry.example:5443/ca.crt
-----BEGIN CERTIFICATE-----
AA==
-----END CERTIFICATE-----
With CRI-O, the certificates alone, as /etc/containers/certs.d/registry.example:5443/ca.crt.
`},
		{"http://registry.example", "", `
Each node must be told that registry.example is plain http. With containerd (config_path = "/etc/containerd/certs.d"):
# /etc/containerd/certs.d/registry.example/hosts.toml
server = "http://registry.example"
[host."http://registry.example"]
  capabilities = ["pull", "resolve"]
With CRI-O:
# /etc/containers/registries.conf.d/fairlead-registry.example.conf
[[registry]]
location = "registry.example"
insecure = true
`},
	} {
		r, err := addressOf(login{Server: x.server})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		nodeFiles(&got, r, []byte(x.ca))
		if got.String() != x.want {
			t.Errorf("%s: got\n%s\nwant\n%s", x.server, got.String(), x.want)
		}
	}
}
