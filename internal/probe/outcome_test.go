package probe_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/probe"
)

// TestHostDoesNotAnswer: why not is told by the anonymous attempt; those with
// credentials are skipped, and nothing secret was sent.
func TestHostDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start func(t *testing.T, w *world)
		want  diagnosis.Outcome
	}{
		"unknown CA": {func(t *testing.T, w *world) {
			other := newWorld(t)
			w.serveAs("registry.test", tiny().serve, other.issue("registry.test", nil))
		}, diagnosis.UnknownCA},
		"expired": {func(_ *testing.T, w *world) {
			w.serveAs("registry.test", tiny().serve, w.issue("registry.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }))
		}, diagnosis.BadTLS},
		"another name": {func(_ *testing.T, w *world) {
			w.serveAs("registry.test", tiny().serve, w.issue("other.test", nil))
		}, diagnosis.BadTLS},
		"plain HTTP": {func(_ *testing.T, w *world) { w.plain("registry.test:443", tiny().serve) }, diagnosis.PlainHTTP},
		"closed port": {func(t *testing.T, w *world) {
			l := listen(t)
			w.at["registry.test:443"] = l.Addr().String()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}, diagnosis.Refused},
		"hangs in TLS":     {func(t *testing.T, w *world) { w.at["registry.test:443"] = raw(t, nil) }, diagnosis.Timeout},
		"hangs up":         {func(t *testing.T, w *world) { w.at["registry.test:443"] = raw(t, func(c net.Conn) { _ = c.Close() }) }, diagnosis.Unreachable},
		"neither TLS":      {func(t *testing.T, w *world) { w.at["registry.test:443"] = raw(t, say("SSH-2.0-OpenSSH_9.2\r\n")) }, diagnosis.BadTLS},
		"hangs in HTTP":    {func(t *testing.T, w *world) { w.serve("registry.test", hang) }, diagnosis.Timeout},
		"no HTTP":          {func(_ *testing.T, w *world) { w.old = true; w.serve("registry.test", noHTTP) }, diagnosis.ServerError},
		"hangs up in HTTP": {func(_ *testing.T, w *world) { w.old = true; w.serve("registry.test", hangUp) }, diagnosis.Unreachable},
		"no route":         {func(*testing.T, *world) {}, diagnosis.Unreachable},
		"hangs in a body":  {func(_ *testing.T, w *world) { w.serve("registry.test", hangInBody) }, diagnosis.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.start(t, w)
			limit := 10 * time.Second
			if c.want == diagnosis.Timeout {
				limit = 300 * time.Millisecond
			}
			p := probe.New(probe.Options{CA: w.pool, Dial: w.dial, Timeout: limit})
			defer p.Close()
			begun := time.Now()
			a := p.Ask(t.Context(), image(t, "registry.test", "v1"), []probe.Credential{good}, diagnosis.Platform{})
			w.check(a)
			if a.Anonymous.Outcome != c.want || a.Attempts[0].Outcome != diagnosis.Skipped || a.Ping.Error == "" || len(a.Attempts[0].Exchanges) != 0 {
				t.Errorf("%+v", a)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			w.secretless("registry.test", len(w.requests("registry.test")) > 0)
		})
	}
}

// TestPlainHTTPIsNotAsked: nothing but a TLS hello goes to a server without
// TLS that is not on loopback.
func TestPlainHTTPIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plain("registry.test:443", tiny().serve)
	w.plain("registry.test:80", tiny().serve)
	if a := w.ask("v1", good); a.Scheme != "https" || len(w.all()) != 0 {
		t.Errorf("%s, %+v", a.Scheme, w.all())
	}
}

// TestNames: what the resolver says is told apart.
func TestNames(t *testing.T) {
	t.Parallel()
	for rcode, want := range map[byte]diagnosis.Outcome{3: diagnosis.NoHost, 2: diagnosis.Unreachable} {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", nameServer(t, rcode))
		}}
		p := probe.New(probe.Options{Dial: (&net.Dialer{Resolver: resolver}).DialContext})
		defer p.Close()
		if a := p.Ask(t.Context(), image(t, "nowhere.test", "v1"), nil, diagnosis.Platform{}); a.Anonymous.Outcome != want {
			t.Errorf("rcode %d: %s %q", rcode, a.Anonymous.Outcome, a.Ping.Error)
		}
	}
}

