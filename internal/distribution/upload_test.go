package distribution_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/registry/local"
)

func octets(kv ...string) map[string]string {
	h := map[string]string{"Content-Type": "application/octet-stream"}
	for i := 0; i < len(kv); i += 2 {
		h[kv[i]] = kv[i+1]
	}
	return h
}

// TestUploadForms: every form of pushing a blob ends with the same blob, and
// with its digest and place.
func TestUploadForms(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	content := []byte(strings.Repeat("content of a layer ", 10_000))
	half := len(content) / 2
	chunk := func(from, to int) map[string]string {
		return octets("Content-Range", itoa(from)+"-"+itoa(to-1))
	}
	for _, c := range []struct {
		name   string
		digest func([]byte) string
		begin  string // query
		push   func(t *testing.T, tok, up, digest string) answer
	}{
		{"POST with digest", sum, "-", nil},
		{"POST with digest, sha512", sum512, "-", nil},
		{"POST, PUT", sum, "", func(t *testing.T, tok, up, d string) answer {
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok, body: content, header: octets()})
		}},
		{"POST, streamed PUT", sum, "", func(t *testing.T, tok, up, d string) answer {
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok, body: content, header: octets(), chunked: true})
		}},
		{"POST, PATCH, PUT", sum, "", func(t *testing.T, tok, up, d string) answer {
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content, header: octets()}), 202, "Range", "0-"+itoa(len(content)-1))
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok})
		}},
		{"POST, streamed PATCH, PUT", sum, "", func(t *testing.T, tok, up, d string) answer {
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content, header: octets(), chunked: true}), 202, "Range", "0-"+itoa(len(content)-1))
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok})
		}},
		{"POST, two chunks, PUT", sum, "", func(t *testing.T, tok, up, d string) answer {
			a := s.do(t, "PATCH", up, call{token: tok, body: content[:half], header: chunk(0, half)})
			want(t, a, 202, "Range", "0-"+itoa(half-1))
			a = s.do(t, "PATCH", s.path(t, a), call{token: tok, body: content[half:], header: chunk(half, len(content))})
			want(t, a, 202, "Range", "0-"+itoa(len(content)-1))
			return s.do(t, "PUT", s.path(t, a)+"?digest="+d, call{token: tok})
		}},
		{"POST, chunk, PUT with the last chunk", sum, "", func(t *testing.T, tok, up, d string) answer {
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content[:half], header: chunk(0, half)}), 202)
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok, body: content[half:], header: chunk(half, len(content))})
		}},
		{"sha512 announced", sum512, "?digest-algorithm=sha512", func(t *testing.T, tok, up, d string) answer {
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content}), 202)
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok})
		}},
		{"sha512 not announced", sum512, "", func(t *testing.T, tok, up, d string) answer {
			want(t, s.do(t, "PATCH", up, call{token: tok, body: content}), 202)
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok})
		}},
		{"sha256 although sha512 was announced", sum, "?digest-algorithm=sha512", func(t *testing.T, tok, up, d string) answer {
			return s.do(t, "PUT", up+"?digest="+d, call{token: tok, body: content})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := "form/" + strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, strings.ToLower(c.name))
			tok := s.full(t, repo)
			d := c.digest(content)
			var a answer
			if c.push == nil {
				a = s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, call{token: tok, body: content, header: octets()})
			} else {
				b := s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/"+c.begin, call{token: tok})
				want(t, b, 202, "Range", "0-0", "Content-Length", "0")
				if !strings.HasPrefix(b.header.Get("Location"), s.url+"/v2/"+repo+"/blobs/uploads/") {
					t.Errorf("Location %q", b.header.Get("Location"))
				}
				a = c.push(t, tok, s.path(t, b), d)
			}
			want(t, a, 201, "Docker-Content-Digest", d, "Location", s.url+"/v2/"+repo+"/blobs/"+d, "Content-Length", "0")
			got := s.do(t, "GET", s.path(t, a), call{token: tok})
			want(t, got, 200, "Docker-Content-Digest", d)
			if !bytes.Equal(got.body, content) {
				t.Error("other bytes come back")
			}
		})
	}
	if n := s.uploads(t); n != 0 {
		t.Errorf("%d uploads are still open", n)
	}
	if n := s.files(t); n != 2 { // one content, two digests
		t.Errorf("%d keys hold the content", n)
	}
}

