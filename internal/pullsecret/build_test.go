package pullsecret_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

func recipe() pullsecret.Recipe {
	return pullsecret.Recipe{
		Namespace: "shop", Name: "regcred",
		Entries: []dockerconfig.Entry{{Key: "reg.io", Username: "u", Password: "p", Email: "a@b.c"}},
	}
}

// TestBuild: what is made is what kubectl makes, and has no finding.
func TestBuild(t *testing.T) {
	t.Parallel()
	r := recipe()
	r.Labels = map[string]string{"team": "a"}
	s, err := pullsecret.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"auths":{"reg.io":{"username":"u","password":"p","email":"a@b.c","auth":"dTpw"}}}`
	if got := string(s.Data[pullsecret.KeyConfigJSON]); got != want || s.Type != pullsecret.TypeConfigJSON || s.ID() != "shop/regcred" {
		t.Errorf("%s of %s: %s", s, s.Type, got)
	}
	if fs := check(s); len(fs) > 0 {
		t.Errorf("%+v", fs)
	}
	r.Labels["team"] = "b"
	if s.Labels["team"] != "a" {
		t.Error("the labels are the recipe's own map")
	}
}

var hashes = []struct {
	name      string
	entries   []dockerconfig.Entry
	immutable bool
	want      string
}{
	{"regcred", recipe().Entries, false, "regcred-6g2mf4f878"},
	{"regcred", recipe().Entries, true, "regcred-67g727tfbk"},
	{"a.b-1", []dockerconfig.Entry{{Key: dockerconfig.HubKey, Username: "ü", Password: "<p>"}}, false, "a.b-1-dtt24d48km"},
}

// TestAppendHash against names that k8s.io/kubectl/pkg/util/hash v0.36.3 gave
// for the same secrets.
func TestAppendHash(t *testing.T) {
	t.Parallel()
	for _, c := range hashes {
		r := recipe()
		r.Name, r.Entries, r.Immutable, r.AppendHash = c.name, c.entries, c.immutable, true
		s, err := pullsecret.Build(r)
		if err != nil || s.Name != c.want {
			t.Errorf("%q, %v; want %q", s.Name, err, c.want)
		}
	}
	r := recipe()
	r.Name, r.AppendHash = strings.Repeat("a", 250), true
	if _, err := pullsecret.Build(r); err == nil {
		t.Error("the name is too long with its hash")
	}
}

// TestBuildRefuses names the field, and shows no password.
func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field  string
		change func(*pullsecret.Recipe)
	}{
		"no name":         {"name", func(r *pullsecret.Recipe) { r.Name = "" }},
		"upper case":      {"name", func(r *pullsecret.Recipe) { r.Name = "Regcred" }},
		"bad namespace":   {"namespace", func(r *pullsecret.Recipe) { r.Namespace = "a.b" }},
		"bad label":       {"labels", func(r *pullsecret.Recipe) { r.Labels = map[string]string{"a b": ""} }},
		"bad annotation":  {"annotations", func(r *pullsecret.Recipe) { r.Annotations = map[string]string{"a b": ""} }},
		"no entries":      {"entries", func(r *pullsecret.Recipe) { r.Entries = nil }},
		"no key":          {"entries", func(r *pullsecret.Recipe) { r.Entries[0].Key = "" }},
		"a colon":         {"entries", func(r *pullsecret.Recipe) { r.Entries[0].Username = "a:b" }},
		"twice":           {"entries", func(r *pullsecret.Recipe) { r.Entries = append(r.Entries, r.Entries[0]) }},
		"more than 1 MiB": {"entries", func(r *pullsecret.Recipe) { r.Entries[0].Password = strings.Repeat("hunter2", 1<<18) }},
	} {
		r := recipe()
		r.Entries[0].Password = "hunter2"
		c.change(&r)
		_, err := pullsecret.Build(r)
		var bad *pullsecret.BuildError
		if !errors.As(err, &bad) || bad.Field != c.field || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

// TestKeyFor: two accounts of one registry side by side, each with its own
// images.
func TestKeyFor(t *testing.T) {
	t.Parallel()
	r := recipe()
	r.Entries = nil
	for _, ns := range []string{"te", "team", "", "/other/"} {
		r.Entries = append(r.Entries, dockerconfig.Entry{Key: pullsecret.KeyFor("reg.io", ns), Username: "of-" + strings.Trim(ns, "/"), Password: "p"})
	}
	s, err := pullsecret.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	ring := keyring.New(keyring.Source{Type: s.Type, Data: s.Data})
	for image, want := range map[string]string{"reg.io/te/app": "of-te of-", "reg.io/team/app:1": "of-team of-", "reg.io/teams/app": "of-", "reg.io/other/a/b": "of-other of-"} {
		i, err := keyring.ParseImage(image)
		if err != nil {
			t.Fatal(err)
		}
		users := []string{}
		for _, c := range ring.Match(i) {
			users = append(users, c.Username)
		}
		if got := strings.Join(users, " "); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

// TestManifest: JSON and YAML say the same, and nothing of it changes on the
// way.
func TestManifest(t *testing.T) {
	t.Parallel()
	r := recipe()
	r.Labels = map[string]string{"a": "true", "example.com/b": "1.0", "c": "", "d": "null", "e": "0x1f", "f": "1e3"}
	r.Annotations = map[string]string{"note": "a: b # c\n\"d\" 'é", "time": "2026-07-01", "dots": ".5", "tilde": "~", "less": "<a>&\u2028"}
	r.Immutable = true
	s, err := pullsecret.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	s.Data["short"] = []byte{0xd7, 0x6d, 0xf8}
	s.Data["empty"] = nil
	var fromJSON, fromYAML any
	if err := json.Unmarshal(s.JSON(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(s.YAML(), &fromYAML); err != nil {
		t.Fatalf("%v in\n%s", err, s.YAML())
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("JSON and YAML differ: %s\n%s", d, s.YAML())
	}
	m := fromYAML.(map[string]any)["metadata"].(map[string]any)
	for name, want := range r.Annotations {
		if got := m["annotations"].(map[string]any)[name]; got != want {
			t.Errorf("annotation %s: %#v", name, got)
		}
	}
	for name, want := range r.Labels {
		if got := m["labels"].(map[string]any)[name]; got != want {
			t.Errorf("label %s: %#v", name, got)
		}
	}
	again, err := pullsecret.Build(r)
	again.Data["short"], again.Data["empty"] = s.Data["short"], nil
	if err != nil || string(again.YAML()) != string(s.YAML()) || strings.Count(string(s.YAML()), "eyJhdXRocyI6") != 1 {
		t.Errorf("not deterministic, or not on one line:\n%s", s.YAML())
	}
}

func TestManifestGolden(t *testing.T) {
	t.Parallel()
	s, err := pullsecret.Build(recipe())
	if err != nil {
		t.Fatal(err)
	}
	const want = `apiVersion: v1
