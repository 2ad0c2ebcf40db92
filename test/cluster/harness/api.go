package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// The harness' own look at the API server, by the administrator: what is
// asked for again and again. What changes something is done by kubectl.

// get reads an object.
func (c *Kubernetes) get(path string, into any) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.URL+path, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %s", path, answer.Status, tail(string(body), 500))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func (c *Kubernetes) ready() error { return c.get("/readyz", nil) }
