package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/certificate"
	"fairlead.dev/fairlead/internal/pullplan"
)

// TestConnections: for one connection beyond a number the one goes that did
// nothing for longest, so that who holds them all shuts nobody out; one at work
// stays.
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
	var served atomic.Int64
	bound := server.ConnState
	server.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			served.Add(1)
		}
		bound(c, s)
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer func() { _ = server.Close() }()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(kept.Bundle())
	dial := func() (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(t.Context(), "tcp", listener.Addr().String())
	}
	ask := func(way *http.Transport) {
		t.Helper()
		answer, err := (&http.Client{Transport: way}).Get("https://" + listener.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusNotFound {
			t.Fatalf("it answers %s by %s", answer.Status, answer.Proto)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	transport := func() *http.Transport {
		return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	}
	var open []net.Conn
	for range mostConnections {
		c, err := dial()
		if err != nil {
			t.Fatalf("connection %d: %v", len(open), err)
		}
		defer func() { _ = c.Close() }()
		open = append(open, c)
	}
	lasting := transport()
	ask(lasting)
	if n, err := open[0].Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the connection that did nothing for longest is open")
	}
	for range 2 * mostConnections { // the rest of those that are held, and more
		once := transport()
		ask(once)
		ask(lasting)
		defer once.CloseIdleConnections()
	}
	if n := served.Load(); n != 3*mostConnections+1 {
		t.Errorf("%d connections were made, want %d: one at work was closed", n, 3*mostConnections+1)
	}
}

// TestHopeless: a pod is to name a secret whose token is still awaited, also if
// its registry cannot be reached now, or another's refused; not one that was
// refused, unless that was for another spec.
func TestHopeless(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		observed int64
		reasons  []pullplan.Reason
		want     string
	}{
		"unknown":       {0, nil, "pull"},
		"unreachable":   {7, []pullplan.Reason{pullplan.RegistryUnreachable, pullplan.RegistryUnreachable}, "pull"},
		"not written":   {7, []pullplan.Reason{reasonWriteFailed, ""}, "pull"},
		"one refused":   {7, []pullplan.Reason{pullplan.RegistryRefused, pullplan.CredentialPending}, "pull"},
		"both refused":  {7, []pullplan.Reason{pullplan.RegistryRefused, pullplan.SourceMalformed}, ""},
		"before a spec": {6, []pullplan.Reason{pullplan.RegistryRefused, pullplan.RegistryRefused}, "pull"},
	} {
		o := &v1alpha1.ClusterPullSecret{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 7}}
		o.Spec.SecretName = "pull"
		o.Status.ObservedGeneration = one.observed
		for _, why := range one.reasons {
			o.Status.Registries = append(o.Status.Registries, v1alpha1.RegistryStatus{Reason: string(why)})
		}
		p := clusterPolicy(o)
		v := view{policies: []policy{p}, State: pullplan.State{
			Now: noon, Permitted: []string{"pull"}, Namespace: pullplan.Namespace{Name: "ns"}, Policies: []pullplan.Policy{p.plain()},
		}}
		for _, host := range []string{"a.example", "b.example"} {
			v.Policies[0].Registries = append(v.Policies[0].Registries, pullplan.Registry{Host: host, Credential: pullplan.Credential{
				Reason: pullplan.CredentialPending, Keep: true, Allows: func(string) bool { return true },
			}})
		}
		hopeless(&v)
		if got := strings.Join(pullplan.ForPod(v.State, pullplan.Pod{Account: "default"}), ","); got != one.want {
			t.Errorf("%s: a pod gets %q, want %q", name, got, one.want)
		}
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
