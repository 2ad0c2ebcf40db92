package controller_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// ended is for what is taken away after a test.
var ended = context.Background()

// proxy is the way to the API server for one controller. It takes down what is
// written, but events and leases, one write at a time, and can end the
// controller after one.
type proxy struct {
	kubeconfig string

	writing sync.Mutex
	mu      sync.Mutex
	seen    []write
	kill    *kill
	before  func(write) // is called before a write reaches the API server
}

// write is a request that changes something: "PATCH secrets/NAME" in a
// namespace, with the status of its answer.
type write struct {
	namespace, what string
	status          int
}

// kill ends a process once the API server answered the write number at; the
// process does not learn that it did. With first the write comes too late.
type kill struct {
	at    int
	first bool
	end   func()
	done  chan struct{} // closed once it was done
}

func startProxy(t *testing.T, c *harness.Kubernetes) *proxy {
	t.Helper()
	cfg, err := kube.Config(kube.Options{Kubeconfig: c.Kubeconfig, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	way, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	pass := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: way, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, changes := described(r)
		if !changes {
			pass.ServeHTTP(w, r)
			return
		}
		p.write(w, r, what, pass)
	}))
	s.Config.ErrorLog = pass.ErrorLog
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n", s.URL)
	if err := os.WriteFile(p.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// described tells writes from looks; who asks what it may do writes nothing.
func described(r *http.Request) (write, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var w write
	if i := slices.Index(parts, "namespaces"); i >= 0 && i+2 < len(parts) {
		w.namespace, parts = parts[i+1], parts[i+2:]
	} else if i := slices.Index(parts, "v1alpha1"); i >= 0 {
		parts = parts[i+1:]
	}
	w.what = r.Method + " " + strings.Join(parts, "/")
	return w, r.Method != http.MethodGet && parts[0] != "events" && parts[0] != "leases" && !strings.HasSuffix(w.what, "accessreviews")
}

// write passes one on, alone, and ends the controller if it is this one's turn.
func (p *proxy) write(w http.ResponseWriter, r *http.Request, what write, pass http.Handler) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	k := p.kill
	turn := k != nil && len(p.seen)+1 == k.at
	if turn {
		p.kill = nil
	}
	p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if p.before != nil {
		p.before(what)
	}
	if turn && k.first {
		k.end()
		close(k.done)
		panic(http.ErrAbortHandler)
	}
	// It reaches the API server, whatever becomes of who sent it.
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	pass.ServeHTTP(answer, r)
	what.status = answer.Code
	p.mu.Lock()
	p.seen = append(p.seen, what)
	p.mu.Unlock()
	if turn {
		k.end()
		close(k.done)
		panic(http.ErrAbortHandler)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// writes are those so far that contain a text.
func (p *proxy) writes(text string) (out []write) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.seen {
		if strings.Contains(w.what, text) {
			out = append(out, w)
		}
	}
	return out
}

// plan a kill after the write that is number n from now on, before it if n is
// below zero.
func (p *proxy) plan(n int, end func()) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kill = &kill{len(p.seen) + max(n, -n), n < 0, end, make(chan struct{})}
	return p.kill.done
}

// freeAddress is one of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
