package kubefile

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// secret reads a Secret. One whose data cannot be decoded is left out, with a
// finding.
func (p *parser) secret(n *yaml.Node, o Object) {
	s := pullsecret.Secret{
		Namespace: o.Namespace, Name: o.Name, UID: p.text(n, "metadata", "uid"), ResourceVersion: p.text(n, "metadata", "resourceVersion"),
		Type: p.text(n, "type"), Immutable: p.text(n, "immutable") == "true", Position: o.Position,
	}
	r := secretReader{parser: p, secret: &s}
	r.twice(n, "")
	r.wantText(n, "type")
	r.wantText(n, "metadata", "name")
	r.wantText(n, "metadata", "namespace")
	s.Labels, s.Annotations = r.texts(n, "metadata", "labels"), r.texts(n, "metadata", "annotations")
	s.Data = r.data(n)
	for k, v := range r.stringData(n) {
		s.Data[k] = v
	}
	for _, f := range r.findings {
		f.Secret = s.ID()
		p.file.Findings = append(p.file.Findings, f)
	}
	if !r.broken() {
		p.file.Secrets = append(p.file.Secrets, s)
	}
}

type secretReader struct {
	*parser
	secret   *pullsecret.Secret
	findings []pullsecret.Finding
}

func (r *secretReader) broken() bool {
	for _, f := range r.findings {
		if f.Severity == pullsecret.Broken {
			return true
		}
	}
	return false
}

func (r *secretReader) add(rule pullsecret.Rule, n *yaml.Node, field, format string, args ...any) *pullsecret.Finding {
	f := finding(rule, r.at(n.Line), format, args...)
	f.Field = field
	r.findings = append(r.findings, f)
	return &r.findings[len(r.findings)-1]
}

// twice finds keys that stand twice in the mappings of a secret.
func (r *secretReader) twice(n *yaml.Node, in string) {
	seen := map[string]int{}
	for _, x := range r.pairs(n) {
		name := strings.TrimPrefix(in+"."+x.name.Value, ".")
		if line, ok := seen[x.name.Value]; ok {
			r.add(pullsecret.ManifestTwice, x.name, name, "%q stands twice: here and in line %d.", name, line)
		}
		seen[x.name.Value] = x.name.Line
		switch name {
		case "metadata", "data", "stringData", "metadata.labels", "metadata.annotations":
			r.twice(x.value, name)
		}
	}
}

// wantText finds what YAML reads as something else than text.
func (r *secretReader) wantText(n *yaml.Node, path ...string) {
	if v := r.find(n, path...); v != nil && !isText(v) {
		field := strings.Join(path, ".")
		r.add(pullsecret.ManifestType, v, field, "%s is %s to YAML, where text is expected.", field, kindOf(v))
	}
}

func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!null" || n.Tag == "!!timestamp")
}

// texts is a mapping of texts, such as labels.
func (r *secretReader) texts(n *yaml.Node, path ...string) map[string]string {
	m := r.find(n, path...)
	field := strings.Join(path, ".")
	if m == nil || m.Tag == "!!null" {
		return nil
	}
	if m.Kind != yaml.MappingNode {
		r.add(pullsecret.ManifestType, m, field, "%s is %s, where a mapping is expected.", field, kindOf(m)).Fix = "Write name: value, one a line."
		return nil
	}
	out := map[string]string{}
	for _, x := range r.pairs(m) {
		if !isText(x.value) {
			r.add(pullsecret.ManifestType, x.value, field+"."+x.name.Value, "%s.%s is %s to YAML, where text is expected.", field, x.name.Value, kindOf(x.value))
			continue
		}
		out[x.name.Value] = x.value.Value
	}
	return out
}

