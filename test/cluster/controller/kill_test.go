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
	ns       string
	password string
}

func newLife(t *testing.T, c *harness.Kubernetes, s *registry, p *proxy) *life {
	t.Helper()
	l := &life{running: idle(t, c, behind(p)), s: s}
	l.source("hub", "*")
	s.source(l.running, "cluster", "*")
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
	}
	p := whole("p-" + l.Name)
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
			l.policy(l.s.entry("")+", {host: registry.example, secret: {name: hub}}", "serviceAccounts: {names: [default, build]}")
		}, l.made},
		{"renewed", func() {
			l.password = password(l.pull(l.ns), l.s.key())
			l.patch(secretOf(l.Name, l.state()), `{"metadata":{"annotations":{"fairlead.dev/source":"another"}}}`)
		}, l.made},
		{"immutable", func() {
			l.password = ""
			l.patch(secretOf(l.ns, l.secret), `{"immutable":true,"data":{".dockerconfigjson":"e30="}}`)
		}, l.made},
		{"gone", func() { l.remove(whole("p-" + l.Name)) }, l.gone},
	}
}

// tokensOf a life, those that ended, too.
func (l *life) tokensOf(t *testing.T) int {
	n := 0
	for _, one := range l.s.tokens(t) {
		if strings.HasSuffix(one.Description, "/p-"+l.Name) {
			n++
		}
	}
	return n
}

// whole goes through a life, and has the controller killed at write number at
// of it, before or after the API server has it. It says whether it came to
// that, and how many writes there were.
func live(t *testing.T, c *harness.Kubernetes, s *registry, at int, after bool) (killed bool, writes []write) {
	t.Helper()
	p := startProxy(t, c)
	l := newLife(t, c, s, p)
	l.start()
	var done <-chan struct{}
	if at > 0 {
		done = p.plan(at, after, l.kill)
	}
	for _, step := range l.steps() {
		step.do()
		until(t, step.name, func() error {
			select {
			case <-done:
				done, killed = nil, true
				// Nothing names what is not there, but where it is made anew.
				names := strings.Contains(l.list(l.ns, "default")+l.list(l.ns, "build"), l.secret)
				if names && l.pull(l.ns) == nil && step.name != "immutable" {
					t.Errorf("%s: a list names what is not there", step.name)
				}
				l.start()
				began := time.Now()
				defer func() {
					t.Logf("%s: killed at write %d, after=%v; in order again after %s", step.name, at, after, time.Since(began))
				}()
				until(t, step.name+", after the kill", step.done)
			default:
			}
			return step.done()
		})
	}
	if n := l.tokensOf(t); n != 2 {
		t.Errorf("%d tokens were minted, want 2", n)
	}
	return killed, p.writes("")
}

// TestKilled: wherever the controller is killed between two of its writes, the
// next one brings about the same, and no token is minted twice.
func TestKilled(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	_, all := live(t, c, s, 0, false)
	for _, w := range all {
		t.Logf("%s %s %d", w.namespace, w.what, w.status)
	}
	if len(all) < 12 {
		t.Fatalf("there were only %d writes", len(all))
	}
	t.Run("at", func(t *testing.T) {
		for n := 1; n <= len(all)+1; n++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d,after=%v", n, after), func(t *testing.T) {
					t.Parallel()
					killed, _ := live(t, c, s, n, after)
					if !killed && n < len(all)-2 { // statuses are written together, more or less
						t.Errorf("it was not killed at write %d of %d", n, len(all))
					}
				})
			}
		}
	})
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
	seen := p.writes("")[n:]
	seen = slices.DeleteFunc(seen, func(w write) bool { return strings.HasSuffix(w.what, "/status") })
	if len(seen) != 3 {
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
	until(t, "the status", func() error {
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
