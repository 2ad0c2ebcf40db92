package attach_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestAttachPlainHTTP: a registry on an address of this machine that is not
// loopback, without TLS, must be allowed, and the nodes told what is printed.
func TestAttachPlainHTTP(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t, c)
	at := startOutside(t)
	at.Account(t, "acme", "acme-web")
	token := at.Mint(t, harness.Minting{Account: "acme", Access: "admin"})
	if r := s.runAt("", token.Value, "login", at.URL, "--token-stdin", "--insecure-http"); r.Code != 0 {
		t.Fatalf("login: %+v", r)
	}
	attach := []string{"cluster", "attach", "prod", "--registry", at.URL, "--without-controller"}
	if r := s.ns.Fairlead(2, attach...); !strings.Contains(r.Stderr, at.URL+" is plain http: whoever listens on the way") || len(s.tokens(at, "prod")) != 0 {
		t.Errorf("without a word: %+v", r)
	}
	c.Host(t, "here.fairlead.test", "127.0.0.1")
	here := strings.Replace(s.regional.URL, "127.0.0.1", "here.fairlead.test", 1)
	own := s.regional.Mint(t, harness.Minting{Account: "acme", Access: "admin"})
	if r := s.ns.RunThere(own.Value, harness.FairleadBinary(), "login", here, "--token-stdin", "--insecure-http"); r.Code != 0 {
		t.Fatalf("login: %+v", r)
	}
	if r := s.ns.RunThere("", harness.FairleadBinary(), "cluster", "attach", "prod", "--registry", here, "--without-controller", "--insecure-http", "--dry-run"); r.Code != 0 || !strings.Contains(r.Stderr, "warning: "+here+" leads to this machine itself") {
		t.Errorf("a name that leads here: %+v", r)
	}
	r := s.ns.Fairlead(0, append(attach, "--insecure-http")...)
	if !strings.Contains(r.Stdout, "# /etc/containerd/certs.d/"+at.Host+"/hosts.toml\nserver = \""+at.URL+"\"\n") {
		t.Errorf("it says\n%s", r.Stdout)
	}
	c.Certs(t, r.Stdout)
	image := harness.Operator(at).Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	s.ns.Input(harness.Deployment("plain", image, 1), "apply", "-n", "default", "-f", "-")
	s.ns.Kubectl("rollout", "status", "deployment/plain", "-n", "default", "--timeout=90s")
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
}

// startOutside runs a Fairlead that is reached by an address that is not
// loopback.
func startOutside(t *testing.T) *harness.Fairlead {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", outside(t)+":0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + l.Addr().String()
	s := harness.StartFairlead(t, "--public-url", at)
	target := &url.URL{Scheme: "http", Host: s.Host}
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
	}}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s.Host, s.URL = l.Addr().String(), at
	return s
}

func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no IPv4 address but loopback")
	return ""
}

// TestAttachPrivateCA prints what nodes need to trust a private authority.
func TestAttachPrivateCA(t *testing.T) {
	c := harness.Node(t)
	s := newSite(t, c)
	at, ca := harness.StartFairleadTLS(t)
	at.Account(t, "acme", "acme-web")
	token := at.Mint(t, harness.Minting{Account: "acme", Access: "admin"})
	if r := s.runAt("", token.Value, "login", at.URL, "--token-stdin", "--ca-file", ca); r.Code != 0 {
		t.Fatalf("login: %+v", r)
	}
	r := s.ns.Fairlead(0, "cluster", "attach", "prod", "--registry", at.URL, "--without-controller", "--allow-loopback")
	for _, want := range []string{"  ca = \"/etc/containerd/certs.d/" + at.Host + "/ca.crt\"\n", "-----BEGIN CERTIFICATE-----", "/etc/containers/certs.d/" + at.Host + "/ca.crt"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("it says\n%s\nwant %q", r.Stdout, want)
		}
	}
	c.Certs(t, r.Stdout)
	operator := harness.Operator(at)
	operator.CA = ca
	image := operator.Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	s.ns.Input(harness.Deployment("private", image, 1), "apply", "-n", "default", "-f", "-")
	s.ns.Kubectl("rollout", "status", "deployment/private", "-n", "default", "--timeout=90s")
	s.ns.Fairlead(0, "cluster", "detach", "prod", "--force")
}
