package distribution_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// layers are a blob that is sent by one write and one that goes by sendfile.
func (s *server) layers(t *testing.T, tok, repo string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"small": make([]byte, 60<<10), "large": make([]byte, 10<<20+7)}
	for _, b := range out {
		for i := range b {
			b[i] = byte(i * 7 >> 3)
		}
		s.pushBlob(t, tok, repo, b)
	}
	return out
}

// TestBlobRanges: whole, one range, and what cannot be.
func TestBlobRanges(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	for size, content := range s.layers(t, tok, "a") {
		n := len(content)
		last := itoa(n - 1)
		path := "/v2/a/blobs/" + sum(content)
		for _, c := range []struct {
			name, header string
			from, to     int // -1: 416
			whole        bool
		}{
			{"none", "", 0, n, true},
			{"prefix", "bytes=0-99", 0, 100, false},
			{"first byte", "bytes=0-0", 0, 1, false},
			{"middle", "bytes=1000-40999", 1000, 41000, false},
			{"open end", "bytes=5000-", 5000, n, false},
			{"suffix", "bytes=-77", n - 77, n, false},
			{"suffix longer than the blob", "bytes=-99999999999", 0, n, false},
			{"end beyond the blob", "bytes=10-99999999999", 10, n, false},
			{"last byte", "bytes=" + last + "-" + last, n - 1, n, false},
			{"all of it", "bytes=0-", 0, n, false},
			{"spaces", "bytes= 3-5 ", 3, 6, false},
			{"begins at the end", "bytes=" + itoa(n) + "-", -1, 0, false},
			{"far beyond", "bytes=99999999999-", -1, 0, false},
			{"empty suffix", "bytes=-0", -1, 0, false},
			{"backwards", "bytes=9-3", -1, 0, false},
			{"another unit", "lines=0-5", 0, n, true},
			{"no numbers", "bytes=a-b", 0, n, true},
			{"overflow", "bytes=99999999999999999999-", 0, n, true},
			{"too many ranges", "bytes=" + strings.Repeat("0-0,", 40) + "1-1", 0, n, true},
			{"overlapping to more than the whole", "bytes=0-,0-,0-", 0, n, true},
		} {
			t.Run(size+" "+c.name, func(t *testing.T) {
				header := map[string]string{}
				if c.header != "" {
					header["Range"] = c.header
				}
				a := s.do(t, "GET", path, call{token: tok, header: header})
				if c.from < 0 {
					failed(t, a, 416, "BLOB_UPLOAD_INVALID")
					want(t, a, 416, "Content-Range", "bytes */"+itoa(n), "Docker-Content-Digest", "", "Etag", "")
					return
				}
				status, contentRange := 206, fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, n)
				if c.whole {
					status, contentRange = 200, ""
				}
				want(t, a, status, "Content-Range", contentRange, "Content-Length", itoa(c.to-c.from), "Accept-Ranges", "bytes",
					"Docker-Content-Digest", sum(content), "Content-Type", "application/octet-stream", "Etag", `"`+sum(content)+`"`, "X-Content-Type-Options", "nosniff")
				if !bytes.Equal(a.body, content[c.from:c.to]) {
					t.Error("other bytes")
				}
			})
		}
	}
}

// TestBlobMultiRange: several ranges come as multipart/byteranges.
func TestBlobMultiRange(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	for size, content := range s.layers(t, tok, "a") {
		n := len(content)
		a := s.do(t, "GET", "/v2/a/blobs/"+sum(content), call{token: tok, header: map[string]string{"Range": "bytes=0-9, 1000-30999,-5,99999999999-"}})
		want(t, a, 206, "Content-Range", "")
		mt, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		if err != nil || mt != "multipart/byteranges" {
			t.Fatalf("%s: Content-Type %q: %v", size, a.header.Get("Content-Type"), err)
		}
		r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
		for _, x := range [][2]int{{0, 10}, {1000, 31000}, {n - 5, n}} {
			p, err := r.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(p)
			if got := fmt.Sprintf("bytes %d-%d/%d", x[0], x[1]-1, n); err != nil || p.Header.Get("Content-Range") != got || p.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%s: part %v, want %s (%v)", size, p.Header, got, err)
			}
			if !bytes.Equal(b, content[x[0]:x[1]]) {
				t.Errorf("%s: other bytes in %v", size, x)
			}
		}
		if _, err := r.NextRawPart(); err != io.EOF {
			t.Errorf("%s: another part, or %v", size, err)
		}
	}
}

