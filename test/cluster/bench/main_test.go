// Package bench_test counts and measures what a controller does in a cluster of
// many namespaces: a real API server, whose controllers make the service
// accounts, and the rights that are shipped.
package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

const (
	label = "bench-test.example/of" // of namespaces, whose work they are
	ours  = "controller"
	polls = "poller"
)

// stage is when a namespace got what; zero is not yet.
type stage struct {
	account, secret, list, rotated time.Time
}

// took is the time from the account to secret and list.
func (s stage) took() time.Duration {
	end := s.secret
	if s.list.After(end) {
		end = s.list
	}
	return end.Sub(s.account)
}

// world is the cluster as a watch of our own sees it.
type world struct {
	t      *testing.T
	c      *harness.Kubernetes
	system *harness.Namespace

	mu sync.Mutex
	// stages by the name of the secret and the namespace.
	stages map[[2]string]*stage
	user   string // of the secret after a rotation
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := harness.Cluster(t)
	w := &world{t: t, c: c, system: c.System(t), stages: map[[2]string]*stage{}}
	const selector = "?watch=1&fieldSelector=metadata.name%3D"
	c.Watch(t, "/api/v1/serviceaccounts"+selector+"default", w.account)
	for _, name := range []string{harness.SecretName, polls} {
		c.Watch(t, "/api/v1/secrets"+selector+name, w.secret)
	}
	return w
}

type object struct {
	Metadata         struct{ Namespace, Name string }
	ImagePullSecrets []struct{ Name string }
	Data             map[string][]byte
}

func (w *world) account(kind string, raw json.RawMessage) {
	now := time.Now()
	o, is := w.object(raw)
	if !is {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range []string{harness.SecretName, polls} {
		s := w.stage(name, o.Metadata.Namespace)
		if kind == "ADDED" {
			s.account = now
		}
		listed := slices.ContainsFunc(o.ImagePullSecrets, func(one struct{ Name string }) bool { return one.Name == name })
		if listed && s.list.IsZero() {
			s.list = now
		}
	}
}

func (w *world) secret(_ string, raw json.RawMessage) {
	now := time.Now()
	o, is := w.object(raw)
	if !is {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stage(o.Metadata.Name, o.Metadata.Namespace)
	if s.secret.IsZero() {
		s.secret = now
	}
	if w.user != "" && s.rotated.IsZero() && strings.Contains(string(o.Data[".dockerconfigjson"]), w.user) {
		s.rotated = now
	}
}

func (w *world) object(raw json.RawMessage) (o object, is bool) {
	if err := json.Unmarshal(raw, &o); err != nil {
		w.t.Errorf("a watch told of %s: %v", raw, err)
		return o, false
	}
	return o, true
}

// stage with the lock held.
func (w *world) stage(name, namespace string) *stage {
	key := [2]string{name, namespace}
	if w.stages[key] == nil {
		w.stages[key] = &stage{}
	}
	return w.stages[key]
}

// source is the credential that is spread.
func (w *world) source(user string) {
	w.t.Helper()
	w.mu.Lock()
	w.user = user
	for _, s := range w.stages {
		s.rotated = time.Time{}
	}
	w.mu.Unlock()
	w.system.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: hub, annotations: {fairlead.dev/namespaces: \"*\"}}\ntype: kubernetes.io/basic-auth\nstringData: {username: %s, password: %s}\n", user, harness.Password))
}

func (w *world) policy() {
	w.t.Helper()
	w.system.Apply(fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: bench}\nspec:\n  namespaceSelector: {matchLabels: {%s: %s}}\n  registries: [{host: registry.example, secret: {name: hub}}]\n", label, ours))
	w.t.Cleanup(func() { w.system.Kubectl("delete", "clusterpullsecret", "bench") })
}

// namespaces makes many, a few at a time; every nth is the poller's, none for
// n = 0.
func (w *world) namespaces(prefix string, count, nth int) (controlled, polled []string) {
	w.t.Helper()
	type one struct{ name, of string }
	work := make(chan one)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for o := range work {
				body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"labels":{%q:%q}}}`, o.name, label, o.of)
				if err := w.c.Do(context.Background(), "POST", "/api/v1/namespaces", body, nil); err != nil {
					w.t.Errorf("making a namespace: %v", err)
				}
			}
		})
	}
	for i := range count {
		o := one{fmt.Sprintf("%s-%d", prefix, i), ours}
		controlled = append(controlled, o.name)
		work <- o
		if nth > 0 && i%nth == 0 {
			o = one{fmt.Sprintf("%s-%s-%d", prefix, polls, i), polls}
			polled = append(polled, o.name)
			work <- o
		}
	}
	close(work)
	wg.Wait()
	return controlled, polled
}

// await waits until namespaces have got something, and gives their stages.
func (w *world) await(what, secret string, namespaces []string, limit time.Duration, has func(stage) bool) []stage {
	w.t.Helper()
	end := time.Now().Add(limit)
	for {
		var out []stage
		w.mu.Lock()
		for _, ns := range namespaces {
			if s := *w.stage(secret, ns); has(s) {
				out = append(out, s)
			}
		}
		w.mu.Unlock()
		if len(out) == len(namespaces) {
			return out
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s: in %d of %d namespaces within %s", what, len(out), len(namespaces), limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func whole(s stage) bool   { return !s.account.IsZero() && !s.secret.IsZero() && !s.list.IsZero() }
func rotated(s stage) bool { return !s.rotated.IsZero() }

// counts of what an account asked since a point in the audit log.
type counts struct {
	writes map[string]int // by namespace
	all    int
	failed int // of the writes
}

func (w *world) counts(account string, since int) counts {
	w.t.Helper()
	c := counts{writes: map[string]int{}}
	for _, r := range w.c.Asked(w.t)[since:] {
		if r.User.Username != "system:serviceaccount:"+harness.System+":"+account {
			continue
		}
		c.all++
		if r.Writes() {
			c.writes[r.ObjectRef.Namespace]++
			if r.ResponseStatus.Code >= 300 {
				c.failed++
			}
		}
	}
	return c
}

func (w *world) now() int { return len(w.c.Asked(w.t)) }

// exactly fails unless each namespace got so many writes, and none failed.
func (w *world) exactly(c counts, namespaces []string, want int) {
	w.t.Helper()
	wrong := 0
	for _, ns := range namespaces {
		if c.writes[ns] != want {
			wrong++
		}
	}
	if wrong > 0 || c.failed > 0 {
		w.t.Errorf("%d of %d namespaces got another number of writes than %d; %d writes failed", wrong, len(namespaces), want, c.failed)
	}
}

// quantile of durations.
func quantile(all []time.Duration, q float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[min(int(q*float64(len(all))), len(all)-1)]
}
