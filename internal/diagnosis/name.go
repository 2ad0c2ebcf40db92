package diagnosis

import (
	"errors"
	"fmt"
	"strings"

	"fairlead.dev/fairlead/keyring"
)

// gone are the API versions of workloads that clusters no longer serve.
var gone = map[string]map[string]bool{
	"extensions/v1beta1": {"Deployment": true, "DaemonSet": true, "ReplicaSet": true},
	"apps/v1beta1":       {"Deployment": true, "StatefulSet": true},
	"apps/v1beta2":       {"Deployment": true, "DaemonSet": true, "ReplicaSet": true, "StatefulSet": true},
	"batch/v1beta1":      {"CronJob": true},
}

// oldAPI: the file is of a version that clusters refuse.
func oldAPI(e Evidence) *Verdict {
	if !gone[e.APIVersion][e.Kind] {
		return nil
	}
	now, more := "apps/v1", "; and add spec.selector.matchLabels with the labels of spec.template.metadata, which it demands"
	if e.Kind == "CronJob" {
		now, more = "batch/v1", ""
	}
	return &Verdict{
		Cause:    OldAPIVersion,
		Sentence: fmt.Sprintf("%s of %s is gone: clusters since Kubernetes 1.16 to 1.25 refuse it, before any image is pulled.", e.Kind, e.APIVersion),
		Evidence: []string{fmt.Sprintf("apiVersion: %s in %s", e.APIVersion, e.Workload)},
		Fix:      []Step{{Say: "Write apiVersion: " + now + more + "."}},
	}
}

func badReference(v *view) *Verdict {
	if v.imageErr == nil {
		return nil
	}
	out := &Verdict{
		Cause:    BadReference,
		Sentence: fmt.Sprintf("%q is no name of an image: the kubelet does not try to pull it (InvalidImageName).", v.c.Image),
		Evidence: []string{v.imageErr.Error()},
	}
	var ie *keyring.ImageError
	if errors.As(v.imageErr, &ie) && ie.Hint != "" {
		out.Fix = append(out.Fix, Step{Say: upper(ie.Hint) + "."})
	} else {
		out.Fix = append(out.Fix, Step{Say: "Write HOST/REPOSITORY:TAG, in lower case, without a scheme."})
	}
	return out
}

// singleLabel: the first element of the name was meant as a host, and has
// neither a dot nor a port, so that Docker Hub is asked.
func singleLabel(v *view) *Verdict {
	if v.imageErr != nil || v.image.Domain != "docker.io" || !v.failed() {
		return nil
	}
	first, rest, ok := strings.Cut(v.c.Image, "/")
	if !ok || strings.ContainsAny(first, ".:") {
		return nil
	}
	for _, e := range v.said.Entries {
		key := strings.TrimPrefix(strings.TrimPrefix(e.Key, "https://"), "http://")
		h, _, _ := strings.Cut(key, "/")
		if bare(h) != first && !strings.HasPrefix(h, first+".") {
			continue
		}
		want := h
		if h == first {
			want = first + ".example.com, or " + first + ":5000"
		}
		return &Verdict{
			Cause:    SingleLabel,
			Sentence: fmt.Sprintf("%q has neither a dot nor a port, so it is no host: the image is read as %s, on Docker Hub.", first, v.image.Repository()),
			Evidence: []string{entryOf(e.Source, e.Key) + " was meant for it"},
			Fix:      []Step{{Say: fmt.Sprintf("Write the registry's full name or its port before the image (%s/%s), and the same as the secret's key.", want, rest)}},
		}
	}
	return nil
}

// failed says that the pull fails, by the registry's word or by the node's.
func (v *view) failed() bool {
	if v.asked {
		return v.effective().Outcome != Pulls
	}
	return v.symptom != NoSymptom && v.symptom != SawBackOff
}

func notFound(v *view) *Verdict {
	a := v.effective()
	if a.Outcome != NotFound && (v.asked || v.symptom != SawNotFound) {
		return nil
	}
	ref := fmt.Sprintf("tag %q", v.image.Tag)
	if v.image.Digest != "" {
		ref = "image " + v.image.Digest
	}
	out := &Verdict{Cause: NotFoundThere, Sentence: fmt.Sprintf("The registry %s has no %s in %s, for whoever asks with these rights.", v.host(), ref, v.image.Path)}
	if v.asked {
		out.Evidence = append(out.Evidence, v.tried(a))
	}
	switch {
	case v.answer.RepositoryUnknown:
		out.Sentence = fmt.Sprintf("The registry %s has no repository %s, for whoever asks with these rights.", v.host(), v.image.Path)
		out.Fix = append(out.Fix, Step{Say: "Look at the spelling of the repository, or push it."})
	case len(v.answer.Tags) > 0:
		out.Evidence = append(out.Evidence, "nearest tags: "+strings.Join(v.answer.Tags, ", "))
		out.Fix = append(out.Fix, Step{Say: fmt.Sprintf("Did you mean %s/%s:%s?", v.image.Domain, v.image.Path, v.answer.Tags[0])})
	default:
		out.Fix = append(out.Fix, Step{Say: "Look at the spelling of the repository and the tag, or push the image."})
	}
	if v.answer.Fairlead {
		out.Fix = append(out.Fix, Step{"What is there:", []string{"fairlead image list " + quote(v.image.Path)}})
	}
	return out
}

func wrongPlatform(v *view) *Verdict {
	a := v.effective()
	if a.Outcome != NoPlatform && (v.asked || v.symptom != SawNoPlatform) {
		return nil
	}
	node, has := "the node", "another platform"
	switch {
	case v.Node != nil && v.Node.Name == "":
		node = fmt.Sprintf("a node of %s/%s", v.Node.OS, v.Node.Architecture)
	case v.Node != nil:
		node = fmt.Sprintf("the node %s (%s/%s)", v.Node.Name, v.Node.OS, v.Node.Architecture)
	}
	var names []string
	for _, p := range a.Platforms {
		names = append(names, p.String())
	}
	if len(names) > 0 {
		has = strings.Join(names, ", ")
	}
	out := &Verdict{Cause: WrongPlatform, Sentence: fmt.Sprintf("The image is for %s, and not for %s.", has, node)}
	if v.asked {
		out.Evidence = []string{v.tried(a)}
	}
	platform := "OS/ARCHITECTURE"
	if v.Node != nil {
		platform = v.Node.OS + "/" + v.Node.Architecture
	}
	out.Fix = []Step{{"Build it for the node's platform as well, and push it:", []string{"docker buildx build --platform " + platform + " -t " + quote(v.c.Image) + " --push ."}}}
	if len(a.Platforms) > 0 {
		out.Fix = append(out.Fix, Step{Say: fmt.Sprintf("Or choose nodes that fit: nodeSelector: {kubernetes.io/arch: %s}.", a.Platforms[0].Architecture)})
	}
	return out
}