// TestBlobConditions: HEAD, If-None-Match, If-Range.
func TestBlobConditions(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	content := bytes.Repeat([]byte("x"), 1000)
	d := s.pushBlob(t, tok, "a", content)
	path := "/v2/a/blobs/" + d
	for _, c := range []struct {
		name, method, header, value string
		status, length              int
	}{
		{"HEAD", "HEAD", "", "", 200, 0},
		{"HEAD ignores Range", "HEAD", "Range", "bytes=0-1", 200, 0},
		{"the client has it", "GET", "If-None-Match", `"` + d + `"`, 304, 0},
		{"the client has it, HEAD", "HEAD", "If-None-Match", `"` + d + `"`, 304, 0},
		{"the client has it, weakly", "GET", "If-None-Match", `"x", W/"` + d + `"`, 304, 0},
		{"the client has any", "GET", "If-None-Match", `*`, 304, 0},
		{"the client has another", "GET", "If-None-Match", `"` + sum(nil) + `"`, 200, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := map[string]string{}
			if c.header != "" {
				header[c.header] = c.value
			}
			a := s.do(t, c.method, path, call{token: tok, header: header})
			want(t, a, c.status, "Etag", `"`+d+`"`, "Docker-Content-Digest", d)
			if len(a.body) != c.length {
				t.Errorf("%d bytes", len(a.body))
			}
			if c.method == "HEAD" && c.status == 200 {
				want(t, a, 200, "Content-Length", "1000")
			}
		})
	}
	for value, status := range map[string]int{`"` + d + `"`: 206, `"` + sum(nil) + `"`: 200, `W/"` + d + `"`: 200, "Mon, 02 Jan 2006 15:04:05 GMT": 200} {
		a := s.do(t, "GET", path, call{token: tok, header: map[string]string{"Range": "bytes=0-9", "If-Range": value}})
		want(t, a, status)
	}
	missing := "/v2/a/blobs/" + sum([]byte("missing"))
	f := failed(t, s.do(t, "GET", missing, call{token: tok}), 404, "BLOB_UNKNOWN")
	if !strings.Contains(f.Message, sum([]byte("missing"))) {
		t.Errorf("message %q", f.Message)
	}
	a := s.do(t, "HEAD", missing, call{token: tok})
	want(t, a, 404)
	if len(a.body) != 0 {
		t.Errorf("HEAD has a body: %q", a.body)
	}
	failed(t, s.do(t, "GET", "/v2/b/blobs/"+d, call{token: s.full(t, "b")}), 404, "NAME_UNKNOWN")
}

// TestBlobOfAnotherRepository is unknown, also once it was read through its
// own (CVE-2024-39897, CVE-2026-35172).
func TestBlobOfAnotherRepository(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a", "b")
	d := s.pushBlob(t, tok, "a", []byte("of a"))
	s.pushBlob(t, tok, "b", []byte("of b"))
	m := s.image(t, tok, "a", "t", "layer")
	for range 2 {
		want(t, s.do(t, "GET", "/v2/a/blobs/"+d, call{token: tok}), 200)
		failed(t, s.do(t, "GET", "/v2/b/blobs/"+d, call{token: tok}), 404, "BLOB_UNKNOWN")
		want(t, s.do(t, "GET", "/v2/a/manifests/"+sum(m), call{token: tok}), 200)
		failed(t, s.do(t, "GET", "/v2/b/manifests/"+sum(m), call{token: tok}), 404, "MANIFEST_UNKNOWN")
	}
}

