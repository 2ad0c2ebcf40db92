package bench_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// pollEvery is the usual pause of those who copy pull secrets by polling.
const pollEvery = 10 * time.Second

// poller does what such a copier does: again and again it lists the
// namespaces, and in each, one after the other, makes the secret like its own
// and puts the name into the list of the default account. It is as good as
// such a thing can be: it writes only what differs, waits for no rate limit of
// its client, and the namespaces of the controller are none of its business.
type poller struct {
	t *testing.T
	n *harness.Namespace
}

func (w *world) poller(ctx context.Context) {
	w.t.Helper()
	w.system.Apply(`apiVersion: v1
kind: ServiceAccount
metadata: {name: poller}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: poller}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [list]}
- {apiGroups: [""], resources: [secrets], verbs: [get, create, update]}
- {apiGroups: [""], resources: [serviceaccounts], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: poller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: poller}
subjects: [{kind: ServiceAccount, name: poller, namespace: fairlead-system}]
`)
	p := &poller{w.t, w.system.Account(polls)}
	done := make(chan struct{})
	w.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.round(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
		}
	}()
}

func (p *poller) round(ctx context.Context) {
	var all struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	p.ask(http.MethodGet, "/api/v1/namespaces?labelSelector="+label+"%3D"+polls, "", "", &all)
	for _, ns := range all.Items {
		if ctx.Err() != nil {
			return
		}
		p.secret(ns.Metadata.Name)
		p.list(ns.Metadata.Name)
	}
}

func (p *poller) secret(namespace string) {
	data := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths":{"registry.example":{"username":"u","password":%q}}}`, harness.Password))
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":%q}}`, polls, data)
	path := "/api/v1/namespaces/" + namespace + "/secrets"
	var there struct{ Data map[string]string }
	if p.ask(http.MethodGet, path+"/"+polls, "", "", &there) == http.StatusNotFound {
		p.ask(http.MethodPost, path, "application/json", body, nil)
	} else if there.Data[".dockerconfigjson"] != data {
		p.ask(http.MethodPut, path+"/"+polls, "application/json", body, nil)
	}
}

func (p *poller) list(namespace string) {
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/default"
	var a object
	if p.ask(http.MethodGet, path, "", "", &a) == http.StatusNotFound {
		return // the next round finds it
	}
	for _, s := range a.ImagePullSecrets {
		if s.Name == polls {
			return
		}
	}
	p.ask(http.MethodPatch, path, "application/strategic-merge-patch+json", fmt.Sprintf(`{"imagePullSecrets":[{"name":%q}]}`, polls), nil)
}

func (p *poller) ask(method, path, kind, body string, into any) int {
	status, text := p.n.Request(method, path, kind, body)
	if status >= 300 && status != http.StatusNotFound {
		p.t.Errorf("the poller: %s %s: %d %s", method, path, status, strings.TrimSpace(text))
	}
	if into != nil && status == http.StatusOK {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			p.t.Errorf("the poller: %s: %v", path, err)
		}
	}
	return status
}
