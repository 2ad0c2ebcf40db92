package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

const schemaPrefix = "#/components/schemas/"

const intro = `JSON over HTTP. Sign in with a token: as the password of Basic authentication, whatever the user name, or as a Bearer token.

Times are RFC 3339 in UTC, sizes are bytes. Unknown fields and unknown parameters are refused by name. Lists are pages: next of one page is the parameter next of the following one, and a page without next is the last. Failures are problems (RFC 9457): detail is for people, code for programs. What is another account's is answered as if it were not there.

Fields may be added to answers; clients ignore those they do not know.`

//go:embed comment.json
var commentFile []byte

// writer makes the document out of the operations.
type writer struct {
	schemas  huma.Registry
	doc      *huma.OpenAPI
	comments map[string]string // by "Type" and "Type.field": api/v1's
	taken    map[reflect.Type]bool
}

// document is the OpenAPI document of all operations.
func document() (*huma.OpenAPI, error) {
	w := &writer{
		schemas: huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
		taken:   map[reflect.Type]bool{},
	}
	if err := json.Unmarshal(commentFile, &w.comments); err != nil {
		return nil, fmt.Errorf("read the comments: %w", err)
	}
	w.doc = &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Fairlead management API", Version: "v1", Description: intro,
			License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Servers:  []*huma.Server{{URL: "/", Description: "This server"}},
		Paths:    map[string]*huma.PathItem{},
		Security: []map[string][]string{{"basic": {}}, {"bearer": {}}},
		Components: &huma.Components{
			Schemas: w.schemas, Responses: map[string]*huma.Response{},
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"basic":  {Type: "http", Scheme: "basic", Description: "A token as the password; any user name."},
				"bearer": {Type: "http", Scheme: "bearer", Description: "A token."},
			},
		},
	}
	for _, group := range []string{groupAccounts, groupNamespaces, groupTokens, groupImages, groupTrash, groupRecords, groupUpkeep, groupDocument} {
		w.doc.Tags = append(w.doc.Tags, &huma.Tag{Name: group, Description: groupText[group]})
	}
	for _, op := range operations() {
		w.add(op)
	}
	w.finish()
	return w.doc, nil
}

var groupText = map[string]string{
	groupUpkeep: "Only on the control socket in the server's data folder, whose permissions are the authentication.",
}

func (w *writer) add(op operation) {
	o := &huma.Operation{
		OperationID: op.id, Tags: []string{op.group}, Summary: op.summary, Description: op.about,
		Parameters: w.parameters(op), Responses: map[string]*huma.Response{},
	}
	if op.door == open || op.door == socket {
		o.Security = []map[string][]string{{}} // none is enough
	}
	if op.body != reflect.TypeFor[nothing]() {
		w.take(op.body)
		o.RequestBody = &huma.RequestBody{
			Required: hasRequired(op.body),
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: w.schemas.Schema(op.body, true, ""), Example: example(op.body),
			}},
		}
	}
	for _, status := range op.statuses {
		o.Responses[strconv.Itoa(status)] = w.success(op, status)
	}
	w.failures(op, o)
	item := w.doc.Paths[op.path]
	if item == nil {
		item = &huma.PathItem{}
		w.doc.Paths[op.path] = item
	}
	switch op.method {
	case get:
		item.Get = o
	case post:
		item.Post = o
	case patch:
		item.Patch = o
	case remove:
		item.Delete = o
	}
}

func (w *writer) success(op operation, status int) *huma.Response {
	r := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
	switch {
	case op.answer == reflect.TypeFor[nothing]() && op.media == "":
		return r
	case op.media != "":
		r.Content[op.media] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}, Example: op.example()}
		return r
	case op.lines:
		schema := w.schemas.Schema(op.answer, true, "")
		w.schemas.Schema(reflect.TypeFor[v1.Line](), true, "")
		r.Description = "One Line of JSON per line; the result of the last one is a " + strings.TrimPrefix(schema.Ref, schemaPrefix) + "."
		r.Content[v1.LinesType] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}, Example: linesExample(op.answer)}
		return r
	}
	answer := example(op.answer)
	r.Content["application/json"] = &huma.MediaType{Schema: w.schemas.Schema(op.answer, true, ""), Example: answer}
	if op.export {
		r.Content[exportType] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}, Example: jsonLine(example(reflect.TypeFor[v1.AuditLine]()))}
	}
	if op.etag {
		r.Headers = map[string]*huma.Param{"ETag": {Description: "The version, for If-Match.", Schema: &huma.Schema{Type: "string"}, Example: `"3"`}}
	}
	switch status {
	case http.StatusCreated:
		r.Description = "It was made."
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		r.Headers["Location"] = &huma.Param{Description: "Its path.", Schema: &huma.Schema{Type: "string"}}
	case http.StatusOK:
		if len(op.statuses) > 1 {
			r.Description = "It was there already."
		}
	}
	return r
}

