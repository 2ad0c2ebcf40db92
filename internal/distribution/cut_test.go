package distribution_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
)

// TestConnectionCutInABody: what arrived before the cut counts, the upload
// goes on from there, and the commit verifies the whole.
func TestConnectionCutInABody(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	const sent = 120_000
	for _, c := range []struct{ name, head string }{
		{"PATCH", "Content-Length: 200000"},
		{"PATCH with Content-Range", "Content-Range: 0-199999\r\nContent-Length: 200000"},
		{"streamed PATCH", "Transfer-Encoding: chunked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, config{})
			tok := s.full(t, "a")
			up := s.begin(t, tok, "a")
			conn := s.dial(t)
			_, _ = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", up, tok, c.head)
			if strings.HasPrefix(c.head, "Transfer") {
				_, _ = fmt.Fprintf(conn, "%x\r\n", len(content))
			}
			if _, err := conn.Write(content[:sent]); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			stands := s.settled(t, tok, up)
			if stands != sent {
				t.Errorf("the upload stands at %d, %d arrived", stands, sent)
			}
			rest := octets("Content-Range", fmt.Sprintf("%d-%d", stands, len(content)-1))
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content[stands:], header: rest}), 202)
			want(t, s.do(t, "PUT", up+"?digest="+sum(content), call{token: tok}), 201)
			if a := s.do(t, "GET", "/v2/a/blobs/"+sum(content), call{token: tok}); !bytes.Equal(a.body, content) {
				t.Error("other bytes come back")
			}
		})
	}
}

// settled waits until the upload has moved and stands still, and says where.
func (s *server) settled(t *testing.T, tok, up string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a := s.do(t, "GET", up, call{token: tok})
		want(t, a, 204)
		var end int
		if _, err := fmt.Sscanf(a.header.Get("Range"), "0-%d", &end); err != nil {
			t.Fatal(err)
		}
		if end > 0 || time.Now().After(deadline) {
			return end + 1
		}
	}
}

// TestCutLeavesNothingOfOneRequest: a blob pushed in one POST that is cut off
// leaves neither bytes nor rows.
func TestCutLeavesNothingOfOneRequest(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	before := s.state(t)
	for _, head := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		conn := s.dial(t)
		_, _ = fmt.Fprintf(conn, "POST /v2/a/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", sum([]byte("x")), tok, head)
		_, _ = io.WriteString(conn, "3e8\r\nsome")
		time.Sleep(50 * time.Millisecond)
		_ = conn.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); s.state(t) != before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left behind:\n%s", s.state(t))
		}
	}
}

// TestContentLengthShorter: only the announced bytes are the chunk; what
// follows is another request, and none.
func TestContentLengthShorter(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	conn := s.dial(t)
	_, _ = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 4\r\n\r\n0123456789\r\n\r\n", up, tok)
	in := bufio.NewReader(conn)
	first, err := http.ReadResponse(in, nil)
	if err != nil || first.StatusCode != 202 || first.Header.Get("Range") != "0-3" {
		t.Fatalf("first answer %+v, %v", first, err)
	}
	_ = first.Body.Close()
	second, err := http.ReadResponse(in, nil)
	if err != nil || second.StatusCode != 400 {
		t.Fatalf("second answer %+v, %v", second, err)
	}
	_ = second.Body.Close()
	want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-3")
}

// TestStalledBodies: who stops sending is given up, whoever it is, on every
// route, and the answer says why where there is somebody to read it.
func TestStalledBodies(t *testing.T) {
	t.Parallel()
	s := start(t, config{patience: 300 * time.Millisecond})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	auth := "Authorization: Bearer " + tok + "\r\n"
	for _, c := range []struct {
		name, line, head string
		status           int // 0: any answer below 500, or none
	}{
		{"PATCH", "PATCH " + up, auth, 400},
		{"PUT of a manifest", "PUT /v2/a/manifests/t", auth + "Content-Type: " + imageType + "\r\n", 400},
		{"POST of a blob", "POST /v2/a/blobs/uploads/?digest=" + sum(nil), auth, 400},
		{"token form", "POST /token", "Content-Type: application/x-www-form-urlencoded\r\n", 400},
		{"body of a GET", "GET /v2/", auth, 0},
		{"body of a stranger", "GET /v2/", "", 0},
		{"body of an unknown route", "POST /v2/nothing", "", 0},
		{"manifest of a stranger", "PUT /v2/a/manifests/t", "", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t)
			_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 1000\r\n\r\nonly this", c.line, c.head)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			b, err := io.ReadAll(conn)
			if err != nil {
				t.Fatalf("the connection is still open: %v after %q", err, b)
			}
			if c.status != 0 && !strings.HasPrefix(string(b), fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
				t.Errorf("answered %q", b)
			}
			if strings.HasPrefix(string(b), "HTTP/1.1 5") {
				t.Errorf("answered %q", b)
			}
		})
	}
}

// TestSlowButSteady: a body that keeps coming is not given up, and a commit
// may take longer than a client may pause.
func TestSlowButSteady(t *testing.T) {
	t.Parallel()
	s := start(t, config{patience: 300 * time.Millisecond})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	conn := s.dial(t)
	_, _ = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\n", up, tok)
	for range 10 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 202 || resp.Header.Get("Range") != "0-9" {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = resp.Body.Close()
	// The deadline of the body must not outlive it: this connection rests
	// longer than a client may pause, and is then used again.
	time.Sleep(500 * time.Millisecond)
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", up, tok)
	resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 204 {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

// TestCommitMayTakeLong: how long a client may pause says nothing of how long
// the server may take once it has the whole body.
func TestCommitMayTakeLong(t *testing.T) {
	t.Parallel()
	seen := make(chan error, 3)
	s := start(t, config{patience: 100 * time.Millisecond, warn: func(ctx context.Context, _ access.Principal, write bool) []string {
		if write {
			time.Sleep(300 * time.Millisecond)
			seen <- ctx.Err()
		}
		return nil
	}})
	tok := s.full(t, "a")
	want(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+sum(emptyBlob), call{token: tok, body: emptyBlob}), 201)
	want(t, s.do(t, "PUT", "/v2/a/manifests/t", call{token: tok, body: artifact(""), header: map[string]string{"Content-Type": imageType}}), 201)
	want(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+sum([]byte("s")), call{token: tok, body: []byte("s"), chunked: true}), 201)
	for range cap(seen) {
		if err := <-seen; err != nil {
			t.Errorf("the request was given up while the server worked: %v", err)
		}
	}
}

// TestAnswerAfterALongBody: a body that takes longer than answers may is
// answered all the same.
func TestAnswerAfterALongBody(t *testing.T) {
	t.Parallel()
	s := start(t, config{answer: 300 * time.Millisecond})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\n", up, tok)
	for range 10 {
		time.Sleep(60 * time.Millisecond)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 202 {
		t.Errorf("PATCH: %s", res.Status)
	}
}
