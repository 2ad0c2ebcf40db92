package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// published is the document in its three forms, made once.
type published struct {
	json, yaml, page []byte
	policy           string // of the page
}

func publish() (*published, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	p := &published{}
	if p.json, err = documentJSON(doc); err != nil {
		return nil, err
	}
	if p.yaml, err = doc.YAML(); err != nil {
		return nil, fmt.Errorf("write the document as YAML: %w", err)
	}
	if p.page, err = renderPage(doc); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(pageStyle))
	p.policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return p, nil
}

// documentJSON is indented, so that a change of it can be read.
func documentJSON(doc *huma.OpenAPI) ([]byte, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func documentOperations() []operation {
	op := func(path, id, summary, media string, body func(*published) []byte) operation {
		return operation{
			method: get, path: path, id: id, group: groupDocument, summary: summary, door: open,
			action: action{
				query: reflect.TypeFor[nothing](), body: reflect.TypeFor[nothing](), answer: reflect.TypeFor[nothing](),
				statuses: []int{200}, media: media,
				serve: func(x *exchange) error {
					if _, err := readQuery[nothing](x.r.URL.RawQuery); err != nil {
						return err
					}
					p, err := x.document()
					if err != nil {
						return err
					}
					h := x.w.Header()
					h.Set("Content-Security-Policy", p.policy)
					h.Set("Referrer-Policy", "no-referrer")
					x.answer(200, media, body(p))
					return nil
				},
			},
		}
	}
	return []operation{
		op("/api/v1/", "readPage", "Read this document as a page", "text/html; charset=utf-8", func(p *published) []byte { return p.page }),
		op("/api/v1/openapi.json", "readJSON", "Read this document as JSON", "application/json", func(p *published) []byte { return p.json }),
		op("/api/v1/openapi.yaml", "readYAML", "Read this document as YAML", "application/yaml", func(p *published) []byte { return p.yaml }),
	}
}

func (op operation) example() any {
	switch op.media {
	case "application/json":
		return `{"openapi": "3.1.0"}`
	case "application/yaml":
		return "openapi: 3.1.0"
	}
	return "<!doctype html>"
}