func (r *secretReader) stringData(n *yaml.Node) map[string][]byte {
	out := map[string][]byte{}
	plain := r.texts(n, "stringData")
	for _, x := range r.pairs(r.find(n, "data")) {
		if text, ok := plain[x.name.Value]; ok && string(r.secret.Data[x.name.Value]) != text {
			r.add(pullsecret.DataHidden, x.name, x.name.Value, "%s stands under data and under stringData, with different values.", x.name.Value)
		}
	}
	for k, v := range plain {
		out[k] = []byte(v)
	}
	return out
}

// data decodes the values as the API server does.
func (r *secretReader) data(n *yaml.Node) map[string][]byte {
	out := map[string][]byte{}
	d := r.find(n, "data")
	if d == nil || d.Tag == "!!null" {
		return out
	}
	if d.Kind != yaml.MappingNode {
		r.add(pullsecret.ManifestType, d, "data", "data is %s, where a mapping is expected.", kindOf(d)).Fix = "Write the data key and its base64: " + pullsecret.KeyConfigJSON + ": eyJhdXRo…"
		return out
	}
	for _, x := range r.pairs(d) {
		name, v := x.name.Value, x.value
		switch {
		case v.Tag == "!!null":
			out[name] = nil
		case v.Kind != yaml.ScalarNode:
			r.add(pullsecret.DataPlain, v, name, "%s is %s: the document itself stands under data, where its base64 is expected.", name, kindOf(v))
		case v.Tag == "!!bool":
			r.add(pullsecret.ManifestType, v, name, "%s is %s to YAML, where base64 is expected.", name, kindOf(v))
		default:
			if value, ok := r.decode(name, v); ok {
				out[name] = value
			}
		}
	}
	return out
}

// decode is standard base64 with its padding; line breaks may stand in it.
func (r *secretReader) decode(name string, v *yaml.Node) ([]byte, bool) {
	value, err := base64.StdEncoding.DecodeString(v.Value)
	if err == nil {
		return value, true
	}
	at := 0
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) {
		at = int(corrupt)
	}
	t := strings.TrimSpace(v.Value)
	var f *pullsecret.Finding
	if strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "{{") {
		what := "text that begins with a brace"
		if json.Valid([]byte(t)) {
			what = "JSON"
		}
		f = r.add(pullsecret.DataPlain, v, name, "%s is %s: the document itself stands under data, where its base64 is expected.", name, what)
	} else {
		f = r.add(pullsecret.DataNotBase64, v, name, "%s is not base64 at byte %d: %s.", name, at, notBase64(v, at))
	}
	f.Byte = at
	return nil, false
}

// notBase64 says what stands at the byte where decoding ends.
func notBase64(v *yaml.Node, at int) string {
	t := v.Value
	rest := strings.NewReplacer("\r", "", "\n", "").Replace(t)
	switch {
	case strings.HasPrefix(t, "${") || strings.HasPrefix(t, "$(") || strings.HasPrefix(t, "{{") || strings.HasPrefix(t, "<"):
		return "it is a placeholder that nobody filled in"
	case strings.HasPrefix(t, "auths:"):
		return "it is the document itself in YAML"
	case strings.Contains(t, " ") && decodes(strings.Join(strings.Fields(t), "")):
		return "it is broken over several lines, and YAML joins them with spaces"
	case at < len(t) && (t[at] == ' ' || t[at] == '\t'):
		return "there is a space"
	case strings.Contains(t, "://") || strings.Contains(t, ":"):
		return "there is a colon: it is text that was not encoded"
	case strings.ContainsAny(t, "-_") && decodes(strings.NewReplacer("-", "+", "_", "/").Replace(t)):
		return "it is of the alphabet for URLs ('-' and '_'), where the standard one is read"
	case !strings.Contains(t, "=") && decodes(strings.TrimRight(t, "=")+strings.Repeat("=", (4-len(rest)%4)%4)):
		return "its padding ('=' at the end) is missing: it was cut off"
	case at >= len(t) || len(rest)%4 != 0 && strings.Trim(rest, alphabet) == "":
		return "it was cut off"
	}
	return "the character is none of base64"
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

func decodes(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}
