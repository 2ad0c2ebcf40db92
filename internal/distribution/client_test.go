package distribution_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

func itoa(n int) string { return strconv.Itoa(n) }

// web follows no redirect and asks for no compression: what it gets is what
// the server said.
var web = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call is what a request has beside method and target.
type call struct {
	token   string // registry token
	header  map[string]string
	body    []byte
	chunked bool // the length of body is not announced
	host    string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *server) do(t testing.TB, method, target string, c call) answer {
	t.Helper()
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	if c.chunked {
		body = struct{ io.Reader }{body} // net/http sees no length
	}
	if strings.HasPrefix(target, "/") {
		target = s.url + target
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	r.Host = c.host
	return s.send(t, r)
}

func (s *server) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := web.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", r.Method, r.URL.Path, err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// tokenFor signs in and gets a registry token, as clients do.
func (s *server) tokenFor(t testing.TB, scopes ...string) string {
	t.Helper()
	a := s.signIn(t, "token", s.secret, scopes...)
	if a.status != http.StatusOK {
		t.Fatalf("no registry token: %d %s", a.status, a.body)
	}
	return decode[tokenJSON](t, a).AccessToken
}

func (s *server) signIn(t testing.TB, user, secret string, scopes ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/token?"+url.Values{"service": {service}, "scope": scopes}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, secret)
	return s.send(t, r)
}

// full is a token for everything in the repositories.
func (s *server) full(t testing.TB, repos ...string) string {
	t.Helper()
	var scopes []string
	for _, r := range repos {
		scopes = append(scopes, "repository:"+r+":pull,push,delete")
	}
	return s.tokenFor(t, append(scopes, "registry:catalog:*")...)
}

type tokenJSON struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
	IssuedAt     string `json:"issued_at"`
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("the answer is no JSON: %v in %q", err, a.body)
	}
	return v
}

type failure struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// failed checks an error's whole shape and returns it.
func failed(t testing.TB, a answer, status int, code string) failure {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	f, problem := failureOf(a)
	if problem != "" {
		t.Fatal(problem)
	}
	if f.Code != code {
		t.Errorf("code %s, want %s: %s", f.Code, code, f.Message)
	}
	return f
}

func failureOf(a answer) (f failure, problem string) {
	var doc struct {
		Errors []failure `json:"errors"`
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		return f, "an error of type " + ct
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return f, "an error that is no JSON: " + string(a.body)
	}
	if len(doc.Errors) != 1 || doc.Errors[0].Code == "" {
		return f, "an error without exactly one code: " + string(a.body)
	}
	if f = doc.Errors[0]; !strings.Contains(f.Message, " ") {
		return f, "an error without a sentence: " + string(a.body)
	}
	return f, ""
}

// want checks status and headers ("" means absent).
func want(t testing.TB, a answer, status int, headers ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %.500s", a.status, status, a.body)
	}
	for i := 0; i < len(headers); i += 2 {
		if got := a.header.Get(headers[i]); got != headers[i+1] {
			t.Errorf("%s: %q, want %q", headers[i], got, headers[i+1])
		}
	}
}

func sum(b []byte) string { return string(oci.DigestOf(oci.SHA256, b)) }

func sum512(b []byte) string { return string(oci.DigestOf(oci.SHA512, b)) }

// pushBlob pushes a blob in one request.
func (s *server) pushBlob(t testing.TB, tok, repo string, b []byte) string {
	t.Helper()
	d := sum(b)
	a := s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, call{token: tok, body: b, header: map[string]string{"Content-Type": "application/octet-stream"}})
	want(t, a, http.StatusCreated)
	return d
}

// begin opens an upload and gives its path.
func (s *server) begin(t testing.TB, tok, repo string) string {
	t.Helper()
	a := s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/", call{token: tok})
	want(t, a, http.StatusAccepted, "Range", "0-0")
	return s.path(t, a)
}

// path of the Location that an upload's answer names.
func (s *server) path(t testing.TB, a answer) string {
	t.Helper()
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || u.Path == "" {
		t.Fatalf("Location %q: %v", a.header.Get("Location"), err)
	}
	return u.RequestURI()
}

const (
	imageType  = oci.MediaTypeImageManifest
	indexType  = oci.MediaTypeImageIndex
	dockerType = oci.MediaTypeDockerManifest
	listType   = oci.MediaTypeDockerList
)

// put pushes a manifest and gives its digest.
func (s *server) put(t testing.TB, tok, repo, ref, mediaType string, body []byte) string {
	t.Helper()
	if ref == "" {
		ref = sum(body)
	}
	a := s.do(t, "PUT", "/v2/"+repo+"/manifests/"+ref, call{token: tok, body: body, header: map[string]string{"Content-Type": mediaType}})
	want(t, a, http.StatusCreated, "Docker-Content-Digest", sum(body))
	return sum(body)
}

// emptyBlob is the config of artifacts.
var emptyBlob = []byte("{}")

// artifact is a manifest on an empty config.
func artifact(fields string) []byte {
	return []byte(`{"schemaVersion":2,"mediaType":"` + imageType + `","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` +
		sum(emptyBlob) + `","size":2},"layers":[]` + fields + `}`)
}

// image pushes an image of one layer and gives its manifest.
func (s *server) image(t testing.TB, tok, repo, tag, layer string) []byte {
	t.Helper()
	s.pushBlob(t, tok, repo, emptyBlob)
	l := s.pushBlob(t, tok, repo, []byte(layer))
	m := []byte(`{"schemaVersion":2,"mediaType":"` + imageType + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		sum(emptyBlob) + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + l + `","size":` + itoa(len(layer)) + `}]}`)
	s.put(t, tok, repo, tag, imageType, m)
	return m
}

// state is everything that a failed request must leave as it was.
func (s *server) state(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	for e, err := range s.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(string(e.Key) + " " + itoa(int(e.Size)) + "\n")
	}
	use, err := s.db.Uploads.Usage(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString("uploads " + itoa(use.Uploads) + " " + itoa(int(use.Bytes)) + "\n")
	for repo, err := range s.registry.Repositories(t.Context(), registry.Everywhere, "") {
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(string(repo) + ":")
		for tag, err := range s.registry.Tags(t.Context(), repo, "") {
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.registry.Resolve(t.Context(), repo, oci.Ref{Tag: tag})
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(" " + string(tag) + "=" + string(d.Digest))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// files is the number of files in the store.
func (s *server) files(t testing.TB) int {
	t.Helper()
	n := 0
	for _, err := range s.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// uploads is the number of open ones.
func (s *server) uploads(t testing.TB) int {
	t.Helper()
	use, err := s.db.Uploads.Usage(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return use.Uploads
}
