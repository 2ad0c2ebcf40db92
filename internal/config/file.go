package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file in bytes.
const maxFile = 1 << 20

// file reads the YAML file into l; what is wrong with it becomes problems.
func (l *load) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		l.problem(Problem{Key: path, Text: "cannot be read: " + reason(err)})
		return
	}
	defer func() { _ = f.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		l.problem(Problem{Key: path, Text: "cannot be read: " + reason(err)})
	case len(body) > maxFile:
		l.problem(Problem{Key: path, Text: "is larger than 1 MiB: this is no configuration file"})
	default:
		l.document(path, body)
	}
}

// reason is the cause without the path, which the problem names already.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (l *load) document(path string, body []byte) {
	dec := yaml.NewDecoder(strings.NewReader(string(body)))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file says nothing
			l.problem(Problem{Key: path, Text: "is no YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
		}
		return
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		l.problem(Problem{Key: path, Text: "holds more than one YAML document: keep one"})
		return
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return
	}
	if root.Kind != yaml.MappingNode {
		l.problem(Problem{Key: at(path, root), Text: "must be a list of lines such as \"listen: 127.0.0.1:5000\""})
		return
	}
	l.mapping(path, root)
}

func (l *load) mapping(path string, root *yaml.Node) {
	keys := make([]string, len(l.settings))
	for i, s := range l.settings {
		keys[i] = s.Key
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s, ok := l.byKey[key.Value]
		if !ok || key.Kind != yaml.ScalarNode {
			l.problem(Problem{Key: name(key), From: at(path, key), Text: "is no setting" + suggest(key.Value, keys)})
			continue
		}
		if first, twice := seen[s.Key]; twice {
			l.problem(Problem{Key: s.Key, From: at(path, key), Text: fmt.Sprintf("is set already in line %d: keep one", first)})
			continue
		}
		seen[s.Key] = key.Line
		values, err := scalars(value)
		if err != nil {
			l.problem(Problem{Key: s.Key, From: at(path, key), Text: err.Error()})
			continue
		}
		l.give(s, values, at(path, key))
	}
}

func name(key *yaml.Node) string {
	if key.Kind == yaml.ScalarNode {
		return key.Value
	}
	return "key"
}

func at(path string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", path, n.Line) }

// scalars gives the one value or the values of a list, as they are written.
func scalars(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, errors.New("has no value: give one, or remove the line")
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind == yaml.SequenceNode:
		out := []string{}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return nil, errors.New("must be a value or a flat list of values")
			}
			out = append(out, item.Value)
		}
		return out, nil
	}
	return nil, errors.New("must be a value or a flat list of values")
}
