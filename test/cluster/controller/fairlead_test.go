package controller_test

import (
	"fmt"
	"net/http"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// registry is a Fairlead with an account acme, its namespace acme-web, and a
// token of the cluster test.
type registry struct {
	*harness.Fairlead
	token struct{ ID, Value string }
}

func fairlead(t *testing.T) *registry {
	t.Helper()
	return prepared(t, harness.StartFairlead(t))
}

func prepared(t *testing.T, s *harness.Fairlead) *registry {
	t.Helper()
	s.Account(t, "acme", "acme-web")
	r := &registry{Fairlead: s}
	r.renew(t)
	return r
}

// renew makes another token of the cluster.
func (s *registry) renew(t *testing.T) {
	t.Helper()
	s.Manage(t, http.MethodPost, "tokens", map[string]any{"account": "acme", "access": "cluster", "cluster": "test", "nonExpiring": true}, &s.token)
}

// source makes the Secret that tokens are minted with.
func (s *registry) source(r *running, name, allowed string) {
	r.t.Helper()
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: %q}}\nstringData: {url: %q, token: %q}\n", name, allowed, s.URL, s.token.Value)
}

// entry is a line of a policy's registries.
func (s *registry) entry(more string) string {
	return fmt.Sprintf("{host: %q, namespaces: [acme-web], fairlead: {tokenSecret: cluster%s}}", s.Host, more)
}

// key is what the entry goes by.
func (s *registry) key() string { return s.Host + "/acme-web/" }

type minted struct {
	ID, Cluster, Access, Description, State string
}

// tokens are those that the cluster made, the newest first; those that ended,
// too.
func (s *registry) tokens(t *testing.T) (out []minted) {
	t.Helper()
	var page struct{ Items []minted }
	s.Manage(t, http.MethodGet, "tokens?account=acme&ended=true", nil, &page)
	for _, one := range page.Items {
		if one.Cluster == "test" && one.Access == "readonly" {
			out = append(out, one)
		}
	}
	return out
}

// good says whether a password is let in.
func (s *registry) good(t *testing.T, password string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/token?service=fairlead&scope=repository:acme-web/app:pull", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("token", password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode == http.StatusOK
}
