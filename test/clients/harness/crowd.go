package harness

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// StartCrowd runs a server behind a proxy that lets each request seem to come
// from another machine. The clients of a test share one address, and failed
// sign-ins are limited by address.
func StartCrowd(t testing.TB, flags ...string) *Server {
	t.Helper()
	s := Start(t, append([]string{"--trusted-proxies", "127.0.0.1"}, flags...)...)
	target, err := url.Parse(s.URL)
	check(t, err)
	var n atomic.Uint32
	proxy := &http.Server{
		ReadHeaderTimeout: startLimit,
		Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the address to ask for tokens at
			i := n.Add(1)
			r.Out.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", i>>8&0xff, i&0xff))
		}},
	}
	s.Host = serveProxy(t, proxy)
	s.URL = "http://" + s.Host
	return s
}

func serveProxy(t testing.TB, proxy *http.Server) string {
	t.Helper()
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(l) }()
	t.Cleanup(func() {
		_ = proxy.Close()
		<-done
	})
	return l.Addr().String()
}
