package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/oci"
)

var update = flag.Bool("update", false, "write anew what in the charts is made of other files")

var charts = []string{"charts/fairlead", "charts/fairlead-controller"}

// TestChartsFollow: what the controller's chart has of deploy/crds and
// deploy/controller is made of it; "go test ./deploy -update" writes it.
func TestChartsFollow(t *testing.T) {
	const chart = "charts/fairlead-controller"
	want := map[string]string{}
	for file, on := range map[string]string{
		"rbac.yaml": "", "admission.yaml": "rights.admissionPolicy", "webhook.yaml": "webhook.enabled", "recreate.yaml": "rights.recreatePods",
	} {
		want[filepath.Join(chart, "templates", file)] = template(t, file, on)
	}
	crds, err := filepath.Glob("crds/*.yaml")
	if err != nil || len(crds) != 2 {
		t.Fatal(crds, err)
	}
	for _, file := range crds {
		want[filepath.Join(chart, file)] = text(t, file)
	}
	for file, content := range want {
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if d := cmp.Diff(content, text(t, file)); d != "" {
			t.Errorf("%s is behind: run go test ./deploy -update\n%s", file, d)
		}
	}
	if got, _ := filepath.Glob(chart + "/crds/*"); len(got) != len(crds) {
		t.Errorf("the chart has %q, want %q", got, crds)
	}
}

// names that are values in the chart, as they stand in the files. In YAML they
// are quoted, since 123 and on are names as well; inside of texts they need not.
var names = strings.NewReplacer(
	"namespace: fairlead-system", "namespace: {{ .Release.Namespace | quote }}",
	"[kube-system, fairlead-system]", "[kube-system, {{ .Release.Namespace | quote }}]",
	"fairlead-system", "{{ .Release.Namespace }}",
	"['fairlead-pull']", `['{{ join "', '" .Values.secretNames }}']`,
	"[fairlead-pull]", "{{ toJson .Values.secretNames }}",
)

// template makes a chart's template of a file of controller/; on is the value
// that switches it on, "" for always.
func template(t *testing.T, file, on string) string {
	t.Helper()
	from := filepath.Join("controller", file)
	body := names.Replace(text(t, from))
	if left := regexp.MustCompile(`fairlead-pull\b[^-].*`).FindString(body); left != "" {
		t.Errorf("%s names the secret in a way that no value replaces: %s", from, left)
	}
	out := "{{- /* Made of deploy/controller/" + file + " by go test ./deploy -update. */ -}}\n"
	if on == "" {
		return out + body
	}
	return out + "{{- if .Values." + on + " }}\n" + body + "{{- end }}\n"
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// value is a line of a chart's values.yaml.
type value struct{ path, value, comment string }

// values gives the lines of a chart: a map whose children have comments is no
// value itself.
func values(t *testing.T, chart string) []value {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text(t, chart+"/values.yaml")), &doc); err != nil {
		t.Fatal(err)
	}
	var out []value
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		for i := 0; i < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			comment := strings.TrimSpace(strings.ReplaceAll(k.HeadComment, "#", ""))
			if comment == "" && v.Kind == yaml.MappingNode && len(v.Content) > 0 {
				walk(prefix+k.Value+".", v)
				continue
			}
			var plain any
			if err := v.Decode(&plain); err != nil {
				t.Fatal(err)
			}
			shown, err := json.Marshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, value{prefix + k.Value, string(shown), comment})
		}
	}
	walk("", doc.Content[0])
	return out
}

// TestValuesAreDocumented: each value has a comment of one line, and the
// chart's README has it in its table; "go test ./deploy -update" writes that.
func TestValuesAreDocumented(t *testing.T) {
	const begin, end = "<!-- values: begin -->\n", "<!-- values: end -->"
	for _, chart := range charts {
		var table strings.Builder
		table.WriteString("| value | default | what it is |\n|---|---|---|\n")
		for _, v := range values(t, chart) {
			if v.comment == "" || strings.Contains(v.comment, "\n") || !strings.HasSuffix(v.comment, ".") {
				t.Errorf("%s: %s has the comment %q, want a sentence in a line", chart, v.path, v.comment)
			}
			fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.path, v.value, strings.ReplaceAll(v.comment, "|", "\\|"))
		}
		file := chart + "/README.md"
		body := text(t, file)
		before, rest, ok1 := strings.Cut(body, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has lost the marks around its table", file)
		}
		want := before + begin + table.String() + end + after
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if body != want {
			t.Errorf("%s is behind values.yaml: run go test ./deploy -update", file)
		}
	}
}

