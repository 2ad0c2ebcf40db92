package distribution_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLongPushOutlivesItsToken: an expired registry token still ends what was
// begun under the same Fairlead token, and nothing else.
func TestLongPushOutlivesItsToken(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.tokenFor(t, "repository:a:pull,push")
	other := s.begin(t, s.full(t, "other"), "other")
	held := s.pushBlob(t, tok, "a", []byte("held"))
	up := s.begin(t, tok, "a")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("long ")}), http.StatusAccepted)

	s.clock.advance(lifetime + time.Minute)
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("push")}), http.StatusAccepted, "Range", "0-8")
	want(t, s.do(t, "GET", up, call{token: tok}), http.StatusNoContent, "Range", "0-8")
	for _, c := range []struct{ name, method, target, scope string }{
		{"begin another", "POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"},
		{"push a blob whole", "POST", "/v2/a/blobs/uploads/?digest=" + held, "repository:a:pull,push"},
		{"mount", "POST", "/v2/a/blobs/uploads/?mount=" + held + "&from=b", "repository:a:pull,push repository:b:pull"},
		{"put a manifest", "PUT", "/v2/a/manifests/t", "repository:a:pull,push"},
		{"read a blob", "GET", "/v2/a/blobs/" + held, "repository:a:pull"},
		{"look for a blob", "HEAD", "/v2/a/blobs/" + held, "repository:a:pull"},
		{"read a manifest", "GET", "/v2/a/manifests/t", "repository:a:pull"},
		{"list tags", "GET", "/v2/a/tags/list", "repository:a:pull"},
		{"delete", "DELETE", "/v2/a/blobs/" + held, "repository:a:delete"},
		{"ping", "GET", "/v2/", ""},
		{"an upload of a repository it has no push for", "PATCH", other, "repository:other:pull,push"},
	} {
		t.Run("may not "+c.name, func(t *testing.T) {
			a := s.do(t, c.method, c.target, call{token: tok})
			want(t, a, http.StatusUnauthorized)
			if got := challenge(t, a); got.Error != "invalid_token" || got.Scope != c.scope {
				t.Errorf("challenge %+v, want invalid_token for %q", got, c.scope)
			}
		})
	}
	want(t, s.do(t, "PUT", up+"?digest="+sum([]byte("long push")), call{token: tok}), http.StatusCreated)
	fresh := s.full(t, "a")
	if a := s.do(t, "GET", "/v2/a/blobs/"+sum([]byte("long push")), call{token: fresh}); string(a.body) != "long push" {
		t.Errorf("read %d %q", a.status, a.body)
	}
}

// TestRevocation: a rotated operator's token ends what was minted from it
// within two seconds, pulls and open uploads alike, and its uploads are
// nobody's.
func TestRevocation(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.watch(t)
	tok := s.full(t, "a")
	d := s.pushBlob(t, tok, "a", []byte("held"))
	up := s.begin(t, tok, "a")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("half")}), http.StatusAccepted)
	s.rotate(t)
	deadline := time.Now().Add(2 * time.Second)
	for s.do(t, "GET", "/v2/a/blobs/"+d, call{token: tok}).status == http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("a revoked token still pulls after two seconds")
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, c := range []struct{ method, target string }{
		{"GET", "/v2/"},
		{"GET", "/v2/a/blobs/" + d},
		{"HEAD", "/v2/a/blobs/" + d},
		{"GET", up},
		{"PATCH", up},
		{"PUT", up + "?digest=" + d},
		{"DELETE", up},
		{"POST", "/v2/a/blobs/uploads/"},
		{"PUT", "/v2/a/manifests/t"},
	} {
		a := s.do(t, c.method, c.target, call{token: tok})
		want(t, a, http.StatusUnauthorized)
		if got := challenge(t, a); got.Error != "invalid_token" {
			t.Errorf("%s %s: %+v", c.method, c.target, got)
		}
	}
	// The new token is another owner: CVE-2026-32589.
	fresh := s.full(t, "a")
	for _, c := range []struct{ method, target string }{{"GET", up}, {"PATCH", up}, {"PUT", up + "?digest=" + d}, {"DELETE", up}} {
		failed(t, s.do(t, c.method, c.target, call{token: fresh}), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	}
	want(t, s.do(t, "GET", "/v2/a/blobs/"+d, call{token: fresh}), http.StatusOK)
}

// TestRevocationInsideABody: a push and a pull that are under way end, too.
func TestRevocationInsideABody(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.watch(t)
	tok := s.full(t, "a")
	big := strings.Repeat("0123456789abcdef", 4<<20) // 64 MiB: more than sockets buffer
	d := s.pushBlob(t, tok, "a", []byte(big))
	up := s.begin(t, tok, "a")

	push := s.dial(t)
	_, _ = fmt.Fprintf(push, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000000\r\n\r\n", up, tok)
	pull := s.dial(t)
	_, _ = fmt.Fprintf(pull, "GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", d, tok)
	if _, err := io.ReadFull(pull, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	s.rotate(t)
	time.Sleep(1200 * time.Millisecond) // the server has noticed
	received := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, pull)
		received <- n
	}()
	ended := false
	for i := 0; i < 40 && !ended; i++ {
		_, err := push.Write([]byte("more"))
		_ = push.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		var b [12]byte
		n, _ := io.ReadFull(push, b[:])
		ended = err != nil || string(b[:n]) == "HTTP/1.1 401"
	}
	if !ended {
		t.Error("a revoked token still pushes after two seconds")
	}
	if n := <-received; n+1<<20 >= int64(len(big)) {
		t.Errorf("a revoked token pulled %d bytes to the end", n)
	}
}

// dial opens a connection for requests written by hand.
func (s *server) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}
