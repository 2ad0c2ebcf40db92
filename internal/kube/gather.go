package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/pullsecret"
)

const (
	// mostOthers bounds the further secrets that are read of a namespace.
	mostOthers = 200
	// mostAsked is how many requests run at once.
	mostAsked = 8
)

// Gather reads what decides the pulls of a pod, beside the pod itself: its
// service account and the namespace's others, the secrets that are named and
// those that could be, the node. It gives no error: what cannot be read is
// said in Blind.
func (c *Cluster) Gather(ctx context.Context, p diagnosis.Pod) diagnosis.Evidence {
	g := gathering{c: c, ctx: ctx, e: diagnosis.Evidence{Pod: &p}}
	g.run(g.account, g.accounts, g.others, g.node)
	for _, name := range p.PullSecrets {
		g.e.Secrets = append(g.e.Secrets, diagnosis.NamedSecret{Name: name})
	}
	if a := g.e.Account; a != nil && !slices.Equal(a.PullSecrets, p.PullSecrets) {
		for _, name := range a.PullSecrets {
			g.e.AccountSecrets = append(g.e.AccountSecrets, diagnosis.NamedSecret{Name: name})
		}
	}
	var jobs []func()
	for _, list := range [][]diagnosis.NamedSecret{g.e.Secrets, g.e.AccountSecrets} {
		for i := range list {
			jobs = append(jobs, func() { g.secret(&list[i]) })
		}
	}
	g.run(jobs...)
	// What a pod to come would have: the admission plugin copies the account's
	// list into one that has none.
	if p.Template && len(p.PullSecrets) == 0 {
		g.e.Secrets, g.e.AccountSecrets = g.e.AccountSecrets, nil
	}
	g.e.Others = slices.DeleteFunc(g.e.Others, func(s pullsecret.Secret) bool { return named(s.Name, g.e.Secrets) || named(s.Name, g.e.AccountSecrets) })
	slices.Sort(g.e.Blind)
	return g.e
}

func named(name string, list []diagnosis.NamedSecret) bool {
	return slices.ContainsFunc(list, func(n diagnosis.NamedSecret) bool { return n.Name == name })
}

// gathering is one Gather under way.
type gathering struct {
	c   *Cluster
	ctx context.Context //nolint:containedctx // it lives as long as the call
	mu  sync.Mutex
	e   diagnosis.Evidence
}

func (g *gathering) run(jobs ...func()) {
	var group errgroup.Group
	group.SetLimit(mostAsked)
	for _, job := range jobs {
		group.Go(func() error { job(); return nil })
	}
	_ = group.Wait() // no job gives an error
}

// set changes the evidence; err is what could not be seen, if anything.
func (g *gathering) set(what string, err error, change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.e.Blind = append(g.e.Blind, fmt.Sprintf("%s: %v", what, err))
		return
	}
	change()
}

func (g *gathering) account() {
	p := g.e.Pod
	a, err := g.c.Account(g.ctx, p.Namespace, p.AccountName)
	g.set("the service account "+p.AccountName, err, func() { g.e.Account = &a })
}

func (g *gathering) accounts() {
	var list []diagnosis.Account
	var failure error
	for a, err := range g.c.Accounts(g.ctx, g.e.Pod.Namespace) {
		if err != nil {
			failure = err
			break
		}
		if list = append(list, a); len(list) == mostOthers {
			break
		}
	}
	g.set("the namespace's other service accounts", failure, func() { g.e.Accounts = list })
}

func (g *gathering) others() {
	var list []pullsecret.Secret
	var failure error
	for s, err := range g.c.PullSecrets(g.ctx, g.e.Pod.Namespace) {
		if err != nil {
			failure = err
			break
		}
		if list = append(list, s); len(list) == mostOthers {
			break
		}
	}
	g.set("the namespace's other secrets", failure, func() { g.e.Others = list })
}

func (g *gathering) node() {
	name := g.e.Pod.NodeName
	if name == "" {
		return
	}
	n, err := g.c.Node(g.ctx, name)
	g.set("the node "+name, err, func() { g.e.Node = &n })
	if err != nil {
		return
	}
	if counts, err := g.c.pluginErrors(g.ctx, name); err == nil {
		g.set("", nil, func() { n.PluginErrors = counts })
	}
}

// secret reads one that is named.
func (g *gathering) secret(n *diagnosis.NamedSecret) {
	s, err := g.c.Secret(g.ctx, g.e.Pod.Namespace, n.Name)
	switch {
	case err == nil:
		n.Found, n.Secret = true, s
	case IsMissing(err):
		places, err := g.c.WhereIs(g.ctx, n.Name)
		g.set(fmt.Sprintf("whether another namespace has a secret %s", n.Name), err, func() { n.Elsewhere = places })
	default:
		n.Unreadable = err.Error()
		g.set("the secret "+n.Name, err, nil)
	}
}

// pluginFailed is the kubelet's counter of failures of a credential provider.
var pluginFailed = regexp.MustCompile(`^kubelet_credential_provider_plugin_errors(?:_total)?\{[^}]*plugin_name="([^"]*)"[^}]*\} ([0-9.e+]+)`)

// pluginErrors asks the kubelet for its counters, through the API server. That
// needs the right to nodes/proxy, which few have.
func (c *Cluster) pluginErrors(ctx context.Context, node string) (map[string]int, error) {
	text, err := c.core.Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("metrics").DoRaw(ctx)
	if err != nil {
		return nil, failed(target{verb: "get", resource: "nodes/proxy", name: node}, err)
	}
	out := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := pluginFailed.FindStringSubmatch(lines.Text()); m != nil {
			n, err := strconv.ParseFloat(m[2], 64)
			if err == nil {
				out[m[1]] += int(n)
			}
		}
	}
	return out, errors.Join(lines.Err())
}
