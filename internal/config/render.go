package config

import (
	"bytes"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

const redacted = "[redacted]"

// YAML writes the configuration as a file that Load reads, in the order of the
// struct, with secrets replaced. With origins, as Trace gives them, each line
// says where its value comes from.
func (c Config) YAML(origins map[string]string) ([]byte, error) {
	return render(reflect.ValueOf(c), origins)
}

func render(v reflect.Value, origins map[string]string) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settingsOf(v.Type()) {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: s.Key}
		value := node(v.Field(s.field), s)
		if from := origins[s.Key]; from != "" {
			if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
				key.LineComment = from
			} else {
				value.LineComment = from
			}
		}
		root.Content = append(root.Content, key, value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("render the configuration: %w", err)
	}
	return out.Bytes(), enc.Close()
}

func node(v reflect.Value, s Setting) *yaml.Node {
	if !s.List {
		text := format(v)
		if s.Secret && text != "" {
			text = redacted
		}
		return scalar(text, s.Kind)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if v.Len() == 0 {
		list.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		text := format(v.Index(i))
		if s.Secret {
			text = redacted
		}
		list.Content = append(list.Content, scalar(text, s.Kind))
	}
	return list
}

func scalar(text, kind string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Tag: "!!str"}
	if kind == "number" || kind == "size" && text == "0" {
		n.Tag = "!!int"
	}
	if kind == KindSwitch {
		n.Tag = "!!bool"
	}
	return n
}
