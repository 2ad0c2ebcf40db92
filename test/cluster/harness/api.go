package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The harness' own look at the API server, by the administrator: what is
// asked for again and again. What changes something is done by kubectl, or by
// Do where it is done a thousand times.

// get reads an object.
func (c *Kubernetes) get(path string, into any) error {
	return c.Do(context.Background(), http.MethodGet, path, "", into)
}

// Do asks the API server as the administrator, without kubectl's half second.
// The body is JSON; into may be nil.
func (c *Kubernetes) Do(ctx context.Context, method, path, body string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, answer.Status, tail(string(text), 500))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// Watch tells of what there is under a path of the API, and of each change of
// it, until the test ends. kind is ADDED, MODIFIED or DELETED; each is called
// by one goroutine, as the events come.
func (c *Kubernetes) Watch(t testing.TB, path string, each func(kind string, object json.RawMessage)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	patient := *c.http
	patient.Timeout = 0
	answer, err := patient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", path, answer.Status)
	}
	go func() {
		defer func() { _ = answer.Body.Close() }()
		r := json.NewDecoder(bufio.NewReaderSize(answer.Body, 1<<16))
		for {
			var event struct {
				Type   string
				Object json.RawMessage
			}
			err := r.Decode(&event)
			switch {
			case errors.Is(err, io.EOF), ctx.Err() != nil:
				return
			case err != nil:
				t.Errorf("watching %s: %v", path, err)
				return
			}
			each(event.Type, event.Object)
		}
	}()
}

func (c *Kubernetes) ready() error { return c.get("/readyz", nil) }
