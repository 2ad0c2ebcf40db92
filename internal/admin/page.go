package admin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// The page's parts, as the template takes them.
type (
	pageData struct {
		Title  string
		Intro  []string
		Style  template.CSS
		Groups []pageGroup
		Shapes []pageShape
	}
	pageGroup struct {
		Name, Text, Anchor string
		Operations         []pageOperation
	}
	pageOperation struct {
		ID, Method, Path, Summary, Text string
		Open                            bool
		Parameters                      []pageField
		Body                            *pageContent
		Answers                         []pageAnswer
		Failures                        []pageAnswer
	}
	pageAnswer struct {
		Status, Text string
		Contents     []pageContent
	}
	pageContent struct{ Media, Shape, Example string }
	pageShape   struct {
		Name, Text string
		Fields     []pageField
	}
	pageField struct {
		Name, In, Type, Shape, Text, Values, Range string
		Required                                   bool
	}
)

// renderPage makes the page for people out of the document alone.
func renderPage(doc *huma.OpenAPI) ([]byte, error) {
	d := pageData{Title: doc.Info.Title, Intro: strings.Split(doc.Info.Description, "\n\n"), Style: template.CSS(pageStyle)} //nolint:gosec // our own file
	for _, tag := range doc.Tags {
		d.Groups = append(d.Groups, pageGroupOf(doc, tag))
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		d.Shapes = append(d.Shapes, pageShapeOf(name, schemas[name]))
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("read the page's template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return out.Bytes(), nil
}

func pageGroupOf(doc *huma.OpenAPI, tag *huma.Tag) pageGroup {
	g := pageGroup{Name: tag.Name, Text: tag.Description, Anchor: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-")}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, m := range []struct {
			method string
			op     *huma.Operation
		}{{get, item.Get}, {post, item.Post}, {patch, item.Patch}, {remove, item.Delete}} {
			if m.op != nil && slices.Contains(m.op.Tags, tag.Name) {
				g.Operations = append(g.Operations, pageOperationOf(doc, m.method, path, m.op))
			}
		}
	}
	return g
}

func pageOperationOf(doc *huma.OpenAPI, method, path string, op *huma.Operation) pageOperation {
	p := pageOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Text: op.Description, Open: len(op.Security) > 0}
	for _, q := range op.Parameters {
		f := pageFieldOf(q.Name, q.Schema)
		f.In, f.Required, f.Text = q.In, q.Required, q.Description
		p.Parameters = append(p.Parameters, f)
	}
	if op.RequestBody != nil {
		p.Body = &pageContents(op.RequestBody.Content)[0]
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
			p.Failures = append(p.Failures, pageAnswer{Status: status, Text: doc.Components.Responses[name].Description})
			continue
		}
		p.Answers = append(p.Answers, pageAnswer{status, r.Description, pageContents(r.Content)})
	}
	return p
}

func pageContents(all map[string]*huma.MediaType) []pageContent {
	var out []pageContent
	for _, media := range slices.Sorted(maps.Keys(all)) {
		m := all[media]
		c := pageContent{Media: media, Shape: strings.TrimPrefix(m.Schema.Ref, schemaPrefix)}
		if text, ok := m.Example.(string); ok {
			c.Example = text
		} else if raw, err := json.MarshalIndent(m.Example, "", "  "); err == nil {
			c.Example = string(raw)
		}
		out = append(out, c)
	}
	return out
}

func pageShapeOf(name string, s *huma.Schema) pageShape {
	p := pageShape{Name: name, Text: s.Description}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		f := pageFieldOf(field, s.Properties[field])
		f.Required = slices.Contains(s.Required, field)
		p.Fields = append(p.Fields, f)
	}
	return p
}

func pageFieldOf(name string, s *huma.Schema) pageField {
	f := pageField{Name: name, Type: s.Type, Text: s.Description}
	at := s
	if s.Type == "array" && s.Items != nil {
		at = s.Items
		f.Type = "list of " + at.Type
	}
	if at.Ref != "" {
		f.Shape = strings.TrimPrefix(at.Ref, schemaPrefix)
	}
	switch {
	case at.Format == "date-time":
		f.Type = strings.Replace(f.Type, "string", "time", 1)
	case f.Type == "" && f.Shape == "":
		f.Type = "any"
	}
	values := make([]string, len(s.Enum))
	for i, v := range s.Enum {
		values[i] = fmt.Sprint(v)
	}
	f.Values = strings.Join(values, ", ")
	if s.Minimum != nil && s.Maximum != nil {
		f.Range = fmt.Sprintf("%g to %g; %v by default.", *s.Minimum, *s.Maximum, s.Default)
	}
	return f
}
