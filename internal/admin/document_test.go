package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	v1 "fairlead.dev/fairlead/api/v1"
)

var update = flag.Bool("update", false, "rewrite comment.json and api/v1/openapi.json")

const (
	shapes       = "../../api/v1"
	documentFile = shapes + "/openapi.json"
)

// TestComments: comment.json has the comments of api/v1, by JSON names.
func TestComments(t *testing.T) {
	comments := map[string]string{}
	files, err := filepath.Glob(shapes + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				s := s.(*ast.TypeSpec)
				if fields, ok := s.Type.(*ast.StructType); ok {
					comments[s.Name.Name] = said(g.Doc, s.Doc)
					commentFields(comments, s.Name.Name, fields)
				}
			}
		}
	}
	maps.DeleteFunc(comments, func(_, text string) bool { return text == "" })
	want, err := json.MarshalIndent(comments, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "comment.json", append(want, '\n'))
}

func commentFields(to map[string]string, name string, fields *ast.StructType) {
	for _, f := range fields.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
		field, _, _ := strings.Cut(tag, ",")
		to[name+"."+field] = said(f.Doc, f.Comment)
	}
}

func said(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return ""
}

func golden(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if diff := cmp.Diff(string(got), string(want)); diff != "" || err != nil {
		t.Errorf("%s is not up to date: run go test ./internal/admin -update (twice after a comment changed): %v\n%s", file, err, diff)
	}
}

