package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// refusedWithout: the registry wants a credential, and the kubelet finds none.
func refusedWithout(v *view) *Verdict {
	if !v.denied() || len(v.said.Matches) > 0 || v.imageErr != nil {
		return nil
	}
	for _, r := range []rule{absent, unread, skipped, noEntries, wrongKey, listOfPod, listOfAccount, notReferenced, plugin} {
		if out := r(v); out != nil {
			v.withoutEvidence(out)
			return out
		}
	}
	out := &Verdict{
		Cause:    NoCredentials,
		Sentence: fmt.Sprintf("The registry %s wants a credential for %s, and %s.", v.host(), v.image.Path, v.noneGiven()),
		Fix:      []Step{v.create(v.secretName(), ""), v.reference(v.secretName()), v.recreate()},
	}
	v.mayNotBe(out)
	v.withoutEvidence(out)
	return out
}

func (v *view) withoutEvidence(out *Verdict) {
	if v.asked {
		out.Evidence = append(out.Evidence, v.tried(v.answer.Anonymous))
	}
}

// plugin: a credential provider of the node failed. Its log and its counters
// alone know.
func plugin(v *view) *Verdict {
	out := &Verdict{Cause: PluginFailed, Sentence: "A credential provider plugin of the node fails, so the kubelet pulls without a credential."}
	for _, l := range v.KubeletLog {
		if strings.Contains(l, "serviceaccounts-token-audience") || strings.Contains(l, "credential provider") || strings.Contains(l, "credential plugin") {
			out.Evidence = append(out.Evidence, "the kubelet's log: "+clip(l))
		}
	}
	if v.Node != nil {
		for name, n := range v.Node.PluginErrors {
			if n > 0 && v.serves(name) {
				out.Evidence = append(out.Evidence, fmt.Sprintf("the plugin %s of the node %s has failed %d times (kubelet_credential_provider_plugin_errors_total)", name, v.Node.Name, n))
			}
		}
		slices.Sort(out.Evidence)
	}
	if len(out.Evidence) == 0 {
		return nil
	}
	const most = 5
	out.Evidence = out.Evidence[:min(most, len(out.Evidence))]
	out.Fix = []Step{
		{"Read what it says:", []string{"journalctl -u kubelet | grep -i 'credential'"}},
		{Say: "A plugin that takes service accounts' tokens needs the nodes to have the verb request-serviceaccounts-token-audience on its audience; its apiVersion must be credentialprovider.kubelet.k8s.io/v1."},
	}
	return out
}

// clouds are what the hosts end with that a cloud's own plugin is for.
var clouds = map[string]string{
	"ecr-credential-provider": ".amazonaws.com",
	"acr-credential-provider": ".azurecr.io",
	"auth-provider-gcp":       ".pkg.dev",
	"gcr-credential-provider": ".pkg.dev",
}

// serves says that a plugin may be for the image's registry. Its counter does
// not tell for which it failed.
func (v *view) serves(plugin string) bool {
	end, known := clouds[plugin]
	return !known || strings.HasSuffix(bare(v.host()), end) || end == ".pkg.dev" && strings.HasSuffix(bare(v.host()), "gcr.io")
}

// unreadable are the secrets of the pod that may not be read from here. A list
// may name one twice.
func (v *view) unreadable() []string {
	var out []string
	for _, n := range v.Secrets {
		if n.Unreadable != "" && !slices.Contains(out, n.Name) {
			out = append(out, n.Name)
		}
	}
	return out
}

// unread: which credentials the kubelet has cannot be known.
func unread(v *view) *Verdict {
	names := v.unreadable()
	if len(names) == 0 {
		return nil
	}
	return &Verdict{
		Cause:    CouldNotTell,
		Sentence: fmt.Sprintf("The pod names the pull secret %s, which cannot be read from here: whether it fits %s, and what is in it, cannot be told.", strings.Join(names, ", "), v.image.Repository()),
		Fix:      []Step{{Say: "Ask again as somebody who may read it, or give it with --image and --secret-file."}},
	}
}

// outOfReach: without a credential the image can be had here, and the node was
// refused, with what may stand in a secret that cannot be read.
func outOfReach(v *view) *Verdict {
	if !v.asked || len(v.said.Matches) > 0 || v.effective().Outcome != Pulls || !v.symptom.denies() {
		return nil
	}
	return unread(v)
}

// mayNotBe notes that many registries do not tell what is private from what is
// not there.
func (v *view) mayNotBe(out *Verdict) {
	if v.asked && !v.answer.Fairlead {
		out.Notes = append(out.Notes, fmt.Sprintf("many registries answer the same for a repository that is not there: look at the spelling of %s as well", v.image.Path))
	}
}

