package distribution_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// write sends a request by hand and gives the answer's first line.
func write(t testing.TB, conn net.Conn, request string) string {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return line
}

// TestBadInput: every route with everything wrong that it can be given. Each
// answer has the specification's code, a status below 500 and a sentence, and
// nothing is left behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	m := s.image(t, tok, "a", "t", "layer")
	up := s.begin(t, tok, "a")
	before := s.state(t)
	d := sum([]byte("layer"))

	type bad struct {
		value, code string
		status      int
	}
	names := []bad{
		{"A", "NAME_INVALID", 400},
		{"a//b", "NAME_INVALID", 400},
		{"a/../b", "NAME_INVALID", 400},
		{"..", "NAME_INVALID", 400},
		{".", "NAME_INVALID", 400},
		{"a.", "NAME_INVALID", 400},
		{"-a", "NAME_INVALID", 400},
		{"a___b", "NAME_INVALID", 400},
		{"a%00b", "NAME_INVALID", 400},
		{"a%0ab", "NAME_INVALID", 400},
		{"%c3%a9", "NAME_INVALID", 400},
		{"%ff", "NAME_INVALID", 400},
		{"a%5cb", "NAME_INVALID", 400},
		{"a%2fb", "UNSUPPORTED", 400},
		{"a%2Fb", "UNSUPPORTED", 400},
		{"%2e%2e", "UNSUPPORTED", 400},
		{"a%2e%2e%2fb", "UNSUPPORTED", 400},
		{"a%20b", "NAME_INVALID", 400},
		{"a:b", "NAME_INVALID", 400},
		{"a@b", "NAME_INVALID", 400},
		{"~root", "NAME_INVALID", 400},
		{strings.Repeat("a", 201), "NAME_INVALID", 400},
		{strings.Repeat("a", 10_000), "NAME_INVALID", 400},
		{strings.Repeat("a/", 5_000) + "a", "NAME_INVALID", 400},
	}
	digests := []bad{
		{"sha256:" + strings.Repeat("0", 63), "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("0", 65), "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("A", 64), "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("g", 64), "DIGEST_INVALID", 400},
		{"sha256:", "DIGEST_INVALID", 400},
		{"sha512:" + strings.Repeat("0", 64), "DIGEST_INVALID", 400},
		{"md5:" + strings.Repeat("0", 32), "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("0", 64) + ":x", "DIGEST_INVALID", 400},
		{":", "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("0", 10_000), "DIGEST_INVALID", 400},
		{"sha256:" + strings.Repeat("0", 63) + "%00", "DIGEST_INVALID", 400},
	}
	noDigests := []bad{{"latest", "DIGEST_INVALID", 400}, {"..", "DIGEST_INVALID", 400}, {"%20", "DIGEST_INVALID", 400}}
	tags := []bad{
		{".t", "MANIFEST_INVALID", 400},
		{"-t", "MANIFEST_INVALID", 400},
		{"..", "MANIFEST_INVALID", 400},
		{strings.Repeat("t", 129), "MANIFEST_INVALID", 400},
		{strings.Repeat("t", 10_000), "MANIFEST_INVALID", 400},
		{"t%00", "MANIFEST_INVALID", 400},
		{"t%20", "MANIFEST_INVALID", 400},
		{"%c3%a9", "MANIFEST_INVALID", 400},
		{"", "MANIFEST_INVALID", 400},
		{"t%2ft", "UNSUPPORTED", 400},
	}
	ids := []bad{
		{"x%20y", "BLOB_UPLOAD_UNKNOWN", 404},
		{"%00", "BLOB_UPLOAD_UNKNOWN", 404},
		{strings.Repeat("A", 129), "BLOB_UPLOAD_UNKNOWN", 404},
		{strings.Repeat("A", 10_000), "BLOB_UPLOAD_UNKNOWN", 404},
		{"'%20OR%201=1--", "BLOB_UPLOAD_UNKNOWN", 404},
		{"..%2f..", "UNSUPPORTED", 400},
	}
	for _, route := range []struct {
		methods, before, after string
		bad                    [][]bad
	}{
		{"GET HEAD DELETE", "/v2/", "/blobs/" + d, [][]bad{names}},
		{"GET HEAD PUT DELETE", "/v2/", "/manifests/t", [][]bad{names}},
		{"POST", "/v2/", "/blobs/uploads/", [][]bad{names}},
		{"GET PATCH DELETE", "/v2/", "/blobs/uploads/X", [][]bad{names}},
		{"PUT", "/v2/", "/blobs/uploads/X?digest=" + d, [][]bad{names}},
		{"GET", "/v2/", "/tags/list", [][]bad{names}},
		{"GET", "/v2/", "/referrers/" + d, [][]bad{names}},
		{"GET HEAD DELETE", "/v2/a/blobs/", "", [][]bad{digests, noDigests}},
		{"GET", "/v2/a/referrers/", "", [][]bad{digests, noDigests}},
		{"GET HEAD PUT DELETE", "/v2/a/manifests/", "", [][]bad{digests, tags}},
		{"GET PATCH DELETE", "/v2/a/blobs/uploads/", "", [][]bad{ids}},
		{"POST", "/v2/a/blobs/uploads/?digest=", "", [][]bad{digests, {{"", "DIGEST_INVALID", 400}, {d + "&digest=" + d, "UNSUPPORTED", 400}}}},
		{"POST", "/v2/a/blobs/uploads/?mount=", "&from=b", [][]bad{digests}},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d + "&from=", "", [][]bad{{{"A", "NAME_INVALID", 400}, {"../a", "NAME_INVALID", 400}, {"a%2f%2e%2e", "NAME_INVALID", 400}}}},
		{"POST", "/v2/a/blobs/uploads/?digest-algorithm=", "", [][]bad{{{"md5", "DIGEST_INVALID", 400}, {"SHA256", "DIGEST_INVALID", 400}, {strings.Repeat("x", 9999), "DIGEST_INVALID", 400}}}},
		{"PUT", up, "", [][]bad{{{"", "DIGEST_INVALID", 400}, {"?digest=", "DIGEST_INVALID", 400}, {"?digest=latest", "DIGEST_INVALID", 400}, {"?x=%zz", "UNSUPPORTED", 400}, {"?digest=" + d + ";x", "UNSUPPORTED", 400}}}},
		{"GET HEAD POST PUT PATCH DELETE", "/v2", "", [][]bad{{{"/a", "UNSUPPORTED", 404}, {"/a/b/c", "UNSUPPORTED", 404}, {"/blobs/" + d, "UNSUPPORTED", 404}, {"/a/tags", "UNSUPPORTED", 404}, {"//", "UNSUPPORTED", 404}, {"x", "UNSUPPORTED", 404}, {"/_catalog/", "UNSUPPORTED", 404}}}},
		{"POST PUT PATCH DELETE OPTIONS TRACE PROPFIND get", "/v2", "", [][]bad{{{"/", "UNSUPPORTED", 405}, {"/_catalog", "UNSUPPORTED", 405}, {"/a/tags/list", "UNSUPPORTED", 405}, {"/a/referrers/" + d, "UNSUPPORTED", 405}}}},
		{"POST PATCH OPTIONS X", "/v2/a", "", [][]bad{{{"/manifests/t", "UNSUPPORTED", 405}, {"/blobs/" + d, "UNSUPPORTED", 405}}}},
		{"GET HEAD PUT PATCH DELETE OPTIONS", "/v2/a", "", [][]bad{{{"/blobs/uploads/", "UNSUPPORTED", 405}}}},
	} {
		for method := range strings.FieldsSeq(route.methods) {
			for _, list := range route.bad {
				for _, b := range list {
					target := route.before + b.value + route.after
					a := s.do(t, method, target, call{token: tok, body: []byte("x")})
					if a.status != b.status {
						t.Errorf("%s %.120s: %d, want %d: %.200s", method, target, a.status, b.status, a.body)
						continue
					}
					if (a.status == 405) != (a.header.Get("Allow") != "") {
						t.Errorf("%s %.120s: Allow %q", method, target, a.header.Get("Allow"))
					}
					if method == "HEAD" {
						if len(a.body) > 0 {
							t.Errorf("HEAD %.120s has a body", target)
						}
						continue
					}
					if f, problem := failureOf(a); problem != "" || f.Code != b.code {
						t.Errorf("%s %.120s: %s, want %s %s", method, target, f.Code, b.code, problem)
					}
					if len(a.body) > 2000 {
						t.Errorf("%s %.120s: an error of %d bytes", method, target, len(a.body))
					}
				}
			}
		}
	}
	if after := s.state(t); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	want(t, s.do(t, "GET", "/v2/a/manifests/t", call{token: tok}), 200, "Docker-Content-Digest", sum(m))
}

// TestRawRequests: lines that no client library would send. Some of them
// net/http refuses by itself, in plain text.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	s.image(t, tok, "a", "t", "layer")
	before := s.state(t)
	auth := "Host: x\r\nConnection: close\r\nAuthorization: Bearer " + tok + "\r\n"
	for _, c := range []struct {
		name, request string
		statuses      []int
		plain         bool
	}{
		{"traversal", "GET /v2/../../etc/passwd HTTP/1.1\r\n" + auth + "\r\n", []int{404}, false},
		{"traversal to a route", "GET /v2/../../etc/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"traversal, encoded", "GET /v2/%2e%2e/%2e%2e/etc/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"traversal, half encoded", "GET /v2/.%2e/manifests/t HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"traversal, twice encoded", "GET /v2/%252e%252e/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"encoded slash", "GET /v2/a%2f..%2fb/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"backslashes", "GET /v2/..\\..\\etc/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"out of /v2", "GET /v2/a/manifests/../../../token HTTP/1.1\r\n" + auth + "\r\n", []int{400, 404}, false},
		{"no slash", "GET v2/ HTTP/1.1\r\n" + auth + "\r\n", []int{400}, true},
		{"star", "OPTIONS * HTTP/1.1\r\n" + auth + "\r\n", []int{200, 404}, true},
		{"absolute form of a stranger", "GET http://evil.example/v2/ HTTP/1.1\r\n" + auth + "\r\n", []int{200}, false},
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\n" + auth + "\r\n", []int{404}, false},
		{"NUL in the path", "GET /v2/a\x00b/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, true},
		{"encoded NUL", "GET /v2/a%00/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"broken escape", "GET /v2/%zz/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, true},
		{"raw bytes", "GET /v2/\xff\xfe/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"10 kB of a name", "GET /v2/" + strings.Repeat("a", 10_000) + "/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{400}, false},
		{"huge line", "GET /v2/" + strings.Repeat("a", 200_000) + "/tags/list HTTP/1.1\r\n" + auth + "\r\n", []int{431}, true},
		{"huge header", "GET /v2/ HTTP/1.1\r\nX-Big: " + strings.Repeat("a", 200_000) + "\r\n" + auth + "\r\n", []int{431}, true},
		{"many headers", "GET /v2/ HTTP/1.1\r\n" + strings.Repeat("X-A: b\r\n", 20_000) + auth + "\r\n", []int{431}, true},
		{"negative Content-Length", "PUT /v2/a/manifests/t HTTP/1.1\r\n" + auth + "Content-Length: -5\r\n\r\n", []int{400}, true},
		{"two Content-Lengths", "PUT /v2/a/manifests/t HTTP/1.1\r\n" + auth + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", []int{400}, true},
		{"length and chunks", "PUT /v2/a/manifests/t HTTP/1.1\r\n" + auth + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", []int{400}, true},
		{"unknown transfer encoding", "PUT /v2/a/manifests/t HTTP/1.1\r\n" + auth + "Transfer-Encoding: gzip\r\n\r\n", []int{501}, true},
		{"broken chunk", "PATCH /v2/a/blobs/uploads/X HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", []int{404}, false},
		{"announces a terabyte", "PUT /v2/a/manifests/t HTTP/1.1\r\n" + auth + "Content-Type: " + imageType + "\r\nContent-Length: 1099511627776\r\n\r\n{", []int{413}, false},
		{"unknown protocol", "GET /v2/ HTTP/9.9\r\n" + auth + "\r\n", []int{505}, true},
		{"bare garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.dial(t)
			go func() { _, _ = io.WriteString(conn, c.request) }() // the server may stop reading
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			if err != nil {
				t.Fatal(err)
			}
			ok := false
			for _, st := range c.statuses {
				ok = ok || st == resp.StatusCode
			}
			if !ok {
				t.Fatalf("status %d, want %v: %.200s", resp.StatusCode, c.statuses, body)
			}
			if resp.StatusCode < 400 || c.plain {
				return
			}
			if _, problem := failureOf(answer{resp.StatusCode, resp.Header, body}); problem != "" {
				t.Error(problem)
			}
		})
	}
	if after := s.state(t); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}
