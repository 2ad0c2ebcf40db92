package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestOtherNames: replicas that are called otherwise, as in an update of
// --webhook-url, share a certificate instead of taking it from each other; and
// what somebody spoils again and again is repaired now and then.
func TestOtherNames(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	one, two := freePort(t), freePort(t)
	s.install(one)
	all := []*running{
		s.start(append(serving(one), "--leader-elect")...),
		s.start("--leader-elect", "--webhook-listen", fmt.Sprintf("127.0.0.1:%d", two), "--webhook-url", fmt.Sprintf("https://localhost:%d/mutate-pods", two)),
	}
	renewals := func() (n int) {
		for _, r := range all {
			n += strings.Count(r.log.String(), "the webhook's certificate is renewed")
		}
		return n
	}
	shown := func() {
		t.Helper()
		for name, port := range map[string]int{"127.0.0.1": one, "localhost": two} {
			harness.Until(t, "each shows one for its name", func() error {
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(s.kept()["ca.crt"])
				conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots, ServerName: name})
				if err != nil {
					return err
				}
				return conn.Close()
			})
		}
	}
	shown()
	time.Sleep(time.Second)
	if n := renewals(); n != 2 { // the first one, and one for both names
		t.Errorf("the certificate was written %d times, want 2", n)
	}
	before := renewals()
	for range 10 {
		if _, err := s.api.CoreV1().Secrets(system).Patch(context.Background(), "fairlead-webhook", types.MergePatchType, []byte(`{"data":{"tls.crt":"eA=="}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := renewals() - before; n > 2 {
		t.Errorf("it was repaired %d times in a second", n)
	}
	harness.Until(t, "it is repaired", func() error {
		if text := string(s.kept()["tls.crt"]); !strings.Contains(text, "BEGIN CERTIFICATE") {
			return fmt.Errorf("it is %q", text)
		}
		return nil
	})
	shown()
}

// crowd makes PullSecrets of 160 KB each, as an editor of a namespace may.
func (s *site) crowd(namespace string, many int) {
	s.t.Helper()
	names := make([]string, 50)
	for i := range names {
		names[i] = fmt.Sprintf("namespace-%02d-with-a-name-that-is-fifty-bytes-in-length", i)
	}
	var registries []map[string]any
	for i := range 50 {
		registries = append(registries, map[string]any{"host": fmt.Sprintf("registry-%d.example", i), "namespaces": names, "secret": map[string]any{"name": "hub"}})
	}
	for i := range many {
		body, err := json.Marshal(map[string]any{
			"apiVersion": "fairlead.dev/v1alpha1", "kind": "PullSecret", "metadata": map[string]any{"name": fmt.Sprint("p-", i)},
			"spec": map[string]any{"registries": registries},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		path := "/apis/fairlead.dev/v1alpha1/namespaces/" + namespace + "/pullsecrets"
		if err := s.api.RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(context.Background()).Error(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestFlood: somebody who reaches the port sends large bodies over many
// connections, and asks for accounts that are not there, in a namespace full of
// PullSecrets: the controller stays within its memory, answers others
// meanwhile, and the API server afterwards.
func TestFlood(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ns, _, r := s.works("flood")
	other := s.space("other")
	s.called(other)
	s.crowd(ns, 100)
	body := []byte(fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","resource":{"version":"v1","resource":"pods"},"operation":"CREATE","namespace":%q,"object":{"metadata":{"annotations":{"a":%q}},"spec":{"serviceAccountName":"bogus"}}}}`,
		ns, strings.Repeat("x", 4<<20-1000)))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for range 100 {
		all.Go(func() {
			way := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			defer way.CloseIdleConnections()
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
				if err != nil {
					return
				}
				request.Header.Set("Content-Type", "application/json")
				code := 0
				if answer, err := way.RoundTrip(request); err == nil {
					code = answer.StatusCode
					_ = answer.Body.Close()
				}
				mu.Lock()
				codes[code]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	peak := 0
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	t.Logf("answers by status %v, memory at most %d MiB", codes, peak>>10)
	if peak == 0 || peak > 256<<10 {
		t.Errorf("it used %d MiB, its container has 256", peak>>10)
	}
	if codes[http.StatusServiceUnavailable] == 0 {
		t.Errorf("the answers are %v, want some of 503", codes)
	}
	start := time.Now()
	s.called(ns)
	s.called(other)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the next pods took %s", d)
	}
}
