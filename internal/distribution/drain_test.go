package distribution_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/access"
)

// TestDrain: new work is refused with the hint to come back, a push that is
// under way ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.pushBlob(t, tok, "a", emptyBlob)
	up := s.begin(t, tok, "a")
	cancelled := s.begin(t, tok, "a")
	s.handler.Drain()
	d := sum(emptyBlob)
	for _, c := range []struct{ method, target string }{
		{"GET", "/v2/"},
		{"GET", "/v2/a/blobs/" + d},
		{"HEAD", "/v2/a/blobs/" + d},
		{"GET", "/v2/a/manifests/t"},
		{"GET", "/v2/a/tags/list"},
		{"GET", "/v2/_catalog"},
		{"GET", "/v2/a/referrers/" + d},
		{"DELETE", "/v2/a/blobs/" + d},
		{"DELETE", "/v2/a/manifests/t"},
		{"POST", "/v2/a/blobs/uploads/"},
		{"POST", "/v2/a/blobs/uploads/?digest=" + d},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d + "&from=a"},
	} {
		a := s.do(t, c.method, c.target, call{token: tok, body: []byte("x")})
		want(t, a, 503, "Retry-After", "5")
		if c.method != "HEAD" {
			failed(t, a, 503, "TOOMANYREQUESTS")
		}
	}
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("lay")}), 202)
	want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-2")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("er")}), 202)
	want(t, s.do(t, "PUT", up+"?digest="+sum([]byte("layer")), call{token: tok}), 201)
	want(t, s.do(t, "DELETE", cancelled, call{token: tok}), 204)
	m := artifact("")
	want(t, s.do(t, "PUT", "/v2/a/manifests/t", call{token: tok, body: m, header: typed(imageType)}), 201)
	if !s.handler.Pushing() {
		t.Error("a push ended just now, and nothing is said to run")
	}
	// Strangers cannot keep a server from stopping.
	for deadline := time.Now().Add(5 * time.Second); s.handler.Pushing(); time.Sleep(50 * time.Millisecond) {
		want(t, s.do(t, "PUT", "/v2/a/manifests/t", call{}), 401)
		want(t, s.do(t, "PATCH", up, call{header: map[string]string{"Authorization": "Bearer x"}}), 401)
		if time.Now().After(deadline) {
			t.Fatal("strangers keep the server from stopping")
		}
	}
}

// TestPushing: a body that is being received is a push that runs.
func TestPushing(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	if s.handler.Pushing() {
		t.Error("a push runs before there was one")
	}
	tok := s.full(t, "a")
	want(t, s.do(t, "GET", "/v2/", call{token: tok}), 200)
	if s.handler.Pushing() {
		t.Error("a pull is no push")
	}
	up := s.begin(t, tok, "a")
	conn := s.dial(t)
	go func() {
		_, _ = conn.Write([]byte("PATCH " + up + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tok + "\r\nContent-Length: 10\r\n\r\n12345"))
	}()
	for range 12 { // longer than a pause between two requests may be
		time.Sleep(250 * time.Millisecond)
		if !s.handler.Pushing() {
			t.Fatal("a body is being received, and nothing is said to run")
		}
	}
	_ = conn.Close()
}

// TestWarnings have the specification's form and stay within its bound.
func TestWarnings(t *testing.T) {
	t.Parallel()
	texts := []string{"Your auth token will expire in 30 seconds.", `a "quoted" \ text`, "two\r\nX-Evil: lines"}
	s := start(t, config{warn: func(_ context.Context, _ access.Principal, write bool) []string {
		if !write {
			return []string{"signing in"}
		}
		return texts
	}})
	a := s.signIn(t, "token", s.secret)
	if diff := cmp.Diff([]string{`299 - "signing in"`}, a.header.Values("Warning")); diff != "" {
		t.Error(diff)
	}
	tok := s.full(t, "a")
	push := func() answer {
		return s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+sum([]byte("x")), call{token: tok, body: []byte("x")})
	}
	a = push()
	want(t, a, 201, "X-Evil", "")
	if diff := cmp.Diff([]string{`299 - "Your auth token will expire in 30 seconds."`, `299 - "a \"quoted\" \\ text"`, `299 - "two  X-Evil: lines"`}, a.header.Values("Warning")); diff != "" {
		t.Error(diff)
	}
	texts = nil
	for range 100 {
		texts = append(texts, strings.Repeat("w", 100))
	}
	values := push().header.Values("Warning")
	if n := len(strings.Join(values, "")); n > 4096 || n < 3800 {
		t.Errorf("%d bytes of warnings", n)
	}
	texts = []string{strings.Repeat("w", 5000)}
	if values := push().header.Values("Warning"); len(values) != 0 {
		t.Errorf("a warning of %d bytes", len(values[0]))
	}
	texts = []string{}
	if values := push().header.Values("Warning"); len(values) != 0 {
		t.Errorf("warned %q of nothing", values)
	}
}
