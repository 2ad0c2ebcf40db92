package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// runs: a container that ran has its image.
func runs(v *view) *Verdict {
	if !v.c.Pulled() {
		return nil
	}
	return &Verdict{Sentence: "The image was pulled: the " + string(v.c.Kind) + " has run."}
}

func neverPull(v *view) *Verdict {
	if v.symptom != SawNeverPull {
		return nil
	}
	return &Verdict{
		Cause: NeverPulled, Sentence: "imagePullPolicy is Never, and the node does not hold the image.",
		Fix: []Step{{Say: "Write imagePullPolicy: IfNotPresent, or bring the image onto the node."}, v.recreate()},
	}
}

type networkCause struct {
	cause   Cause
	outcome Outcome
	what    string
}

// networkCauses are the outcomes and symptoms of the way to the registry.
var networkCauses = map[Symptom]networkCause{
	SawUnknownCA:   {UntrustedCA, UnknownCA, "the certificate of %s is signed by an authority that is not trusted"},
	SawBadTLS:      {TLSFault, BadTLS, "the certificate of %s is not good"},
	SawPlainHTTP:   {HTTPRegistry, PlainHTTP, "the registry %s speaks plain HTTP, and the node expects HTTPS"},
	SawNoHost:      {NoDNS, NoHost, "the name %s cannot be resolved"},
	SawRefused:     {ConnRefused, Refused, "the registry %s refuses connections: nothing listens there"},
	SawTimeout:     {TimedOut, Timeout, "the registry %s does not answer in time"},
	SawServerError: {RegistryFault, ServerError, "the registry %s answers with an error of its own"},
}

// network: there is no way to the registry. The node's words come first, for
// it is the node that pulls; what is seen from here counts only where the node
// has said nothing of its own.
func network(v *view) *Verdict {
	if n, ok := networkCauses[v.symptom]; ok && v.symptom != SawServerError {
		return v.nodesNetwork(n)
	}
	o := v.answer.Anonymous.Outcome
	if !v.asked || !v.down() || o == ServerError {
		return nil
	}
	out := &Verdict{Cause: NetworkFault, Sentence: "There is no way to the registry " + v.host() + ".", Evidence: []string{v.pinged()}}
	for _, n := range networkCauses {
		if n.outcome == o {
			out.Cause, out.Sentence = n.cause, upper(fmt.Sprintf(n.what, v.host()))+"."
		}
	}
	out.Fix = v.networkFix(out.Cause, v.host())
	return out
}

// nodesNetwork: the node has no way to the registry. Where it answers here,
// the fault is the node's own: its DNS, its trust, its proxy.
func (v *view) nodesNetwork(n networkCause) *Verdict {
	where := "its node"
	if v.Node != nil {
		where = "the node " + v.Node.Name
	}
	h := v.failingHost()
	out := &Verdict{Cause: n.cause, Sentence: fmt.Sprintf("For %s, %s.", where, fmt.Sprintf(n.what, h)), Fix: v.networkFix(n.cause, h)}
	if h != v.host() {
		out.Evidence = []string{fmt.Sprintf("%s is not in the image's name: %s sends its clients there, for a token or a layer, or it is a mirror of the node's", h, v.host())}
	}
	if !v.asked {
		return out
	}
	out.Evidence = append(out.Evidence, "from here: "+v.pinged())
	if !v.down() {
		out.Sentence = strings.TrimSuffix(out.Sentence, ".") + "; from here the registry answers."
		out.Fix = append(out.Fix, Step{Say: "If it was mended meanwhile: " + lower(v.heals().Say)})
	}
	return out
}

// links are the hosts of the URLs in a text.
var links = regexp.MustCompile(`https?://([^/"\s?]+)`)

// failingHost is the host that the node could not talk to. Registries send
// their clients on, for a token or a layer; a firewall may know the registry
// alone.
func (v *view) failingHost() string {
	all := links.FindAllStringSubmatch(v.text, -1)
	if len(all) == 0 {
		return v.host()
	}
	h := all[len(all)-1][1]
	if h == v.answer.Image.Host || v.image.Domain == "docker.io" && h == "registry-1.docker.io" {
		return v.host()
	}
	return h
}

