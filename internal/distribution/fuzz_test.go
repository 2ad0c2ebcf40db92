package distribution_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzHTTP: whatever is asked, the server does not fail, and refuses in the
// specification's form.
func FuzzHTTP(f *testing.F) {
	s := start(f, config{})
	tok := s.full(f, "a", "a/b", "b")
	m := artifact("")
	d := s.pushBlob(f, tok, "a", emptyBlob)
	s.put(f, tok, "a", "t", imageType, m)
	up := s.begin(f, tok, "a")
	for _, c := range [][4]string{
		{"GET", "/v2/"},
		{"GET", "/v2/_catalog?n=1&last=a"},
		{"GET", "/v2/a/tags/list?n=1"},
		{"GET", "/v2/a/referrers/" + d + "?artifactType=a/b"},
		{"GET", "/v2/a/blobs/" + d, "bytes=0-0,-1"},
		{"HEAD", "/v2/a/manifests/t"},
		{"PUT", "/v2/a/manifests/t", "", string(m)},
		{"PUT", "/v2/a/manifests/" + sum(m) + "?tag=x&tag=y", "", string(m)},
		{"DELETE", "/v2/a/manifests/x"},
		{"DELETE", "/v2/a/blobs/" + d},
		{"POST", "/v2/a/blobs/uploads/"},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d + "&from=b"},
		{"POST", "/v2/a/b/blobs/uploads/?digest=" + sum([]byte("x")), "", "x"},
		{"PATCH", up, "0-3", "1234"},
		{"PUT", up + "?digest=" + sum([]byte("1234")), "", ""},
		{"GET", up},
		{"DELETE", up + "x"},
		{"GET", "/token?scope=repository:a:pull"},
		{"POST", "/token", "", "grant_type=password&username=token&password=x"},
		{"GET", "/.well-known/jwks.json"},
		{"GET", "/v2/..%2f/tags/list"},
		{"PUT", "/v2/a/manifests/t", "", `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{}]}`},
	} {
		f.Add(c[0], c[1], c[2], c[3])
	}
	minted := time.Now()
	f.Fuzz(func(t *testing.T, method, target, ranges, body string) {
		if time.Since(minted) > lifetime/2 { // a long run outlives its token and its memory
			tok, minted = s.full(t, "a", "a/b", "b"), time.Now()
			s.checkLog(t, false)
			s.log.Reset()
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || method == "" || strings.ContainsAny(method, " \r\n\x00") || len(body) > 1<<20 {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, u
		r.Header.Set("Authorization", "Bearer "+tok)
		if u.Path == "/token" {
			r.Header.Del("Authorization")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if method == http.MethodGet {
			r.Header.Set("Range", ranges)
		} else if ranges != "" {
			r.Header.Set("Content-Range", ranges)
		}
		w := httptest.NewRecorder()
		s.root.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code < 200 {
			t.Fatalf("%s %q: %d %s", method, target, w.Code, w.Body)
		}
		if method == http.MethodHead && w.Body.Len() > 0 {
			t.Errorf("HEAD %q has a body", target)
		}
		if w.Code >= 400 && method != http.MethodHead {
			if _, problem := failureOf(answer{w.Code, w.Result().Header, w.Body.Bytes()}); problem != "" {
				t.Errorf("%s %q: %s", method, target, problem)
			}
		}
	})
}
