package pullsecret

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"fairlead.dev/fairlead/keyring"
)

// Options say what Check may know beside the secret.
type Options struct {
	// Now is compared with the ends of tokens; the zero time judges none.
	Now time.Time
	// Bare is for a credential file, which becomes a secret only later: its
	// name, type and key are not judged, only the document.
	Bare bool
	// Token tells a damaged token of ours from another password: it is asked
	// about passwords, and gives an error, without the password, that says
	// what is wrong with it. Nil asks nobody.
	Token func(password string) error
}

// Check finds all that the API server refuses, and all that it accepts and the
// kubelet rejects, passes over or misreads. What the kubelet rejects is
// keyring's verdict, made plain: a finding of a rule that is Rejected stands for
// an error of keyring, and every error has one.
//
// A secret that neither is nor looks like a pull secret has no findings.
func Check(s Secret, o Options) []Finding {
	c := &checker{secret: s, Options: o}
	if !o.Bare {
		c.meta()
		c.data()
	}
	c.size()
	if c.typed() {
		c.body()
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return c.findings
}

// rank orders severities, worst first.
func rank(s Severity) int { return slices.Index([]Severity{Broken, Ignored, Notice}, s) }

// AtLeast says whether s is as bad as threshold, or worse.
func (s Severity) AtLeast(threshold Severity) bool { return rank(s) <= rank(threshold) }

type checker struct {
	Options
	secret   Secret
	doc      document
	findings []Finding
}

// place is what a finding is about.
type place struct {
	entry, field string
	at           int
}

// nowhere is a place without a byte.
func nowhere(entry, field string) place { return place{entry, field, -1} }

// add makes a finding of what the catalogue knows, and gives it to change.
func (c *checker) add(r Rule, p place, format string, args ...any) *Finding {
	d := byRule[r]
	c.findings = append(c.findings, Finding{
		Rule: r, Severity: d.Severity, Secret: c.secret.ID(), Entry: ShowKey(p.entry), Field: p.field, Byte: p.at,
		Message: fmt.Sprintf(format, args...), Effect: d.Effect, Fix: d.Fix,
		File: c.secret.Position.File, Line: c.secret.Position.Line,
	})
	return &c.findings[len(c.findings)-1]
}

// types are those that the kubelet reads.
var types = map[string]string{TypeConfigJSON: KeyConfigJSON, TypeLegacy: KeyLegacy}

// typed says whether the kubelet would read the secret's value.
func (c *checker) typed() bool {
	key, ok := types[c.secret.Type]
	return ok && len(c.secret.Data[key]) > 0
}

// meta is what the API server says about the object itself. It is said only
// of secrets for pulling: others are nobody's business here.
func (c *checker) meta() {
	if !c.concerned() {
		return
	}
	if err := checkName(c.secret.Name); err != nil {
		c.add(NameInvalid, nowhere("", "metadata.name"), "The name %q cannot be used: %v.", c.secret.Name, err)
	}
	if ns := c.secret.Namespace; ns != "" {
		if err := checkNamespace(ns); err != nil {
			c.add(NameInvalid, nowhere("", "metadata.namespace"), "The namespace %q cannot be used: %v.", ns, err)
		}
	}
	for _, name := range sortedKeys(c.secret.Labels) {
		if err := checkLabel(name, c.secret.Labels[name]); err != nil {
			c.add(LabelInvalid, nowhere("", "metadata.labels"), "The label %q cannot be used: %v.", name, err)
		}
	}
	if name, err := checkAnnotations(c.secret.Annotations); err != nil {
		c.add(AnnotationInvalid, nowhere("", "metadata.annotations"), "The annotation %q cannot be used: %v.", name, err)
	}
	for _, key := range sortedKeys(c.secret.Data) {
		if err := checkDataKey(key); err != nil {
			c.add(DataKeyInvalid, nowhere("", "data"), "The data key %q cannot be used: %v.", key, err)
		}
	}
	if c.secret.Immutable {
		c.add(Immutable, nowhere("", "immutable"), "The secret is immutable.")
	}
}

func (c *checker) size() {
	if size := dataSize(c.secret.Data); size > MaxBytes && c.concerned() {
		c.add(TooLarge, nowhere("", "data"), "The values have %d bytes, %d are allowed.", size, MaxBytes)
	}
}

// concerned says whether the secret is, or means to be, one for pulling.
func (c *checker) concerned() bool {
	if _, ok := types[c.secret.Type]; ok || nearType(c.secret.Type) != "" {
		return true
	}
	_, ok := c.credentials()
	return ok
}

// credentials finds the data key that holds credentials, whatever its name.
func (c *checker) credentials() (string, bool) {
	keys := sortedKeys(c.secret.Data)
	for _, known := range []string{KeyConfigJSON, KeyLegacy} {
		if _, ok := c.secret.Data[known]; ok {
			return known, true
		}
	}
	for _, k := range keys {
		if wrapped, bare := looksLikeConfig(c.secret.Data[k]); wrapped || bare && nearKey(k) {
			return k, true
		}
	}
	return "", false
}

// nearKey says whether a data key is named as people name credentials.
func nearKey(k string) bool {
	k = strings.ToLower(k)
	return strings.Contains(k, "docker") || k == "config.json" || k == ".config.json" || k == "auth.json"
}

// nearType gives the type that a misspelt one means; "" if it means none.
func nearType(t string) string {
	folded := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, t)
	if _, ok := types[t]; ok || !strings.Contains(folded, "docker") {
		return ""
	}
	if strings.HasSuffix(folded, "dockercfg") {
		return TypeLegacy
	}
	if strings.Contains(folded, "config") || strings.Contains(folded, "registry") || strings.Contains(folded, "json") || strings.Contains(folded, "cfg") {
		return TypeConfigJSON
	}
	return ""
}