// TestSlowReader: a client that reads slowly gets all of it, and holds nobody
// else up.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	content := s.layers(t, tok, "a")["large"]
	conn := s.dial(t)
	_, _ = fmt.Fprintf(conn, "GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", sum(content), tok)
	var got bytes.Buffer
	buf := make([]byte, 1<<20)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
		if got.Len() < 3<<20 {
			want(t, s.do(t, "HEAD", "/v2/a/blobs/"+sum(content), call{token: tok}), 200)
		}
	}
	if _, body, ok := bytes.Cut(got.Bytes(), []byte("\r\n\r\n")); !ok || !bytes.Equal(body, content) {
		t.Errorf("%d of %d bytes", len(body), len(content))
	}
}

// TestBlobsReachTheSocketAsFiles: what the writer under the middleware is
// given to read from is the file itself, bounded, and not wrapped: only then
// does the kernel copy it.
func TestBlobsReachTheSocketAsFiles(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	content := s.layers(t, tok, "a")["large"]
	for _, c := range []struct {
		name, header string
		from, to     int
	}{{"whole", "", 0, len(content)}, {"part", "bytes=100-8000099", 100, 8_000_100}} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/a/blobs/"+sum(content), nil)
		r.Header.Set("Authorization", "Bearer "+tok)
		if c.header != "" {
			r.Header.Set("Range", c.header)
		}
		w := &fileSpy{ResponseRecorder: httptest.NewRecorder()}
		s.root.ServeHTTP(w, r)
		if w.files == 0 || w.other != 0 || w.writes != 0 {
			t.Errorf("%s: %d stretches of a file, %d of something else, %d writes", c.name, w.files, w.other, w.writes)
		}
		if !bytes.Equal(w.Body.Bytes(), content[c.from:c.to]) {
			t.Errorf("%s: other bytes", c.name)
		}
	}
}

// fileSpy looks at what it is given to read from.
type fileSpy struct {
	*httptest.ResponseRecorder
	files, other, writes int
}

var _ io.ReaderFrom = (*fileSpy)(nil)

func (w *fileSpy) Write(p []byte) (int, error) {
	w.writes++
	return w.ResponseRecorder.Write(p)
}

func (w *fileSpy) ReadFrom(src io.Reader) (int64, error) {
	l, ok := src.(*io.LimitedReader)
	if ok {
		_, ok = l.R.(*os.File)
	}
	if ok {
		w.files++
	} else {
		w.other++
	}
	return io.Copy(w.Body, src)
}

var _ http.ResponseWriter = (*fileSpy)(nil)

// TestLostBlob: HEAD says 404 of a blob that fsck found lost, so that clients
// that look first push it, and a mount begins an upload; a GET is told the
// truth. The push heals it.
func TestLostBlob(t *testing.T) {
	t.Parallel()
	s := start(t, config{dishonest: true})
	tok := s.full(t, "a", "b")
	s.image(t, tok, "a", "v1", "layer")
	d := sum([]byte("layer"))
	path, mount := "/v2/a/blobs/"+d, "/v2/b/blobs/uploads/?from=a&mount="+d
	row, err := s.db.Catalog.Blob(t.Context(), "a", oci.Digest(d))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.blobs.Delete(t.Context(), row.Key); err != nil {
		t.Fatal(err)
	}
	failed(t, s.do(t, "GET", path, call{token: tok}), 500, "UNKNOWN")
	want(t, s.do(t, "HEAD", path, call{token: tok}), 200) // nobody has looked
	if r, err := s.registry.Fsck(t.Context(), local.FsckOptions{Repair: true}); err != nil || r.Lost != 1 {
		t.Fatalf("fsck: %+v, %v", r, err)
	}
	want(t, s.do(t, "HEAD", path, call{token: tok}), 404)
	for _, header := range []map[string]string{nil, {"Range": "bytes=0-1"}, {"If-None-Match": `"` + d + `"`}} {
		failed(t, s.do(t, "GET", path, call{token: tok, header: header}), 500, "UNKNOWN")
	}
	want(t, s.do(t, "POST", mount, call{token: tok}), 202)
	s.pushBlob(t, tok, "b", []byte("layer"))
	if a := s.do(t, "GET", path, call{token: tok}); a.status != 200 || string(a.body) != "layer" {
		t.Errorf("after the push: %d %q", a.status, a.body)
	}
	want(t, s.do(t, "HEAD", path, call{token: tok}), 200)
}
