package attach_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// minter is a cluster's token that makes others.
type minter struct {
	*client.Client
	id, value string
}

// minting makes one as attach does.
func minting(t *testing.T, r *harness.Fairlead, cluster string) minter {
	t.Helper()
	var made struct{ ID, Value string }
	r.Manage(t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "description": cluster, "cluster": cluster, "nonExpiring": true}, &made)
	c, err := client.New(client.Options{Server: r.URL, Token: func() (string, error) { return made.Value, nil }, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return minter{c, made.ID, made.Value}
}

// mint makes a token that lives for a year; its name tells nothing of attach.
func (m minter) mint(t *testing.T) (v1.TokenValue, error) {
	return m.AddToken(t.Context(), v1.TokenSpec{Access: "readonly", Expires: "365d", Description: "spare"}, "")
}

// TestDetachHostile: a cluster that makes tokens all the while, and holds a
// request open that was let in, has none when it is detached.
func TestDetachHostile(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	m := minting(t, s.regional, "prod")
	for range 20 {
		if _, err := m.mint(t); err != nil {
			t.Fatal(err)
		}
	}
	held := m.hold(t, s.regional.URL)
	ended := make(chan error)
	go func() {
		for {
			if _, err := m.mint(t); err != nil {
				ended <- err
				return
			}
		}
	}()
	r := s.ns.Fairlead(0, "cluster", "detach", "prod", "--registry-only", "--registry", s.regional.URL, "--force")
	var no *client.Error
	if err := <-ended; !errors.As(err, &no) || no.Status != http.StatusUnauthorized {
		t.Errorf("its last token was refused with %v", err)
	}
	if status := held(); status != http.StatusUnauthorized {
		t.Errorf("the request that it held is answered %d", status)
	}
	if n := s.active(s.regional); n != 0 {
		t.Errorf("%d tokens of it are good after %+v", n, r)
	}
}

// hold begins a request for a token, whose body the server waits for; go on
// sends that.
func (m minter) hold(t *testing.T, server string) (goOn func() int) {
	t.Helper()
	body, to := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/api/v1/tokens", body)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("token", m.value)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue") // the server says so once it let the request in
	status := make(chan int, 1)
	go func() {
		answer, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(request)
		if err != nil {
			status <- 0
			return
		}
		_ = answer.Body.Close()
		status <- answer.StatusCode
	}()
	if _, err := to.Write([]byte("{")); err != nil { // taken when the server asks for it
		t.Fatal(err)
	}
	return func() int {
		if _, err := to.Write([]byte(`"access":"readonly","nonExpiring":true}`)); err != nil {
			t.Error(err)
		}
		_ = to.Close()
		return <-status
	}
}

// TestDetachOrder: what can make tokens ends first, so that a detach that stops
// half way leaves nothing that grows.
func TestDetachOrder(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	front, faults := harness.StartFairleadFaults(t)
	front.Account(t, "acme", "acme-web")
	s.signIn(front, "acme", "")
	m := minting(t, front, "prod")
	made, err := m.mint(t)
	if err != nil {
		t.Fatal(err)
	}
	undo := faults.Fail(harness.Fault{Method: "DELETE", Path: "/api/v1/tokens/" + made.ID, Status: 503, Body: `{"title":"away","status":503}`})
	detach := []string{"cluster", "detach", "prod", "--registry-only", "--registry", front.URL, "--force"}
	if r := s.ns.Fairlead(1, detach...); !strings.Contains(r.Stdout, "The token "+m.id+" of "+front.URL+" is revoked.") || s.active(front) != 1 {
		t.Errorf("half way it says %+v", r)
	}
	if _, err := m.mint(t); err == nil {
		t.Error("it makes tokens half way")
	}
	undo()
	if r := s.ns.Fairlead(0, detach...); !strings.Contains(r.Stdout, "1 token of "+front.URL+" that the controller made: revoked.") || s.active(front) != 0 {
		t.Errorf("given again it says %+v", r)
	}
}
