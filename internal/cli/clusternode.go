package cli

import (
	"fmt"
	"io"
	"strings"
)

// nodeFiles writes what nodes need to reach a registry that they would not
// trust by themselves: one of a private authority, or one without TLS. It
// writes nothing for others. ca is the authority's certificates in PEM.
func nodeFiles(w io.Writer, r *clusterRegistry, ca []byte) {
	host := r.url.Host
	switch {
	case len(ca) > 0:
		dir := "/etc/containerd/certs.d/" + host
		fmt.Fprintf(w, "\nEach node must trust the authority of %s. With containerd (config_path = \"/etc/containerd/certs.d\"):\n", host)
		file(w, dir+"/hosts.toml", fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = %q\n", r.url, r.url, dir+"/ca.crt"))
		file(w, dir+"/ca.crt", string(ca))
		fmt.Fprintf(w, "With CRI-O, the certificates alone, as /etc/containers/certs.d/%s/ca.crt.\n", host)
	case r.untold():
		fmt.Fprintf(w, "\nEach node must be told that %s is plain http. With containerd (config_path = \"/etc/containerd/certs.d\"):\n", host)
		file(w, "/etc/containerd/certs.d/"+host+"/hosts.toml", fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", r.url, r.url))
		fmt.Fprintln(w, "With CRI-O:")
		file(w, "/etc/containers/registries.conf.d/fairlead-"+hostInName(host)+".conf", fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", host))
	}
}

func file(w io.Writer, path, text string) {
	fmt.Fprintf(w, "# %s\n%s\n", path, strings.TrimSpace(text))
}