// TestEmptyBlob: nothing is content, too.
func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a", "b", "c")
	d := sum(nil)
	want(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+d, call{token: tok}), 201, "Docker-Content-Digest", d)
	want(t, s.do(t, "PUT", s.begin(t, tok, "b")+"?digest="+d, call{token: tok}), 201, "Docker-Content-Digest", d)
	up := s.begin(t, tok, "c")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte{}, header: octets()}), 202, "Range", "0-0")
	want(t, s.do(t, "PUT", up+"?digest="+d, call{token: tok}), 201)
	for _, repo := range []string{"a", "b", "c"} {
		want(t, s.do(t, "GET", "/v2/"+repo+"/blobs/"+d, call{token: tok}), 200, "Content-Length", "0")
		a := s.do(t, "GET", "/v2/"+repo+"/blobs/"+d, call{token: tok, header: map[string]string{"Range": "bytes=0-0"}})
		failed(t, a, 416, "BLOB_UPLOAD_INVALID")
		want(t, a, 416, "Content-Range", "bytes */0")
	}
}

// TestChunksOutOfOrder: 416 says where to go on.
func TestChunksOutOfOrder(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	body := []byte("0123456789")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: body, header: octets("Content-Range", "0-9")}), 202)
	for _, c := range []struct{ name, method, target, contentRange string }{
		{"gap", "PATCH", up, "20-29"},
		{"again", "PATCH", up, "0-9"},
		{"overlap", "PATCH", up, "5-14"},
		{"final PUT with a gap", "PUT", up + "?digest=" + sum(body), "20-29"},
		{"final PUT again", "PUT", up + "?digest=" + sum(body), "0-9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, c.method, c.target, call{token: tok, body: body, header: octets("Content-Range", c.contentRange)})
			f := failed(t, a, 416, "BLOB_UPLOAD_INVALID")
			want(t, a, 416, "Range", "0-9", "Location", s.url+up)
			if !strings.Contains(f.Message, "byte 10") {
				t.Errorf("the message does not say where to go on: %s", f.Message)
			}
		})
	}
	for _, c := range []struct {
		name, contentRange string
		status             int
		code               string
	}{
		{"names more bytes than come", "10-20", 400, "SIZE_INVALID"},
		{"names fewer bytes than come", "10-14", 400, "SIZE_INVALID"},
		{"backwards", "19-10", 400, "BLOB_UPLOAD_INVALID"},
		{"no numbers", "a-b", 400, "BLOB_UPLOAD_INVALID"},
		{"overflow", "0-99999999999999999999", 400, "BLOB_UPLOAD_INVALID"},
		{"greatest numbers", "9223372036854775807-9223372036854775807", 400, "SIZE_INVALID"},
		{"negative", "-1-9", 400, "BLOB_UPLOAD_INVALID"},
		{"multiple", "0-4,5-9", 400, "BLOB_UPLOAD_INVALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, target := range []string{up, up + "?digest=" + sum(body)} {
				method := "PATCH"
				if strings.Contains(target, "digest") {
					method = "PUT"
				}
				a := s.do(t, method, target, call{token: tok, body: body, header: octets("Content-Range", c.contentRange)})
				failed(t, a, c.status, c.code)
				want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-9")
			}
		})
	}
	want(t, s.do(t, "PUT", up+"?digest="+sum(body), call{token: tok}), 201)
}

// TestStreamedChunkOfAnotherLength: when only Content-Range says how long a
// chunk is, it must be right. What arrived counts.
func TestStreamedChunkOfAnotherLength(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	body := []byte("0123456789")
	for contentRange, stands := range map[string]string{"0-4": "0-4", "0-8": "0-8", "0-10": "0-9", "0-99": "0-9"} {
		up := s.begin(t, tok, "a")
		a := s.do(t, "PATCH", up, call{token: tok, body: body, header: octets("Content-Range", contentRange), chunked: true})
		failed(t, a, 400, "SIZE_INVALID")
		want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", stands)
	}
	up := s.begin(t, tok, "a")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: body, header: octets("Content-Range", "0-9"), chunked: true}), 202, "Range", "0-9")
	want(t, s.do(t, "PUT", up+"?digest="+sum(body), call{token: tok}), 201)
}

