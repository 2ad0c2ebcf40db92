package cli

import (
	"bytes"
	"encoding/json"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// manifests are secrets as kubectl takes them: in YAML one document for each,
// in JSON one object, or a List of several.
func manifests(list []pullsecret.Secret, asJSON bool) []byte {
	var b bytes.Buffer
	if !asJSON {
		for i, s := range list {
			if i > 0 {
				b.WriteString("---\n")
			}
			b.Write(s.YAML())
		}
		return b.Bytes()
	}
	if len(list) == 1 {
		return list[0].JSON()
	}
	items := make([]json.RawMessage, len(list))
	for i, s := range list {
		items[i] = s.JSON()
	}
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "    ")
	// Valid JSON and text: it cannot fail.
	_ = enc.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	return b.Bytes()
}