// failures adds what may go wrong, by status, and a default for the rest.
func (w *writer) failures(op operation, o *huma.Operation) {
	codes := []oci.Code{oci.CodeRequestInvalid}
	if op.door == signedIn || op.door == either {
		codes = append(codes, oci.CodeUnauthorized, oci.CodeDenied, oci.CodeTooManyRequests)
	}
	codes = append(codes, op.codes...)
	by := map[int][]oci.Code{}
	for _, c := range codes {
		by[c.Status()] = append(by[c.Status()], c)
	}
	for status, codes := range by {
		o.Responses[strconv.Itoa(status)] = w.failure(status, codes)
	}
	o.Responses["default"] = w.failure(http.StatusInternalServerError, nil)
}

// failure is a shared response.
func (w *writer) failure(status int, codes []oci.Code) *huma.Response {
	name, text := "", ""
	for i, c := range codes {
		if i > 0 {
			name, text = name+"_or_", text+"; "
		}
		name += string(c)
		text += string(c) + ": " + c.Text()
	}
	p := v1.Problem{Title: http.StatusText(status), Status: status}
	if len(codes) > 0 {
		p.Code, p.Detail = string(codes[0]), codes[0].Text()
	} else {
		name, text, p.Detail = "Problem", "Any other failure.", "internal error: tell the operator the request id 8c1f2b9a77e0-42"
	}
	if w.doc.Components.Responses[name] == nil {
		r := &huma.Response{Description: text, Content: map[string]*huma.MediaType{v1.ProblemType: {
			Schema: w.schemas.Schema(reflect.TypeFor[v1.Problem](), true, ""), Example: p,
		}}}
		switch status {
		case http.StatusUnauthorized:
			r.Headers = map[string]*huma.Param{"WWW-Authenticate": {Schema: &huma.Schema{Type: "string"}, Example: challenge}}
		case http.StatusTooManyRequests:
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: "string"}, Example: retryAfter}}
		}
		w.doc.Components.Responses[name] = r
	}
	return &huma.Response{Ref: "#/components/responses/" + name}
}

// parameters of the path, the query and the head.
func (w *writer) parameters(op operation) []*huma.Param {
	var out []*huma.Param
	if _, rest, ok := strings.Cut(op.path, "{"); ok {
		name, _, _ := strings.Cut(rest, "}")
		of := "account"
		if op.group == groupNamespaces {
			of = "namespace"
		}
		text, value := "The name of the "+of+".", any("acme")
		if name == "id" {
			text, value = "The id of the token.", exampleTokenID
		}
		out = append(out, &huma.Param{Name: name, In: "path", Required: true, Description: text, Schema: &huma.Schema{Type: "string"}, Example: value})
	}
	for _, f := range reflect.VisibleFields(op.query) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		text := parameterText[name]
		if own := w.comment(op.query, f, name); own != "" && own != fieldText[name] || text == "" {
			text = own
		}
		out = append(out, &huma.Param{
			Name: name, In: "query", Required: options == "", Description: text,
			Schema: parameterSchema(f.Type, name), Example: parameterExample[name],
		})
	}
	for _, h := range op.headers {
		out = append(out, &huma.Param{Name: h.name, In: "header", Description: h.about, Schema: &huma.Schema{Type: "string", Pattern: h.pattern}, Example: h.example})
	}
	return out
}

func parameterSchema(t reflect.Type, name string) *huma.Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &huma.Schema{Type: "string", Format: "date-time"}
	case t.Kind() == reflect.Bool:
		return &huma.Schema{Type: "boolean"}
	case t.Kind() == reflect.Int:
		low, high := 1.0, float64(MaxLimit)
		return &huma.Schema{Type: "integer", Minimum: &low, Maximum: &high, Default: DefaultLimit}
	case name == "outcome":
		return &huma.Schema{Type: "string", Enum: []any{"allowed", "denied", "failed"}}
	}
	return &huma.Schema{Type: "string"}
}

// take notes that requests have the type, with all it is made of: in them
// unknown fields are refused.
func (w *writer) take(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || w.taken[t] {
		return
	}
	w.taken[t] = true
	for _, f := range reflect.VisibleFields(t) {
		w.take(f.Type)
	}
}

// finish adds to the schemas what the types alone do not say.
func (w *writer) finish() {
	for name, s := range w.schemas.Map() {
		t := w.schemas.TypeFromRef(schemaPrefix + name)
		s.Description = w.comments[name]
		if !w.taken[t] && s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
		slices.Sort(s.Required)
		for _, f := range reflect.VisibleFields(t) {
			field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[field]
			if p == nil {
				continue
			}
			p.Nullable = false // lists are never null
			if text := w.comment(t, f, field); text != "" {
				p.Description = text
			}
			p.Enum = requestEnums[name+"."+field]
		}
	}
}

// comment on a field, which may be an embedded struct's.
func (w *writer) comment(t reflect.Type, f reflect.StructField, field string) string {
	if len(f.Index) > 1 {
		t = t.FieldByIndex(f.Index[:len(f.Index)-1]).Type
	}
	if text := w.comments[t.Name()+"."+field]; text != "" {
		return text
	}
	return fieldText[field]
}

func hasRequired(t reflect.Type) bool {
	for _, f := range reflect.VisibleFields(t) {
		if _, options, _ := strings.Cut(f.Tag.Get("json"), ","); options == "" && !f.Anonymous {
			return true
		}
	}
	return false
}