// TestStatusAndCancel of uploads, and that an ended one is unknown.
func TestStatusAndCancel(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	up := s.begin(t, tok, "a")
	want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-0", "Location", s.url+up)
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("12345")}), 202, "Range", "0-4", "Location", s.url+up)
	want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-4", "Location", s.url+up)
	want(t, s.do(t, "HEAD", up, call{token: tok}), 204, "Range", "0-4")
	want(t, s.do(t, "DELETE", up, call{token: tok}), 204)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		failed(t, s.do(t, method, up, call{token: tok}), 404, "BLOB_UPLOAD_UNKNOWN")
	}
	done := s.begin(t, tok, "a")
	want(t, s.do(t, "PUT", done+"?digest="+sum([]byte("x")), call{token: tok, body: []byte("x")}), 201)
	failed(t, s.do(t, "GET", done, call{token: tok}), 404, "BLOB_UPLOAD_UNKNOWN")
	if s.files(t) != 1 || s.uploads(t) != 0 {
		t.Errorf("%d keys and %d uploads are left", s.files(t), s.uploads(t))
	}
}

// TestWrongDigestLeavesNothing: neither bytes nor rows.
func TestWrongDigestLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	before := s.state(t)
	body, wrong := []byte("content"), sum([]byte("other"))
	for _, c := range []struct {
		name string
		push func(t *testing.T) answer
	}{
		{"POST", func(t *testing.T) answer {
			return s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+wrong, call{token: tok, body: body})
		}},
		{"POST, sha512", func(t *testing.T) answer {
			return s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+sum512(nil), call{token: tok, body: body})
		}},
		{"PUT", func(t *testing.T) answer {
			return s.do(t, "PUT", s.begin(t, tok, "a")+"?digest="+wrong, call{token: tok, body: body})
		}},
		{"PATCH, PUT", func(t *testing.T) answer {
			up := s.begin(t, tok, "a")
			want(t, s.do(t, "PATCH", up, call{token: tok, body: body}), 202)
			return s.do(t, "PUT", up+"?digest="+wrong, call{token: tok})
		}},
		{"PATCH, PUT, sha512", func(t *testing.T) answer {
			up := s.begin(t, tok, "a")
			want(t, s.do(t, "PATCH", up, call{token: tok, body: body}), 202)
			return s.do(t, "PUT", up+"?digest="+sum512(nil), call{token: tok})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := failed(t, c.push(t), 400, "DIGEST_INVALID")
			if !strings.Contains(f.Message, "7 bytes") {
				t.Errorf("the message does not say what arrived: %s", f.Message)
			}
			if after := s.state(t); after != before {
				t.Errorf("left behind:\n%s", after)
			}
		})
	}
	failed(t, s.do(t, "GET", "/v2/a/tags/list", call{token: tok}), 404, "NAME_UNKNOWN")
}

// TestUploadOfAnotherRepository: an upload belongs to the repository it was
// begun in, whatever the token may do (CVE-2026-32589); a guessed id is one
// that never was.
func TestUploadOfAnotherRepository(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a", "b")
	up := s.begin(t, tok, "a")
	want(t, s.do(t, "PATCH", up, call{token: tok, body: []byte("half")}), 202)
	id := up[strings.LastIndexByte(up, '/')+1:]
	if len(id) < 26 {
		t.Errorf("the id %q has less than 128 bits", id)
	}
	for _, target := range []string{"/v2/b/blobs/uploads/" + id, "/v2/a/blobs/uploads/" + strings.Repeat("A", 26), "/v2/a/blobs/uploads/" + strings.ToLower(id)} {
		for _, method := range []string{"GET", "PATCH", "DELETE", "PUT"} {
			target := target
			if method == "PUT" {
				target += "?digest=" + sum([]byte("half"))
			}
			f := failed(t, s.do(t, method, target, call{token: tok, body: []byte("x")}), 404, "BLOB_UPLOAD_UNKNOWN")
			if strings.Contains(f.Message, "/v2/a") {
				t.Errorf("the message tells of the other repository: %s", f.Message)
			}
		}
	}
	want(t, s.do(t, "GET", up, call{token: tok}), 204, "Range", "0-3")
}

