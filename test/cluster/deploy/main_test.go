// Package deploy_test installs Fairlead into a real cluster from the files of
// deploy/: by kustomize and by Helm. What it makes has fixed names, so its
// tests do not run in parallel, and each takes away what it made.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	client "fairlead.dev/fairlead/test/clients/harness"
	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// The charts, and what they need to be given.
const (
	controller = "fairlead-controller"
	server     = "fairlead"
	system     = "fairlead-system"
)

var needed = map[string][]string{
	controller: {"--set", "image.repository=registry.example/acme-platform/fairlead"},
	server:     {"--set", "image.repository=registry.example/acme-platform/fairlead", "--set-json", `config={"public-url":["https://registry.example.com"]}`},
}

// root is the checkout.
func root(t *testing.T) string {
	t.Helper()
	dir, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// at is a path below deploy/.
func at(t *testing.T, path ...string) string {
	t.Helper()
	return filepath.Join(append([]string{root(t), "deploy"}, path...)...)
}

// site is an administrator of the cluster.
type site struct {
	*harness.Namespace
	c *harness.Kubernetes
	t *testing.T
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := harness.Cluster(t)
	return &site{c.Namespace(t), c, t}
}

// tryHelm runs helm, whatever comes of it.
func (s *site) tryHelm(args ...string) harness.Result {
	s.t.Helper()
	return s.Run("", helm(s.t), args...)
}

// helm is the path of the program.
func helm(t *testing.T) string {
	t.Helper()
	path, err := client.Find("helm")
	if err != nil {
		client.Unavailable(t, "helm is not installed (run make deps): %v", err)
	}
	return path
}

// helm runs helm, which must succeed.
func (s *site) helm(args ...string) string {
	s.t.Helper()
	r := s.tryHelm(args...)
	if r.Code != 0 {
		s.t.Fatalf("helm %s: exit code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	return r.Stdout
}

// render is helm template of a chart with what it needs.
func (s *site) render(chart string, args ...string) string {
	s.t.Helper()
	return s.helm(slices.Concat([]string{"template", chart, at(s.t, "charts", chart)}, needed[chart], args)...)
}

// homes makes the namespaces that Fairlead is installed into, and one that is
// called by a number. They stay: to end one takes the cluster a minute.
func (s *site) homes() {
	s.t.Helper()
	for _, name := range []string{system, server, "123"} {
		s.Input(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %q}\n", name), "apply", "--server-side", "-f", "-")
	}
}

// accepts asks the API server whether it would take these objects, strictly,
// and admit them.
func (s *site) accepts(objects string) {
	s.t.Helper()
	r := s.Try(objects, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	if r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
		s.t.Errorf("the API server says %s", r.Stderr)
	}
}

// object is one of a file of several.
type object map[string]any

func (o object) kind() string { k, _ := o["kind"].(string); return k }

func (o object) name() string { n, _ := o.at("metadata", "name").(string); return n }

func (o object) id() string { return o.kind() + " " + o.name() }

// at gives what lies at a path; nil if nothing does.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// objects takes YAML apart.
func objects(t *testing.T, text string) (out []object) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var o map[string]any // not an object, which all maps inside would be
		err := d.Decode(&o)
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatalf("%v in\n%s", err, text)
		case o != nil:
			out = append(out, o)
		}
	}
}

// only gives the object of a kind, of which there is one.
func only(t *testing.T, text, kind string) object {
	t.Helper()
	var found []object
	for _, o := range objects(t, text) {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects are of the kind %s, want 1", len(found), kind)
	}
	return found[0]
}

// write is YAML of objects.
func write(t *testing.T, all ...object) string {
	t.Helper()
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	for _, o := range all {
		if err := e.Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// crds makes the kinds. They stay, as they do in a cluster that had a
// controller.
func (s *site) crds() {
	s.t.Helper()
	s.Kubectl("apply", "--server-side", "-f", at(s.t, "crds"))
	s.Kubectl("wait", "--for=condition=Established", "crd/clusterpullsecrets.fairlead.dev", "crd/pullsecrets.fairlead.dev")
}

// inventory is all that is in the cluster, but for what comes and goes by
// itself.
func (s *site) inventory() []string {
	s.t.Helper()
	kinds := strings.Fields(s.Kubectl("api-resources", "--verbs=list", "-o", "name"))
	kinds = slices.DeleteFunc(kinds, func(k string) bool {
		return strings.HasPrefix(k, "events") || strings.HasPrefix(k, "componentstatuses") || strings.HasPrefix(k, "leases.")
	})
	return strings.Fields(s.Kubectl("get", strings.Join(kinds, ","), "--all-namespaces", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\n"}{end}`))
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func save(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// section is the part of docs/install.md from one heading to another.
func section(t *testing.T, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok1 := strings.Cut(string(text), "\n"+from+"\n")
	part, _, ok2 := strings.Cut(rest, "\n"+to+"\n")
	if !ok1 || !ok2 {
		t.Fatalf("docs/install.md has no %q before %q", from, to)
	}
	return part
}

// blocks are the fenced blocks of a kind: yaml, console.
func blocks(part, kind string) (out []string) {
	for rest := part; ; {
		_, after, ok := strings.Cut(rest, "\n```"+kind+"\n")
		if !ok {
			return out
		}
		block, next, _ := strings.Cut(after, "```")
		out, rest = append(out, block), next
	}
}

// typed are the lines that a reader types.
func typed(part string) (out []string) {
	for _, b := range blocks(part, "console") {
		for line := range strings.Lines(b) {
			if line, ok := strings.CutPrefix(line, "$ "); ok {
				out = append(out, strings.TrimSpace(line))
			}
		}
	}
	return out
}

// reader types what the documents show, in a folder of its own.
type reader struct {
	*site
	dir string
	// swap puts what is so here in the place of what the documents say.
	swap *strings.Replacer
}

func (s *site) reader(swap ...string) *reader {
	s.t.Helper()
	r := &reader{s, s.t.TempDir(), strings.NewReplacer(append(swap, " deploy/", " "+at(s.t)+"/")...)}
	for name, program := range map[string]string{"helm": helm(s.t), "fairlead": harness.FairleadBinary()} {
		if err := os.Symlink(program, filepath.Join(r.dir, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	return r
}

// types a line, which must succeed.
func (r *reader) types(line string) string {
	r.t.Helper()
	line = r.swap.Replace(line)
	got := r.Run("", "bash", "-c", "set -o pipefail; export PATH="+r.dir+":$PATH; cd "+r.dir+"; "+line)
	if got.Code != 0 {
		r.t.Fatalf("%s: exit code %d\n%s", line, got.Code, got.Stderr)
	}
	return got.Stdout
}

// saves a block of the documents, with what only this cluster needs.
func (r *reader) saves(file, text, more string) {
	r.t.Helper()
	save(r.t, filepath.Join(r.dir, file), r.swap.Replace(text)+more)
}
