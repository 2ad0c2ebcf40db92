package probe_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
)

const (
	user     = "robot"
	password = "hunter2/secret+word"
)

var good = probe.Credential{Username: user, Password: password}

// world is a network of servers with names of their own, and what they were
// asked.
type world struct {
	t    *testing.T
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	old  bool // HTTP/1.1 only
	mu   sync.Mutex
	at   map[string]string // host:port to where it listens
	seen []seen
}

// seen is one request.
type seen struct{ host, method, path, authorization string }

func newWorld(t *testing.T) *world {
	w := &world{t: t, at: map[string]string{}, pool: x509.NewCertPool()}
	w.key = newKey(t)
	template := certificate("a private authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &w.key.PublicKey, w.key)
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	w.pool.AddCert(w.ca)
	return w
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// issue makes a certificate for a name.
func (w *world) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	w.t.Helper()
	c := certificate(name)
	c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if change != nil {
		change(c)
	}
	key := newKey(w.t)
	der, err := x509.CreateCertificate(rand.Reader, c, w.ca, &key.PublicKey, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve runs a server over TLS at host:443.
func (w *world) serve(host string, h http.HandlerFunc) {
	w.t.Helper()
	w.serveAs(host, h, w.issue(host, nil))
}

func (w *world) serveAs(host string, h http.HandlerFunc, c tls.Certificate) {
	s := w.server(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	s.EnableHTTP2 = !w.old
	s.StartTLS()
	w.at[host+":443"] = s.Listener.Addr().String()
}

// plain runs a server without TLS at host:port.
func (w *world) plain(hostport string, h http.HandlerFunc) {
	s := w.server(h)
	s.Start()
	w.at[hostport] = s.Listener.Addr().String()
}

func (w *world) server(h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, seen{r.Host, r.Method, r.URL.RequestURI(), r.Header.Get("Authorization")})
		w.mu.Unlock()
		h(rw, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := w.at[address]
	if !ok {
		return nil, fmt.Errorf("the test has no server at %s", address)
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

func (w *world) prober() *probe.Prober {
	p := probe.New(probe.Options{CA: w.pool, Dial: w.dial, Timeout: 10 * time.Second, UserAgent: "fairlead/test"})
	w.t.Cleanup(p.Close)
	return p
}

// ask asks registry.test about a reference of acme/web.
func (w *world) ask(ref string, creds ...probe.Credential) diagnosis.Answer {
	w.t.Helper()
	return w.askFor(diagnosis.Platform{}, ref, creds...)
}

func (w *world) askFor(p diagnosis.Platform, ref string, creds ...probe.Credential) diagnosis.Answer {
	w.t.Helper()
	a := w.prober().Ask(w.t.Context(), image(w.t, "registry.test", ref), creds, p)
	w.check(a)
	return a
}

func image(t *testing.T, host, ref string) diagnosis.Image {
	t.Helper()
	r, err := oci.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return diagnosis.Image{Host: host, Repository: "acme/web", Reference: r}
}

// check holds for every answer: no secret and nothing for a terminal in it.
func (w *world) check(a diagnosis.Answer) {
	w.t.Helper()
	all := fmt.Sprintf("%+v", a)
	for _, secret := range []string{password, "hunter2", "aHVudGVyMi", basicOf(good), "tok-" + user} {
		if strings.Contains(all, secret) {
			w.t.Errorf("%q stands in %s", secret, all)
		}
	}
	if i := strings.IndexFunc(all, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e }); i >= 0 {
		w.t.Errorf("a control character stands in %q", all)
	}
}

func basicOf(c probe.Credential) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(c.Username, c.Password)
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
}

// all requests to all servers.
func (w *world) all() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// requests are those to a host, as "METHOD path".
func (w *world) requests(host string) []string {
	var out []string
	for _, s := range w.all() {
		if s.host == host {
			out = append(out, s.method+" "+s.path)
		}
	}
	return out
}

// secretless fails the test if a host was sent anything secret, or was not
// asked at all although it should have been.
func (w *world) secretless(host string, asked bool) {
	w.t.Helper()
	n := 0
	for _, s := range w.all() {
		if s.host != host {
			continue
		}
		n++
		if s.authorization != "" || strings.Contains(s.path, "hunter2") {
			w.t.Errorf("%s was sent %+v", host, s)
		}
	}
	if n > 0 != asked {
		w.t.Errorf("%s was asked %d times", host, n)
	}
}

// registry is a good registry, as far as its fields let it.
type registry struct {
	host string
	// realm of its challenge; its own /token if it is empty.
	realm string
	basic bool
	// public lets everybody pull.
	public bool
	// manifests by reference, blobs by digest.
	manifests map[string]content
	blobs     map[string][]byte
	tags      []string
	// first looks at each request, and may answer it.
	first func(w http.ResponseWriter, r *http.Request) bool
}

type content struct {
	mediaType string
	body      string
}

func (c content) digest() string { return string(oci.DigestOf(oci.SHA256, []byte(c.body))) }

var multi = content{oci.MediaTypeImageIndex, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
{"digest":"sha256:aa","platform":{"os":"linux","architecture":"amd64"}},
{"digest":"sha256:bb","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
{"digest":"sha256:cc","platform":{"os":"unknown","architecture":"unknown"}}]}`}

// single is an image of one platform, and its config.
func single(p diagnosis.Platform) (m content, config []byte) {
	config = fmt.Appendf(nil, `{"os":%q,"architecture":%q,"variant":%q}`, p.OS, p.Architecture, p.Variant)
	m = content{oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[]}`, oci.DigestOf(oci.SHA256, config))}
	return m, config
}

// tiny is a registry that holds multi as v1.
func tiny() *registry {
	return &registry{
		host: "registry.test", manifests: map[string]content{"v1": multi, multi.digest(): multi}, blobs: map[string][]byte{},
		tags: []string{"v1", "latest", "v1.0", "v2", "nightly", "main", "v10"},
	}
}

func (g *registry) serve(w http.ResponseWriter, r *http.Request) {
	if g.first != nil && g.first(w, r) {
		return
	}
	name, secret, signed := r.BasicAuth()
	right := signed && name == user && secret == password
	if r.URL.Path == "/token" {
		switch {
		case signed && !right:
			fail(w, 401, "UNAUTHORIZED", "incorrect username or password")
		case right:
			fmt.Fprintf(w, `{"token":"tok-%s","expires_in":60}`, user)
		default:
			fmt.Fprint(w, `{"access_token":"tok-anonymous"}`)
		}
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	in := g.basic && right || !g.basic && token == "tok-"+user || g.public && (g.basic || token == "tok-anonymous")
	if !in && (r.URL.Path != "/v2/" || !g.public || !g.basic) {
		g.challenge(w, r, token)
		return
	}
	g.content(w, r)
}

func (g *registry) challenge(w http.ResponseWriter, r *http.Request, token string) {
	switch {
	case g.basic:
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
	default:
		realm := g.realm
		if realm == "" {
			realm = "https://" + g.host + "/token"
		}
		c := fmt.Sprintf(`Bearer realm=%q,service="a registry"`, realm)
		if r.URL.Path != "/v2/" {
			c += `,scope="repository:acme/web:pull"`
		}
		if token != "" {
			c += `,error="insufficient_scope"`
		}
		w.Header().Set("WWW-Authenticate", c)
	}
	fail(w, 401, "UNAUTHORIZED", "authentication required")
}

func (g *registry) content(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/acme/web/")
	kind, name, _ := strings.Cut(rest, "/")
	m, found := g.manifests[name]
	switch {
	case r.URL.Path == "/v2/":
		fmt.Fprint(w, "{}")
	case !ok:
		fail(w, 404, "NAME_UNKNOWN", "repository name not known to registry")
	case kind == "manifests" && found:
		w.Header().Set("Content-Type", m.mediaType)
		w.Header().Set("Docker-Content-Digest", m.digest())
		fmt.Fprint(w, m.body)
	case kind == "blobs" && g.blobs[name] != nil:
		_, _ = w.Write(g.blobs[name])
	case kind == "tags":
		fmt.Fprintf(w, `{"name":"acme/web","tags":["%s"]}`, strings.Join(g.tags, `","`))
	default:
		fail(w, 404, "MANIFEST_UNKNOWN", "manifest unknown")
	}
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.NewEncoder(w).Encode(map[string][]item{"errors": {{code, message}}})
}

// outcomes are those of the attempts, then the anonymous one's.
func outcomes(a diagnosis.Answer) []diagnosis.Outcome {
	var out []diagnosis.Outcome
	for _, at := range a.Attempts {
		out = append(out, at.Outcome)
	}
	return append(out, a.Anonymous.Outcome)
}

// steps are the exchanges of an attempt, as "METHOD URL status".
func steps(at diagnosis.Attempt) []string {
	var out []string
	for _, x := range at.Exchanges {
		out = append(out, fmt.Sprintf("%s %s %d", x.Method, x.URL, x.Status))
	}
	return out
}

func last(at diagnosis.Attempt) diagnosis.Exchange { return at.Exchanges[len(at.Exchanges)-1] }