data:
  .dockerconfigjson: eyJhdXRocyI6eyJyZWcuaW8iOnsidXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJwIiwiZW1haWwiOiJhQGIuYyIsImF1dGgiOiJkVHB3In19fQ==
kind: Secret
metadata:
  name: regcred
  namespace: shop
type: kubernetes.io/dockerconfigjson
`
	if got := string(s.YAML()); got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestPasswordIsHidden in every print.
func TestPasswordIsHidden(t *testing.T) {
	t.Parallel()
	s := login("u", "hunter2")
	ls := pullsecret.Logins(s)
	if len(ls) != 1 || ls[0].Password.Reveal() != "hunter2" {
		t.Fatalf("%v", ls)
	}
	js, err := json.Marshal(ls)
	for _, text := range []string{fmt.Sprint(ls), fmt.Sprintf("%+v %#v %q %x", ls, ls, ls[0].Password, ls[0].Password), string(js), fmt.Sprint(s), fmt.Sprintf("%+v %#v", s, s)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") || err != nil {
			t.Errorf("shown: %s", text)
		}
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s    pullsecret.Secret
		want string
	}{
		"auth wins":      {entry(`{"auth":"dTpw","username":"v","password":"p"}`), "reg.io reg.io u auth [username]  "},
		"fields":         {entry(`{"username":"u","password":"p"}`), "reg.io reg.io u password []  "},
		"identity":       {entry(`{"auth":"dTo=","identitytoken":"x"}`), "reg.io reg.io u  [] identitytoken "},
		"store":          {of(`{"auths":{"reg.io":{}},"credsStore":"pass"}`), "reg.io reg.io   [] docker-credential-pass "},
		"helper":         {of(`{"auths":{"reg.io":{}},"credHelpers":{"reg.io":"ecr"}}`), "reg.io reg.io   [] docker-credential-ecr "},
		"undecodable":    {entry(`{"auth":"x y"}`), "reg.io reg.io   []  auth cannot be decoded"},
		"list":           {entry(`[]`), "reg.io reg.io   []  it is a list"},
		"last one":       {of(`{"auths":{"a.io":{"auth":"dTpw"},"a.io":{"auth":"djpw"}}}`), "a.io a.io v auth []  "},
		"other type":     {data("Opaque", pullsecret.KeyConfigJSON), "reg.io reg.io u auth []  "},
		"password in it": {key("https://u:hunter2@reg.io/v2/"), "https://u:***@reg.io/v2/ reg.io u auth []  "},
		"dropped":        {key("%zz"), "%zz  u auth []  "},
	} {
		got := ""
		for _, l := range pullsecret.Logins(c.s) {
			got += fmt.Sprintf("%s %s %s %s %v %s %s", l.Key, l.Pattern, l.Username, l.From, l.Overrides, l.Elsewhere, l.Problem)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if ls := pullsecret.Logins(of("{")); ls != nil {
		t.Errorf("of no document: %v", ls)
	}
	if ls := pullsecret.Logins(login("u", jwt(now))); ls[0].Claims == nil || ls[0].Claims.Issuer != "ci" || ls[0].Claims.Subject != "robot" || !ls[0].Claims.Expires.Equal(now) {
		t.Errorf("claims: %+v", ls[0].Claims)
	}
}
