package controller

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
)

// minted asks a registry at a URL for a token, as a policy of its own does.
func minted(t *testing.T, url string) (held, error) {
	t.Helper()
	k := &keeper{o: Options{Now: func() time.Time { return noon }}}
	source := &corev1.Secret{Data: map[string][]byte{sourceURL: []byte(url), sourceToken: []byte("flt_hidden")}}
	c, err := k.registry(source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p := clusterPolicy(&v1alpha1.ClusterPullSecret{ObjectMeta: metav1.ObjectMeta{Name: "p"}})
	r := v1alpha1.Registry{Host: "reg.example", Fairlead: &v1alpha1.FairleadSource{TokenSecret: "t", Lifetime: metav1.Duration{Duration: time.Hour}}}
	h, err := k.mint(t.Context(), c, p, r, "")
	if err != nil {
		err = failure(source, err)
	}
	return h, err
}

// TestNonsense: what a server that is no Fairlead answers is not taken for a
// token, and is said without a secret.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]pullplan.Reason{
		`{"id":"a","value":"flt_value","added":true}`: "",
		`{}`:                               pullplan.RegistryRefused,
		`{"id":"a"}`:                       pullplan.RegistryRefused,
		`{"value":"flt_value"}`:            pullplan.RegistryRefused,
		`{"id":"a","value":"flt_value\n"}`: pullplan.RegistryRefused,
		`{"id":"a","value":" flt_value"}`:  pullplan.RegistryRefused,
		`{"id":"a","value":"\u0000"}`:      pullplan.RegistryRefused,
		`{"id":"a","value":"x","expires":"1999-01-01T00:00:00Z","added":true}`: pullplan.RegistryRefused,
		`{"id":"a","value":"` + strings.Repeat("x", 5000) + `"}`:               pullplan.RegistryRefused,
		`[]`:     pullplan.RegistryUnreachable,
		`"x"`:    pullplan.RegistryUnreachable,
		`<html>`: pullplan.RegistryUnreachable,
		``:       pullplan.RegistryUnreachable,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		h, err := minted(t, s.URL)
		s.Close()
		var no *sourceError
		switch {
		case want == "":
			if err != nil || h.password != "flt_value" || h.token != "a" {
				t.Errorf("%.60s: it is refused: %v", body, err)
			}
		case !errors.As(err, &no) || no.reason != want || h.password != "":
			t.Errorf("%.60s: %v, want %s", body, err, want)
		case contains(err.Error(), "flt_"):
			t.Errorf("%.60s: the value is in what is said: %v", body, err)
		}
	}
}

// TestTokensShown: the series of a registry that left the policy go, and those
// of other policies stay.
func TestTokensShown(t *testing.T) {
	t.Parallel()
	h := held{minted: noon, expires: noon.Add(time.Hour)}
	showTokens("TestTokensShown/a", map[string]held{"one.example": h, "two.example": h}, true)
	showTokens("TestTokensShown/b", map[string]held{"one.example": h}, true)
	showTokens("TestTokensShown/a", map[string]held{"two.example": h}, false)
	showTokens("TestTokensShown/a", map[string]held{"two.example": h}, true)
	for _, v := range []*prometheus.GaugeVec{credentialMinted, credentialExpires} {
		if v.DeleteLabelValues("TestTokensShown/a", "one.example") {
			t.Error("the registry that left is there")
		}
		if !v.DeleteLabelValues("TestTokensShown/a", "two.example") || !v.DeleteLabelValues("TestTokensShown/b", "one.example") {
			t.Error("one that is in use is missing")
		}
	}
}
