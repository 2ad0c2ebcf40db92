package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// Pusher stores content in one repository of the server's registry, with the
// right that the client's token gives. Errors of its methods are those of Client.
type Pusher struct {
	c     *Client
	repo  oci.Repo
	token string
}

// Pusher signs in to a repository. What may not be done there is said when it
// is tried.
func (c *Client) Pusher(ctx context.Context, repo oci.Repo) (*Pusher, error) {
	scope := oci.RepoScope(repo, "pull", "push")
	got, err := read[struct {
		Token string `json:"token"`
	}](ctx, c, "/token", url.Values{"scope": {scope.String()}})
	return &Pusher{c: c, repo: repo, token: got.Token}, err
}

// Digest of what a reference names; "" if there is nothing.
func (p *Pusher) Digest(ctx context.Context, ref oci.Ref) (oci.Digest, error) {
	res, err := p.send(ctx, http.MethodHead, p.path("manifests", ref.String()), nil, 0, http.Header{
		"Accept": {oci.MediaTypeImageManifest, oci.MediaTypeImageIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList},
	})
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	return oci.ParseDigest(res.Header.Get("Docker-Content-Digest"))
}

// Blob stores content unless it is there. sent is told how many bytes of it
// went.
func (p *Pusher) Blob(ctx context.Context, digest oci.Digest, content []byte, sent func(int64)) error {
	res, err := p.send(ctx, http.MethodHead, p.path("blobs", string(digest)), nil, 0, nil)
	if err == nil {
		sent(int64(len(content)))
		return res.Body.Close()
	}
	if !missing(err) {
		return err
	}
	if res, err = p.send(ctx, http.MethodPost, p.path("blobs", "uploads")+"/", nil, 0, nil); err != nil {
		return err
	}
	_ = res.Body.Close()
	at, err := p.c.base.Parse(res.Header.Get("Location"))
	if err != nil || at.Host != p.c.base.Host {
		return fmt.Errorf("the registry names no place of its own for the upload: %s must be one of its public-urls", p.c.base.String())
	}
	q := at.Query()
	q.Set("digest", string(digest))
	res, err = p.send(ctx, http.MethodPut, at.EscapedPath()+"?"+q.Encode(), &counted{r: bytes.NewReader(content), sent: sent}, int64(len(content)), http.Header{"Content-Type": {"application/octet-stream"}})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Manifest stores a manifest under a tag, or by its digest alone.
func (p *Pusher) Manifest(ctx context.Context, ref oci.Ref, m oci.Manifest) error {
	res, err := p.send(ctx, http.MethodPut, p.path("manifests", ref.String()), bytes.NewReader(m.Bytes), m.Size, http.Header{"Content-Type": {m.MediaType}})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (p *Pusher) path(kind, name string) string {
	return "/v2/" + string(p.repo) + "/" + kind + "/" + name
}

func (p *Pusher) send(ctx context.Context, method, path string, body io.Reader, length int64, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.c.base.Scheme+"://"+p.c.base.Host+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	for name, v := range header {
		req.Header[name] = v
	}
	req.ContentLength = length
	req.Header.Set("User-Agent", p.c.agent)
	req.Header.Set("Authorization", "Bearer "+p.token)
	res, err := p.c.http.Do(req)
	var known *url.Error
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &known):
		return nil, &ReachError{Server: p.c.base.String(), Err: known.Err}
	case err != nil:
		return nil, err
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return res, nil
	}
	defer res.Body.Close()
	e := &Error{v1.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}}
	var said struct {
		Errors []struct{ Code, Message string }
	}
	if json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&said) == nil && len(said.Errors) > 0 {
		e.Code, e.Detail = said.Errors[0].Code, said.Errors[0].Message
	}
	return nil, e
}

func missing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// counted tells how much was read.
type counted struct {
	r    io.Reader
	sent func(int64)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.sent(int64(n))
	return n, err
}
