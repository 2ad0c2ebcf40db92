package kubefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliases is how often a file may refer to what it has said before.
const maxAliases = 10_000

// documents reads all documents, JSON or YAML. With an error come those
// before it.
func (p *parser) documents(data []byte) ([]*yaml.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if docs, ok := jsonStream(data); ok {
		return docs, nil
	}
	var docs []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		switch {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return docs, p.syntax(data, err)
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 && n.Content[0].Tag != "!!null" {
			docs = append(docs, n.Content[0])
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax makes an error of the YAML parser plain. Its text never quotes a
// value.
func (p *parser) syntax(data []byte, err error) *Error {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return p.errorf(0, "it is not YAML")
	}
	line, _ := strconv.Atoi(m[1]) // 0 if there is none
	unknownAnchor := strings.HasPrefix(m[2], "unknown anchor")
	if (line == 0 || strings.HasPrefix(m[2], "did not find expected")) && !unknownAnchor {
		line = min(line+1, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))) // the library counts these from 0
	}
	if at, column := tab(data, line); at > 0 && (strings.Contains(m[2], "cannot start any token") || strings.Contains(m[2], "tab")) {
		e := p.errorf(at, "the line is indented by a tab: YAML takes spaces only")
		e.Column = column
		return e
	}
	text := m[2]
	if i := strings.IndexAny(text, "'\"`"); i >= 0 && !strings.HasPrefix(text, "did not find expected '") {
		text = strings.TrimSpace(text[:i]) // what it quotes may be a secret
	}
	return p.errorf(line, "it is not YAML: %s", text)
}

// tab finds the first line from a given one on that is indented by a tab.
func tab(data []byte, from int) (line, column int) {
	for i, l := range bytes.Split(data, []byte("\n")) {
		indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]
		if at := bytes.IndexByte(indent, '\t'); at >= 0 && i+1 >= from {
			return i + 1, at + 1
		}
	}
	return 0, 0
}

// jsonStream reads JSON values one behind the other; false if it is none.
func jsonStream(data []byte) ([]*yaml.Node, bool) {
	if t := bytes.TrimSpace(data); len(t) == 0 || t[0] != '{' && t[0] != '[' {
		return nil, false
	}
	var docs []*yaml.Node
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return docs, true
		}
		if err != nil {
			return nil, false
		}
		from := int(d.InputOffset()) - len(raw)
		j := jsonReader{d: json.NewDecoder(bytes.NewReader(raw)), data: raw, line: 1 + bytes.Count(data[:from], []byte("\n"))}
		j.d.UseNumber()
		docs = append(docs, j.read())
	}
}

// jsonReader makes a tree of valid JSON with its lines.
type jsonReader struct {
	d    *json.Decoder
	data []byte
	line int // of the offset seen
	seen int
}

func (j *jsonReader) read() *yaml.Node {
	t, err := j.d.Token()
	if err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"} // not reached: the value is valid
	}
	to := int(j.d.InputOffset())
	j.line += bytes.Count(j.data[j.seen:to], []byte("\n"))
	j.seen = to
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: j.line, Style: yaml.DoubleQuotedStyle}
	switch v := t.(type) {
	case string:
		n.Tag, n.Value = "!!str", v
	case json.Number:
		n.Tag, n.Value = "!!float", v.String()
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
	case nil:
		n.Tag = "!!null"
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if v == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for j.d.More() {
			n.Content = append(n.Content, j.read()) // names and values in turn
		}
		_, _ = j.d.Token() // the bracket that closes
	}
	return n
}

// resolve follows aliases.
func (p *parser) resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		p.aliases++
		if p.aliases > maxAliases {
			return nil
		}
		n = n.Alias
	}
	return n
}

// find goes down by names; nil if there is nothing. Of a name that stands
// twice the last counts, and what is merged in (<<) counts least.
func (p *parser) find(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		n = p.child(p.resolve(n), name, 0)
	}
	return p.resolve(n)
}

func (p *parser) child(n *yaml.Node, name string, depth int) *yaml.Node {
	const deepest = 8 // merges of merges
	if n == nil || n.Kind != yaml.MappingNode || depth > deepest {
		return nil
	}
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if k := p.resolve(n.Content[i]); k != nil && k.Kind == yaml.ScalarNode && k.Value == name && k.Tag != "!!merge" {
			return n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := p.resolve(n.Content[i+1])
		if from == nil {
			continue
		}
		sources := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			sources = from.Content
		}
		for _, s := range sources {
			if c := p.child(p.resolve(s), name, depth+1); c != nil {
				return c
			}
		}
	}
	return nil
}

// text is a scalar by its path; "" if it is no scalar.
func (p *parser) text(n *yaml.Node, path ...string) string {
	n = p.find(n, path...)
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// list is a sequence by its path, its aliases resolved.
func (p *parser) list(n *yaml.Node, path ...string) []*yaml.Node {
	n = p.find(n, path...)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, c := range n.Content {
		if c = p.resolve(c); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// pair is a name and a value of a mapping.
type pair struct {
	name  *yaml.Node
	value *yaml.Node
}

// pairs are those of a mapping, in order, without what is merged in.
func (p *parser) pairs(n *yaml.Node) []pair {
	n = p.resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := p.resolve(n.Content[i]), p.resolve(n.Content[i+1])
		if k != nil && v != nil && k.Kind == yaml.ScalarNode && k.Tag != "!!merge" {
			out = append(out, pair{k, v})
		}
	}
	return out
}

// kindOf names a node's kind.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!bool":
		return "true or false"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	case n.Tag == "!!timestamp":
		return "a date"
	case n.Tag == "!!binary":
		return "binary"
	}
	return "text"
}
