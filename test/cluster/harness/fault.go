package harness

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults is a proxy in front of a registry: what it is not told to spoil, it
// passes on.
type Faults struct {
	// Host is what clients call it: 127.0.0.1:PORT.
	Host string

	mu    sync.Mutex
	rules []*Fault
	seen  []string
}

// Fault is what happens to some requests, in place of their answer.
type Fault struct {
	// Method and Path say which: any method, any path if they are empty. Path
	// is a part of the request's: /manifests/, /token.
	Method, Path string
	// Times is how often, 0 for always.
	Times int

	// Status, Header and Body are the answer.
	Status int
	Header map[string]string
	Body   string
	// Hang lets the client wait until it gives up or the test ends, Close ends
	// the connection without an answer.
	Hang, Close bool
}

// StartFaults runs a proxy in front of a registry until the test ends. A
// registry that sends clients elsewhere for a token sends them past it.
func StartFaults(t testing.TB, host string) *Faults {
	t.Helper()
	f, l := listenFaults(t)
	f.serve(t, l, host)
	return f
}

// StartFairleadFaults runs a server that clients reach through the proxy only:
// the server's Host is the proxy's.
func StartFairleadFaults(t testing.TB) (*Fairlead, *Faults) {
	t.Helper()
	f, l := listenFaults(t)
	s := StartFairlead(t, "--public-url", "http://"+f.Host)
	f.serve(t, l, s.Host)
	s.Host, s.URL = f.Host, "http://"+f.Host
	return s, f
}

func listenFaults(t testing.TB) (*Faults, net.Listener) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &Faults{Host: l.Addr().String()}, l
}

func (f *Faults) serve(t testing.TB, l net.Listener, host string) {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: host}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // what it names as its own is the proxy
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: pass.ErrorLog, Handler: f.handler(pass, t.Context().Done())}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
}

// handler spoils what was chosen; nothing hangs longer than the test.
func (f *Faults) handler(pass http.Handler, ended <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fault := f.choose(r)
		switch {
		case fault == nil:
			pass.ServeHTTP(w, r)
		case fault.Hang:
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			panic(http.ErrAbortHandler)
		case fault.Close:
			panic(http.ErrAbortHandler)
		default:
			for key, value := range fault.Header {
				w.Header().Set(key, value)
			}
			w.WriteHeader(fault.Status)
			_, _ = io.WriteString(w, fault.Body)
		}
	}
}

// Fail spoils requests from now on, until undo is called. Of several faults
// the latest counts.
func (f *Faults) Fail(fault Fault) (undo func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rule := &fault
	f.rules = append(f.rules, rule)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(other *Fault) bool { return other == rule })
	}
}

// Seen are the requests so far, "GET /v2/" each; those spoiled, too.
func (f *Faults) Seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func (f *Faults) choose(r *http.Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r.Method+" "+r.URL.Path)
	for _, rule := range slices.Backward(f.rules) {
		if rule.Method != "" && rule.Method != r.Method || !strings.Contains(r.URL.Path, rule.Path) || rule.Times < 0 {
			continue
		}
		if rule.Times > 0 {
			if rule.Times--; rule.Times == 0 {
				rule.Times = -1 // used up
			}
		}
		chosen := *rule
		return &chosen
	}
	return nil
}

// trust is a client's settings for servers that an authority signed for.
func trust(ca string) (*tls.Config, error) {
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
