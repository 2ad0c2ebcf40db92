package fault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// The repositories of the tests.
var repos = []string{"fault/one", "fault/two", "fault/three"}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// client speaks the protocol plainly: what was sent and what came back is the
// test's own business. Safe for concurrent use.
type client struct {
	url      string
	operator string // the operator's token
	bearer   string
	http     *http.Client
}

// answer of the server.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.body[:min(len(a.body), 300)])
}

// code is the error code of the first error in the body.
func (a answer) code() string {
	var e struct{ Errors []struct{ Code string } }
	if json.Unmarshal(a.body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// do sends a request; headers are pairs. The error is one of the connection.
func (c *client) do(method, path string, body []byte, headers ...string) (answer, error) {
	if !strings.HasPrefix(path, "http") {
		path = c.url + path
	}
	r, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = w.Body.Close() }()
	a := answer{status: w.StatusCode, header: w.Header}
	a.body, err = io.ReadAll(w.Body)
	return a, err
}

// login fetches a registry token for all the repositories.
func (c *client) login() error {
	q := url.Values{"service": {"fairlead"}}
	for _, repo := range repos {
		q.Add("scope", "repository:"+repo+":pull,push,delete")
	}
	r, err := http.NewRequest(http.MethodGet, c.url+"/token?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("token", c.operator)
	w, err := c.http.Do(r)
	if err != nil {
		return errPower // it was ready a moment ago
	}
	defer func() { _ = w.Body.Close() }()
	var t struct{ Token string }
	if err := json.NewDecoder(w.Body).Decode(&t); err != nil || t.Token == "" {
		return fmt.Errorf("GET /token: %s, %w", w.Status, err)
	}
	c.bearer = t.Token
	return nil
}

func (c *client) blob(repo, digest string) (answer, error) {
	return c.do(http.MethodGet, "/v2/"+repo+"/blobs/"+digest, nil)
}

func (c *client) manifest(repo, ref string) (answer, error) {
	return c.do(http.MethodGet, "/v2/"+repo+"/manifests/"+ref, nil, "Accept", manifestType)
}

func (c *client) putManifest(repo, ref string, body []byte) (answer, error) {
	return c.do(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, body, "Content-Type", manifestType)
}

func (c *client) remove(repo, kind, ref string) (answer, error) {
	return c.do(http.MethodDelete, "/v2/"+repo+"/"+kind+"/"+ref, nil)
}

func (c *client) mount(repo, from, digest string) (answer, error) {
	return c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?mount="+digest+"&from="+from, nil)
}

// postWhole pushes a blob by one request.
func (c *client) postWhole(repo string, content []byte) (answer, error) {
	return c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+sum(content), content, "Content-Type", "application/octet-stream")
}

// begin opens an upload and gives its location.
func (c *client) begin(repo string) (where string, a answer, err error) {
	a, err = c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	return a.header.Get("Location"), a, err
}

// patch sends a chunk.
func (c *client) patch(where string, offset int, chunk []byte) (answer, error) {
	return c.do(http.MethodPatch, where, chunk, "Content-Type", "application/octet-stream",
		"Content-Range", fmt.Sprintf("%d-%d", offset, offset+len(chunk)-1))
}

// commit ends an upload.
func (c *client) commit(where, digest string) (answer, error) {
	return c.do(http.MethodPut, where+"?digest="+digest, nil)
}

// push pushes a blob as most clients do, by three requests.
func (c *client) push(repo string, content []byte) (answer, error) {
	where, a, err := c.begin(repo)
	if err != nil || a.status != http.StatusAccepted {
		return a, err
	}
	if a, err = c.do(http.MethodPatch, where, content); err != nil || a.status != http.StatusAccepted {
		return a, err
	}
	return c.commit(where, sum(content))
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// descriptor as a manifest names a blob.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// image is a manifest over blobs; the first is its config. The note makes it
// differ from others over the same blobs.
func image(note string, blobs ...[]byte) []byte {
	m := struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
	}{SchemaVersion: 2, MediaType: manifestType, Layers: []descriptor{}, Annotations: map[string]string{"note": note}}
	for i, b := range blobs {
		if i == 0 {
			m.Config = descriptor{"application/vnd.oci.image.config.v1+json", sum(b), len(b)}
			continue
		}
		m.Layers = append(m.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar", sum(b), len(b)})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil // a manifest is always representable
	}
	return body
}