// down says that the registry does not answer here.
func (v *view) down() bool {
	o := v.answer.Anonymous.Outcome
	for _, n := range networkCauses {
		if n.outcome == o {
			return true
		}
	}
	return o == Unreachable || o == "" || o == Skipped
}

func (v *view) networkFix(c Cause, h string) []Step {
	switch c {
	case UntrustedCA:
		return []Step{
			{"Let every node's containerd trust the authority that signed it:", []string{
				"mkdir -p /etc/containerd/certs.d/" + h,
				`printf 'server = "https://` + h + `"\n[host."https://` + h + `"]\n  capabilities = ["pull", "resolve"]\n  ca = "/etc/containerd/certs.d/` + h + `/ca.crt"\n' > /etc/containerd/certs.d/` + h + "/hosts.toml",
			}},
			{Say: "Put the authority's certificate at /etc/containerd/certs.d/" + h + "/ca.crt; containerd's config_path must name /etc/containerd/certs.d. CRI-O reads /etc/containers/certs.d/" + h + "/ca.crt."},
		}
	case TLSFault:
		return []Step{{"Look at the certificate's names and dates, and renew it:", []string{
			"openssl s_client -connect " + withPort(h) + " </dev/null | openssl x509 -noout -subject -ext subjectAltName -dates",
		}}}
	case HTTPRegistry:
		return []Step{
			{Say: "Best: give the registry a certificate (fairlead serve --tls-cert, --tls-key)."},
			{"Or tell every node's containerd that this one speaks HTTP; credentials then travel in clear:", []string{
				"mkdir -p /etc/containerd/certs.d/" + h,
				`printf 'server = "http://` + h + `"\n[host."http://` + h + `"]\n  capabilities = ["pull", "resolve"]\n' > /etc/containerd/certs.d/` + h + "/hosts.toml",
			}},
		}
	case NoDNS:
		return []Step{{"Look at the spelling of the host, and at the node's DNS (it does not use the cluster's):", []string{"getent hosts " + bare(h)}}}
	case ConnRefused, TimedOut, NetworkFault:
		return []Step{{"See from the node whether the registry runs and a firewall or proxy lets it through:", []string{"curl -sS -o /dev/null -w '%{http_code}\\n' " + v.scheme() + "://" + h + "/v2/"}}}
	}
	return []Step{{Say: "Ask the registry's operator; the answer's request id stands in its log."}}
}

// pullsNow: with what is there now the pull would succeed.
func pullsNow(v *view) *Verdict {
	a := v.effective()
	if !v.asked || a.Outcome != Pulls || v.said.Err != nil {
		return nil
	}
	out := Verdict{Sentence: "It pulls.", Evidence: []string{v.tried(a)}, Notes: v.orderNotes()}
	if v.Pod.Template || v.symptom == NoSymptom {
		v.unscheduled(&out)
		return &out
	}
	if v.symptom == SawUnknown && v.text != "" {
		return &Verdict{
			Cause: CouldNotTell, Sentence: "The registry gives the image to whom the node asks as, so the node fails at something of its own; its words stand under Seen.",
			Evidence: out.Evidence, Notes: out.Notes, Fix: v.nodesOwn(),
		}
	}
	if v.symptom == SawUnauthorized && len(v.said.Matches) == 0 {
		out.Notes = append(out.Notes, "the node was refused with a credential that no secret of the pod holds now; if it goes on, it is one of the node's own: its config.json, or a credential provider")
	}
	out.Cause = BackOffOnly
	out.Sentence = "What stopped it is mended: it would pull now, and the kubelet waits for its next retry."
	out.Fix = []Step{v.heals()}
	if again := v.recreate().Run; len(again) > 0 {
		out.Fix = append(out.Fix, Step{"Or at once:", again})
	}
	return &out
}

