package rights_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// trap is a server of the tenant's own: it counts who comes.
func trap(t *testing.T) (host string, came *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	came = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			_ = c.Close()
		}
	}()
	return l.Addr().String(), came
}

// TestTenantCannotFetchTheSource: a tenant's PullSecret that names the
// operator's source gets nothing, neither under the registry's host nor under
// that of a server of the tenant's own, which nobody comes to.
func TestTenantCannotFetchTheSource(t *testing.T) {
	s := newSite(t)
	f := harness.StartFairlead(t)
	f.Account(t, "acme", "acme-web")
	s.source("hub", "robot", "kube-public, other")
	s.cluster("cluster", f, "")
	evil, came := trap(t)
	p := s.keeper.Controller()
	p.Ready()
	tenant := s.c.Namespace(t)
	for _, registry := range []string{
		"{host: docker.io, secret: {name: hub}}",
		"{host: '" + evil + "', secret: {name: hub}}",
		"{host: '" + f.Host + "', fairlead: {tokenSecret: cluster}}",
		"{host: '" + evil + "', fairlead: {tokenSecret: cluster}}",
	} {
		tenantPolicy(tenant, pull, registry)
		condition(t, tenant, "pullsecret", "own", "Ready", "SourceNotAllowed")
		gone(t, tenant)
		tenant.Kubectl("delete", "pullsecret", "own")
	}
	// The token goes to its own server even for those who may use it.
	s.cluster("cluster", f, tenant.Name)
	tenantPolicy(tenant, pull, "{host: '"+evil+"', fairlead: {tokenSecret: cluster}}")
	o := has(t, tenant, evil)
	if text := string(o.Data[".dockerconfigjson"]); strings.Contains(text, password) {
		t.Error("the secret has the operator's credential")
	}
	if n := came.Load(); n != 0 {
		t.Errorf("%d connections were made to the tenant's server", n)
	}
	var page struct {
		Items []struct{ Access, Description string }
	}
	f.Manage(t, "GET", "tokens?account=acme&cluster=test", nil, &page)
	minted := 0
	for _, one := range page.Items {
		if one.Access == "readonly" {
			minted++
		}
	}
	if minted != 1 {
		t.Errorf("%d tokens were minted, want the one that was allowed", minted)
	}
}

// TestNameNotPermitted: a PullSecret gets a secret of no other name.
func TestNameNotPermitted(t *testing.T) {
	s := newSite(t)
	s.source("hub", "robot", "*")
	s.keeper.Controller().Ready()
	tenant := s.c.Namespace(t)
	tenantPolicy(tenant, "db-password", "{host: registry.example, secret: {name: hub}}")
	condition(t, tenant, "pullsecret", "own", "Ready", "NameNotPermitted")
	time.Sleep(time.Second)
	if got := tenant.Kubectl("get", "secrets", "-o", "name"); got != "" || list(t, tenant) != "" {
		t.Errorf("there are %s; the list is %s", got, list(t, tenant))
	}
	for _, r := range s.c.Asked(t) {
		if r.ObjectRef.Resource == "secrets" && r.ObjectRef.Name == "db-password" {
			t.Errorf("it was tried: %+v", r)
		}
	}
}

// TestTenantRoles: who may edit a namespace may make PullSecrets there, who may
// view it sees them; neither may do so with ClusterPullSecrets.
func TestTenantRoles(t *testing.T) {
	s := newSite(t)
	ns := s.c.Namespace(t)
	for _, role := range []string{"view", "edit", "admin"} {
		ns.Kubectl("create", "serviceaccount", role)
		ns.Kubectl("create", "rolebinding", role, "--clusterrole="+role, "--serviceaccount="+ns.Name+":"+role)
	}
	can := func(role, verb, resource string) bool {
		resource, sub, _ := strings.Cut(resource, "/")
		r := ns.Try("", "auth", "can-i", verb, resource, "--subresource="+sub, "--as=system:serviceaccount:"+ns.Name+":"+role)
		return strings.TrimSpace(r.Stdout) == "yes"
	}
	harness.Until(t, "the roles are aggregated", func() error {
		if !can("admin", "create", "pullsecrets.fairlead.dev") {
			return errNotYet
		}
		return nil
	})
	for _, one := range []struct {
		role, verb, resource string
		want                 bool
	}{
		{"view", "list", "pullsecrets.fairlead.dev", true},
		{"view", "create", "pullsecrets.fairlead.dev", false},
		{"edit", "create", "pullsecrets.fairlead.dev", true},
		{"edit", "get", "pullsecrets.fairlead.dev", true},
		{"edit", "update", "pullsecrets.fairlead.dev/status", false},
		{"edit", "list", "clusterpullsecrets.fairlead.dev", false},
		{"admin", "delete", "pullsecrets.fairlead.dev", true},
		{"admin", "create", "clusterpullsecrets.fairlead.dev", false},
	} {
		if got := can(one.role, one.verb, one.resource); got != one.want {
			t.Errorf("%+v: got %v", one, got)
		}
	}
}
