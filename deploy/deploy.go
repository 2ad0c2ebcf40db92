// Package deploy has the files that a cluster gets with the controller. What
// kustomize builds of controller/ and what attach installs is the same.
package deploy

import (
	"bytes"
	"embed"
)

//go:embed crds/*.yaml controller/*.yaml
var files embed.FS

// Names in the files. Image stands where the controller's image is to be named.
const (
	Namespace  = "fairlead-system"
	Controller = "fairlead-controller" // Deployment, service account, roles
	Image      = "fairlead"
	SecretName = "fairlead-pull" // the one that the rights are for
)

// Options choose what may be left out.
type Options struct {
	// Webhook: pods that are made before their secret get its name.
	Webhook bool
	// Recreate: the right to delete pods that wait for an image.
	Recreate bool
}

// Objects gives what is to be applied, in this order: one object in YAML each,
// with its comments. The first ones are the kinds (CustomResourceDefinition).
// The Deployment's arguments name the webhook in any case.
//
// An error says that a file was left out of the program.
func Objects(o Options) ([][]byte, error) {
	names := []string{
		"crds/fairlead.dev_clusterpullsecrets.yaml", "crds/fairlead.dev_pullsecrets.yaml",
		"controller/namespace.yaml", "controller/rbac.yaml", "controller/admission.yaml",
	}
	if o.Webhook {
		names = append(names, "controller/webhook.yaml")
	}
	if o.Recreate {
		names = append(names, "controller/recreate.yaml")
	}
	var out [][]byte
	for _, name := range append(names, "controller/deployment.yaml") {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, split(text)...)
	}
	return out, nil
}

// split takes a file apart at its "---" lines. A part without a line that says
// something is none.
func split(text []byte) [][]byte {
	var out [][]byte
	for part := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---\n")) {
		for line := range bytes.Lines(part) {
			if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
				out = append(out, append(bytes.Trim(part, "\n"), '\n'))
				break
			}
		}
	}
	return out
}
