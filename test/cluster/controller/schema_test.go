package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestRefusedSpecs: the schema says which field is wrong, and what to write.
func TestRefusedSpecs(t *testing.T) {
	c := harness.Cluster(t)
	r := idle(t, c)
	registry := func(text string) string { return "registries: [" + text + "]" }
	token := func(text string) string {
		return registry("{host: registry.example, fairlead: {tokenSecret: a, " + text + "}}")
	}
	for _, one := range []struct{ spec, says string }{
		{registry("{host: registry.example}"), "give one of fairlead and secret"},
		{registry("{host: registry.example, secret: {name: a}, fairlead: {tokenSecret: a}}"), "give one of fairlead and secret"},
		{registry("{host: Registry.Example, secret: {name: a}}"), "host must be the registry as images name it"},
		{registry("{host: 'https://registry.example', secret: {name: a}}"), "no https://"},
		{registry("{host: registry.example/acme, secret: {name: a}}"), "no path"},
		{registry("{host: 'registry.example:0', secret: {name: a}}"), "port from 1 to 65535"},
		{registry("{host: 'registry.example:65536', secret: {name: a}}"), "port from 1 to 65535"},
		{registry("{host: registry, secret: {name: a}}"), "taken for ones of Docker Hub"},
		{registry("{host: '', secret: {name: a}}"), "registries[0].host"},
		{registry("{secret: {name: a}}"), "registries[0].host"},
		{registry("{host: registry.example, namespaces: [UPPER], secret: {name: a}}"), "registries[0].namespaces[0]"},
		{registry("{host: registry.example, namespaces: [a, a], secret: {name: a}}"), "registries[0].namespaces[1]"},
		{registry("{host: registry.example, secret: {name: ''}}"), "registries[0].secret.name"},
		{token("lifetime: 59m"), "lifetime must be 1h to 8760h"},
		{token("lifetime: 8761h"), "lifetime must be 1h to 8760h"},
		{token("lifetime: -5h"), "lifetime must be 1h to 8760h"},
		{token("lifetime: 7d"), "days are written in hours"},
		{token("lifetime: 2h"), "renewAfter must be less than lifetime"},
		{token("renewAfter: 9m"), "renewAfter must be 10m at least"},
		{"registries: []", "registries"},
		{"secretName: a", "registries"},
		{registry("{host: a.example, secret: {name: a}}") + "\n  serviceAccounts: {all: true, names: [a]}", "all leaves nothing to name"},
		{registry("{host: a.example, secret: {name: a}}") + "\n  recreatePods: Always", "recreatePods"},
		{registry("{host: a.example, secret: {name: a}}") + "\n  unknown: 1", "unknown"},
	} {
		text := "apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: bad}\nspec:\n  " + one.spec + "\n"
		got := r.Try(text, "create", "--dry-run=server", "-f", "-")
		if got.Code == 0 || !strings.Contains(got.Stderr, one.says) {
			t.Errorf("%s: %d %s, want %s", one.spec, got.Code, got.Stderr, one.says)
		}
	}
	for _, host := range []string{"registry.example", "registry.example:65535", "127.0.0.1:5000", "localhost", "localhost:5000", "docker.io", "'[::1]:5000'", "a-b.c-d.example:1"} {
		text := "apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: good}\nspec: {registries: [{host: " + host + ", secret: {name: a}}]}\n"
		if got := r.Try(text, "create", "--dry-run=server", "-f", "-"); got.Code != 0 {
			t.Errorf("%s: %s", host, got.Stderr)
		}
	}
}

// TestExamples: the API server takes each, and explains every field.
func TestExamples(t *testing.T) {
	c := harness.Cluster(t)
	r := idle(t, c)
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "deploy", "examples", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	r.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: fairlead-system}\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Try(string(text), "apply", "--server-side", "--dry-run=server", "-f", "-"); got.Code != 0 {
			t.Errorf("%s: %s", file, got.Stderr)
		}
	}
	for _, kind := range []string{"clusterpullsecret", "pullsecret"} {
		for _, part := range []string{"spec", "status"} {
			said := r.Kubectl("explain", "--recursive=false", kind+"."+part)
			if n := strings.Count(said, "<no description>"); n > 0 {
				t.Errorf("%s.%s has %d fields without a description:\n%s", kind, part, n, said)
			}
		}
	}
	if said := r.Kubectl("explain", "clusterpullsecret.spec.registries.fairlead.renewAfter"); !strings.Contains(said, "renewed") {
		t.Errorf("it explains %s", said)
	}
}

// TestColumns: kubectl get says how a policy fares.
func TestColumns(t *testing.T) {
	c := harness.Cluster(t)
	r := run(t, c)
	r.source("hub", "*")
	ns := r.chosen(c)
	p := r.policy(hub)
	r.has(ns, "registry.example", r.secret)
	r.condition(p, "Ready", "Ready")
	want := func(kind, name, columns, values string) {
		t.Helper()
		lines := strings.Split(r.Kubectl("get", kind, name), "\n")
		got := make([]string, 2)
		for i := range got {
			fields := strings.Fields(lines[i])
			got[i] = strings.Join(fields[:len(fields)-1], " ")
		}
		if got[0] != columns || got[1] != values {
			t.Errorf("%s: %q", kind, got)
		}
	}
	want("cps", p.Name, "NAME NAMESPACES READY FAILING REASON", fmt.Sprintf("%s 1 1 0 Ready", p.Name))
	r.apply("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: own}\nspec: {secretName: other, registries: [{host: a.example, secret: {name: hub}}]}\n")
	r.condition(ownPolicy(r.Name, "own"), "Ready", "NameNotPermitted")
	want("ps", "own", "NAME READY REASON", "own False NameNotPermitted")
}
