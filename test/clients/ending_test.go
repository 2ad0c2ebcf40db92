package clients

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"fairlead.dev/fairlead/test/clients/harness"
)

// begun is an upload that an account has open.
func begun(t *testing.T, s *harness.Server, repo string, token harness.Token) *upload {
	t.Helper()
	at := "/v2/" + repo + "/blobs/uploads/"
	credential := auth.Credential{Username: harness.User, Password: token.Value}
	u := &upload{t: t, s: s, authorization: s.AuthorizationAs(t, credential, http.MethodPost, at)}
	u.follow(u.send(http.MethodPost, at, nil, nil), http.StatusAccepted)
	return u
}

// TestLongPushOutlivesItsToken: what was begun before the token expired may be
// finished, in one long request and in further ones; nothing new may begin.
func TestLongPushOutlivesItsToken(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	// A registry token ends with it, and is taken for a grace of 5 s more.
	const life, long = 2 * time.Second, 9 * time.Second
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite", Expires: life.String()})
	u := begun(t, s, "acme/long", token)
	blob := harness.Random(270, 3<<20)
	want := digest.FromBytes(blob)

	// Paced: one piece after another, until the token has ended.
	half := len(blob) / 2
	r, w := io.Pipe()
	go func() {
		const pieces = 30
		for i := range pieces {
			if _, err := w.Write(blob[half*i/pieces : half*(i+1)/pieces]); err != nil {
				return
			}
			time.Sleep(long / pieces)
		}
		_ = w.Close()
	}()
	u.follow(u.stream(http.MethodPatch, u.location, r), http.StatusAccepted)
	u.follow(u.send(http.MethodPatch, u.location, blob[half:], nil), http.StatusAccepted)

	if answer := u.send(http.MethodPost, "/v2/acme/long/blobs/uploads/", nil, nil); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("beginning another upload with an expired token: %s", answer.Status)
	}
	at, err := url.Parse(u.location)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("digest", want.String())
	at.RawQuery = query.Encode()
	u.follow(u.send(http.MethodPut, at.String(), nil, nil), http.StatusCreated)
	code, got := s.Status(t, http.MethodGet, "/v2/acme/long/blobs/"+want.String(), nil, nil)
	if code != http.StatusOK || got != string(blob) {
		t.Errorf("reading the blob: %d, %d bytes", code, len(got))
	}
}

// TestRevokedPushStops: an upload that is under way ends within two seconds of
// its token's revocation, and cannot be gone on with.
func TestRevokedPushStops(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"})
	u := begun(t, s, "acme/long", token)

	answer := make(chan ended, 1)
	conn := u.trickle(answer)
	defer func() { _ = conn.Close() }()
	select {
	case e := <-answer:
		t.Fatalf("the upload ended before its token did: %s", e.said)
	case <-time.After(2500 * time.Millisecond): // longer than it may take to end
	}
	s.Revoke(t, token)
	revoked := time.Now()
	select {
	case e := <-answer:
		took := e.at.Sub(revoked)
		t.Logf("the upload ended %s after the revocation", took)
		if took > 2*time.Second || !strings.Contains(e.said, "was revoked") || !strings.HasPrefix(e.said, "HTTP/1.1 401 ") {
			t.Errorf("after %s the upload ended with %q, want 401 within 2 s that says it was revoked", took, e.said)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the upload goes on 10 s after its token was revoked")
	}
	for _, method := range []string{http.MethodGet, http.MethodPatch} {
		if got := u.send(method, u.location, nil, nil); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s on the upload with a revoked token: %s", method, got.Status)
		}
	}
}

// TestRevokedCranePush: the same with a real client, on a slow line.
func TestRevokedCranePush(t *testing.T) {
	t.Parallel()
	s := harness.StartSlow(t, 256<<10)
	s.Account(t, "acme", "acme")
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"})
	home := s.Home(t)
	login(t, home, s.Host, token.Value)
	mine := harness.Layout(t, harness.Image(t, 271, 1, 8<<20)) // half a minute
	said := make(chan ended, 1)
	c := home.Tool("crane")
	go func() {
		text, _ := c.Try(nil, "push", mine, s.Ref("acme/slow:v1"))
		said <- ended{time.Now(), text}
	}()
	for s.Begun("acme/slow") == 0 {
		select {
		case e := <-said:
			t.Fatalf("the push ended before its token did: %s", e.said)
		case <-time.After(50 * time.Millisecond):
		}
	}
	time.Sleep(time.Second)
	s.Revoke(t, token)
	revoked := time.Now()
	e := <-said
	t.Logf("crane ended %s after the revocation: %s", e.at.Sub(revoked), e.said)
	if !strings.Contains(e.said, "revoked") {
		t.Errorf("crane does not say that the token was revoked: %s", e.said)
	}
	s.Lacks(t, "acme/slow", "v1")
}

// ended is when and how something ended.
type ended struct {
	at   time.Time
	said string
}

// stream sends a body of unknown length.
func (u *upload) stream(method, at string, body io.Reader) *http.Response {
	u.t.Helper()
	request, err := http.NewRequestWithContext(u.t.Context(), method, at, body)
	if err != nil {
		u.t.Fatal(err)
	}
	request.Header.Set("Authorization", u.authorization)
	request.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		u.t.Fatal(err)
	}
	return answer
}

// trickle sends a chunk that never ends, and tells what the server answers.
// It is spoken by hand: clients of net/http may lose an answer that comes
// before the end of their body.
func (u *upload) trickle(answer chan<- ended) net.Conn {
	u.t.Helper()
	at, err := url.Parse(u.location)
	if err != nil {
		u.t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(u.t.Context(), "tcp", u.s.Host)
	if err != nil {
		u.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		at.RequestURI(), u.s.Host, u.authorization, 1<<30)
	if err != nil {
		u.t.Fatal(err)
	}
	go func() {
		for piece := bytes.Repeat([]byte("x"), 4096); ; time.Sleep(20 * time.Millisecond) {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
	}()
	go func() {
		b := make([]byte, 4096)
		n, err := io.ReadAtLeast(conn, b, 1)
		e := ended{time.Now(), string(b[:n])}
		if err != nil {
			e.said = err.Error()
		}
		answer <- e
	}()
	return conn
}
