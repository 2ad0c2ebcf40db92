package harness

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// StartCrowd runs a server behind a proxy that lets each request seem to come
// from another machine. The clients of a test share one address, and failed
// sign-ins are limited by address.
func StartCrowd(t testing.TB, flags ...string) *Server {
	t.Helper()
	s, l := startBehind(t, append(flags, "--trusted-proxies", "127.0.0.1"))
	target := &url.URL{Scheme: "http", Host: s.Host}
	var n atomic.Uint32
	proxy := &http.Server{
		ReadHeaderTimeout: startLimit,
		Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			i := n.Add(1)
			r.Out.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", i>>8&0xff, i&0xff))
		}},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = proxy.Serve(l) })
	t.Cleanup(func() {
		_ = proxy.Close()
		serving.Wait()
	})
	s.reachedBy(l)
	return s
}

// startBehind runs a server that clients will reach by the listener's address:
// it names its token endpoint there.
func startBehind(t testing.TB, flags []string) (*Server, net.Listener) {
	t.Helper()
	l := listen(t)
	return Start(t, append(flags, "--public-url", "http://"+l.Addr().String())...), l
}

func (s *Server) reachedBy(l net.Listener) {
	s.Host = l.Addr().String()
	s.URL = "http://" + s.Host
}
