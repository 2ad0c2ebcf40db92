package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// findingCauses are the findings of pullsecret.Check that are causes of their
// own; every other of severity Broken is Malformed.
var findingCauses = map[pullsecret.Rule]Cause{
	pullsecret.DoubleBase64:         DoubleBase64,
	pullsecret.PasswordLineBreak:    NewlineInPass,
	pullsecret.BodyUnwrapped:        LegacyBody,
	pullsecret.CredentialsElsewhere: StoreOnly,
	pullsecret.EntryEmpty:           StoreOnly,
	pullsecret.IdentityToken:        IdentityToken,
	pullsecret.RegistryToken:        IdentityToken,
	pullsecret.RobotDollar:          ShellDollar,
	pullsecret.PasswordEmpty:        ShellDollar,
	pullsecret.TokenExpired:         TokenExpired,
}

// malformed: the kubelet cannot decode a secret, and therefore does not pull
// with any.
func malformed(v *view) *Verdict {
	if v.said.Err == nil {
		return v.malformedUnread()
	}
	bad := v.ring.Errors()[0]
	for _, n := range v.Secrets {
		if !n.Found || n.Secret.ID() != bad.Source {
			continue
		}
		out := v.broken(n.Secret, bad)
		if out == nil {
			continue
		}
		return out
	}
	return &Verdict{Cause: Malformed, Sentence: fmt.Sprintf("The kubelet cannot read the secret %s.", bad.Source), Evidence: []string{kubeletSays(bad)}}
}

// malformedUnread: the node says that a secret does not decode, and it is one
// that cannot be read from here.
func (v *view) malformedUnread() *Verdict {
	names := v.unreadable()
	if v.symptom != SawBadSecret || len(names) == 0 {
		return nil
	}
	return &Verdict{
		Cause:    Malformed,
		Sentence: fmt.Sprintf("The kubelet cannot decode a pull secret of the pod: of those that it names %s cannot be read from here.", strings.Join(names, ", ")),
		Fix:      []Step{{"As somebody who may read it:", []string{"fairlead secret check " + quote(names[0]) + v.on()}}, v.heals()},
	}
}

func (v *view) broken(s pullsecret.Secret, bad *keyring.Error) *Verdict {
	out := &Verdict{
		Cause:    Malformed,
		Sentence: fmt.Sprintf("The kubelet cannot read the secret %s, so every pod that names it fails, for every registry.", s.ID()),
		Evidence: []string{kubeletSays(bad)},
	}
	for _, f := range v.findings(s) {
		if f.Severity != pullsecret.Broken {
			continue
		}
		if c, ok := findingCauses[f.Rule]; ok {
			out.Cause = c
		}
		v.tell(out, s, f)
		break
	}
	v.immutable(out, s)
	return out
}

// kubeletSays is the kubelet's own text, and where it stands.
func kubeletSays(e *keyring.Error) string {
	if e.Key == "" {
		return fmt.Sprintf("the kubelet says of the secret %s: %s", e.Source, e.Text)
	}
	return fmt.Sprintf("the kubelet says of %s: %s", entryOf(e.Source, e.Key), e.Text)
}

// tell adds a finding's words to the verdict, and its fix.
func (v *view) tell(out *Verdict, s pullsecret.Secret, f pullsecret.Finding) {
	line := f.Message
	if f.Entry != "" {
		line = entryOf(s.ID(), f.Entry) + ": " + line
	} else {
		line = "the secret " + s.ID() + ": " + line
	}
	out.Evidence = append(out.Evidence, line)
	if f.Fix != "" {
		out.Fix = append(out.Fix, Step{f.Fix, f.Commands})
	}
	out.Fix = append(out.Fix, v.heals())
}

// immutable: what would mend the secret in place is refused.
func (v *view) immutable(out *Verdict, s pullsecret.Secret) {
	if !s.Immutable {
		return
	}
	name := s.Name + "-2"
	out.Also = append(out.Also, Immutable)
	out.Evidence = append(out.Evidence, "the secret "+s.ID()+" is immutable: true, and its data can never change")
	out.Fix = []Step{
		{"Make a new secret under another name:", v.create(name, "").Run},
		v.reference(name), v.recreate(),
	}
}

// findings are those of a secret, worst first.
func (v *view) findings(s pullsecret.Secret) []pullsecret.Finding {
	return pullsecret.Check(s, pullsecret.Options{Now: v.Now})
}

// named is the secret of the pod's list that a match came from.
func (v *view) named(source string) (pullsecret.Secret, bool) {
	i := slices.IndexFunc(v.Secrets, func(n NamedSecret) bool { return n.Found && n.Secret.ID() == source })
	if i < 0 {
		return pullsecret.Secret{}, false
	}
	return v.Secrets[i].Secret, true
}
