package clients

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"fairlead.dev/fairlead/test/clients/harness"
)

// TestResume pushes a blob whose connection is cut in the middle, asks how
// much arrived, sends the rest and reads the whole back.
func TestResume(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	const repo = "team/resume"
	blob := harness.Random(140, 24<<20)
	cut := len(blob) * 2 / 3
	u := &upload{t: t, s: s, authorization: s.Authorization(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/")}

	u.follow(u.send(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, nil), http.StatusAccepted)
	u.patchAndCut(blob, cut)
	offset := u.settle(cut)
	if offset == 0 {
		t.Fatalf("of %d bytes that were sent before the cut none arrived", cut)
	}
	t.Logf("%d bytes were sent before the cut, %d arrived", cut, offset)

	// A chunk that does not begin where the last one ended is refused, and
	// the answer says where to go on.
	answer := u.send(http.MethodPatch, u.location, blob[offset+1:], http.Header{"Content-Range": {fmt.Sprintf("%d-%d", offset+1, len(blob)-1)}})
	if answer.StatusCode != http.StatusRequestedRangeNotSatisfiable || answer.Header.Get("Range") != fmt.Sprintf("0-%d", offset-1) {
		t.Errorf("a chunk with a gap: %s, Range %q", answer.Status, answer.Header.Get("Range"))
	}
	// The same cut again, at another place; then the rest in two chunks.
	u.patchAndCut(blob[offset:], (len(blob)-offset)/2)
	offset = u.settle(offset + (len(blob)-offset)/2)
	middle := offset + (len(blob)-offset)/2
	for _, end := range []int{middle, len(blob)} {
		u.follow(u.send(http.MethodPatch, u.location, blob[offset:end], http.Header{"Content-Range": {fmt.Sprintf("%d-%d", offset, end-1)}}), http.StatusAccepted)
		offset = end
	}
	want := digest.FromBytes(blob)
	at, err := url.Parse(u.location)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("digest", want.String())
	at.RawQuery = query.Encode()
	u.follow(u.send(http.MethodPut, at.String(), nil, nil), http.StatusCreated)

	code, got := s.Status(t, http.MethodGet, "/v2/"+repo+"/blobs/"+want.String(), nil, nil)
	if code != http.StatusOK || digest.FromString(got) != want {
		t.Errorf("reading the blob: %d, %d bytes of digest %s, want %s", code, len(got), digest.FromString(got), want)
	}
}

// upload is one upload session, spoken by hand.
type upload struct {
	t             *testing.T
	s             *harness.Server
	authorization string
	location      string
}

func (u *upload) send(method, at string, body []byte, header http.Header) *http.Response {
	u.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = u.s.URL + at
	}
	request, err := http.NewRequestWithContext(u.t.Context(), method, at, bytes.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	for key, values := range header {
		request.Header[key] = values
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

// follow checks the status and keeps the Location for the next request.
func (u *upload) follow(answer *http.Response, want int) {
	u.t.Helper()
	if answer.StatusCode != want {
		u.t.Fatalf("%s %s: %s, want %d", answer.Request.Method, answer.Request.URL.Path, answer.Status, want)
	}
	at, err := answer.Location()
	if err != nil {
		u.t.Fatalf("%s %s: %v", answer.Request.Method, answer.Request.URL.Path, err)
	}
	u.location = at.String()
}

// patchAndCut promises all of body, sends n bytes of it and resets the
// connection.
func (u *upload) patchAndCut(body []byte, n int) {
	u.t.Helper()
	at, err := url.Parse(u.location)
	if err != nil {
		u.t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(u.t.Context(), "tcp", u.s.Host)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	head := fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		at.RequestURI(), u.s.Host, u.authorization, len(body))
	if _, err := io.WriteString(conn, head); err != nil {
		u.t.Fatal(err)
	}
	if _, err := conn.Write(body[:n]); err != nil {
		u.t.Fatalf("sending the first %d bytes: %v", n, err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		u.t.Fatal(err)
	}
}

// settle asks for the offset until it stays the same; at most sent.
func (u *upload) settle(sent int) int {
	u.t.Helper()
	last := -1
	for range 50 {
		answer := u.send(http.MethodGet, u.location, nil, nil)
		u.follow(answer, http.StatusNoContent)
		offset := 0
		if end, found := strings.CutPrefix(answer.Header.Get("Range"), "0-"); found && end != "0" {
			n, err := strconv.Atoi(end)
			if err != nil {
				u.t.Fatalf("Range is %q", answer.Header.Get("Range"))
			}
			offset = n + 1
		}
		if offset > sent {
			u.t.Fatalf("the server has %d bytes, only %d were sent", offset, sent)
		}
		if offset == last {
			return offset
		}
		last = offset
		time.Sleep(200 * time.Millisecond)
	}
	u.t.Fatal("the offset never settled")
	return 0
}
