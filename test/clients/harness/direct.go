package harness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// The harness' own look at the server: what a client claims to have done is
// checked by another one.

// Repository of the server, opened with the operator's token.
func (s *Server) Repository(t testing.TB, name string) *remote.Repository {
	t.Helper()
	return s.RepositoryAs(t, name, auth.Credential{Username: User, Password: s.Token})
}

// RepositoryAs opens a repository, named with the host or without, with
// another credential; the empty one is anonymous.
func (s *Server) RepositoryAs(t testing.TB, name string, credential auth.Credential) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(s.Ref(strings.TrimPrefix(name, s.Host+"/")))
	check(t, err)
	repo.PlainHTTP = s.URL == "http://"+s.Host
	repo.Client = s.HTTP(credential)
	// The referrers API must answer: a client that falls back to the tag
	// schema would hide that it does not.
	check(t, repo.SetReferrersCapability(true))
	return repo
}

// HTTP is a client that answers the server's challenges.
func (s *Server) HTTP(credential auth.Credential) *auth.Client {
	return &auth.Client{
		Client:     s.http,
		Credential: auth.StaticCredential(s.Host, credential),
		Cache:      auth.NewCache(),
	}
}

// Authorization is the header that the operator's client sends with a request
// to this path, once it has answered the challenge.
func (s *Server) Authorization(t testing.TB, method, path string) string {
	t.Helper()
	return s.AuthorizationAs(t, auth.Credential{Username: User, Password: s.Token}, method, path)
}

// AuthorizationAs is Authorization with another credential.
func (s *Server) AuthorizationAs(t testing.TB, credential auth.Credential, method, path string) string {
	t.Helper()
	seen := &lastAuthorization{next: s.http.Transport}
	client := s.HTTP(credential)
	client.Client = &http.Client{Transport: seen}
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	check(t, err)
	answer, err := client.Do(request)
	check(t, err)
	check(t, answer.Body.Close())
	return seen.header
}

type lastAuthorization struct {
	next   http.RoundTripper
	header string
}

func (l *lastAuthorization) RoundTrip(r *http.Request) (*http.Response, error) {
	l.header = r.Header.Get("Authorization")
	return l.next.RoundTrip(r)
}

// Has gives the digest that a tag or digest resolves to.
func (s *Server) Has(t testing.TB, repo, ref string) string {
	t.Helper()
	desc, err := s.Repository(t, repo).Resolve(t.Context(), ref)
	if err != nil {
		t.Fatalf("%s:%s should be there: %v", repo, ref, err)
	}
	return desc.Digest.String()
}

// Lacks fails the test if a tag or digest resolves.
func (s *Server) Lacks(t testing.TB, repo, ref string) {
	t.Helper()
	desc, err := s.Repository(t, repo).Resolve(t.Context(), ref)
	if !errors.Is(err, errdef.ErrNotFound) {
		t.Fatalf("%s:%s should not be there: %v, %v", repo, ref, desc, err)
	}
}

// Manifest gives a manifest's media type and bytes.
func (s *Server) Manifest(t testing.TB, repo, ref string) (mediaType string, body []byte) {
	t.Helper()
	desc, r, err := s.Repository(t, repo).FetchReference(t.Context(), ref)
	if err != nil {
		t.Fatalf("fetching %s:%s: %v", repo, ref, err)
	}
	defer func() { _ = r.Close() }()
	body, err = io.ReadAll(r)
	check(t, err)
	return desc.MediaType, body
}

// Status of a request with the operator's token; the body is read and closed.
func (s *Server) Status(t testing.TB, method, path string, body io.Reader, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	check(t, err)
	for key, values := range header {
		request.Header[key] = values
	}
	answer, err := s.HTTP(auth.Credential{Username: User, Password: s.Token}).Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, fmt.Errorf("reading the answer: %w", err))
	}
	return answer.StatusCode, string(text)
}
