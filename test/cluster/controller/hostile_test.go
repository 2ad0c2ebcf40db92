package controller_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestHostileEditor: whoever strips the list ten times a second costs a bounded
// number of writes, is said, and once it stops all is as it should be.
func TestHostileEditor(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	r.source("hub", "*")
	ns, calm := r.chosen(c), r.chosen(c)
	policy := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	r.has(calm, "registry.example", r.secret)
	before := len(p.writes("PATCH serviceaccounts"))
	const fight = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), fight)
	defer cancel()
	var editor sync.WaitGroup
	strips := 0
	editor.Go(func() {
		for ctx.Err() == nil {
			if r.api.Patch(ctx, accountOf(ns, "default"), client.RawPatch(types.MergePatchType, []byte(`{"imagePullSecrets":null}`)), client.FieldOwner("stripper")) == nil {
				strips++
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	text := r.condition(policy, "Ready", "Contested")
	if !strings.Contains(text, ns+": the list of the service account default") {
		t.Errorf("%q does not say where", text) // who emptied a field is in no record of it
	}
	r.event(ns, r.secret, "Contested", "default")
	editor.Wait()
	if strips < 50 {
		t.Fatalf("the editor stripped %d times only", strips)
	}
	done := 0
	for _, w := range p.writes("PATCH serviceaccounts")[before:] {
		if w.namespace != ns {
			t.Errorf("it wrote in %s", w.namespace)
		}
		if w.status < 300 {
			done++
		}
	}
	if done < 5 || done > 8 { // 5 at once, one in ten seconds
		t.Errorf("it wrote the list %d times in %s, want 5 to 8", done, fight)
	}
	if all := p.writes(" secrets"); len(all) != 2 {
		t.Errorf("it wrote secrets %v, want 2 times", all)
	}
	r.has(ns, "registry.example", r.secret)
	r.condition(policy, "Ready", "Ready")
	t.Logf("%d strips, %d repairs", strips, done)
}

// TestRefusedAgainAndAgain: writes that a quota refuses are bounded, however
// often a tenant makes the controller look.
func TestRefusedAgainAndAgain(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	r.source("hub", "*")
	ns := c.Namespace(t).Name
	r.noSecrets(ns)
	r.Kubectl("label", "namespace", ns, "team="+r.Name)
	policy := r.policy(hub)
	r.condition(policy, "Ready", "WriteFailed")
	const fight = 6 * time.Second
	edits := 0
	for end := time.Now().Add(fight); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r.api.Patch(t.Context(), accountOf(ns, "default"), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"edit":"%d"}}}`, edits))) == nil {
			edits++
		}
	}
	if edits < 60 {
		t.Fatalf("there were %d edits only", edits)
	}
	tries := 0
	for _, w := range p.writes("PATCH secrets") {
		if w.namespace == ns {
			tries++
		}
	}
	if tries < 3 || tries > 32 { // 20 at once, then one in a second
		t.Errorf("%d writes were tried in %s and %d edits, want 3 to 32", tries, fight, edits)
	}
	r.condition(policy, "Ready", "WriteFailed")
	r.Kubectl("delete", "resourcequota", "none", "-n", ns)
	r.has(ns, "registry.example", r.secret)
	t.Logf("%d edits, %d tries", edits, tries)
}

// TestListApplied: a tool that applies the list by force, as Flux and Argo CD
// do, is named once it does it again and again; what it put there stays.
func TestListApplied(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	policy := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	apply := func(more string) {
		t.Helper()
		body := []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"` + ns + `"},"imagePullSecrets":[{"name":"theirs"}` + more + `]}`)
		if err := r.api.Patch(t.Context(), accountOf(ns, "default"), client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("kustomize-controller"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		apply("")
		r.has(ns, "registry.example", "theirs,"+r.secret)
	}
	apply("")
	if text := r.condition(policy, "Ready", "Contested"); !strings.Contains(text, "written by kustomize-controller") {
		t.Errorf("%q does not name it", text)
	}
	r.has(ns, "registry.example", "theirs,"+r.secret)
	r.condition(policy, "Ready", "Ready")

	// With the secret's name in what it applies there is nothing to repair.
	apply(`,{"name":"` + r.secret + `"}`)
	a := accountOf(ns, "default")
	r.read(a)
	before := a.ResourceVersion
	time.Sleep(2 * time.Second)
	if r.read(a); a.ResourceVersion != before || r.list(ns, "default") != "theirs,"+r.secret {
		t.Errorf("the list %s was written without need", r.list(ns, "default"))
	}
}

// TestHostileSecret: the same for the secret itself, its deletion included.
func TestHostileSecret(t *testing.T) {
	c := harness.Cluster(t)
	p := startProxy(t, c)
	r := run(t, c, behind(p))
	r.source("hub", "*")
	ns := r.chosen(c)
	policy := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	before := len(p.writes("secrets/"))
	end := time.Now().Add(8 * time.Second)
	for time.Now().Before(end) {
		r.remove(secretOf(ns, r.secret))
		time.Sleep(100 * time.Millisecond)
	}
	if n := len(p.writes("secrets/")) - before; n < 4 || n > 6 {
		t.Errorf("it wrote the secret %d times, want 4 to 6", n)
	}
	r.condition(policy, "Ready", "Contested")
	r.has(ns, "registry.example", r.secret)
	r.condition(policy, "Ready", "Ready")
}