// absent: the pod names a secret that its namespace does not have.
func absent(v *view) *Verdict {
	for _, n := range v.Secrets {
		if n.Found || n.Unreadable != "" {
			continue
		}
		out := &Verdict{
			Cause:    SecretAbsent,
			Sentence: fmt.Sprintf("The pod names the pull secret %q, and the namespace %s has none of that name.", n.Name, v.Pod.Namespace),
		}
		if len(n.Elsewhere) > 0 {
			out.Evidence = append(out.Evidence, "a secret of that name is in: "+strings.Join(n.Elsewhere, ", ")+"; pull secrets work in their own namespace only")
			out.Fix = append(out.Fix, Step{"Copy it:", []string{"fairlead secret copy " + quote(n.Name) + on(n.Elsewhere[0]) + " --to " + quote(v.Pod.Namespace)}})
		} else {
			out.Fix = append(out.Fix, v.create(n.Name, ""))
		}
		out.Fix = append(out.Fix, v.heals())
		return out
	}
	return nil
}

// skipped: the kubelet passes over a secret in silence.
func skipped(v *view) *Verdict {
	for _, s := range v.ring.Skipped() {
		sec, ok := v.named(s.Source)
		if !ok {
			continue
		}
		out := &Verdict{Cause: WrongType, Sentence: fmt.Sprintf("The kubelet passes over the secret %s in silence: %s.", s.Source, lower(s.Detail))}
		for _, f := range v.findings(sec) {
			if f.Entry == "" && f.Severity != pullsecret.Notice {
				v.tell(out, sec, f)
				break
			}
		}
		if len(out.Fix) == 0 {
			out.Fix = []Step{{Say: "Make it anew with the type kubernetes.io/dockerconfigjson and the key .dockerconfigjson; a secret's type cannot change."}, v.create(sec.Name, ""), v.heals()}
		}
		v.immutable(out, sec)
		return out
	}
	return nil
}

// noEntries: a secret is read, and holds nothing that the kubelet can use.
func noEntries(v *view) *Verdict {
	for _, n := range v.Secrets {
		if !n.Found || v.hasEntries(n.Secret.ID()) {
			continue
		}
		for _, f := range v.findings(n.Secret) {
			c, ok := findingCauses[f.Rule]
			if !ok {
				continue
			}
			out := &Verdict{Cause: c, Sentence: fmt.Sprintf("The secret %s holds no credential that the kubelet can read.", n.Secret.ID())}
			v.tell(out, n.Secret, f)
			v.immutable(out, n.Secret)
			return out
		}
	}
	return nil
}

func (v *view) hasEntries(source string) bool {
	return slices.ContainsFunc(v.said.Entries, func(e keyring.Entry) bool { return e.Source == source })
}

// wrongKey: an entry is near, and its key does not match.
func wrongKey(v *view) *Verdict {
	h := v.said.Hint
	if h == nil {
		return nil
	}
	if h.Image != "" {
		return &Verdict{
			Cause:    SingleLabel,
			Sentence: fmt.Sprintf("%q names no registry, so the image is read as %s, on Docker Hub.", v.c.Image, v.image.Repository()),
			Evidence: []string{entryOf(h.Source, h.Key) + " is for another registry"},
			Fix:      []Step{{Say: fmt.Sprintf("Write the image as %s.", h.Image)}},
		}
	}
	out := &Verdict{Cause: WrongKey}
	why := h.Detail
	for _, e := range v.said.Entries {
		if e.Source != h.Source || e.Key != h.Key {
			continue
		}
		why = e.Detail
		if e.Reason != keyring.ReasonPath {
			continue
		}
		switch path := strings.TrimSuffix(e.Pattern, "/"); {
		case strings.HasSuffix(path, "/v1"), strings.HasSuffix(path, "/v2"):
			h.Want = v.server()
		case strings.HasPrefix(v.image.Repository(), path), strings.HasPrefix(path, v.image.Repository()):
			out.Cause = PathPrefix
		default:
			return nil // it is for another repository, and rightly so
		}
	}
	out.Sentence = fmt.Sprintf("%s does not match %s: %s.", upper(entryOf(h.Source, h.Key)), v.image.Repository(), strings.TrimSuffix(lower(why), "."))
	out.Fix = []Step{{Say: fmt.Sprintf("Write the key as %q.", h.Want)}}
	if s, ok := v.named(h.Source); ok {
		user := ""
		for _, e := range v.said.Entries {
			if e.Source == h.Source && e.Key == h.Key {
				user = e.Username
			}
		}
		if user == "" {
			user = "USER"
		}
		out.Fix[0].Run = v.withPassword(s.Name, h.Want, user)
		v.immutable(out, s)
	}
	if len(out.Also) == 0 {
		out.Fix = append(out.Fix, v.heals())
	}
	return out
}

// fits says that a secret's entry would be tried for the image.
func (v *view) fits(s pullsecret.Secret) bool {
	r := keyring.New(source(s))
	return r.Err() == nil && len(r.Match(v.image)) > 0
}