// TestOddHosts are not dialled.
func TestOddHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, host := range []string{"", "a/b", "user@registry.test", "registry.test?x", "registry.test#x", ":443", "reg istry", "[::1", "registry.test:port"} {
		a := w.prober().Ask(t.Context(), image(t, host, "v1"), []probe.Credential{good}, diagnosis.Platform{})
		if a.Anonymous.Outcome != diagnosis.NoHost || a.Ping.Error == "" || a.Attempts[0].Outcome != diagnosis.Skipped {
			t.Errorf("%q: %+v", host, a)
		}
	}
}

// TestLoopback: TLS that nobody checks, then plain HTTP; a port that says
// which is believed.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host        string
		tls         bool
		wantScheme  string
		wantOutcome diagnosis.Outcome
	}{
		{"localhost:5000", false, "http", diagnosis.Pulls},
		{"localhost:5000", true, "https", diagnosis.Pulls},
		{"127.9.9.9:5000", false, "http", diagnosis.Pulls},
		{"[::1]:5000", false, "http", diagnosis.Pulls},
		{"LOCALHOST:5000", false, "http", diagnosis.Pulls},
		{"localhost:80", false, "http", diagnosis.Pulls},
		{"localhost", false, "https", diagnosis.PlainHTTP},
		{"localhost:443", false, "https", diagnosis.PlainHTTP},
		{"localhost.test:5000", false, "https", diagnosis.PlainHTTP},
		{"127.0.0.1.test:5000", false, "https", diagnosis.PlainHTTP},
		{"10.0.0.1:5000", false, "https", diagnosis.PlainHTTP},
		{"example.com:5000", true, "https", diagnosis.UnknownCA},
	} {
		w := newWorld(t)
		g := tiny()
		g.realm = c.wantScheme + "://" + c.host + "/token"
		w.plain(c.host, g.serve)
		if !strings.Contains(strings.TrimPrefix(c.host, "[::1]"), ":") {
			w.plain(c.host+":443", g.serve)
		}
		if c.tls {
			s := w.server(g.serve)
			s.StartTLS() // with a certificate that nobody here trusts
			w.at[c.host] = s.Listener.Addr().String()
		}
		a := w.prober().Ask(t.Context(), image(t, c.host, "v1"), []probe.Credential{good}, diagnosis.Platform{})
		w.check(a)
		got := a.Attempts[0].Outcome
		if got == diagnosis.Skipped {
			got = a.Anonymous.Outcome
		}
		if a.Scheme != c.wantScheme || got != c.wantOutcome {
			t.Errorf("%s, TLS %t: %s %s %q", c.host, c.tls, a.Scheme, got, a.Ping.Error)
		}
	}
}

// TestHangingEndpoints: each request has its time, and all of them together.
func TestHangingEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := tiny()
	g.first = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			hang(rw, r)
			return true
		}
		return false
	}
	w.serve("registry.test", g.serve)
	creds := make([]probe.Credential, 40)
	for i := range creds {
		creds[i] = good
	}
	p := probe.New(probe.Options{CA: w.pool, Dial: w.dial, Timeout: 200 * time.Millisecond, Whole: 700 * time.Millisecond})
	defer p.Close()
	begun := time.Now()
	a := p.Ask(t.Context(), image(t, "registry.test", "v1"), creds, diagnosis.Platform{})
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, o := range outcomes(a) {
		if o != diagnosis.Timeout {
			t.Errorf("%s", o)
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hangInBody(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "{")
	_ = http.NewResponseController(w).Flush()
	hang(w, r)
}

// noHTTP answers what is none.
func noHTTP(w http.ResponseWriter, r *http.Request) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		say("+OK ready\r\n\r\n")(c)
	}
}

func hangUp(w http.ResponseWriter, r *http.Request) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

func challenges(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := range n {
			w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://evil%d.test/token"`, i))
		}
		w.WriteHeader(401)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// raw runs a server that handles connections itself; nil never answers.
func raw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			if handle != nil {
				go handle(c)
			}
		}
	}()
	return l.Addr().String()
}

func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

// nameServer answers every question with a code of error.
func nameServer(t *testing.T, rcode byte) string {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			// The question comes back as an answer, without its additions.
			b[2], b[3] = 0x81, 0x80|rcode
			end := 12
			for b[end] != 0 && end < n {
				end += int(b[end]) + 1
			}
			binary.BigEndian.PutUint16(b[10:], 0)
			_, _ = c.WriteTo(b[:end+5], from)
		}
	}()
	return c.LocalAddr().String()
}
