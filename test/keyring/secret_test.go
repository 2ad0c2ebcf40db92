package keyring_test

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// parts of secrets, good and bad ones; the first are taken most often.
var (
	someNames     = []string{"a", "regcred", "Regcred", "a_b", "-a", "a-", "a..b", "a.b", ".a", "", strings.Repeat("a", 253), strings.Repeat("a", 254), "a b", "ä", "1", "a.1-b"}
	someKeys      = []string{"a", "a.io/X", "A_b", "a/b", "/a", "a/", "a/b/c", "A.io/x", "", ".a", "a.", "a b", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253) + "/b", strings.Repeat("a", 254) + "/b", "ü"}
	someValues    = []string{"", "x", "X_y.z", strings.Repeat("a", 63), strings.Repeat("a", 64), "x y", "-x", "x-", "ü", "x\n"}
	someDataKeys  = []string{".dockerconfigjson", ".dockercfg", "config.json", "A_b", "a/b", "..a", ".", "..", "", strings.Repeat("a", 253), strings.Repeat("a", 254), "a b", "..."}
	someDocuments = []string{
		`{"auths":{"a.io":{"auth":"dTpw"}}}`, `{"auths":{}}`, "null", `{"auths":"x"}`, `{"a":1,"a":2}`, "[]", "", "x", "{", "1", `"x"`, "{}x",
		"\xef\xbb\xbf{}", `{"a":1e999}`, `{"auths":{"a":"\ud800"}}`, "e30=", "{\"a\":\"\xff\"}",
	}
)

// some takes one of the first two, mostly.
func some(r *rand.Rand, from []string) string {
	if r.IntN(8) > 0 {
		return from[r.IntN(2)]
	}
	return from[r.IntN(len(from))]
}

func someSecret(r *rand.Rand) pullsecret.Secret {
	types := []string{pullsecret.TypeConfigJSON, pullsecret.TypeLegacy}
	n := r.IntN(2)
	s := pullsecret.Secret{Name: some(r, someNames), Namespace: "a" + some(r, someNames), Type: types[n], Data: map[string][]byte{}}
	if r.IntN(8) > 0 {
		s.Data[someDataKeys[n]] = []byte(some(r, someDocuments))
	}
	if r.IntN(4) == 0 {
		s.Data[some(r, someDataKeys)] = []byte(some(r, someDocuments))
	}
	if r.IntN(4) == 0 {
		s.Labels = map[string]string{some(r, someKeys): some(r, someValues)}
	}
	if r.IntN(4) == 0 {
		s.Annotations = map[string]string{some(r, someKeys): some(r, someValues)}
	}
	switch r.IntN(100) {
	case 0:
		s.Annotations = map[string]string{"a": strings.Repeat("a", 256<<10-r.IntN(3))}
	case 1:
		s.Data["pad"] = make([]byte, 1<<20-dataSize(s.Data)+1-r.IntN(3))
	}
	return s
}

func dataSize(data map[string][]byte) int {
	n := 0
	for _, v := range data {
		n += len(v)
	}
	return n
}

// TestAPIServer: what pullsecret says the API server refuses, its own
// validation refuses, and nothing else.
func TestAPIServer(t *testing.T) {
	t.Parallel()
	const cases = 20_000
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for range cases {
		s := someSecret(r)
		errs := validation.ValidateSecret(&core.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: maps.Clone(s.Labels), Annotations: s.Annotations},
			Type:       core.SecretType(s.Type), Data: s.Data,
		})
		said := false
		for _, f := range pullsecret.Check(s, pullsecret.Options{}) {
			d, ok := pullsecret.Describe(f.Rule)
			said = said || d.Refused || !ok
		}
		if said != (len(errs) > 0) {
			t.Fatalf("seed %d: %q of %q, %s, labels %q, annotations %.99q, data %.99q: refused by us %t, by the API server: %v",
				seed, s.Name, s.Namespace, s.Type, s.Labels, s.Annotations, s.Data, said, errs.ToAggregate())
		}
		if said {
			refused++
		}
	}
	t.Logf("seed %d: %d of %d refused", seed, refused, cases)
	if refused < cases/5 || refused > cases*4/5 {
		t.Errorf("seed %d: %d of %d were refused: the cases are one-sided", seed, refused, cases)
	}
}