// fitting are the secrets of a list that would be tried.
func (v *view) fitting(list []NamedSecret) []string {
	var out []string
	for _, n := range list {
		if n.Found && v.fits(n.Secret) {
			out = append(out, n.Name)
		}
	}
	return out
}

// listOfPod: the account's list has what the pod needs, and the pod does not
// have the account's list.
func listOfPod(v *view) *Verdict {
	fit := v.fitting(v.AccountSecrets)
	if v.Account == nil || len(fit) == 0 || v.Pod.Template && len(v.Pod.PullSecrets) == 0 {
		return nil
	}
	if len(v.Pod.PullSecrets) == 0 || v.copiedBefore() {
		return &Verdict{
			Cause:    PatchedAfter,
			Sentence: fmt.Sprintf("The service account %s names the secret %q, and the pod was made before it did; the list is copied when a pod is made, and never later.", v.Account.Name, fit[0]),
			Evidence: []string{fmt.Sprintf("the pod's list is %s, the account's is %s", listed(v.Pod.PullSecrets), listed(v.Account.PullSecrets))},
			Fix:      []Step{v.recreate()},
		}
	}
	return &Verdict{
		Cause:    OwnList,
		Sentence: fmt.Sprintf("The pod has a list of pull secrets of its own, so the list of its service account %s, which has %q, does not count.", v.Account.Name, fit[0]),
		Evidence: []string{fmt.Sprintf("the pod's list is %s, the account's is %s", listed(v.Pod.PullSecrets), listed(v.Account.PullSecrets))},
		Fix:      []Step{{Say: fmt.Sprintf("Add {name: %s} to imagePullSecrets of the pod, or take its list away; then:", fit[0])}, v.recreate()},
	}
}

// listOfAccount: nobody gave the pod's account the secret, or somebody took
// it away.
func listOfAccount(v *view) *Verdict {
	if v.Account == nil || len(v.Pod.PullSecrets) > 0 {
		return nil
	}
	fit := v.fittingOthers()
	if len(fit) == 0 {
		return nil
	}
	name := fit[0]
	if n := len(v.Account.ListOwners); n > 0 && !slices.Contains(v.Account.PullSecrets, name) && !byHand(v.Account.ListOwners[n-1].Manager) {
		o := v.Account.ListOwners[n-1]
		return &Verdict{
			Cause:    ListClobbered,
			Sentence: fmt.Sprintf("The list of the service account %s does not name the secret %q: %s wrote the list at %s, and whoever writes it replaces the whole of it.", v.Account.Name, name, o.Manager, stamp(o.At)),
			Evidence: []string{fmt.Sprintf("the account's list is [%s]; its managers: %s", strings.Join(v.Account.PullSecrets, ", "), owners(v.Account.ListOwners))},
			Fix:      []Step{{Say: "Let " + o.Manager + " write the name as well, or it goes again; then:"}, v.reference(name), v.recreate()},
		}
	}
	for _, a := range v.Accounts {
		if a.Name == v.Account.Name || !slices.Contains(a.PullSecrets, name) {
			continue
		}
		return &Verdict{
			Cause:    OtherAccount,
			Sentence: fmt.Sprintf("The pod runs as the service account %s; the one that names the secret %q is %s.", v.Account.Name, name, a.Name),
			Fix:      []Step{v.reference(name), v.recreate()},
		}
	}
	return nil
}

// byHand says that a field manager is a tool that a person types: it does not
// come back and write again.
func byHand(manager string) bool {
	return manager == "kubectl" || strings.HasPrefix(manager, "kubectl-") && manager != "kubectl-client-side-apply" || manager == "fairlead"
}

// listed is a list of names in brackets.
func listed(names []string) string {
	if len(names) == 0 {
		return "empty"
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func owners(list []FieldOwner) string {
	var out []string
	for _, o := range list {
		out = append(out, fmt.Sprintf("%s (%s, %s)", o.Manager, o.Operation, stamp(o.At)))
	}
	return strings.Join(out, ", ")
}

// fittingOthers are the namespace's secrets that nobody named for this pod.
func (v *view) fittingOthers() []string {
	var out []string
	for _, s := range v.Others {
		if v.fits(s) {
			out = append(out, s.Name)
		}
	}
	return out
}

// notReferenced: the secret is there, and neither the pod nor its account
// names it.
func notReferenced(v *view) *Verdict {
	fit := v.fittingOthers()
	if len(fit) == 0 {
		return nil
	}
	return &Verdict{
		Cause:    NotReferenced,
		Sentence: fmt.Sprintf("The namespace has a secret for %s, %q, and neither the pod nor its service account names it.", v.host(), fit[0]),
		Fix:      []Step{v.reference(fit[0]), v.recreate()},
	}
}

func (v *view) noneGiven() string {
	switch {
	case v.alone():
		return "none was given"
	case v.Pod.Template && v.Account == nil && len(v.Pod.PullSecrets) == 0:
		return "the pod names none; what its service account has was not seen"
	}
	return "the pod has none"
}