// orderNotes are about credentials that fail before the one that pulls, and
// about an order that changes from try to try.
func (v *view) orderNotes() []string {
	var notes []string
	for i, m := range v.said.Matches {
		a, ok := v.attempt(i)
		if !ok {
			continue
		}
		if a.Outcome == Pulls {
			break
		}
		notes = append(notes, fmt.Sprintf("%s: the kubelet tries %s first, and is refused (%s): every pull costs a failed sign-in; remove the entry, or give it a narrower key", WrongOrder, entryOf(m.Source, m.Key), a.Outcome))
	}
	for _, e := range v.said.Entries {
		if e.Matched && e.Unstable {
			notes = append(notes, fmt.Sprintf("%s: %s means the same as another key of its secret, and the kubelet takes them in random order: keep one of them", WrongOrder, entryOf(e.Source, e.Key)))
		}
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

// rateLimited: the limit is one of addresses as well, so that the node may be
// turned away where whoever asks here is not.
func rateLimited(v *view) *Verdict {
	a := v.effective()
	if a.Outcome != RateLimited && (v.symptom != SawRateLimit || v.asked && a.Outcome != Pulls) {
		return nil
	}
	out := &Verdict{Cause: RateLimit, Sentence: "The registry " + v.host() + " has had too many requests from this address or account, and asks to wait."}
	if v.asked {
		out.Evidence = []string{v.tried(a)}
	}
	if a.Outcome != RateLimited {
		out.Sentence = "The registry " + v.host() + " has had too many requests from the node's address or account, and asks it to wait."
	}
	copied := "Keep a copy of the image in a registry of your own, and name that."
	if len(v.said.Matches) == 0 {
		out.Fix = append(out.Fix, Step{Say: "Pull with an account: signed-in pulls are counted apart, and more are allowed."}, v.create(v.secretName(), ""), v.reference(v.secretName()))
		copied = "Or k" + copied[1:]
	}
	out.Fix = append(out.Fix, Step{Say: copied}, v.healsAfter("the limit"))
	return out
}

// nodesOwn is what to do about a fault of the node.
func (v *view) nodesOwn() []Step {
	if strings.Contains(v.text, "no space left on device") {
		return []Step{{Say: "Free space on the node's disk, or give the pod to another."}, v.heals()}
	}
	return []Step{{Say: "Look at the container runtime's log on the node."}}
}

// unscheduled notes that nothing pulls yet.
func (v *view) unscheduled(out *Verdict) {
	if v.Pod.Template || v.Pod.Name == "" || v.Pod.NodeName != "" {
		return
	}
	out.Sentence = "It would pull, but the pod has no node yet."
	for i := len(v.Pod.Events) - 1; i >= 0; i-- {
		if e := v.Pod.Events[i]; e.Reason == "FailedScheduling" {
			out.Evidence = append(out.Evidence, "the scheduler said: "+clip(e.Message))
			return
		}
	}
}

func registryFault(v *view) *Verdict {
	a := v.effective()
	if a.Outcome == Withheld {
		return &Verdict{
			Cause: RegistryFault, Sentence: "The registry " + v.host() + " names a token endpoint that no credential may be sent to.",
			Evidence: []string{v.tried(a)}, Fix: []Step{{Say: "Ask the registry's operator to name an endpoint over HTTPS; nodes may send their credentials there all the same, so take them for known to others."}},
		}
	}
	if a.Outcome != ServerError && (v.asked || v.symptom != SawServerError) {
		return nil
	}
	out := &Verdict{Cause: RegistryFault, Sentence: "The registry " + v.host() + " answers with an error of its own.", Fix: append(v.networkFix(RegistryFault, v.host()), v.heals())}
	if v.asked {
		out.Evidence = []string{v.tried(a)}
	}
	return out
}

func (v *view) couldNotTell() Verdict {
	out := Verdict{Cause: CouldNotTell, Sentence: "The cause cannot be told from what was seen."}
	if v.symptom == NoSymptom && !v.asked {
		out.Sentence = "Nothing has failed yet, and the registry was not asked."
	}
	if !v.asked {
		out.Evidence = v.replayed()
	}
	if v.asked {
		out.Evidence = []string{v.tried(v.effective())}
	}
	return out
}

// replayed says what the kubelet would sign in with.
func (v *view) replayed() []string {
	if v.imageErr != nil || v.said.Err != nil {
		return nil
	}
	var out []string
	for _, m := range v.said.Matches {
		out = append(out, fmt.Sprintf("the kubelet would sign in with %s (user %q)", entryOf(m.Source, m.Key), m.Username))
	}
	if len(out) == 0 && len(v.unreadable()) == 0 {
		out = []string{"the kubelet has no credential for " + v.image.Repository() + ", and would ask without one"}
		if h := v.said.Hint; h != nil {
			out = append(out, lower(h.Detail))
		}
	}
	return out
}
