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

func read[R any](ctx context.Context, c *Client, path string, query url.Values) (R, error) {
	return whole[R](ctx, c, http.MethodGet, path, query, nil)
}

func post[R any](ctx context.Context, c *Client, path string, options any) (R, error) {
	return whole[R](ctx, c, http.MethodPost, path, nil, options)
}

// whole asks for an answer that is one value.
func whole[R any](ctx context.Context, c *Client, method, path string, query url.Values, options any) (R, error) {
	var report R
	res, err := c.send(ctx, method, path, query, options)
	if err != nil {
		return report, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&report); err != nil {
		return report, cut(ctx, err)
	}
	return report, nil
}

// run starts a long job and reads its lines.
func run[R any](ctx context.Context, c *Client, path string, options any, progress func(v1.Progress)) (R, error) {
	var report R
	res, err := c.send(ctx, http.MethodPost, path, nil, options)
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
func (c *Client) send(ctx context.Context, method, path string, query url.Values, options any) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "fairlead", Path: path, RawQuery: query.Encode()}
	var body io.Reader
	if options != nil {
		b, err := json.Marshal(options)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if options != nil {
		req.Header.Set("Content-Type", "application/json")
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
	case errors.As(err, &known): // its text has a URL that is none
		return nil, known.Err
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	defer res.Body.Close()
	return nil, refused(res)
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
