package rights_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestProbes: alive at once, ready when it sees all that it must.
func TestProbes(t *testing.T) {
	s := newSite(t)
	s.system.Kubectl("create", "serviceaccount", "probed")
	t.Cleanup(func() {
		s.system.Kubectl("delete", "serviceaccount", "probed")
		s.system.Kubectl("delete", "clusterrolebinding", "probed", "--ignore-not-found")
		s.system.Kubectl("delete", "rolebinding", "probed", "--ignore-not-found")
	})
	p := s.system.Account("probed").Controller()
	alive := func() {
		t.Helper()
		if status, body := p.Page(p.Health + "/healthz"); status != 200 {
			t.Errorf("/healthz: %d %s", status, body)
		}
	}
	unready := func(when string) {
		t.Helper()
		if status, body := p.Page(p.Health + "/readyz"); status != 500 {
			t.Errorf("/readyz %s: %d %s", when, status, body)
		}
	}
	harness.Until(t, "it listens", func() error {
		if status, _ := p.Page(p.Health + "/healthz"); status == 0 {
			return errNotYet
		}
		return nil
	})
	alive()
	unready("without rights")
	s.system.Kubectl("create", "clusterrolebinding", "probed", "--clusterrole=fairlead-controller", "--serviceaccount=fairlead-system:probed")
	time.Sleep(5 * time.Second) // its sources cannot be seen yet
	unready("without rights in its own namespace")
	alive()
	s.system.Kubectl("create", "rolebinding", "probed", "--role=fairlead-controller", "--serviceaccount=fairlead-system:probed")
	p.Ready()
	alive()
}

// TestMetrics: what there is to be seen and alarmed on, and no secret in it.
func TestMetrics(t *testing.T) {
	s := newSite(t)
	f := harness.StartFairlead(t)
	f.Account(t, "acme", "acme-web")
	s.source("hub", "robot", "*")
	s.cluster("cluster", f, "*")
	p := s.keeper.Controller()
	p.Ready()
	ns := s.chosen()
	s.policy("{host: docker.io, secret: {name: hub}}", fmt.Sprintf("{host: %q, fairlead: {tokenSecret: cluster}}", f.Host))
	has(t, ns, f.Host, "robot")
	id := "ClusterPullSecret/" + s.name
	var page string
	metric := func(name string, ok func(float64) bool) {
		t.Helper()
		harness.Until(t, name, func() error {
			_, page = p.Page(p.Metrics)
			v, is := values(t, page)[name]
			if !is || !ok(v) {
				return fmt.Errorf("it is there: %v, value %v", is, v)
			}
			return nil
		})
	}
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
	some := func(v float64) bool { return v > 0 }
	around := func(at time.Time) func(float64) bool {
		return func(v float64) bool { return time.Unix(int64(v), 0).Sub(at).Abs() < 5*time.Minute }
	}
	metric(fmt.Sprintf("fairlead_controller_namespaces{policy=%q,state=\"ready\"}", id), is(1))
	metric(fmt.Sprintf("fairlead_controller_namespaces{policy=%q,state=\"failing\"}", id), is(0))
	metric(`fairlead_controller_writes_total{object="secret",verb="apply"}`, some)
	metric(`fairlead_controller_writes_total{object="serviceaccount",verb="patch"}`, some)
	metric(`fairlead_controller_renewals_total{result="minted"}`, is(1))
	metric(fmt.Sprintf("fairlead_controller_credentials_failing{policy=%q}", id), is(0))
	metric(fmt.Sprintf("fairlead_controller_credential_minted_timestamp_seconds{host=%q,policy=%q}", f.Host, id), around(time.Now()))
	metric(fmt.Sprintf("fairlead_controller_credential_expires_timestamp_seconds{host=%q,policy=%q}", f.Host, id), around(time.Now().Add(7*24*time.Hour)))
	for _, secret := range []string{password, "flt_"} {
		if strings.Contains(page, secret) {
			t.Errorf("the metrics have %q in them", secret)
		}
	}

	s.system.Kubectl("delete", "secret", "hub", "cluster")
	metric(fmt.Sprintf("fairlead_controller_credentials_failing{policy=%q}", id), is(1))
	s.system.Kubectl("delete", "clusterpullsecret", s.name)
	harness.Until(t, "the policy's metrics are gone", func() error {
		if _, page := p.Page(p.Metrics); strings.Contains(page, id) {
			return errNotYet
		}
		return nil
	})
}
