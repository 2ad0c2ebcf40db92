package pullsecret

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"fairlead.dev/fairlead/dockerconfig"
)

// Recipe is what a secret is made of.
type Recipe struct {
	// Namespace may be empty: where it is applied decides.
	Namespace, Name     string
	Entries             []dockerconfig.Entry
	Labels, Annotations map[string]string
	Immutable           bool
	// AppendHash lets the name end with a hash of the content, as kubectl's
	// flag of this name does.
	AppendHash bool
}

// BuildError says which part of a Recipe cannot be.
type BuildError struct {
	// Field is name, namespace, labels, annotations or entries.
	Field string
	// Text says what is wrong and what to do; it quotes no secret.
	Text string
}

func (e *BuildError) Error() string { return e.Field + ": " + e.Text }

// Build makes a secret of the type kubernetes.io/dockerconfigjson, in the
// bytes in which kubectl create secret docker-registry makes it. Error:
// *BuildError.
func Build(r Recipe) (Secret, error) {
	if err := r.check(); err != nil {
		return Secret{}, err
	}
	var file dockerconfig.File
	for _, e := range r.Entries {
		if _, there := file.Entry(e.Key); there {
			return Secret{}, &BuildError{"entries", fmt.Sprintf("%q stands there twice: name one, or use HOST/NAMESPACE/ for several accounts of one registry", ShowKey(e.Key))}
		}
		if err := file.Set(e); err != nil {
			return Secret{}, &BuildError{"entries", err.Error()}
		}
	}
	s := Secret{
		Namespace: r.Namespace, Name: r.Name, Type: TypeConfigJSON, Immutable: r.Immutable,
		Labels: maps.Clone(r.Labels), Annotations: maps.Clone(r.Annotations),
		Data: map[string][]byte{KeyConfigJSON: file.Encode()},
	}
	if size := dataSize(s.Data); size > MaxBytes {
		return Secret{}, &BuildError{"entries", fmt.Sprintf("together they have %d bytes, a secret has %d at most: make several", size, MaxBytes)}
	}
	if r.AppendHash {
		s.Name += "-" + s.hash()
		if err := checkName(s.Name); err != nil {
			return Secret{}, &BuildError{"name", fmt.Sprintf("%q, with its hash, cannot be used: %v", s.Name, err)}
		}
	}
	return s, nil
}

func (r Recipe) check() error {
	if err := checkName(r.Name); err != nil {
		return &BuildError{"name", fmt.Sprintf("%q cannot be used: %v", r.Name, err)}
	}
	if r.Namespace != "" {
		if err := checkNamespace(r.Namespace); err != nil {
			return &BuildError{"namespace", fmt.Sprintf("%q cannot be used: %v", r.Namespace, err)}
		}
	}
	for _, name := range sortedKeys(r.Labels) {
		if err := checkLabel(name, r.Labels[name]); err != nil {
			return &BuildError{"labels", fmt.Sprintf("%q cannot be used: %v", name, err)}
		}
	}
	if name, err := checkAnnotations(r.Annotations); err != nil {
		return &BuildError{"annotations", fmt.Sprintf("%q cannot be used: %v", name, err)}
	}
	if len(r.Entries) == 0 {
		return &BuildError{"entries", "there is none: name a registry, or a file with credentials"}
	}
	return nil
}

// hash is what kubectl appends: of kind, type, name, data and, where it is
// set, immutable, as JSON with sorted names; ten hexadecimal digits of
// SHA-256 in which those that could make words are replaced.
func (s Secret) hash() string {
	content := map[string]any{"kind": "Secret", "type": s.Type, "name": s.Name, "data": s.Data}
	if s.Immutable {
		content["immutable"] = true
	}
	text, err := json.Marshal(content)
	if err != nil {
		return "" // not reached: text, bytes and a bool
	}
	sum := sha256.Sum256(text)
	return strings.NewReplacer("0", "g", "1", "h", "3", "k", "a", "m", "e", "t").Replace(hex.EncodeToString(sum[:])[:10])
}
