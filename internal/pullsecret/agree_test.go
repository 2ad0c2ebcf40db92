package pullsecret_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// disagreement says how findings and the kubelet's verdict differ; "" if they
// do not.
func disagreement(s pullsecret.Secret, found []pullsecret.Finding) string {
	ring := keyring.New(keyring.Source{Name: "s", Type: s.Type, Data: s.Data})
	rejected, skipped := false, false
	for _, f := range found {
		d, ok := pullsecret.Describe(f.Rule)
		if !ok {
			return "an unknown rule " + string(f.Rule)
		}
		rejected = rejected || d.Rejected
		skipped = skipped || f.Severity != pullsecret.Notice && !d.Rejected
	}
	switch {
	case rejected != (ring.Err() != nil):
		return "the kubelet says " + text(ring.Err())
	case len(ring.Skipped()) > 0 && s.Data[pullsecret.KeyConfigJSON] != nil && !skipped:
		return "the kubelet passes over it"
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return "nothing"
	}
	return err.Error()
}

// TestAgreesWithKeyring: the kubelet rejects a secret exactly where a finding
// says so. Every example of every rule, and 20,000 documents made of parts
// that break in all ways.
func TestAgreesWithKeyring(t *testing.T) {
	t.Parallel()
	for r, e := range examples {
		for _, s := range slices.Concat(e.bad, e.good) {
			if d := disagreement(s, check(s)); d != "" {
				t.Errorf("%s %q: %s; %v", r, s.Data, d, rules(check(s)))
			}
		}
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	rejected := 0
	const cases = 20_000
	for range cases {
		s := randomSecret(random)
		found := check(s)
		if d := disagreement(s, found); d != "" {
			t.Fatalf("seed %d: %s %q: %s; %v", seed, s.Type, s.Data, d, rules(found))
		}
		if slices.ContainsFunc(found, func(f pullsecret.Finding) bool { return f.Severity == pullsecret.Broken }) {
			rejected++
		}
	}
	if rejected < cases/10 || rejected > cases*9/10 {
		t.Errorf("seed %d: %d of %d were broken: the cases are one-sided", seed, rejected, cases)
	}
}

func randomSecret(r *rand.Rand) pullsecret.Secret {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	field := func() string {
		return pick(`"auth":"dTpw"`, `"auth":"dTpw"`, `"auth":"dTpw="`, `"auth":"dXNlcg=="`, `"auth":""`, `"auth":null`, `"Auth":"dTpw"`, `"AUTH":"x y"`, `"auth":"dT-w"`,
			`"username":"u"`, `"password":"p"`, `"username":7`, `"email":"a@b.c"`, `"email":[]`, `"identitytoken":"x"`, `"registrytoken":{}`, `"aut\u0068":"dTpw\n"`, `"ſ":1`, `"paſſword":"p"`, `"auth":" dTpw "`)
	}
	object := func(part func() string, most int) string {
		out := "{"
		for i := range r.IntN(most + 1) {
			if i > 0 {
				out += ","
			}
			out += part()
		}
		return out + "}"
	}
	entry := func() string {
		return pick(`"reg.io"`, `"reg.io/a"`, `"https://index.docker.io/v1/"`, `"REG.io"`, `"[::1]"`, `"%zz"`, `""`, `"\u0000"`) + ":" +
			pick(object(field, 3), object(field, 2), object(field, 1), "null", `"dTpw"`, "[]", "{}", "0", "true")
	}
	top := func() string {
		return pick(`"auths":`+object(entry, 3), `"auths":`+object(entry, 2), `"Auths":`+object(entry, 1), `"auths":null`, `"auths":"x"`, `"HttpHeaders":{"a":"b"}`, `"HttpHeaders":{"a":1}`, `"httpheaders":null`,
			`"HttpHeaders":[]`, `"credsStore":"x"`, `"credHelpers":{"reg.io":"x"}`, `"credsStore":1`, entry(), `"x":[1,{"auth":2}]`)
	}
	document := pick(object(top, 3), object(top, 2), object(entry, 2), object(top, 1), "", "null", "[]", `"x"`, "{", "\xef\xbb\xbf{}", "{}x", "bnVsbA==", " {} ")
	if r.IntN(20) == 0 && len(document) > 0 {
		b := []byte(document)
		b[r.IntN(len(b))] = byte(r.IntN(256))
		document = string(b)
	}
	kind, key := pullsecret.TypeConfigJSON, pullsecret.KeyConfigJSON
	if r.IntN(4) == 0 {
		kind, key = pullsecret.TypeLegacy, pullsecret.KeyLegacy
	}
	if r.IntN(20) == 0 {
		kind = "Opaque"
	}
	return pullsecret.Secret{Name: "s", Type: kind, Data: map[string][]byte{key: []byte(document)}}
}

// FuzzCheck: whatever the document, Check agrees with the kubelet, and its
// findings can be written as JSON.
func FuzzCheck(f *testing.F) {
	for _, e := range examples {
		for _, s := range e.bad {
			f.Add(s.Type, s.Data[pullsecret.KeyConfigJSON])
		}
	}
	f.Fuzz(func(t *testing.T, kind string, value []byte) {
		s := pullsecret.Secret{Name: "s", Type: kind, Data: map[string][]byte{pullsecret.KeyConfigJSON: value, pullsecret.KeyLegacy: value}}
		found := check(s)
		if d := disagreement(s, found); d != "" {
			t.Errorf("%q: %s", value, d)
		}
		if _, err := json.Marshal(found); err != nil {
			t.Error(err)
		}
		pullsecret.Logins(s)
	})
}

// TestKeysAgreeWithKeyring: a key of which it is said that no image uses it
// matches none that is like it, and every other key matches one.
func TestKeysAgreeWithKeyring(t *testing.T) {
	t.Parallel()
	unused := []pullsecret.Rule{
		pullsecret.KeyUnparsable, pullsecret.KeySchemeCase, pullsecret.KeyGlob, pullsecret.KeyTag, pullsecret.KeyIPv6, pullsecret.KeyTrailingDot,
		pullsecret.KeyNotASCII, pullsecret.KeySingleLabel, pullsecret.KeyNeverMatches,
	}
	const registryName = "registry-1.docker.io" // it is used by images written so
	for r, e := range examples {
		for _, s := range slices.Concat(e.bad, e.good) {
			for _, l := range pullsecret.Logins(s) {
				one := key(l.Key)
				found := rules(check(one))
				never := slices.ContainsFunc(found, func(r pullsecret.Rule) bool { return slices.Contains(unused, r) })
				if slices.Contains(found, pullsecret.KeyHub) || l.Key == registryName {
					continue // it is about the images of Docker Hub, which these are not
				}
				image, matched := matching(one, l.Key)
				if matched == never {
					t.Errorf("%s: the key %q has %v; image %q matches: %t", r, l.Key, found, image, matched)
				}
			}
		}
	}
}

// matching looks for an image that uses a secret with this key, among all
// that are like the key.
func matching(s pullsecret.Secret, key string) (string, bool) {
	ring := keyring.New(keyring.Source{Name: "s", Type: s.Type, Data: s.Data})
	bare := key
	for _, cut := range []string{"https://", "http://", "HTTPS://", "Http://"} {
		bare = strings.TrimPrefix(bare, cut)
	}
	bare = strings.TrimSpace(bare)
	if i := strings.LastIndexByte(bare, '@'); i >= 0 && !strings.Contains(bare, "/") {
		bare = bare[i+1:]
	}
	bare, _, _ = strings.Cut(bare, "#")
	bare, _, _ = strings.Cut(bare, "?x=")
	for _, starred := range []string{"a", "1"} {
		for _, cut := range []string{"", "/v1/", "/v2/"} {
			name := strings.ReplaceAll(strings.ReplaceAll(bare, "*", starred), "?", starred)
			if cut != "" {
				name = strings.Replace(name, cut, "/", 1)
			}
			for _, end := range []string{"", "app", "/app", "x/app"} {
				for _, image := range []string{name + end, strings.ToLower(name + end)} {
					parsed, err := keyring.ParseImage(image)
					if err == nil && len(ring.Match(parsed)) > 0 {
						return image, true
					}
				}
			}
		}
	}
	return "", false
}

// TestLargeIsQuick: a mebibyte of entries, as many as a secret may have, is no
// way to keep somebody waiting.
func TestLargeIsQuick(t *testing.T) {
	t.Parallel()
	const few, times = 3_000, 5
	small, large := badEntries(few), badEntries(few*times)
	// What is linear takes five times as long for five times as much, what is
	// quadratic twenty-five times.
	if a, b := quickest(t, small, few), quickest(t, large, few*times); b > 12*a {
		t.Errorf("%d bad entries take %v, %d take %v", few, a, few*times, b)
	}
	if !slices.Contains(rules(pullsecret.Check(of(strings.Repeat(" ", 1<<20)+"{}"), pullsecret.Options{Bare: true})), pullsecret.TooLarge) {
		t.Error("a file that becomes no secret")
	}
}

// badEntries is a document with n entries that cannot be decoded.
func badEntries(n int) pullsecret.Secret {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"r%d.io":{"auth":"x y"}`, i)
	}
	return of(`{"auths":{` + b.String()[1:] + `}}`)
}

// quickest is the best of three: other work on the machine only adds.
func quickest(t *testing.T, s pullsecret.Secret, findings int) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		begin := time.Now()
		found := check(s)
		best = min(best, time.Since(begin))
		if len(found) != findings {
			t.Fatalf("%d findings, want %d", len(found), findings)
		}
	}
	return best
}
