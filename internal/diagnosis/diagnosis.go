package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// Diagnose finds the cause for every image of the pod that does not pull; of
// an image alone, where there is no pod, as a node without any state would.
func Diagnose(e Evidence) Report {
	r := Report{Workload: e.Workload, Blind: slices.Clone(e.Blind)}
	if e.Pod == nil {
		return r
	}
	if e.Pod.Name != "" && !e.Pod.Template {
		r.Pod = e.Pod.Namespace + "/" + e.Pod.Name
	}
	ring := keyring.New(Sources(e.Secrets)...)
	if v := oldAPI(e); v != nil {
		r.Verdicts = append(r.Verdicts, *v)
	}
	for _, c := range e.Pod.Containers {
		v := look(&e, c, ring)
		r.Verdicts = append(r.Verdicts, v.verdict())
	}
	return r
}

// Sources are the secrets that are there, as the kubelet reads them.
func Sources(named []NamedSecret) []keyring.Source {
	var out []keyring.Source
	for _, n := range named {
		if n.Found && n.Unreadable == "" {
			out = append(out, source(n.Secret))
		}
	}
	return out
}

func source(s pullsecret.Secret) keyring.Source {
	return keyring.Source{Name: s.ID(), Type: s.Type, Data: s.Data}
}

// view is one container with all that is known about its image.
type view struct {
	*Evidence
	c    Container
	ring *keyring.Ring

	image    keyring.Image
	imageErr error
	// said is the replay of the kubelet's decision.
	said    keyring.Explanation
	symptom Symptom
	text    string // where the symptom was found
	answer  Answer
	asked   bool
	hidden  string // why the answer does not count
}

func look(e *Evidence, c Container, ring *keyring.Ring) *view {
	v := &view{Evidence: e, c: c, ring: ring}
	v.image, v.imageErr = keyring.ParseImage(c.Image)
	if v.imageErr == nil {
		v.said = ring.Explain(v.image)
	}
	v.symptom, v.text = e.Pod.symptomIn(c)
	v.answer, v.asked = e.Answers[c.Image]
	if _, network := networkCauses[v.symptom]; v.asked && v.down() && !network && v.symptom.telling() {
		// The node reaches the registry, and whoever asks here does not.
		v.asked, v.hidden = false, v.pinged()
	}
	return v
}

// rule looks for one family of causes; nil if it is none of it.
type rule func(*view) *Verdict

// rules, in the order in which one cause hides the next: what the kubelet
// never gets past comes first.
var rules = []rule{
	runs, neverPull, badReference, malformed, singleLabel, officialName, network, rateLimited,
	platformUnknown, outOfReach, pullsNow, wrongPlatform, refusedWithCredential, refusedWithout, notFound, registryFault,
}

// verdict is the first rule that knows.
func (v *view) verdict() Verdict {
	var out Verdict
	for _, r := range rules {
		if found := r(v); found != nil {
			out = *found
			break
		}
	}
	if out.Sentence == "" {
		out = v.couldNotTell()
	}
	out.Kind, out.Container, out.Image = v.c.Kind, v.c.Name, v.c.Image
	if out.Cause != None {
		v.beside(&out)
	}
	out.Fix = slices.DeleteFunc(out.Fix, func(s Step) bool { return s.Say == "" })
	return out
}

// beside adds the causes that stand beside another one.
func (v *view) beside(out *Verdict) {
	if v.cached() && (len(v.said.Matches) == 0 || v.said.Err != nil) && out.Cause != CachedImage {
		out.Also = append(out.Also, CachedImage)
		out.Evidence = append(out.Evidence, fmt.Sprintf("the node %s holds the image already; since Kubernetes 1.35 a pod must show credentials for it even with imagePullPolicy %s", v.Node.Name, v.c.PullPolicy))
	}
	if v.hidden != "" {
		out.Evidence = append(out.Evidence, "from here the registry cannot be reached, so only the node's words count: "+v.hidden)
	}
	if v.symptom != NoSymptom && v.text != "" {
		out.Evidence = append(out.Evidence, "the node said: "+clip(v.text))
	}
	v.besideAbsent(out)
}

// besideAbsent notes the secrets that the pod names and that are not there,
// where they are not the cause: they may be the next one.
func (v *view) besideAbsent(out *Verdict) {
	if out.Cause == SecretAbsent {
		return
	}
	for _, n := range v.Secrets {
		if !n.Found && n.Unreadable == "" {
			note := fmt.Sprintf("%s: the pod also names the secret %q, which is not in the namespace %s", SecretAbsent, n.Name, v.Pod.Namespace)
			if !slices.Contains(out.Notes, note) {
				out.Notes = append(out.Notes, note)
			}
		}
	}
}

// cached says that the node has the image and asks for credentials all the
// same (KEP-2535).
func (v *view) cached() bool {
	return v.Node != nil && v.c.PullPolicy != "Always" && v.held() && atLeast(v.Node.KubeletVersion, 1, 35)
}

// held says that the node has the image, under its full name.
func (v *view) held() bool {
	full := v.image.Repository()
	return v.Node.Images[v.c.Image] || v.Node.Images[full+":"+v.image.Tag] || v.image.Digest != "" && v.Node.Images[full+"@"+v.image.Digest]
}

// atLeast reads v1.35.4 and the like.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// clip shortens a foreign text, and keeps it on one line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	const most = 400
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// credential is the attempt with the place of a match of the keyring.
func (v *view) attempt(i int) (Attempt, bool) {
	for _, a := range v.answer.Attempts {
		if a.Index == i {
			return a, true
		}
	}
	return Attempt{}, false
}

// effective is how the kubelet's pull would end: it tries every credential
// that matches until one pulls, and no credential only if none matches.
func (v *view) effective() Attempt {
	if len(v.said.Matches) == 0 {
		return v.answer.Anonymous
	}
	var last Attempt
	for i := range v.said.Matches {
		a, ok := v.attempt(i)
		if !ok {
			continue
		}
		if last = a; a.Outcome == Pulls {
			return a
		}
	}
	if last.Outcome == Skipped || last.Outcome == "" {
		return v.answer.Anonymous // the host does not answer
	}
	return last
}
