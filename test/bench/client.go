package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// conn is one connection of a client that costs little: requests are written
// as bytes, answers are read by net/http's parser.
type conn struct {
	c    net.Conn
	r    *bufio.Reader
	host string
	auth string
	head []byte
	sink []byte
}

func dial(ctx context.Context, t *target) (*conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.host)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.name, err)
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 16<<10), host: t.host, auth: t.auth, sink: make([]byte, 1<<20)}, nil
}

// dialAll makes n connections.
func dialAll(ctx context.Context, t *target, n int) ([]*conn, error) {
	var all []*conn
	for range n {
		c, err := dial(ctx, t)
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(all []*conn) error {
	var err error
	for _, c := range all {
		err = errors.Join(err, c.c.Close())
	}
	return err
}

// request is what do sends.
type request struct {
	method, path string
	kind         string // Content-Type
	body         []byte
	keep         bool // the answer's body is wanted
}

// answer is what came back; its body was read to the end.
type answer struct {
	status int
	header http.Header
	size   int64
	body   []byte
}

// do sends a request and reads its answer, which must have the status want.
func (c *conn) do(r request, want int) (answer, error) {
	a, err := c.send(r)
	if err != nil {
		return a, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if a.status != want {
		return a, fmt.Errorf("%s %s: status %d, want %d: %s", r.method, r.path, a.status, want, a.body)
	}
	return a, nil
}

func (c *conn) send(r request) (answer, error) {
	h := c.head[:0]
	h = append(h, r.method+" "+r.path+" HTTP/1.1\r\nHost: "+c.host+"\r\n"...)
	if c.auth != "" {
		h = append(h, "Authorization: "+c.auth+"\r\n"...)
	}
	if r.method == http.MethodGet || r.method == http.MethodHead {
		h = append(h, "Accept: "+accepted+"\r\n"...)
	}
	if r.kind != "" {
		h = append(h, "Content-Type: "+r.kind+"\r\n"...)
	}
	if r.method != http.MethodGet && r.method != http.MethodHead {
		h = strconv.AppendInt(append(h, "Content-Length: "...), int64(len(r.body)), 10)
		h = append(h, "\r\n"...)
	}
	h = append(h, "\r\n"...)
	c.head = h
	out := net.Buffers{h, r.body}
	if _, err := out.WriteTo(c.c); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: r.method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if r.keep || a.status >= 400 {
		a.body, err = io.ReadAll(resp.Body)
		a.size = int64(len(a.body))
		return a, err
	}
	for {
		n, err := resp.Body.Read(c.sink)
		a.size += int64(n)
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
	}
}

// get reads something of a known length.
func (c *conn) get(path string, size int) error {
	a, err := c.do(request{method: http.MethodGet, path: path}, http.StatusOK)
	if err == nil && a.size != int64(size) {
		err = fmt.Errorf("GET %s: %d bytes, want %d", path, a.size, size)
	}
	return err
}

// style is how a blob is pushed.
type style int

const (
	patched style = iota // POST, PATCH, PUT, as docker does
	whole                // POST, PUT with the body
)

const octets = "application/octet-stream"

func (c *conn) pushBlob(repo string, b blob, how style) error {
	a, err := c.do(request{method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/"}, http.StatusAccepted)
	if err != nil {
		return err
	}
	last := request{method: http.MethodPut, kind: octets}
	if how == patched {
		a, err = c.do(request{method: http.MethodPatch, path: location(a), kind: octets, body: b.bytes}, http.StatusAccepted)
		if err != nil {
			return err
		}
	} else {
		last.body = b.bytes
	}
	last.path = location(a)
	last.path += pick(strings.Contains(last.path, "?"), "&", "?") + "digest=" + b.digest
	_, err = c.do(last, http.StatusCreated)
	return err
}

// location without scheme and host: the connection is there already.
func location(a answer) string {
	l := a.header.Get("Location")
	if _, rest, ok := strings.Cut(l, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return l
}

// accepted is what clients say they can read.
const accepted = manifestType + ", application/vnd.oci.image.index.v1+json, */*"

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func (c *conn) putManifest(repo, ref string, body []byte) error {
	_, err := c.do(request{method: http.MethodPut, path: "/v2/" + repo + "/manifests/" + ref, kind: manifestType, body: body}, http.StatusCreated)
	return err
}

// absent asks for a blob that is not there, as clients do before they push.
func (c *conn) absent(repo, digest string) error {
	_, err := c.do(request{method: http.MethodHead, path: "/v2/" + repo + "/blobs/" + digest}, http.StatusNotFound)
	return err
}
