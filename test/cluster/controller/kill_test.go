package controller_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// life is all that a controller does, step by step: each makes something
// change, and says when all is as it should be.
type life struct {
	*running
	s        *registry
	proxy    *proxy
	ns       string
	name     string // of the policy
	password string
}

func newLife(t *testing.T, c *harness.Kubernetes) *life {
	t.Helper()
	p := startProxy(t, c)
	l := &life{running: idle(t, c, behind(p)), s: fairlead(t), proxy: p}
	l.source("hub", "*")
	l.s.source(l.running, "cluster", "*")
	l.ns = l.chosen(c)
	l.patch(accountOf(l.ns, "default"), `{"imagePullSecrets":[{"name":"theirs"}]}`)
	l.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: build, namespace: %s}\n", l.ns)
	return l
}

// made is a policy, both of its entries, and both lists.
func (l *life) made() error {
	s := l.pull(l.ns)
	switch {
	case s == nil:
		return errors.New("there is no secret")
	case password(s, "registry.example") != "wonder" || password(s, l.s.key()) == "" || password(s, l.s.key()) == l.password:
		return errors.New("an entry is missing, or old")
	case l.list(l.ns, "default") != "theirs,"+l.secret || l.list(l.ns, "build") != l.secret:
		return fmt.Errorf("the lists are %s; %s", l.list(l.ns, "default"), l.list(l.ns, "build"))
	case len(l.states()) != 1:
		return fmt.Errorf("the states are %v", l.states())
	}
	p := whole(l.name)
	if l.read(p); p.Status.Ready != 1 || p.Status.ObservedGeneration != p.Generation || len(p.Status.Registries) != 2 || p.Status.Registries[0].Problem != "" {
		return fmt.Errorf("the status is %+v", p.Status)
	}
	return nil
}

func (l *life) gone() error {
	if l.pull(l.ns) != nil || len(l.states()) > 0 || l.list(l.ns, "default") != "theirs" || l.list(l.ns, "build") != "" {
		return fmt.Errorf("states %v, lists %s; %s", l.states(), l.list(l.ns, "default"), l.list(l.ns, "build"))
	}
	return nil
}

type step struct {
	name string
	do   func()
	done func() error
}

func (l *life) steps() []step {
	return []step{
		{"made", func() {
			l.password = ""
			l.policyOf(l.name, l.s.entry("")+", {host: registry.example, secret: {name: hub}}", "serviceAccounts: {names: [default, build]}")
		}, l.made},
		{"renewed", func() {
			l.password = password(l.pull(l.ns), l.s.key())
			l.patch(secretOf(l.Name, l.state()), `{"metadata":{"annotations":{"fairlead.dev/source":"another"}}}`)
		}, l.made},
		{"immutable", func() {
			l.password = ""
			l.patch(secretOf(l.ns, l.secret), `{"immutable":true,"data":{".dockerconfigjson":"e30="}}`)
		}, l.made},
		{"gone", func() { l.remove(whole(l.name)) }, l.gone},
	}
}

// live goes through a life, and has the controller killed right after the API
// server has write number at of it: what is there then is also what is there
// right before the next one. If at is below zero it is killed right before it,
// when a registry may have given what is to be written. It says in which step that was, and how many
// writes there were.
func (l *life) live(t *testing.T, at int) (killed string, writes int) {
	t.Helper()
	l.name = fmt.Sprintf("p-%s-%d", l.Name, at)
	before := len(l.proxy.writes(""))
	l.start()
	var done <-chan struct{}
	if at != 0 {
		done = l.proxy.plan(at, l.kill)
	}
	for _, step := range l.steps() {
		step.do()
		harness.Until(t, step.name, func() error {
			select {
			case <-done:
				done, killed = nil, step.name
				// Nothing names what is not there, but where it is made anew.
				names := strings.Contains(l.list(l.ns, "default")+l.list(l.ns, "build"), l.secret)
				if names && l.pull(l.ns) == nil && step.name != "immutable" {
					t.Errorf("killed at %d, %s: a list names what is not there", at, step.name)
				}
				l.start()
				l.works()
			default:
			}
			return step.done()
		})
	}
	l.stop()
	n := 0
	for _, one := range l.s.tokens(t) {
		if strings.HasSuffix(one.Description, "/"+l.name) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("killed at %d, %s: %d tokens were minted, want 2", at, killed, n)
	}
	return killed, len(l.proxy.writes("")) - before
}

