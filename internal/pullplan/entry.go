package pullplan

import (
	"errors"
	"fmt"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Keys are the names that a registry's entries go by in the secret: its host,
// or HOST/NAMESPACE/ for each of its namespaces.
func (r Registry) Keys() []string {
	if len(r.Namespaces) == 0 {
		if r.Host == "docker.io" {
			return []string{dockerconfig.HubKey}
		}
		return []string{r.Host}
	}
	keys := make([]string, len(r.Namespaces))
	for i, ns := range r.Namespaces {
		keys[i] = r.Host + "/" + ns + "/"
	}
	return keys
}

// build makes the secret of a policy from the entries that are good. It has
// no name if there is none, and hold says that one that is there stays all the
// same; the verdict is about the first thing that is not as it should be.
//
// While a credential that comes again has merely expired, the secret is there
// without its entry: pods made meanwhile name it, and pull once it is renewed.
func (m *maker) build(p Policy, there pullsecret.Secret) (_ pullsecret.Secret, v Verdict, hold bool) {
	v = Verdict{p.ID, Ready, "the secret is there, and the accounts name it"}
	blame := func(r Reason, text string) {
		if v.Reason == Ready {
			v.Reason, v.Message = r, text
		}
	}
	recipe := pullsecret.Recipe{
		Namespace: m.Namespace.Name, Name: p.SecretName,
		Labels:      map[string]string{ManagedByLabel: ManagedBy},
		Annotations: map[string]string{PolicyAnnotation: p.ID.String()},
	}
	seen, returns := map[string]bool{}, false
	for _, r := range p.Registries {
		entries, reason, problem, keep := m.entries(r, there)
		returns = returns || keep && reason == CredentialExpired
		hold = hold || keep
		if reason != "" {
			blame(reason, r.Host+": "+problem)
		}
		for _, e := range entries {
			switch problem := invalid(recipe, e, m.State); {
			case seen[e.Key]:
				blame(EntryInvalid, fmt.Sprintf("registries: %s stands there twice: the first counts", e.Key))
			case problem != "":
				blame(EntryInvalid, r.Host+": "+problem)
			default:
				seen[e.Key] = true
				recipe.Entries = append(recipe.Entries, e)
			}
		}
	}
	if len(recipe.Entries) == 0 && returns {
		return empty(recipe), v, hold
	}
	if len(recipe.Entries) == 0 {
		blame(NoEntries, "there is no entry to write")
		return pullsecret.Secret{}, v, hold
	}
	secret, err := pullsecret.Build(recipe)
	if err != nil {
		var wrong *pullsecret.BuildError
		if errors.As(err, &wrong) && wrong.Field == "entries" {
			return pullsecret.Secret{}, Verdict{p.ID, TooLarge, wrong.Error()}, true
		}
		blame(EntryInvalid, err.Error())
		return pullsecret.Secret{}, v, hold
	}
	return secret, v, hold
}

// empty is a secret without entries, with which the kubelet pulls as without.
func empty(r pullsecret.Recipe) pullsecret.Secret {
	return pullsecret.Secret{
		Namespace: r.Namespace, Name: r.Name, Type: pullsecret.TypeConfigJSON, Labels: r.Labels, Annotations: r.Annotations,
		Data: map[string][]byte{pullsecret.KeyConfigJSON: new(dockerconfig.File).Encode()},
	}
}

// entries of a registry, with why there is none or none that is new; keep says
// that what is there stays if there is none.
func (m *maker) entries(r Registry, there pullsecret.Secret) (out []dockerconfig.Entry, _ Reason, problem string, keep bool) {
	c := r.Credential
	unknown := c.Allows == nil && c.Reason != "" // who may use it
	switch {
	case !unknown && (c.Allows == nil || !c.Allows(m.Namespace.Name)):
		return nil, SourceNotAllowed, "the namespace " + m.Namespace.Name + " may not use the source: its annotation fairlead.dev/namespaces does not name it, nor fairlead.dev/cluster-pull-secrets the policy", false
	case !c.Expires.IsZero() && !c.Expires.After(m.Now):
		return nil, CredentialExpired, "its credential expired: an entry that the registry refuses would stop public pulls, too", c.Keep
	case unknown, c.Username == "" && c.Password == "":
		if c.Keep {
			out = present(there, r.Keys())
		}
		return out, c.Reason, c.Problem, c.Keep
	}
	for _, key := range r.Keys() {
		out = append(out, dockerconfig.Entry{Key: key, Username: c.Username, Password: c.Password})
	}
	return out, c.Reason, c.Problem, c.Keep
}

// present are the entries that the secret has under keys.
func present(there pullsecret.Secret, keys []string) (out []dockerconfig.Entry) {
	file, err := dockerconfig.Parse(there.Data[pullsecret.KeyConfigJSON])
	if err != nil {
		return nil
	}
	for _, key := range keys {
		if e, is := file.Entry(key); is {
			out = append(out, e)
		}
	}
	return out
}

// invalid says why an entry must not be written: one that the kubelet cannot
// read takes every pod that names the secret down with it.
func invalid(r pullsecret.Recipe, e dockerconfig.Entry, s State) string {
	r.Entries = []dockerconfig.Entry{e}
	alone, err := pullsecret.Build(r)
	var wrong *pullsecret.BuildError
	if errors.As(err, &wrong) && wrong.Field == "entries" && len(e.Username)+len(e.Password) < pullsecret.MaxBytes/4 {
		return wrong.Text
	}
	if err != nil {
		return "" // about the whole: Build says it again
	}
	for _, f := range pullsecret.Check(alone, pullsecret.Options{Now: s.Now}) {
		if f.Severity.AtLeast(pullsecret.Ignored) {
			return f.Message
		}
	}
	return ""
}
