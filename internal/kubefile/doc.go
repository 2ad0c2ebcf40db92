// Package kubefile reads files as people have them: Kubernetes manifests in
// YAML or JSON (one, several, a List), docker's config.json, .dockercfg. It
// gives pull secrets and workloads with their places in the file, and names in
// plain words what kubectl says cryptically: broken YAML, base64 that does not
// decode, a secret whose value is no config.json.
//
// It is pure: bytes and a file's name in. What it is given may be anything:
// it never panics, and its work is bounded by the size of the file.
package kubefile
