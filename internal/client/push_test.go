package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/oci"
)

// TestPusher: a blob that is there is not sent; an upload stays with the
// registry; a refusal is the registry's sentence.
func TestPusher(t *testing.T) {
	t.Parallel()
	content := []byte("hello")
	digest := oci.DigestOf(oci.SHA256, content)
	there, location, got := false, "/v2/acme/app/blobs/uploads/1?state=x", ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" && r.Header.Get("Authorization") != "Bearer reg" {
			t.Errorf("%s has the authorization %q", r.URL, r.Header.Get("Authorization"))
		}
		switch {
		case r.URL.Path == "/token":
			if _, p, _ := r.BasicAuth(); p != "flt_x" || r.FormValue("scope") != "repository:acme/app:pull,push" {
				t.Errorf("the token is asked for by %s", r.URL)
			}
			_, _ = io.WriteString(w, `{"token":"reg"}`)
		case r.Method == http.MethodHead && !there:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodHead:
			w.Header().Set("Docker-Content-Digest", string(digest))
		case r.Method == http.MethodPost:
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusAccepted)
		case strings.Contains(r.URL.Path, "/uploads/"):
			b, _ := io.ReadAll(r.Body)
			got = r.URL.RequestURI() + " " + string(b)
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"the tag is immutable"}]}`)
		}
	}))
	t.Cleanup(srv.Close)
	p, err := dial(t, srv.URL).Pusher(t.Context(), "acme/app")
	if err != nil {
		t.Fatal(err)
	}
	sent := int64(0)
	count := func(n int64) { sent += n }
	if err := p.Blob(t.Context(), digest, content, count); err != nil || sent != 5 {
		t.Errorf("%d bytes went, %v", sent, err)
	}
	if want := "/v2/acme/app/blobs/uploads/1?digest=sha256%3A" + digest.Hex() + "&state=x hello"; got != want {
		t.Errorf("the upload is %s, want %s", got, want)
	}
	there, sent, got = true, 0, ""
	if err := p.Blob(t.Context(), digest, content, count); err != nil || sent != 5 || got != "" {
		t.Errorf("a blob that is there: %d bytes, %q, %v", sent, got, err)
	}
	if d, err := p.Digest(t.Context(), oci.Ref{Tag: "v1"}); err != nil || d != digest {
		t.Errorf("the tag is %s, %v", d, err)
	}
	there, location = false, "https://elsewhere.example/upload"
	if err := p.Blob(t.Context(), digest, content, count); err == nil || !strings.Contains(err.Error(), "no place of its own") {
		t.Errorf("an upload elsewhere: %v", err)
	}
	if d, err := p.Digest(t.Context(), oci.Ref{Tag: "v1"}); err != nil || d != "" {
		t.Errorf("a tag that is not there is %s, %v", d, err)
	}
	var refused *client.Error
	if err := p.Manifest(t.Context(), oci.Ref{Tag: "v1"}, oci.Manifest{}); !errors.As(err, &refused) || refused.Status != 403 || err.Error() != "the tag is immutable" {
		t.Errorf("a refusal is %v", err)
	}
}
