package pullsecret

import (
	"bytes"
	"encoding/json"
	"strings"
)

// manifest is a Secret as the API server takes it; names are in kubectl's
// order, which is that of the alphabet.
type manifest struct {
	APIVersion string            `json:"apiVersion"`
	Data       map[string][]byte `json:"data"`
	Immutable  bool              `json:"immutable,omitempty"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Type       string            `json:"type"`
}

type metadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
}

func (s Secret) manifest() manifest {
	return manifest{
		APIVersion: "v1", Kind: "Secret", Type: s.Type, Data: s.Data, Immutable: s.Immutable,
		Metadata: metadata{Annotations: s.Annotations, Labels: s.Labels, Name: s.Name, Namespace: s.Namespace},
	}
}

// JSON is the secret as a manifest, with its credentials. The same secret
// gives the same bytes.
func (s Secret) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "    ")
	_ = enc.Encode(s.manifest()) // text, bytes and a bool: it cannot fail
	return b.Bytes()
}

// YAML is JSON's manifest in YAML, each value on one line.
func (s Secret) YAML() []byte {
	var b strings.Builder
	m := s.manifest()
	b.WriteString("apiVersion: v1\ndata:\n")
	for _, k := range sortedKeys(m.Data) {
		b.WriteString("  " + scalar(k) + ": " + base64Scalar(m.Data[k]) + "\n")
	}
	if m.Immutable {
		b.WriteString("immutable: true\n")
	}
	b.WriteString("kind: Secret\nmetadata:\n")
	writeMap(&b, "annotations", m.Metadata.Annotations)
	writeMap(&b, "labels", m.Metadata.Labels)
	b.WriteString("  name: " + scalar(m.Metadata.Name) + "\n")
	if m.Metadata.Namespace != "" {
		b.WriteString("  namespace: " + scalar(m.Metadata.Namespace) + "\n")
	}
	b.WriteString("type: " + scalar(m.Type) + "\n")
	return []byte(b.String())
}

// base64Scalar is base64, which is plain in YAML if it is of JSON: another
// might be read as a number.
func base64Scalar(value []byte) string {
	text, _ := json.Marshal(value) // in quotes
	if strings.HasPrefix(string(text), `"ey`) {
		return strings.Trim(string(text), `"`)
	}
	return string(text)
}

func writeMap(b *strings.Builder, name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	b.WriteString("  " + name + ":\n")
	for _, k := range sortedKeys(m) {
		b.WriteString("    " + scalar(k) + ": " + scalar(m[k]) + "\n")
	}
}

// scalar is a text in YAML: plain where that is certain, else in JSON's
// quotes, which YAML reads as JSON does.
func scalar(s string) string {
	if s != "" && plainScalar(s) {
		return s
	}
	text, _ := json.Marshal(s)
	return string(text)
}

// plainScalar takes names of Kubernetes that are no number, no word with a
// meaning and no date.
func plainScalar(s string) bool {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
	if strings.Trim(s, chars) != "" || strings.Trim(s, "0123456789.-_/") == "" {
		return false
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan":
		return false
	}
	return isLetter(s[0]) || s[0] == '.' && isLetter(s[1])
}

// isLetter: what begins with a letter is no number.
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