// data is about type and data key: where the kubelet looks, and whether there
// is something.
func (c *checker) data() {
	want, read := types[c.secret.Type]
	found, some := c.credentials()
	switch {
	case !read && nearType(c.secret.Type) != "":
		right := nearType(c.secret.Type)
		if found == KeyLegacy {
			right = TypeLegacy
		}
		f := c.add(TypeMisspelt, nowhere("", "type"), "The type %q is none that the kubelet reads; %s is meant.", c.secret.Type, right)
		f.Fix = typeFix(right)
		f.Commands = c.recreate()
	case !read && some:
		name := c.secret.Type
		if name == "" {
			name = "Opaque"
		}
		f := c.add(TypeWrong, nowhere("", "type"), "The credentials under %s have the type %q; the kubelet reads %s.", found, name, typeFor(found))
		f.Fix = typeFix(typeFor(found))
		f.Commands = c.recreate()
	case read:
		c.value(want, found)
	}
}

// typeFor is the type that belongs to a data key.
func typeFor(key string) string {
	if key == KeyLegacy {
		return TypeLegacy
	}
	return TypeConfigJSON
}

func typeFix(right string) string {
	return "Write the type " + right + ". That of a stored secret cannot be changed: delete it and make it anew."
}

// value is about the data of a secret of the right type.
func (c *checker) value(want, found string) {
	v, ok := c.secret.Data[want]
	switch {
	case !ok && found == KeyConfigJSON || !ok && found == KeyLegacy:
		f := c.add(DataKeyMissing, nowhere("", want), "The type %s asks for the data key %s, and there is %s, which belongs to %s.", c.secret.Type, want, found, typeFor(found))
		f.Fix = "Write the type " + typeFor(found) + "."
	case !ok && len(c.secret.Data) > 0:
		if found == "" {
			found = sortedKeys(c.secret.Data)[0]
		}
		f := c.add(DataKeyMissing, nowhere("", want), "The type %s asks for the data key %s, and there is %q.", c.secret.Type, want, found)
		f.Fix = "Rename the data key to " + want + "."
		if want == KeyConfigJSON && found == "config.json" {
			f.Fix += " With kubectl: --from-file=" + want + "=config.json."
		}
	case !ok:
		c.add(DataKeyMissing, nowhere("", want), "The type %s asks for the data key %s, and there is no data.", c.secret.Type, want)
	case len(v) == 0:
		f := c.add(ValueEmpty, nowhere("", want), "The value of %s is empty.", want)
		f.Commands = c.recreate()
	}
	for _, k := range sortedKeys(c.secret.Data) {
		if k != want && ok {
			c.add(DataKeyExtra, nowhere("", k), "Beside %s there is %q, which the kubelet does not read.", want, k)
		}
	}
}

// body is the document itself: first what the kubelet rejects, by its own
// verdict, then what it reads otherwise than it was meant.
func (c *checker) body() {
	key := types[c.secret.Type]
	data := c.secret.Data[key]
	if !c.readable(key, data) {
		return
	}
	errs := keyring.New(keyring.Source{Name: c.secret.ID(), Type: c.secret.Type, Data: c.secret.Data}).Errors()
	bad := map[string]bool{}
	for _, err := range errs {
		c.rejected(key, err)
		bad[err.Key] = true
	}
	if !c.whole(key, data) {
		return
	}
	c.duplicateKeys()
	for _, e := range c.doc.entries {
		if bad[e.key] || e.lost {
			continue
		}
		c.entry(e)
		c.key(e.key)
	}
}