// TestKilled: wherever the controller is killed between two of its writes, or
// between a mint and the write that remembers it, the next one brings about the
// same, and no token is minted twice.
func TestKilled(t *testing.T) {
	c := harness.Cluster(t)
	l := newLife(t, c)
	_, all := l.live(t, 0)
	lived := l.proxy.writes("")
	for _, w := range lived {
		t.Logf("%s %s %d", w.namespace, w.what, w.status)
	}
	if all < 12 {
		t.Fatalf("there were only %d writes", all)
	}
	at := map[string]int{}
	for n := 1; n <= all; n++ {
		killed, _ := l.live(t, n)
		at[killed]++
	}
	mints := 0
	for n, w := range lived {
		if strings.HasPrefix(w.what, "PATCH secrets/fairlead-state-") {
			l.live(t, -n-1)
			mints++
		}
	}
	if mints != 2 {
		t.Errorf("of %v %d remember a token, want 2", lived, mints)
	}
	t.Logf("killed in the steps %v", at)
	if at["made"] < 4 || at["renewed"] < 1 || at["immutable"] < 1 || at["gone"] < 2 {
		t.Error("it was not killed everywhere")
	}
}

// TestRestartedAPIServer: the controller outlives it, sees what changed
// meanwhile, and writes nothing else.
func TestRestartedAPIServer(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	r.source("hub", "*")
	ns, late := r.chosen(c), r.chosen(c)
	policy := r.policy(hub)
	before := r.has(ns, "registry.example", r.secret)
	r.has(late, "registry.example", r.secret)
	r.condition(policy, "Ready", "Ready")
	n := len(p.writes(""))
	c.RestartAPIServer(t, func() { time.Sleep(3 * time.Second) })
	r.remove(secretOf(late, r.secret))
	r.has(late, "registry.example", r.secret)
	if after := r.has(ns, "registry.example", r.secret); after.ResourceVersion != before.ResourceVersion {
		t.Error("the other secret was written")
	}
	fresh := r.chosen(c)
	r.has(fresh, "registry.example", r.secret)
	written := func() []write {
		return slices.DeleteFunc(p.writes("")[n:], func(w write) bool { return strings.HasSuffix(w.what, "/status") })
	}
	harness.Until(t, "the last write has passed the proxy", func() error {
		if seen := written(); len(seen) < 3 {
			return fmt.Errorf("%v", seen)
		}
		return nil
	})
	time.Sleep(time.Second) // for those that are too many
	if seen := written(); len(seen) != 3 {
		t.Errorf("it wrote %v, want the secret again, and a secret and a list in the new namespace", seen)
	}
}

// TestWrites: a new namespace takes two writes, one of its secret and one of
// its account, and afterwards none.
func TestWrites(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	r.source("hub", "*")
	policy := r.policy(hub)
	var namespaces []string
	for range 20 {
		namespaces = append(namespaces, r.chosen(c))
	}
	for _, ns := range namespaces {
		r.has(ns, "registry.example", r.secret)
	}
	harness.Until(t, "the status", func() error {
		if r.read(policy); policy.Status.Ready != 20 {
			return fmt.Errorf("%+v", policy.Status)
		}
		return nil
	})
	for _, ns := range namespaces {
		var seen []string
		for _, w := range p.writes("") {
			if w.namespace == ns {
				seen = append(seen, fmt.Sprintf("%s %d", w.what, w.status))
			}
		}
		if want := []string{fmt.Sprintf("PATCH secrets/%s %d", r.secret, http.StatusCreated), fmt.Sprintf("PATCH serviceaccounts/default %d", http.StatusOK)}; !slices.Equal(seen, want) {
			t.Errorf("it wrote %v, want %v", seen, want)
		}
	}
	n := len(p.writes(""))
	r.patch(accountOf(namespaces[0], "default"), `{"metadata":{"labels":{"any":"thing"}}}`)
	r.stop()
	r.start()
	time.Sleep(10 * time.Second)
	if seen := p.writes("")[n:]; len(seen) > 0 {
		t.Errorf("with nothing to do it wrote %v", seen)
	}
}
