package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	requestTime = 5 * time.Second
	wholeTime   = 20 * time.Second
	// together is how many attempts run at once.
	together = 4
	// mostCredentials are asked with; a pod that has more is under attack or
	// very confused.
	mostCredentials = 64
	// mostHeader is how many bytes of headers are read, in one answer.
	mostHeader = 64 << 10
)

// Credential is what a registry is asked with. It never shows its password.
type Credential struct{ Username, Password string }

// String shows the user name.
func (c Credential) String() string { return c.Username + ":***" }

// GoString is String, for %#v.
func (c Credential) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String, for JSON and its like.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// empty says that nothing is sent for it.
func (c Credential) empty() bool { return c.Username == "" || c.Password == "" }

// Options of New.
type Options struct {
	// CA are the authorities to trust; nil for the system's.
	CA *x509.CertPool
	// Timeout of one request with its answer, 5 s if 0; Whole of all that
	// Ask does, 20 s if 0.
	Timeout, Whole time.Duration
	// UserAgent is sent with each request.
	UserAgent string
	// Dial reaches a host, for networks that are not this machine's; nil for
	// this machine's, with the proxy of its environment.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Prober asks registries. It is safe for use by several goroutines.
type Prober struct {
	o Options
	// trusting does not check certificates: for registries on loopback.
	checking, trusting *http.Transport
}

// New makes a Prober. It touches nothing.
func New(o Options) *Prober {
	o.Timeout = cmp.Or(o.Timeout, requestTime)
	o.Whole = cmp.Or(o.Whole, wholeTime)
	return &Prober{
		o:        o,
		checking: transport(o, &tls.Config{RootCAs: o.CA, MinVersion: tls.VersionTLS12}),
		// Container runtimes check no certificate on loopback.
		trusting: transport(o, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}),
	}
}

func transport(o Options, t *tls.Config) *http.Transport {
	proxy := http.ProxyFromEnvironment
	if o.Dial != nil {
		proxy = nil
	}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            o.Dial,
		TLSClientConfig:        t,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // nothing is unpacked, so nothing explodes
		MaxResponseHeaderBytes: mostHeader,
		MaxIdleConnsPerHost:    together + 1,
		IdleConnTimeout:        30 * time.Second,
	}
}

// Close lets go of idle connections.
func (p *Prober) Close() {
	p.checking.CloseIdleConnections()
	p.trusting.CloseIdleConnections()
}

// Ask asks the image's registry about it, with each credential and without
// one; the attempts stand in the order of creds. What goes wrong is part of
// the answer. A Platform that is not zero is looked for in the image. At most
// 64 credentials are tried; the rest is Skipped.
func (p *Prober) Ask(ctx context.Context, image diagnosis.Image, creds []Credential, platform diagnosis.Platform) diagnosis.Answer {
	ctx, cancel := context.WithTimeout(ctx, p.o.Whole)
	defer cancel()
	s := &session{p: p, image: image, local: loopback(hostname(image.Host)), used: make([]string, len(creds)+1)}
	for _, c := range creds {
		s.secrets.credential(c)
	}
	a := diagnosis.Answer{Image: image, Anonymous: diagnosis.Attempt{Index: -1}}
	for i, c := range creds {
		a.Attempts = append(a.Attempts, diagnosis.Attempt{Index: i, Username: c.Username, Outcome: diagnosis.Skipped})
	}
	if pong, ok := s.ping(ctx, &a); ok {
		s.askAll(ctx, &a, challengeIn(pong), creds)
		s.describe(ctx, &a, platform)
		s.whatElse(ctx, &a)
	}
	s.secrets.clean(&a)
	return a
}

// ping finds the scheme and the challenge, and whether anybody is there.
func (s *session) ping(ctx context.Context, a *diagnosis.Answer) (reply, bool) {
	if u, err := url.Parse("https://" + s.image.Host); err != nil || u.Host != s.image.Host || u.Hostname() == "" {
		a.Scheme, a.Anonymous.Outcome = "https", diagnosis.NoHost
		a.Ping = diagnosis.Exchange{Method: http.MethodGet, Error: "this is not the name of a host"}
		return reply{}, false
	}
	var r reply
	for _, s.scheme = range schemes(s.image.Host) {
		a.Scheme = s.scheme
		var log []diagnosis.Exchange
		r = s.send(ctx, &log, request{method: http.MethodGet, url: s.url(""), most: mostWords})
		a.Ping = log[len(log)-1]
		if r.outcome != diagnosis.PlainHTTP {
			break
		}
	}
	if r.outcome != "" {
		a.Anonymous.Outcome = r.outcome
		return r, false
	}
	a.Server = r.header.Get("Server")
	if challengeIn(r).bearer.Service == fairlead {
		a.Fairlead, a.Server = true, "Fairlead"
	}
	return r, true
}

// fairlead is the service that our registry names in its challenges.
const fairlead = "fairlead"

// askAll makes every attempt. They do not depend on each other.
func (s *session) askAll(ctx context.Context, a *diagnosis.Answer, start challenge, creds []Credential) {
	var g errgroup.Group
	g.SetLimit(together)
	g.Go(func() error { s.attempt(ctx, &a.Anonymous, start, Credential{}); return nil })
	for i := range a.Attempts[:min(len(creds), mostCredentials)] {
		g.Go(func() error { s.attempt(ctx, &a.Attempts[i], start, creds[i]); return nil })
	}
	_ = g.Wait() // none of them gives an error
}

// schemes that a node would try, in order. Source: containerd,
// core/remotes/docker/config/hosts.go.
func schemes(host string) []string {
	_, port, _ := net.SplitHostPort(host)
	switch {
	case !loopback(hostname(host)) || port == "" || port == "443":
		return []string{"https"}
	case port == "80":
		return []string{"http"}
	}
	return []string{"https", "http"}
}

// hostname is the host without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// loopback says whether a name is this machine's. Other names that lead here
// are not: a runtime does not know them either.
func loopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// HostOf gives the host to dial for the domain of an image's name.
func HostOf(domain string) string {
	switch domain {
	case "docker.io", "index.docker.io":
		return "registry-1.docker.io"
	}
	return domain
}

// url of something of the protocol.
func (s *session) url(path string) *url.URL {
	return &url.URL{Scheme: s.scheme, Host: s.image.Host, Path: "/v2/" + path}
}

func (s *session) manifestURL() *url.URL {
	return s.url(s.image.Repository + "/manifests/" + s.image.Reference.String())
}

// scope is what pulling needs.
func (s *session) scope() string {
	return oci.RepoScope(oci.Repo(s.image.Repository), oci.ActionPull).String()
}