func made(t *testing.T) *published {
	t.Helper()
	p, err := publish()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheDocumentIsUpToDate(t *testing.T) { golden(t, documentFile, made(t).json) }

func tree(t *testing.T, raw []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTheDocumentIsOpenAPI: it is what the standard's own schema asks for.
func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	c := jsonschema.NewCompiler()
	const name = "https://spec.openapis.org/oas/3.1/schema/2022-10-07"
	if err := c.AddResource(name, tree(t, []byte(datamodel.OpenAPI31SchemaData))); err != nil {
		t.Fatal(err)
	}
	schema := c.MustCompile(name)
	if err := schema.Validate(tree(t, made(t).json)); err != nil {
		t.Error(err)
	}
	if err := schema.Validate(tree(t, []byte(`{"openapi":"3.1.0","paths":{}}`))); err == nil {
		t.Error("a document without info is good: the check finds nothing")
	}
}

func TestYAMLIsTheSameDocument(t *testing.T) {
	t.Parallel()
	p := made(t)
	var a, b any
	if err := yaml.Unmarshal(p.yaml, &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(p.json, &b); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Error(diff)
	}
}

// shape compiles a schema of the document.
func shape(t *testing.T, doc any, pointer string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("https://fairlead.test/openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://fairlead.test/openapi.json#" + pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return s
}

// TestOperations: the table and the document have the same operations, each
// with an id of its own, a summary, an example of everything that goes in and
// out, which is as its schema says, and problems.
func TestOperations(t *testing.T) {
	t.Parallel()
	doc := tree(t, made(t).json).(map[string]any)
	paths := doc["paths"].(map[string]any)
	want, ids := map[string]bool{}, map[string]bool{}
	for _, op := range operations() {
		want[op.method+" "+op.path] = true
		if op.id == "" || ids[op.id] || op.summary == "" || op.group == "" {
			t.Errorf("%s %s: id %q (used: %v), summary %q, group %q", op.method, op.path, op.id, ids[op.id], op.summary, op.group)
		}
		ids[op.id] = true
	}
	got := map[string]bool{}
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			got[strings.ToUpper(method)+" "+path] = true
			at := "/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path) + "/" + method
			checkOperation(t, doc, at, op.(map[string]any))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got) < 40 {
		t.Errorf("only %d operations", len(got))
	}
}

func checkOperation(t *testing.T, doc map[string]any, at string, op map[string]any) {
	t.Helper()
	if body, ok := op["requestBody"].(map[string]any); ok {
		checkContents(t, doc, at+"/requestBody", body)
	}
	problems := 0
	for status, r := range op["responses"].(map[string]any) {
		r := r.(map[string]any)
		if ref, ok := r["$ref"].(string); ok {
			problems++
			name := strings.TrimPrefix(ref, "#/components/responses/")
			shared := doc["components"].(map[string]any)["responses"].(map[string]any)[name].(map[string]any)
			if checkContents(t, doc, "/components/responses/"+name, shared); shared["content"].(map[string]any)[v1.ProblemType] == nil {
				t.Errorf("%s: %s is no problem", at, name)
			}
			continue
		}
		checkContents(t, doc, at+"/responses/"+status, r)
	}
	if problems < 2 {
		t.Errorf("%s has %d problems", at, problems)
	}
}

func checkContents(t *testing.T, doc map[string]any, at string, of map[string]any) {
	t.Helper()
	contents, _ := of["content"].(map[string]any)
	for media, c := range contents {
		c := c.(map[string]any)
		if c["example"] == nil {
			t.Errorf("%s: no example of %s", at, media)
			continue
		}
		pointer := at + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema"
		if err := shape(t, doc, strings.ReplaceAll(pointer, ";", "%3B")).Validate(c["example"]); err != nil {
			t.Errorf("%s: the example is not as its schema says: %v", pointer, err)
		}
	}
}

// TestReferences: each leads somewhere, and no schema is there for nothing.
func TestReferences(t *testing.T) {
	t.Parallel()
	p := made(t)
	doc := tree(t, p.json).(map[string]any)
	components := doc["components"].(map[string]any)
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/(\w+)/(\w+)"`).FindAllSubmatch(p.json, -1) {
		kind, name := string(m[1]), string(m[2])
		if components[kind].(map[string]any)[name] == nil {
			t.Errorf("%s %s is not there", kind, name)
		}
		used[name] = true
	}
	if n := bytes.Count(p.json, []byte(`"$ref"`)); n < 50 || len(used) < 30 {
		t.Errorf("%d references to %d components", n, len(used))
	}
	for name := range components["schemas"].(map[string]any) {
		lines := bytes.Contains(p.json, []byte("is a "+name+".")) || name == "Line"
		if !used[name] && !lines {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// TestEverythingIsDescribed: what has a name that does not say it all has a
// text.
func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range doc.Components.Schemas.Map() {
		if s.Description == "" {
			t.Errorf("%s has no description: give the type in api/v1 a comment", name)
		}
		for field, p := range s.Properties {
			if p.Nullable {
				t.Errorf("%s.%s may be null", name, field)
			}
		}
	}
	for _, op := range operations() {
		for _, p := range (&writer{comments: map[string]string{}}).parameters(op) {
			if p.In == "query" && op.query.Kind() == reflect.Struct && p.Schema == nil {
				t.Errorf("%s: %s has no schema", op.id, p.Name)
			}
		}
	}
	req := doc.Components.Schemas.Map()["TokenSpec"]
	if req.AdditionalProperties != false || req.Properties["access"].Description == "" || len(req.Properties["access"].Enum) != 4 {
		t.Errorf("TokenSpec is %+v", req)
	}
	if answer := doc.Components.Schemas.Map()["Token"]; answer.AdditionalProperties != nil {
		t.Errorf("answers may grow, but Token has additionalProperties %v", answer.AdditionalProperties)
	}
}

// TestThePage has every operation and every schema, and every link on it
// leads somewhere.
func TestThePage(t *testing.T) {
	t.Parallel()
	p := made(t)
	page := string(p.page)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if anchors[m[1]] {
			t.Errorf("two anchors %q", m[1])
		}
		anchors[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !anchors[m[1]] {
			t.Errorf("a link to #%s, which is not there", m[1])
		}
	}
	for _, op := range operations() {
		if !anchors[op.id] {
			t.Errorf("%s is not on the page", op.id)
		}
	}
	outside := regexp.MustCompile(`(?i)<script|<link|<img|https?://|\son\w+=|style="`).FindAllString(page, -1)
	if len(outside) > 0 || strings.Contains(page, "ZgotmplZ") || !strings.Contains(p.policy, "default-src 'none'") {
		t.Errorf("the page is not self-contained: %q", outside)
	}
	style := page[strings.Index(page, "<style>")+len("<style>") : strings.Index(page, "</style>")]
	if style != pageStyle {
		t.Error("the style on the page is not the one whose hash the policy has")
	}
}

// TestExamplesAreUsed: none stands for a type that is gone.
func TestExamplesAreUsed(t *testing.T) {
	t.Parallel()
	used := []reflect.Type{reflect.TypeFor[v1.AuditLine](), reflect.TypeFor[v1.Token](), reflect.TypeFor[v1.Account](), reflect.TypeFor[v1.Namespace](), reflect.TypeFor[v1.TrashEntry]()}
	for _, op := range operations() {
		used = append(used, op.body, op.answer)
	}
	for _, e := range examples() {
		if !slices.Contains(used, reflect.TypeOf(e)) {
			t.Errorf("the example %s is for nothing", fmt.Sprintf("%T", e))
		}
	}
}
