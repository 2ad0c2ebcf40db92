package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/certificate"
)

// TestConnections: beyond a number connections are closed at once, and there is
// room again when others end.
func TestConnections(t *testing.T) {
	t.Parallel()
	h := &hook{k: &keeper{o: Options{Log: slog.New(slog.DiscardHandler)}}}
	kept, _, err := certificate.Renew(certificate.Kept{}, certificate.Options{Now: time.Now(), Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := kept.TLS()
	if err != nil {
		t.Fatal(err)
	}
	h.shown.Store(shown)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := h.server()
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer func() { _ = server.Close() }()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(kept.Bundle())
	dial := func() (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(t.Context(), "tcp", listener.Addr().String())
	}
	var open []net.Conn
	for range mostConnections {
		c, err := dial()
		if err != nil {
			t.Fatalf("connection %d: %v", len(open), err)
		}
		open = append(open, c)
	}
	if c, err := dial(); err == nil {
		_ = c.Close()
		t.Errorf("there are %d connections, and one more was made", len(open))
	}
	for _, c := range open {
		_ = c.Close()
	}
	way := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	for range 2 * mostConnections {
		var answer *http.Response
		for range 100 { // the server finds out that they ended
			if answer, err = (&http.Client{Transport: way}).Get("https://" + listener.Addr().String() + "/"); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("after the others ended: %v", err)
		}
		if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusNotFound {
			t.Fatalf("it answers %s by %s", answer.Status, answer.Proto)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}

// absent is an API where nothing is; it counts the looks.
type absent struct {
	client.Client
	looks int
}

func (a *absent) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	a.looks++
	return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, key.Name)
}

// TestSeen: a pod whose namespace never comes is waited for half a second, with
// few looks.
func TestSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nothing := &absent{}
		h := &hook{k: &keeper{o: Options{Now: time.Now}, client: nothing}}
		start := time.Now()
		if _, err := h.seen(t.Context(), "ns", "default"); !apierrors.IsNotFound(err) {
			t.Errorf("it says %v", err)
		}
		if d := time.Since(start); d < seenTime || d > seenTime+seenLast {
			t.Errorf("it took %s", d)
		}
		if nothing.looks < 5 || nothing.looks > 12 {
			t.Errorf("it looked %d times", nothing.looks)
		}
	})
}