// TestSchemas: the schema has every value and no other, is closed everywhere,
// and takes the defaults.
func TestSchemas(t *testing.T) {
	for _, chart := range charts {
		var schema map[string]any
		if err := json.Unmarshal([]byte(text(t, chart+"/values.schema.json")), &schema); err != nil {
			t.Fatal(err)
		}
		for _, open := range open(schema, chart) {
			t.Errorf("%s takes any key: say which", open)
		}
		var given map[string]any
		if err := yaml.Unmarshal([]byte(text(t, chart+"/values.yaml")), &given); err != nil {
			t.Fatal(err)
		}
		same(t, chart, given, schema)
		if err := compiled(t, chart).Validate(plain(t, given)); err != nil {
			t.Errorf("%s: the schema refuses the defaults: %v", chart, err)
		}
	}
}

// foreign are objects whose keys are not ours to know.
var foreign = []string{"global", "nodeAffinity", "podAffinity", "podAntiAffinity"}

// open finds objects that take any key.
func open(schema map[string]any, at string) (out []string) {
	if _, closed := schema["additionalProperties"]; schema["type"] == "object" && !closed && !slices.Contains(foreign, filepath.Base(at)) {
		out = append(out, at)
	}
	for k, v := range schema {
		if m, ok := v.(map[string]any); ok {
			out = append(out, open(m, at+"/"+k)...)
		}
	}
	return out
}

// same compares the keys of the values with those of the schema, as deep as
// the values go.
func same(t *testing.T, at string, given, schema map[string]any) {
	t.Helper()
	known, _ := schema["properties"].(map[string]any)
	if known == nil {
		return // a map of anything, or a definition
	}
	for k, v := range given {
		sub, ok := known[k].(map[string]any)
		if !ok {
			t.Errorf("%s: %s is not in the schema", at, k)
			continue
		}
		if m, ok := v.(map[string]any); ok && len(m) > 0 {
			same(t, at+"/"+k, m, sub)
		}
	}
	for k := range known {
		if _, ok := given[k]; !ok && k != "global" {
			t.Errorf("%s: the schema has %s, which values.yaml does not show", at, k)
		}
	}
}

func compiled(t *testing.T, chart string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = jsonschema.UnmarshalJSON(strings.NewReader(string(b))); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestServerSettings: the server's chart takes every setting but those that it
// sets itself, with the defaults of the server.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	own := []string{"data", "keys", "listen", "tls-cert", "tls-key", "operator-token-file"}
	schema := compiled(t, "charts/fairlead").Properties["config"]
	var want []string
	for _, s := range config.Settings() {
		if slices.Contains(own, s.Key) {
			continue
		}
		want = append(want, s.Key)
		if s.Default == "" {
			continue
		}
		var v any
		if err := yaml.Unmarshal([]byte(s.Default), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(plain(t, map[string]any{s.Key: v})); err != nil {
			t.Errorf("the schema refuses the default of %s: %v", s.Key, err)
		}
	}
	var got []string
	for k := range schema.Properties {
		got = append(got, k)
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("settings (-) and the schema (+) differ:\n%s", d)
	}
}

// TestNamespaceGrammar: the kinds and the chart take every namespace that a
// registry may have, such as those of the account acme--x, and no other.
func TestNamespaceGrammar(t *testing.T) {
	for file, before := range map[string]string{
		"crds/fairlead.dev_pullsecrets.yaml": "maxLength: 128\n                        pattern: ", "crds/fairlead.dev_clusterpullsecrets.yaml": "maxLength: 128\n                        pattern: ",
		"charts/fairlead-controller/values.schema.json": `"namespaces": {"type": "array", "maxItems": 50, "uniqueItems": true, "items": {"type": "string", "pattern": `,
	} {
		_, rest, found := strings.Cut(text(t, file), before)
		var pattern string
		if err := yaml.NewDecoder(strings.NewReader(rest[:strings.IndexAny(rest, "}\n")])).Decode(&pattern); err != nil || !found {
			t.Fatalf("%s: no pattern of namespaces: %v", file, err)
		}
		grammar := regexp.MustCompile(pattern)
		for _, name := range []string{"acme", "acme--x-fairlead", "a__b", "a_b", "a.b", "a---b", "a___b", "a..b", "a-_b", "-a", "a-", "A", ""} {
			_, err := oci.ParseRepo(name)
			if grammar.MatchString(name) != (err == nil) {
				t.Errorf("%s: of %q the pattern says %t, a registry %v", file, name, err != nil, err)
			}
		}
	}
}
