package diagnosis

import (
	"fmt"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// denied says that the registry, or the node's words, want another credential.
func (v *view) denied() bool {
	if v.asked {
		switch v.effective().Outcome {
		case Unauthorized, Forbidden:
			return true
		case NotFound:
			// Many registries say "not found" to whoever may not know.
			return len(v.said.Matches) == 0 && v.symptom.denies()
		}
		return false
	}
	return v.symptom.denies()
}

// refusedWithCredential: the kubelet finds credentials, and none of them
// opens the image.
func refusedWithCredential(v *view) *Verdict {
	if !v.denied() || len(v.said.Matches) == 0 {
		return nil
	}
	for _, r := range []func(*view, int) *Verdict{recorded, answered, misread, stale, tooWide} {
		for i := range v.said.Matches {
			if out := r(v, i); out != nil {
				v.complete(out, i)
				return out
			}
		}
	}
	i := len(v.said.Matches) - 1
	m := v.said.Matches[i]
	out := &Verdict{Cause: WrongPassword, Sentence: fmt.Sprintf("The registry %s refuses the credential of %s: the password is wrong, or was changed.", v.host(), entryOf(m.Source, m.Key))}
	if v.signedIn(i) {
		out = &Verdict{Cause: ScopeMissing, Sentence: fmt.Sprintf("The credential of %s is known to %s, and may not pull %s.", entryOf(m.Source, m.Key), v.host(), v.image.Path)}
		out.Fix = []Step{{Say: fmt.Sprintf("Let the user %q pull %s, or use a credential that may:", m.Username, v.image.Path), Run: v.create(nameOf(m.Source), m.Username).Run}}
		v.mayNotBe(out)
	} else {
		out.Fix = []Step{{"Write the present password into the secret:", v.create(nameOf(m.Source), m.Username).Run}}
	}
	v.complete(out, i)
	return out
}

// nameOf is the name in namespace/name.
func nameOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// complete adds what the registry answered, and what mends the pod.
func (v *view) complete(out *Verdict, i int) {
	for j := len(v.said.Matches) - 1; j >= 0; j-- { // the one that is judged comes first
		if a, ok := v.attempt(j); ok && j != i {
			out.Evidence = append([]string{v.tried(a)}, out.Evidence...)
		}
	}
	if a, ok := v.attempt(i); ok {
		out.Evidence = append([]string{v.tried(a)}, out.Evidence...)
	}
	if s, ok := v.named(v.said.Matches[i].Source); ok && out.Cause != StaleOnPublic {
		v.immutable(out, s)
	}
	if len(out.Also) == 0 {
		out.Fix = append(out.Fix, v.heals())
	}
}

// recorded: our own registry knows the token.
func recorded(v *view, i int) *Verdict {
	r, ok := v.Records[RecordKey{v.c.Image, i}]
	if !ok || !r.Known {
		return nil
	}
	m := v.said.Matches[i]
	name := fmt.Sprintf("The token %s of %s", r.ID, entryOf(m.Source, m.Key))
	if r.Description != "" {
		name = fmt.Sprintf("The token %s (%s) of %s", r.ID, r.Description, entryOf(m.Source, m.Key))
	}
	renew := Step{"Put a new token into the secret:", v.withToken(nameOf(m.Source))}
	switch {
	case !r.Revoked.IsZero():
		by := ""
		if r.RevokedBy != "" {
			by = " by " + r.RevokedBy
		}
		return &Verdict{Cause: TokenRevoked, Sentence: fmt.Sprintf("%s was revoked at %s%s.", name, stamp(r.Revoked), by), Evidence: []string{"the record of " + r.Server}, Fix: []Step{renew}}
	case !r.Expires.IsZero() && !v.Now.Before(r.Expires):
		return &Verdict{Cause: TokenExpired, Sentence: fmt.Sprintf("%s expired at %s.", name, stamp(r.Expires)), Evidence: []string{"the record of " + r.Server}, Fix: []Step{renew}}
	case !r.Rotated.IsZero() && !v.allows(i):
		return &Verdict{
			Cause: TokenRotated, Sentence: fmt.Sprintf("%s was rotated at %s, and the secret holds a former value.", name, stamp(r.Rotated)),
			Evidence: []string{"the record of " + r.Server}, Fix: []Step{{"Put the present value into the secret:", v.write(nameOf(m.Source), " --token="+r.ID, "fairlead token get --quiet "+r.ID)}},
		}
	case r.Lacks != "":
		return &Verdict{
			Cause: ScopeMissing, Sentence: fmt.Sprintf("%s does not open %s: %s.", name, v.image.Path, r.Lacks),
			Evidence: []string{"the record of " + r.Server + ": it opens " + r.Reach},
			Fix:      []Step{{"Put a token into the secret that does:", v.withToken(nameOf(m.Source))}},
		}
	}
	return nil
}

// answered: our own registry says by itself that a token has ended.
func answered(v *view, i int) *Verdict {
	a, ok := v.attempt(i)
	if !ok || !v.answer.Fairlead {
		return nil
	}
	m := v.said.Matches[i]
	for _, x := range a.Exchanges {
		var cause Cause
		switch {
		case strings.Contains(x.Message, " was revoked on "):
			cause = TokenRevoked
		case strings.Contains(x.Message, " expired on "):
			cause = TokenExpired
		default:
			continue
		}
		return &Verdict{
			Cause: cause, Sentence: fmt.Sprintf("The token of %s has ended: %s.", entryOf(m.Source, m.Key), x.Message),
			Fix: []Step{{"Put a new token into the secret:", v.withToken(nameOf(m.Source))}},
		}
	}
	return nil
}

// allows says that the registry knew the credential.
func (v *view) allows(i int) bool {
	a, _ := v.attempt(i)
	return a.Outcome != Unauthorized
}

// signedIn says that the registry took the password, and refused the image.
func (v *view) signedIn(i int) bool {
	a, ok := v.attempt(i)
	return ok && a.Outcome == Forbidden || !ok && v.symptom == SawForbidden
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// misread: a finding about the entry that was tried.
func misread(v *view, i int) *Verdict {
	m := v.said.Matches[i]
	s, ok := v.named(m.Source)
	if !ok {
		return nil
	}
	for _, f := range v.findings(s) {
		c, known := findingCauses[f.Rule]
		elsewhere := f.Rule == pullsecret.CredentialsElsewhere && m.Username == "" && m.Password == ""
		if !known || f.Entry != m.Key && !elsewhere {
			continue
		}
		if (c == ShellDollar || c == NewlineInPass) && v.signedIn(i) {
			continue // what is odd about the password is right
		}
		out := &Verdict{Cause: c, Sentence: sentenceOf(c, m)}
		v.tell(out, s, f)
		out.Fix = out.Fix[:len(out.Fix)-1] // complete says how the pod heals
		return out
	}
	return nil
}

func sentenceOf(c Cause, m keyring.Credential) string {
	e := entryOf(m.Source, m.Key)
	switch c {
	case NewlineInPass:
		return fmt.Sprintf("The password of %s ends in a newline, and the registry refuses it.", e)
	case StoreOnly:
		return fmt.Sprintf("The password of %s stayed in a credential store of the machine where the file was made; the kubelet signs in with nothing.", e)
	case IdentityToken:
		return fmt.Sprintf("%s holds an identity token, which the kubelet does not read; it signs in with an empty password.", upper(e))
	case ShellDollar:
		return fmt.Sprintf("The shell took a $ out of the user name or the password of %s.", e)
	case TokenExpired:
		return fmt.Sprintf("The token of %s has expired.", e)
	}
	return fmt.Sprintf("The kubelet misreads %s.", e)
}

// stale: the image is public, and the credential stands in the way, for a
// kubelet that has one never asks without.
func stale(v *view, i int) *Verdict {
	if v.answer.Anonymous.Outcome != Pulls {
		return nil
	}
	m := v.said.Matches[i]
	return &Verdict{
		Cause:    StaleOnPublic,
		Sentence: fmt.Sprintf("The image is public, but the kubelet signs in with %s, which the registry refuses; it never asks without a credential then.", entryOf(m.Source, m.Key)),
		Evidence: []string{v.tried(v.answer.Anonymous)},
		Fix: []Step{
			{"Renew the credential:", v.create(nameOf(m.Source), m.Username).Run},
			{Say: fmt.Sprintf("Or take the entry %q out of the secret, or give it a key that does not cover this repository.", pullsecret.ShowKey(m.Key))},
		},
	}
}

// tooWide: the key's path ends inside of an element, and was meant for
// another repository.
func tooWide(v *view, i int) *Verdict {
	m := v.said.Matches[i]
	for _, e := range v.said.Entries {
		if !e.Matched || e.Source != m.Source || e.Key != m.Key {
			continue
		}
		rest, ok := strings.CutPrefix(v.image.Repository(), e.Pattern)
		if !ok || rest == "" || rest[0] == '/' || strings.HasSuffix(e.Pattern, "/") || !strings.Contains(e.Pattern, "/") {
			return nil
		}
		return &Verdict{
			Cause:    PathPrefix,
			Sentence: fmt.Sprintf("The key %q of the secret %s also covers %s, because the kubelet compares bytes and not elements; its credential is for another repository.", pullsecret.ShowKey(m.Key), m.Source, v.image.Repository()),
			Fix:      []Step{{Say: fmt.Sprintf("Write the key as %q, and add an entry for %s.", e.Pattern+"/", v.image.Repository())}},
		}
	}
	return nil
}
