package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// call is a request as a script or a test writes it.
type call struct {
	method, target string
	basic, bearer  string // the password of the user "token", or a bearer token
	header         http.Header
	body           []byte
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send does a call.
func (r *running) send(ctx context.Context, c call) (answer, error) {
	if !strings.HasPrefix(c.target, "http") {
		c.target = r.url + c.target
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.target, bytes.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	if h := c.header.Get("Host"); h != "" {
		req.Host = h
		req.Header.Del("Host")
	}
	switch {
	case c.basic != "":
		req.SetBasicAuth("token", c.basic)
	case c.bearer != "":
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}, err
}

// api asks the management API and reads the answer into out, if that is not
// nil; a status that is not below 300 is an error.
func (r *running) api(ctx context.Context, value, method, path string, in, out any) error {
	c := call{method: method, target: path, bearer: value}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		c.body = b
	}
	a, err := r.send(ctx, c)
	if err == nil && a.status >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, a.status, a.body)
	}
	if err == nil && out != nil {
		err = json.Unmarshal([]byte(a.body), out)
	}
	return err
}

// must is api for what cannot fail.
func (r *running) must(t *testing.T, value, method, path string, in, out any) {
	t.Helper()
	if err := r.api(t.Context(), value, method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

// account makes an account and gives the value of its first admin token.
func (r *running) account(ctx context.Context, name string) (v1.AccountMade, error) {
	b, err := os.ReadFile(filepath.Join(r.data, "operator.token"))
	if err != nil {
		return v1.AccountMade{}, err
	}
	var made v1.AccountMade
	err = r.api(ctx, strings.TrimSpace(string(b)), "POST", "/api/v1/accounts", v1.AccountSpec{Name: name}, &made)
	return made, err
}

// house makes an account with namespaces, and gives its admin's token.
func (r *running) house(t *testing.T, account string, namespaces ...v1.NamespaceSpec) string {
	t.Helper()
	made, err := r.account(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range namespaces {
		r.must(t, made.Token, "POST", "/api/v1/namespaces", n, nil)
	}
	return made.Token
}

// mint makes a token as an admin.
func (r *running) mint(t *testing.T, admin string, s v1.TokenSpec) v1.TokenValue {
	t.Helper()
	var out v1.TokenValue
	r.must(t, admin, "POST", "/api/v1/tokens", s, &out)
	return out
}

// exchange trades a token's value for a registry token, and says what it
// grants.
func (r *running) exchange(ctx context.Context, value string, scopes ...string) (token, granted string, _ error) {
	form := url.Values{"grant_type": {"password"}, "username": {"token"}, "password": {value}, "scope": {strings.Join(scopes, " ")}}
	a, err := r.send(ctx, call{
		method: "POST", target: "/token", body: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err == nil && a.status != 200 {
		err = fmt.Errorf("/token: %d %s", a.status, a.body)
	}
	if err != nil {
		return "", "", err
	}
	var out struct {
		Token string `json:"access_token"`
		Scope string `json:"scope"`
	}
	err = json.Unmarshal([]byte(a.body), &out)
	return out.Token, out.Scope, err
}

// bearer is exchange for what cannot fail.
func (r *running) bearer(t *testing.T, value string, scopes ...string) string {
	t.Helper()
	token, _, err := r.exchange(t.Context(), value, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// image is what push makes.
type image struct{ config, layer, digest string }

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// push sends an image with one layer of the given content.
func (r *running) push(ctx context.Context, token, repo, tag, content string) (image, error) {
	config := `{"architecture":"amd64","os":"linux","config":{"Labels":{"of":"` + content + `"}}}`
	im := image{config: string(oci.DigestOf(oci.SHA256, []byte(config))), layer: string(oci.DigestOf(oci.SHA256, []byte(content)))}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, manifestType, im.config, len(config), im.layer, len(content))
	im.digest = string(oci.DigestOf(oci.SHA256, []byte(manifest)))
	for _, c := range []call{
		{method: "POST", target: "/v2/" + repo + "/blobs/uploads/?digest=" + im.config, body: []byte(config)},
		{method: "POST", target: "/v2/" + repo + "/blobs/uploads/?digest=" + im.layer, body: []byte(content)},
		{method: "PUT", target: "/v2/" + repo + "/manifests/" + tag, body: []byte(manifest), header: http.Header{"Content-Type": {manifestType}}},
	} {
		c.bearer = token
		a, err := r.send(ctx, c)
		if err == nil && a.status != 201 {
			err = fmt.Errorf("%s %s: %d %s", c.method, c.target, a.status, a.body)
		}
		if err != nil {
			return im, err
		}
	}
	return im, nil
}

func (r *running) mustPush(t *testing.T, token, repo, tag, content string) image {
	t.Helper()
	im, err := r.push(t.Context(), token, repo, tag, content)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// all actions on a repository.
func all(repo string) string { return "repository:" + repo + ":pull,push,delete" }
