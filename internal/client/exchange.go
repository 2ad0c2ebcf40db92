package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	v1 "fairlead.dev/fairlead/api/v1"
)

// maxLine is the longest line or answer that is read, in bytes: a report of
// fsck with a thousand problems, and room to spare.
const maxLine = 16 << 20

// ErrCutOff says that the server ended the connection before the job did.
var ErrCutOff = errors.New("the server ended the connection before the job was done: look into its log")

// request is what is asked of a server.
type request struct {
	method, path string // the path is escaped
	query        url.Values
	header       http.Header
	body         any // nil for none
}

func read[R any](ctx context.Context, c *Client, path string, query url.Values) (R, error) {
	return whole[R](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

func post[R any](ctx context.Context, c *Client, path string, options any) (R, error) {
	return whole[R](ctx, c, request{method: http.MethodPost, path: path, body: options})
}

func remove[R any](ctx context.Context, c *Client, path string, query url.Values) (R, error) {
	return whole[R](ctx, c, request{method: http.MethodDelete, path: path, query: query})
}

// nothing asks for what has no answer but that it is done.
func (c *Client) nothing(ctx context.Context, method, path string) error {
	res, err := c.send(ctx, request{method: method, path: path})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// whole asks for an answer that is one value.
func whole[R any](ctx context.Context, c *Client, q request) (R, error) {
	var report R
	res, err := c.send(ctx, q)
	if err != nil {
		return report, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&report); err != nil {
		return report, cut(ctx, err)
	}
	return report, nil
}

// stream asks for an answer of one value per line.
func stream[R any](ctx context.Context, c *Client, q request, each func(R) error) error {
	res, err := c.send(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var v R
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return cut(ctx, err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return cut(ctx, err)
	}
	return nil
}

// run starts a long job and reads its lines.
func run[R any](ctx context.Context, c *Client, path string, options any, progress func(v1.Progress)) (R, error) {
	var report R
	res, err := c.send(ctx, request{method: http.MethodPost, path: path, body: options})
	if err != nil {
		return report, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l v1.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return report, cut(ctx, err)
		}
		switch {
		case l.Error != nil:
			return report, &Error{*l.Error}
		case l.Result != nil:
			if err := json.Unmarshal(l.Result, &report); err != nil {
				return report, fmt.Errorf("read the server's report: %w", err)
			}
			return report, nil
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		}
	}
	return report, cut(ctx, lines.Err())
}

// cut says why an answer is not whole.
func cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return ErrCutOff
	}
	return fmt.Errorf("%w (%w)", ErrCutOff, err)
}

// send sends a request; what is not a success is an error.
func (c *Client) send(ctx context.Context, q request) (*http.Response, error) {
	req, err := c.prepare(ctx, q)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	var known *url.Error
	switch {
	case errors.Is(err, ErrNoServer):
		return nil, fmt.Errorf("%w on %s", ErrNoServer, c.path)
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case errors.Is(err, io.EOF):
		return nil, cut(ctx, err)
	case errors.As(err, &known) && c.path != "": // its text has a URL that is none
		return nil, known.Err
	case errors.As(err, &known):
		return nil, &ReachError{Server: c.base.String(), Err: known.Err}
	case err != nil:
		return nil, err
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return res, nil
	}
	defer res.Body.Close()
	return nil, refused(res)
}

// ReachError says that a server did not answer.
type ReachError struct {
	Server string
	Err    error
}

func (e *ReachError) Error() string { return "reach " + e.Server + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *ReachError) Unwrap() error { return e.Err }

func (c *Client) prepare(ctx context.Context, q request) (*http.Request, error) {
	u := c.base.Scheme + "://" + c.base.Host + q.path
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	var body io.Reader
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, u, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	for name, v := range q.header {
		req.Header[name] = v
	}
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	if c.token == nil {
		return req, nil
	}
	value, err := c.token()
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("token", value)
	return req, nil
}

// refused reads why.
func refused(res *http.Response) error {
	e := &Error{v1.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}}
	if t, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || t != v1.ProblemType {
		return e
	}
	var p v1.Problem
	if err := json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&p); err == nil {
		e.Problem = p
	}
	return e
}
