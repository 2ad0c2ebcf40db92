package cli

import (
	"errors"
	"fmt"
	"strings"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/kubefile"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// fromFiles gathers about an image, or about the workloads of files.
func (w *why) fromFiles() ([]diagnosis.Evidence, error) {
	given, err := w.givenSecrets()
	if err != nil {
		return nil, err
	}
	node, err := w.givenNode()
	if err != nil {
		return nil, err
	}
	if w.image != "" {
		pod := diagnosis.Pod{Template: true, Containers: []diagnosis.Container{{Image: w.image}}}
		return []diagnosis.Evidence{{Workload: w.image, Pod: &pod, Secrets: given, Node: node}}, nil
	}
	files, err := (&filenames{names: w.files}).read(w.e)
	if err != nil {
		return nil, err
	}
	var list []diagnosis.Evidence
	var secrets []pullsecret.Secret
	for _, f := range files {
		if f.bad != nil {
			return nil, usagef("fairlead secret check -f "+pullsecret.Quote(f.Name), "%w", f.bad)
		}
		secrets = append(secrets, f.Secrets...)
		for _, x := range f.Workloads {
			list = append(list, evidenceOf(f.Name, x))
		}
	}
	if len(list) == 0 {
		return nil, usagef(w.cmd.CommandPath()+" --help", "%s: no pod, and nothing that makes pods, is in there", strings.Join(w.files, ", "))
	}
	for i := range list {
		if err := w.complete(&list[i], given, secrets); err != nil {
			return nil, err
		}
		if node != nil {
			list[i].Node = node
		}
	}
	return list, nil
}

func evidenceOf(file string, x kubefile.Workload) diagnosis.Evidence {
	pod := x.Pod
	return diagnosis.Evidence{
		Workload: fmt.Sprintf("%s/%s in %s", strings.ToLower(x.Kind), x.Name, file), APIVersion: x.APIVersion, Kind: x.Kind, Pod: &pod,
	}
}

// complete adds the secrets that the pod would have: those that were given,
// else the cluster's, else the ones that stand in the files.
func (w *why) complete(e *diagnosis.Evidence, given []diagnosis.NamedSecret, filed []pullsecret.Secret) error {
	if len(given) > 0 {
		e.Secrets = given
		return nil
	}
	c, err := w.cluster.open()
	var ke *kube.Error
	switch {
	case errors.As(err, &ke) && ke.Reason == kube.NoConfig && w.cluster.at.Kubeconfig == "":
		e.Blind = append(e.Blind, "the cluster's secrets and service accounts: no kubeconfig names a cluster")
		for _, name := range e.Pod.PullSecrets {
			e.Secrets = append(e.Secrets, diagnosis.NamedSecret{Name: name, Unreadable: "it stands in none of the files"})
		}
	case err != nil:
		return err
	default:
		defer c.Close()
		if e.Pod.Namespace == "" {
			e.Pod.Namespace = c.Namespace()
		}
		seen := c.Gather(w.cmd.Context(), *e.Pod)
		seen.Workload, seen.APIVersion, seen.Kind = e.Workload, e.APIVersion, e.Kind
		*e = seen
	}
	for i := range e.Secrets {
		n := &e.Secrets[i]
		for _, s := range filed {
			if s.Name == n.Name && (s.Namespace == "" || s.Namespace == e.Pod.Namespace) {
				n.Found, n.Unreadable, n.Secret = true, "", s
			}
		}
	}
	return nil
}

// givenSecrets are those of --secret-file, in their order.
func (w *why) givenSecrets() ([]diagnosis.NamedSecret, error) {
	files, err := (&filenames{names: w.secretFiles}).read(w.e)
	if err != nil {
		return nil, err
	}
	var out []diagnosis.NamedSecret
	for _, f := range files {
		if f.bad != nil {
			return nil, usagef("fairlead secret check -f "+pullsecret.Quote(f.Name), "%w", f.bad)
		}
		if err := f.Err(); err != nil {
			return nil, usagef("fairlead secret check -f "+pullsecret.Quote(f.Name), "%w", err)
		}
		for _, s := range f.Secrets {
			out = append(out, diagnosis.NamedSecret{Name: s.Name, Found: true, Secret: s})
		}
	}
	if len(out) == 0 && len(w.secretFiles) > 0 {
		return nil, usagef(w.cmd.CommandPath()+" --help", "%s: no secret is in there", strings.Join(w.secretFiles, ", "))
	}
	return out, nil
}

// givenNode is a node of --platform.
func (w *why) givenNode() (*diagnosis.Node, error) {
	if w.platform == "" {
		return nil, nil //nolint:nilnil // no node is named
	}
	system, architecture, ok := strings.Cut(w.platform, "/")
	if !ok || system == "" || architecture == "" {
		return nil, usagef(w.cmd.CommandPath()+" --help", "--platform %q is no OS/ARCHITECTURE, such as linux/arm64", w.platform)
	}
	return &diagnosis.Node{OS: system, Architecture: architecture}, nil
}
