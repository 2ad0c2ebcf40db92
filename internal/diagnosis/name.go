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
	fix := func(want string) []Step {
		return []Step{{Say: fmt.Sprintf("Write the registry's full name or its port before the image (%s/%s), and the same as the secret's key.", want, rest)}}
	}
	anyHost := first + ".example.com, or " + first + ":5000"
	for _, e := range v.said.Entries {
		key := strings.TrimPrefix(strings.TrimPrefix(e.Key, "https://"), "http://")
		h, _, _ := strings.Cut(key, "/")
		if bare(h) != first && !strings.HasPrefix(h, first+".") {
			continue
		}
		want := h
		if h == first {
			want = anyHost
		}
		return &Verdict{
			Cause:    SingleLabel,
			Sentence: fmt.Sprintf("%q has neither a dot nor a port, so it is no host: the image is read as %s, on Docker Hub.", first, v.image.Repository()),
			Evidence: []string{entryOf(e.Source, e.Key) + " was meant for it"},
			Fix:      fix(want),
		}
	}
	if strings.Contains(rest, "/") {
		return &Verdict{
			Cause:    SingleLabel,
			Sentence: fmt.Sprintf("%q has neither a dot nor a port, so it is no host: the image is read as %s, on Docker Hub, where no name has three parts.", first, v.image.Repository()),
			Fix:      fix(anyHost),
		}
	}
	return nil
}

// officialName: Docker Hub's images without a namespace are public, all of
// them; what is not there it refuses as if it were private.
func officialName(v *view) *Verdict {
	if v.imageErr != nil || v.image.Domain != "docker.io" || !strings.HasPrefix(v.image.Path, "library/") || !v.denied() {
		return nil
	}
	if !v.asked && v.symptom != SawForbidden || v.asked && v.effective().Outcome != Forbidden {
		return nil
	}
	out := &Verdict{
		Cause:    NotFoundThere,
		Sentence: fmt.Sprintf("Docker Hub has no image %s: those without a namespace are public, and it answers for what is not there as if it were private.", strings.TrimPrefix(v.image.Path, "library/")),
		Fix:      []Step{{Say: "Look at the spelling, and whether a registry or a namespace is missing before the name."}},
	}
	if v.asked {
		out.Evidence = []string{v.tried(v.effective())}
	}
	return out
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
		out.Fix = append(out.Fix, Step{"What is there:", []string{"fairlead image list --restrict " + quote(v.image.Path)}})
	}
	return out
}

// platformUnknown: which platform the node has could not be read, so the
// registry was asked for none; the node's own words count.
func platformUnknown(v *view) *Verdict {
	if v.Node != nil || v.symptom != SawNoPlatform || !v.asked || v.effective().Outcome != Pulls {
		return nil
	}
	return v.platform(v.effective())
}

func wrongPlatform(v *view) *Verdict {
	a := v.effective()
	if a.Outcome != NoPlatform && (v.asked || v.symptom != SawNoPlatform) {
		return nil
	}
	return v.platform(a)
}

func (v *view) platform(a Attempt) *Verdict {
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
	out.Fix = []Step{{"Build it for the node's platform as well, and push it:", []string{"docker buildx build --platform " + platform + " -t " + quote(v.tagged()) + " --push ."}}}
	if len(a.Platforms) > 0 {
		out.Fix = append(out.Fix, Step{Say: fmt.Sprintf("Or choose nodes that fit: nodeSelector: {kubernetes.io/arch: %s}.", a.Platforms[0].Architecture)})
	}
	return out
}

// tagged is the image's name to push to: a digest cannot be chosen.
func (v *view) tagged() string {
	if v.image.Digest == "" {
		return v.c.Image
	}
	name, _, _ := strings.Cut(v.c.Image, "@")
	return name
}
