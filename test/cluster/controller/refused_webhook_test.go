package controller_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// refuser is somebody's validating webhook: it lets nothing pass until it is
// told to.
type refuser struct {
	url, bundle string
	mu          sync.Mutex
	calls       []time.Time // not dry runs
	lenient     bool
}

const refusal = "secrets of this team come from the vault"

func startRefuser(t *testing.T) *refuser {
	t.Helper()
	w := &refuser{}
	s := httptest.NewTLSServer(http.HandlerFunc(w.serve))
	t.Cleanup(s.Close)
	w.url = s.URL
	w.bundle = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return w
}

func (w *refuser) serve(out http.ResponseWriter, in *http.Request) {
	var review struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Request    map[string]any `json:"request,omitempty"`
		Response   map[string]any `json:"response"`
	}
	if err := json.NewDecoder(in.Body).Decode(&review); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if review.Request["dryRun"] != true {
		w.calls = append(w.calls, time.Now())
	}
	review.Response = map[string]any{
		"uid": review.Request["uid"], "allowed": w.lenient, "status": map[string]any{"code": 403, "message": refusal},
	}
	review.Request = nil
	_ = json.NewEncoder(out).Encode(review)
}

// tries since then, and lets pass from now on if it is to.
func (w *refuser) tries(lenient bool) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lenient = lenient
	return w.calls
}

// asks makes a configuration by which secrets of a namespace are asked about at
// a URL; who does not answer refuses.
func (r *running) asks(name, namespace, url, bundle string) {
	r.t.Helper()
	r.apply(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: secrets.others.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 2
  clientConfig: {url: %[3]q, caBundle: %[4]q}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]
`, name, namespace, url, bundle)
	r.t.Cleanup(func() {
		r.Kubectl("delete", "validatingwebhookconfiguration", name, "--ignore-not-found")
	})
	harness.Until(r.t, "the API server asks it", func() error {
		got := r.Try(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: asks, namespace: %s}\n", namespace), "create", "--dry-run=server", "-f", "-")
		if !strings.Contains(got.Stderr, "secrets.others.example") {
			return fmt.Errorf("exit code %d %s", got.Code, got.Stderr)
		}
		return nil
	})
}

// TestRefusedByWebhook: what somebody's webhook says of a secret is said in the
// condition and in the namespace; it is tried again with pauses that grow, and
// all is well once the webhook lets it pass. A webhook that must answer and
// cannot be reached is no different.
func TestRefusedByWebhook(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	p := r.policy(hub)
	w := startRefuser(t)
	refused := c.Namespace(t).Name
	r.asks("refuses-"+r.Name, refused, w.url, w.bundle)
	r.Kubectl("label", "namespace", refused, "team="+r.Name)
	if text := r.condition(p, "Ready", "WriteFailed"); !strings.Contains(text, refusal) || !strings.Contains(text, "secrets.others.example") || !strings.Contains(text, refused) {
		t.Errorf("the condition says %q", text)
	}
	r.event(refused, r.secret, "WriteFailed", refusal)
	if r.pull(refused) != nil || r.list(refused, "default") != "" {
		t.Error("something was written")
	}
	harness.Until(t, "it is tried again", func() error {
		if n := len(w.tries(false)); n < 5 {
			return fmt.Errorf("there were %d tries", n)
		}
		return nil
	})
	all := w.tries(false)
	if first, last := all[1].Sub(all[0]), all[4].Sub(all[3]); last < 2*first || last < 400*time.Millisecond {
		t.Errorf("the pauses were %s at first and %s later: they do not grow", first, last)
	}
	w.tries(true)
	r.has(refused, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")

	nobody := "https://" + freeAddress(t)
	unreached := c.Namespace(t).Name
	r.asks("unreached-"+r.Name, unreached, nobody, w.bundle)
	r.Kubectl("label", "namespace", unreached, "team="+r.Name)
	if text := r.condition(p, "Ready", "WriteFailed"); !strings.Contains(text, "failed calling webhook") || !strings.Contains(text, "secrets.others.example") {
		t.Errorf("the condition says %q", text)
	}
	r.event(unreached, r.secret, "WriteFailed", "failed calling webhook")
	if p.Status.Namespaces != 2 || p.Status.Ready != 1 || p.Status.Failing != 1 {
		t.Errorf("the counts are %+v", p.Status)
	}
	r.Kubectl("delete", "validatingwebhookconfiguration", "unreached-"+r.Name)
	r.has(unreached, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")
}
