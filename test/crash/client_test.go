package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// client speaks the protocol to one life of the server.
type client struct {
	url  string
	auth string
	http *http.Client
}

// answer of the server; sum and size are those of the body.
type answer struct {
	status int
	header http.Header
	body   []byte // at most maxBody
	sum    string
	size   int64
}

const maxBody = 1 << 20

// login fetches one registry token for everything.
func login(ctx context.Context, s *server, data string) (*client, error) {
	secret, err := os.ReadFile(filepath.Join(data, "operator.token"))
	if err != nil {
		return nil, fmt.Errorf("read the operator's token: %w", err)
	}
	q := url.Values{"service": {"fairlead"}, "scope": {}}
	for _, r := range repos {
		q.Add("scope", "repository:"+r+":pull,push,delete")
	}
	c := &client{url: s.url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * workers}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/token?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("token", strings.TrimSpace(string(secret)))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch a registry token: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var t struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil || t.Token == "" {
		return nil, fmt.Errorf("fetch a registry token: %s (%v)", resp.Status, err) //nolint:errorlint // it may be nil
	}
	c.auth = "Bearer " + t.Token
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// request to be sent; the zero body is none.
type request struct {
	method, target string
	kind           string // Content-Type
	from           int64  // Content-Range begins here, if chunk
	chunk          bool
	body           []byte
	sending        func(n int) // told of the body's bytes as they leave
}

// do sends a request. An error means that it is not known what came of it.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
		if r.sending != nil {
			body = &counted{body, r.sending}
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url+r.target, body)
	if err != nil {
		return answer{}, err
	}
	req.ContentLength = int64(len(r.body))
	req.Header.Set("Authorization", c.auth)
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	if r.chunk {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", r.from, r.from+int64(len(r.body))-1))
	}
	if r.method == http.MethodGet || r.method == http.MethodHead {
		req.Header.Set("Accept", manifestType+", "+indexType+", */*")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	hash := sha256.New()
	keep := &head{}
	a.size, err = io.Copy(io.MultiWriter(hash, keep), resp.Body)
	a.body, a.sum = keep.b, "sha256:"+hex.EncodeToString(hash.Sum(nil))
	return a, err
}

// head keeps the first bytes of a body.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxBody-len(h.b))]...)
	return len(p), nil
}

// counted tells of the bytes that are read. In small steps, so that a moment
// between two of them can be met.
type counted struct {
	r    io.Reader
	tell func(int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 32<<10)])
	c.tell(n)
	return n, err
}

// place is where an upload goes on, as a request target.
func place(a answer) string {
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return ""
	}
	return u.RequestURI()
}

// offset is where the Range of an upload's answer says it stands. "0-0" is
// an empty upload: no client of this package sends a chunk of one byte.
func offset(a answer) (int64, error) {
	last, ok := strings.CutPrefix(a.header.Get("Range"), "0-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("an upload answers the Range %q", a.header.Get("Range"))
	}
	if n == 0 {
		return 0, nil
	}
	return n + 1, nil
}
