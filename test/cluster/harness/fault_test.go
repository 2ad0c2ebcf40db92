package harness_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	_, f := harness.StartFairleadFaults(t)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) (*http.Response, string, error) {
		t.Helper()
		answer, err := client.Get("http://" + f.Host + path)
		if err != nil {
			return nil, "", err
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		return answer, string(body), err
	}

	// What is not spoiled is the registry's own, and names the proxy.
	answer, _, err := ask("/v2/")
	if err != nil || answer.StatusCode != http.StatusUnauthorized || !strings.Contains(answer.Header.Get("WWW-Authenticate"), f.Host) {
		t.Fatalf("/v2/: %v, %v, want a challenge that names %s", answer, err, f.Host)
	}
	undo := f.Fail(harness.Fault{Method: http.MethodGet, Path: "/v2/", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "7"}, Body: "slow"})
	if answer, body, err := ask("/v2/"); err != nil || answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "7" || body != "slow" {
		t.Errorf("429: %v %q %v", answer, body, err)
	}
	if answer, _, err := ask("/readyz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("another path: %v, %v, want it untouched", answer, err)
	}
	once := f.Fail(harness.Fault{Path: "/v2/", Times: 1, Close: true})
	if answer, _, err := ask("/v2/"); err == nil {
		t.Errorf("Close: %v, want no answer", answer)
	}
	if answer, _, err := ask("/v2/"); err != nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after Times: %v, %v, want the fault before", answer, err)
	}
	once()
	undo()
	hang := f.Fail(harness.Fault{Path: "/v2/", Hang: true})
	begun := time.Now()
	if answer, _, err := ask("/v2/"); err == nil || time.Since(begun) < client.Timeout {
		t.Errorf("Hang: %v after %s, want the client to give up", answer, time.Since(begun))
	}
	hang()
	if answer, _, err := ask("/v2/"); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("undone: %v, %v, want the registry's own answer", answer, err)
	}
	if n := len(slices.DeleteFunc(f.Seen(), func(r string) bool { return r != "GET /v2/" })); n != 6 {
		t.Errorf("%d requests were seen, want 6", n)
	}
}