// TestLocationComesFromTheConfiguration: the host that was asked answers if it
// is a configured one; what else a client says of hosts changes nothing.
func TestLocationComesFromTheConfiguration(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	d := sum([]byte("x"))
	for _, c := range []struct {
		name, host, base string
		header           map[string]string
	}{
		{"the asked one", "", s.url, nil},
		{"the public one", "registry.example.com", publicHost, nil},
		{"the public one in capitals", "REGISTRY.example.COM", publicHost, nil},
		{"a stranger", "evil.example", publicHost, nil},
		{"forwarding headers", "", s.url, map[string]string{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "Forwarded": "host=evil.example", "X-Original-URL": "/evil"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := func(body []byte) call { return call{token: tok, host: c.host, header: c.header, body: body} }
			b := s.do(t, "POST", "/v2/a/blobs/uploads/", with(nil))
			want(t, b, 202)
			for _, a := range []answer{
				b,
				s.do(t, "PATCH", s.path(t, b), with([]byte("x"))),
				s.do(t, "GET", s.path(t, b), with(nil)),
				s.do(t, "PUT", s.path(t, b)+"?digest="+d, with(nil)),
				s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+d, with([]byte("x"))),
				s.do(t, "POST", "/v2/a/blobs/uploads/?mount="+d+"&from=a", with(nil)),
			} {
				u, err := url.Parse(a.header.Get("Location"))
				if err != nil || u.Scheme+"://"+u.Host != c.base {
					t.Errorf("Location %q, want one of %s", a.header.Get("Location"), c.base)
				}
			}
			if got := challenge(t, s.do(t, "GET", "/v2/", call{host: c.host, header: c.header})); got.Realm != c.base+"/token" {
				t.Errorf("realm %q, want %s", got.Realm, c.base)
			}
		})
	}
}

// TestLimitsOfUploads: each says which setting it is, and small chunks do not
// get around the one on unfinished bytes.
func TestLimitsOfUploads(t *testing.T) {
	t.Parallel()
	s := start(t, config{limits: local.Limits{BlobBytes: 2 << 20, OpenUploads: 3, UnfinishedBytes: 3 << 20}})
	tok := s.full(t, "a")
	mib := bytes.Repeat([]byte{'x'}, 1<<20)
	tooLarge := bytes.Repeat([]byte{'x'}, 2<<20+1)
	for _, chunked := range []bool{false, true} {
		f := failed(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+sum(tooLarge), call{token: tok, body: tooLarge, chunked: chunked}), http.StatusRequestEntityTooLarge, "BLOB_UPLOAD_INVALID")
		if !strings.Contains(f.Message, "max-blob-size") {
			t.Errorf("message %q", f.Message)
		}
	}
	one, two := s.begin(t, tok, "a"), s.begin(t, tok, "a")
	for _, up := range []string{one, two} {
		for range 2 {
			if a := s.do(t, "PATCH", up, call{token: tok, body: mib}); a.status != 202 {
				f := failed(t, a, 429, "TOOMANYREQUESTS")
				if !strings.Contains(f.Message, "max-unfinished-bytes") || a.header.Get("Retry-After") == "" {
					t.Errorf("message %q, headers %v", f.Message, a.header)
				}
			}
		}
	}
	use, err := s.db.Uploads.Usage(t.Context(), "")
	if err != nil || use.Bytes > 3<<20 {
		t.Errorf("%d bytes are unfinished, 3 MiB are allowed (%v)", use.Bytes, err)
	}
	failed(t, s.do(t, "POST", "/v2/a/blobs/uploads/", call{token: tok}), 429, "TOOMANYREQUESTS")
	want(t, s.do(t, "DELETE", two, call{token: tok}), 204)
	// Many at once do not open more than one after the other could.
	codes := make(chan int, 20)
	for range cap(codes) {
		go func() {
			r, err := http.NewRequest("POST", s.url+"/v2/a/blobs/uploads/", nil)
			if err != nil {
				codes <- 0
				return
			}
			r.Header.Set("Authorization", "Bearer "+tok)
			resp, err := web.Do(r)
			if err != nil {
				codes <- 0
				return
			}
			_ = resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	for range cap(codes) {
		if c := <-codes; c != 202 && c != 429 {
			t.Errorf("status %d", c)
		}
	}
	if n := s.uploads(t); n > 3 {
		t.Errorf("%d uploads are open, 3 are allowed", n)
	}
	want(t, s.do(t, "PUT", one+"?digest="+sum(append(append([]byte{}, mib...), mib...)), call{token: tok}), 201)
}
