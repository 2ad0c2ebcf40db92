package controller_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestHangingRegistry: one that takes connections and never answers holds up
// its own policies and no others, however many they are.
func TestHangingRegistry(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c)
	hangs, asked := hanging(t)
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: hangs, annotations: {fairlead.dev/namespaces: '*'}}\nstringData: {url: 'http://%s', token: flt_x}\n", hangs)
	s.source(r, "cluster", "*")
	for i := range 20 {
		r.policyOf(fmt.Sprintf("p-%s-%d", r.Name, i), fmt.Sprintf("{host: %q, fairlead: {tokenSecret: hangs}}", hangs))
	}
	harness.Until(t, "it is asked", func() error {
		if n := asked.Load(); n < 4 {
			return fmt.Errorf("by %d policies", n)
		}
		return nil
	})
	start := time.Now()
	good := r.policyOf("p-"+r.Name, s.entry(""))
	r.condition(good, "CredentialsReady", "Ready")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("the token of another registry took %s", d)
	}
	if n := asked.Load(); n > 4 {
		t.Errorf("it was asked %d times", n)
	}
	harness.Until(t, "the others say that they wait", func() error {
		waiting := 0
		for i := range 20 {
			p := whole(fmt.Sprintf("p-%s-%d", r.Name, i))
			r.read(p)
			if c := meta.FindStatusCondition(p.Status.Conditions, "CredentialsReady"); c != nil && c.Reason == "CredentialPending" {
				waiting++
			}
		}
		if waiting != 16 {
			return fmt.Errorf("%d do", waiting)
		}
		return nil
	})
}

// hanging is the address of a server that never answers, with the number of
// connections that it took.
func hanging(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked := new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return l.Addr().String(), asked
}
