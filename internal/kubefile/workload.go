package kubefile

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/keyring"
)

// templates are where pods stand in other kinds; of kinds that are not known,
// too, if they have one there.
var templates = [][]string{
	{"spec", "template"},
	{"spec", "jobTemplate", "spec", "template"},
	{"template"},
}

// workload reads a pod, or the template of what makes pods.
func (p *parser) workload(n *yaml.Node, o Object) bool {
	w := Workload{Object: o}
	switch spec := p.find(n, "spec", "containers"); {
	case o.Kind == "Pod":
		w.Pod = p.pod(n, o)
		w.Pod.Template = p.find(n, "status", "phase") == nil
	case spec != nil && spec.Kind == yaml.SequenceNode:
		return false // a kind of its own
	default:
		template := p.template(n)
		if template == nil {
			return false
		}
		w.Pod = p.pod(template, o)
		w.Pod.Template = true
		if o.Name != "" {
			w.Pod.Owner = strings.ToLower(o.Kind) + "/" + o.Name
		}
	}
	p.file.Workloads = append(p.file.Workloads, w)
	return true
}

func (p *parser) template(n *yaml.Node) *yaml.Node {
	for _, path := range templates {
		if c := p.find(n, append(path, "spec", "containers")...); c != nil && c.Kind == yaml.SequenceNode {
			return p.find(n, path...)
		}
	}
	return nil
}

// pod reads what Kubernetes calls a pod template, under the name of o.
func (p *parser) pod(n *yaml.Node, o Object) diagnosis.Pod {
	pod := diagnosis.Pod{
		Namespace: o.Namespace, Name: o.Name, UID: p.text(n, "metadata", "uid"), Position: o.Position,
		AccountName: p.text(n, "spec", "serviceAccountName"), NodeName: p.text(n, "spec", "nodeName"),
	}
	if pod.AccountName == "" {
		pod.AccountName = p.text(n, "spec", "serviceAccount") // the older name
	}
	if pod.AccountName == "" {
		pod.AccountName = "default"
	}
	pod.Created, _ = time.Parse(time.RFC3339, p.text(n, "metadata", "creationTimestamp")) // zero in a file that was written
	for _, s := range p.list(n, "spec", "imagePullSecrets") {
		if name := p.text(s, "name"); name != "" {
			pod.PullSecrets = append(pod.PullSecrets, name)
		}
	}
	for _, x := range p.pairs(p.find(n, "spec", "nodeSelector")) {
		if pod.NodeSelector == nil {
			pod.NodeSelector = map[string]string{}
		}
		pod.NodeSelector[x.name.Value] = x.value.Value
	}
	pod.Containers = p.containers(n)
	return pod
}

// containers are all places where images are named, in the order in which
// they are pulled.
func (p *parser) containers(n *yaml.Node) []diagnosis.Container {
	var out []diagnosis.Container
	for _, v := range p.list(n, "spec", "volumes") {
		if ref := p.text(v, "image", "reference"); ref != "" {
			out = append(out, diagnosis.Container{
				Kind: diagnosis.ImageVolume, Name: p.text(v, "name"), Image: ref, PullPolicy: pullPolicy(p.text(v, "image", "pullPolicy"), ref),
			})
		}
	}
	for _, k := range []struct {
		kind            diagnosis.ContainerKind
		field, statuses string
	}{
		{diagnosis.Init, "initContainers", "initContainerStatuses"},
		{diagnosis.Normal, "containers", "containerStatuses"},
		{diagnosis.Ephemeral, "ephemeralContainers", "ephemeralContainerStatuses"},
	} {
		states := p.states(n, k.statuses)
		for _, c := range p.list(n, "spec", k.field) {
			at := diagnosis.Container{Kind: k.kind, Name: p.text(c, "name"), Image: p.text(c, "image")}
			at.PullPolicy = pullPolicy(p.text(c, "imagePullPolicy"), at.Image)
			if s := states[at.Name]; s != nil {
				at.Reason, at.Message = p.text(s, "state", "waiting", "reason"), p.text(s, "state", "waiting", "message")
				at.Running = p.text(s, "imageID") != ""
			}
			out = append(out, at)
		}
	}
	return out
}

// states are the statuses of a pod that was read from a cluster, by name.
func (p *parser) states(n *yaml.Node, field string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	for _, s := range p.list(n, "status", field) {
		out[p.text(s, "name")] = s
	}
	return out
}

// pullPolicy is what is written, or what the API server fills in: Always for
// the tag latest, IfNotPresent for all others.
func pullPolicy(written, image string) string {
	if written != "" {
		return written
	}
	if i, err := keyring.ParseImage(image); err == nil && i.Digest == "" && i.Tag == "latest" {
		return "Always"
	}
	return "IfNotPresent"
}
