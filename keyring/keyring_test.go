package keyring

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// secret is a pull secret with this text.
func secret(name, text string) Source {
	return Source{Name: name, Type: TypeDockerConfigJSON, Data: map[string][]byte{KeyDockerConfigJSON: []byte(text)}}
}

// keys is a secret with these keys; the user of each is its key.
func keys(name string, keys ...string) Source {
	var members []string
	for _, k := range keys {
		q, _ := json.Marshal(k)
		members = append(members, fmt.Sprintf(`%s:{"username":%s,"password":"pa55"}`, q, q))
	}
	return secret(name, `{"auths":{`+strings.Join(members, ",")+`}}`)
}

func image(t *testing.T, name string) Image {
	t.Helper()
	i, err := ParseImage(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func users(creds []Credential) []string {
	var out []string
	for _, c := range creds {
		out = append(out, c.Username)
	}
	return out
}

// TestReasons: one entry, one image, one reason, and what to write instead.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, image string
		reason     Reason
		detail     string // a part of it
		want       string // of the hint
	}{
		{"reg.io", "reg.io/team/app", ReasonMatch, "host and port match", ""},
		{"https://reg.io/v1/", "reg.io/team/app", ReasonMatch, "", ""},
		{"http://reg.io/v2/team/", "reg.io/team/app", ReasonMatch, "begins with /team/", ""},
		{"reg.io/te", "reg.io/team/app", ReasonMatch, "not with the whole element", ""},
		{"*.reg.io", "a.reg.io/app", ReasonMatch, "the glob *.reg.io", ""},
		{"u:p@reg.io?x", "reg.io/team/app", ReasonMatch, "is dropped", ""},
		{"index.docker.io", "nginx", ReasonHub, "Docker Hub's", ""},
		{"https://index.docker.io/v1/", "index.docker.io/team/app", ReasonHub, "Docker Hub's", ""},
		{"docker.io", "nginx", ReasonMatch, "", ""},
		{"index.docker.io", "localhost/app", ReasonHub, "is sent this credential", ""},
		{"index.docker.io", "HOST/app", ReasonHub, "is sent this credential", ""},
		{"https://index.docker.io/v1", "nginx", ReasonHubKey, "last slash", hubKey},
		{"registry-1.docker.io", "nginx", ReasonHubKey, "", hubKey},
		{"hub.docker.com", "nginx", ReasonHubKey, "", hubKey},
		{"*.docker.io", "nginx", ReasonHubKey, "", hubKey},
		{"index.docker.io/team", "team/app", ReasonHubKey, "", hubKey},
		{"reg.io:443", "reg.io/team/app", ReasonPort, "even 443", "reg.io"},
		{"reg.io/team", "reg.io:5000/team/app", ReasonPort, "the key has no port, the image has port 5000", "reg.io:5000/team"},
		{"*.reg.io", "reg.io/app", ReasonLabels, "*.reg.io has 3 labels, reg.io has 2", "reg.io"},
		{"reg.io", "a.reg.io/app", ReasonLabels, "", "a.reg.io"},
		{"reg.io.", "reg.io/app", ReasonLabels, "", "reg.io"},
		{"quay.io", "reg.io/app", ReasonHost, "for the host quay.io", ""},
		{"registry.exmaple.com/team", "registry.example.com/team/app", ReasonHost, "", "registry.example.com/team"},
		{"oci://reg.io", "reg.io/app", ReasonHost, `read as "oci"`, ""},
		{"Reg.io", "reg.io/app", ReasonCase, "upper and lower case count", "reg.io"},
		{"reg.io/Team", "reg.io/team/app", ReasonCase, "from byte 1", "reg.io/team"},
		{"reg.io/team/app/", "reg.io/team/app", ReasonPath, "ends with a slash", "reg.io/team/app"},
		{"reg.io/team/other", "reg.io/team/app", ReasonPath, "from byte 6", "reg.io/team/"},
		{"reg.io/team", "reg.io/app", ReasonPath, "from byte 1", "reg.io/app"},
		{"reg.io/*", "reg.io/team/app", ReasonGlob, "ordinary byte", "reg.io"},
		{"reg.io:*", "reg.io/team/app", ReasonBadKey, "not in the port", "reg.io"},
		{"[reg].io", "reg.io/app", ReasonBadKey, "brackets", ""},
		{" reg.io", "reg.io/app", ReasonBadKey, "white space", "reg.io"},
		{"reg.io/%zz", "reg.io/app", ReasonBadKey, "no host with a path", "reg.io"},
		{"reg.io/%25zz", "reg.io/app", ReasonBadKey, `as "reg.io/%zz"`, "reg.io"},
		{"[::1]", "[::1]/app", ReasonAddress, "unless it has a port", ""},
		{"[::1]:5000", "[::1]:5000/app", ReasonMatch, "", ""},
		{"reg.io", "[1:2]/app", ReasonNoLookUp, "no host", ""},
	} {
		r := New(keys("s", c.key))
		i := image(t, c.image)
		x := r.Explain(i)
		if len(x.Entries) != 1 {
			t.Fatalf("%s for %s: %d entries", c.key, c.image, len(x.Entries))
		}
		e := x.Entries[0]
		if e.Reason != c.reason || !strings.Contains(e.Detail, c.detail) || e.Detail == "" {
			t.Errorf("%s for %s: %s, %q", c.key, c.image, e.Reason, e.Detail)
		}
		if matched := c.reason == ReasonMatch || c.reason == ReasonHub; matched != e.Matched || matched != (len(r.Match(i)) == 1) {
			t.Errorf("%s for %s: matched is %v, Match gives %d", c.key, c.image, e.Matched, len(r.Match(i)))
		}
		want := ""
		if x.Hint != nil {
			want = x.Hint.Want
		}
		if want != c.want {
			t.Errorf("%s for %s: the hint is %+v", c.key, c.image, x.Hint)
		}
	}
}

// TestOrder: keys in reverse lexicographic order over all secrets, one key in
// the order of the pod, then the node.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := New(
		Source{Name: "node", Node: true, Type: TypeDockerConfigJSON, Data: keys("", "reg.io/team/app").Data},
		keys("a", "reg.io", "*.io/team/app", "quay.io"),
		keys("b", "https://reg.io", "reg.io/team", "docker.io", "index.docker.io"),
	)
	var got []string
	for _, e := range r.Explain(image(t, "reg.io/team/app:v1")).Entries {
		got = append(got, fmt.Sprint(e.Order, e.Source, e.Key, e.Matched))
	}
	want := []string{
		"1 b reg.io/team true", "2 a reg.io true", "3 b https://reg.io true", "4 a quay.io false",
		"5 b index.docker.io false", "6 b docker.io false", "7 a *.io/team/app true", "8 node reg.io/team/app true",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " ", "")
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], " ", "")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"docker.io"}, users(r.Match(image(t, "nginx")))); d != "" {
		t.Error("docker.io hides index.docker.io", d)
	}
	if e := r.Explain(image(t, "nginx")).Entries[4]; e.Reason != ReasonHubHidden {
		t.Errorf("%+v", e)
	}
}

// TestHubOfTheNode: each of the two rings has its own turn for Docker Hub.
func TestHubOfTheNode(t *testing.T) {
	t.Parallel()
	node := keys("node", "index.docker.io")
	node.Node = true
	r := New(keys("s", "docker.io"), node)
	if d := cmp.Diff([]string{"docker.io", "index.docker.io"}, users(r.Match(image(t, "nginx")))); d != "" {
		t.Error(d)
	}
}

func TestUnstable(t *testing.T) {
	t.Parallel()
	entries := func(text string) []Entry { return New(secret("s", text)).Explain(image(t, "reg.io/app")).Entries }
	for text, want := range map[string]bool{
		`{"auths":{"reg.io":{"username":"a"},"https://reg.io":{"username":"b"}}}`: true,
		`{"auths":{"reg.io":{"username":"a"},"https://reg.io":{"username":"a"}}}`: false,
		`{"auths":{"reg.io":{"username":"a"},"reg.io/x":{"username":"b"}}}`:       false,
	} {
		for _, e := range entries(text) {
			if e.Unstable != want {
				t.Errorf("%s: %+v", text, e)
			}
		}
	}
	for _, e := range New(keys("a", "reg.io"), keys("b", "reg.io")).Explain(image(t, "reg.io/app")).Entries {
		if e.Unstable {
			t.Errorf("two secrets come in the pod's order: %+v", e)
		}
	}
}

// TestImageHint: an image without a registry is Docker Hub's.
func TestImageHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		image string
		keys  []string
		want  string
	}{
		{"team/app", []string{"reg.io"}, "reg.io/team/app"},
		{"team/app:v1", []string{"reg.io/team"}, "reg.io/team/app:v1"},
		{"team/app", []string{"reg.io", "quay.io"}, ""},
		{"team/app", []string{"reg.io", "http://reg.io/team"}, "reg.io/team/app"},
		{"registry/app", []string{"quay.io", "registry:5000"}, "registry:5000/app"},
		{"registry/app", []string{"registry"}, ""},
		{"docker.io/team/app", []string{"reg.io"}, ""},
		{"index.docker.io/team/app", []string{"reg.io"}, ""},
		{"team/app", []string{"*.reg.io", "reg.io/%25zz"}, ""},
		{"team/app", []string{"reg.io/other"}, ""},
	} {
		got := ""
		if h := New(keys("s", c.keys...)).Explain(image(t, c.image)).Hint; h != nil {
			got = h.Image
		}
		if got != c.want {
			t.Errorf("%s with %q: %q", c.image, c.keys, got)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want Error
	}{
		{`{"auths":{"reg.io":{"auth":"dTpw!cA="}}}`, Error{Key: "reg.io", Field: "auth", Offset: 4, Text: "illegal base64 data at input byte 4"}},
		{`{"auths":{"reg.io":{"auth":"dTpw-_"}}}`, Error{Key: "reg.io", Field: "auth", Offset: 4, Text: "illegal base64 data at input byte 4"}},
		{`{"auths":{"reg.io":{"auth":"dXNlcg=="}}}`, Error{Key: "reg.io", Field: "auth", Offset: -1, Text: errNoColon.Error()}},
		{`{"auths": {"reg.io": {"username":3}}}`, Error{Key: "reg.io", Field: "username", Offset: 34, Text: "json: cannot unmarshal number into Go struct field DockerConfigJSON.auths.username of type string"}},
		{`{"auths":{"reg.io":"x"}}`, Error{Key: "reg.io", Offset: 22, Text: "json: cannot unmarshal string into Go struct field DockerConfigJSON.auths of type credentialprovider.dockerConfigEntryWithAuth"}},
		{`{"auths":"x"}`, Error{Field: "auths", Offset: 12, Text: "json: cannot unmarshal string into Go struct field DockerConfigJSON.auths of type credentialprovider.DockerConfig"}},
		{`{"HttpHeaders":[]}`, Error{Field: "HttpHeaders", Offset: 16, Text: "json: cannot unmarshal array into Go struct field DockerConfigJSON.HttpHeaders of type map[string]string"}},
		{`[]`, Error{Offset: 1, Text: "json: cannot unmarshal array into Go value of type credentialprovider.DockerConfigJSON"}},
		{`eyJhdXRocyI6e319`, Error{Offset: 1, Text: "invalid character 'e' looking for beginning of value"}},
		{`{"auths":`, Error{Offset: 9, Text: "unexpected end of JSON input"}},
	} {
		r := New(secret("good", `{"auths":{"quay.io":{}}}`), secret("bad", c.text))
		c.want.Source = "bad"
		if len(r.Errors()) != 1 {
			t.Fatalf("%s: %v", c.text, r.Errors())
		}
		if d := cmp.Diff(c.want, *r.Errors()[0]); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
		if r.Err() == nil || r.Match(image(t, "quay.io/app")) != nil {
			t.Errorf("%s: the good secret is used", c.text)
		}
		if x := r.Explain(image(t, "quay.io/app")); x.Err == nil || !x.Entries[0].Matched || x.Matches != nil {
			t.Errorf("%s: %+v", c.text, x)
		}
	}
}

// TestAllErrors: the kubelet stops at the first, Errors go on; good entries
// beside bad ones are still explained.
func TestAllErrors(t *testing.T) {
	t.Parallel()
	r := New(
		secret("a", `{"HttpHeaders":3,"auths":{"x.io":{"auth":"!"},"y.io":{"username":"y"},"y.io":{"username":"yy"},"z.io":{"auth":[]}}}`),
		Source{Name: "b", Type: TypeDockercfg, Data: map[string][]byte{KeyDockercfg: []byte(`{"auths":{"auth":3}}`)}},
	)
	var got []string
	for _, e := range r.Errors() {
		got = append(got, e.Error())
	}
	want := []string{
		`a, entry "x.io", field auth: illegal base64 data at input byte 0`,
		`a, entry "z.io", field auth: json: cannot unmarshal array into Go struct field DockerConfigJSON.auths.auth of type string`,
		`a, field HttpHeaders: json: cannot unmarshal number into Go struct field DockerConfigJSON.HttpHeaders of type string`,
		`b, entry "auths", field auth: json: cannot unmarshal number into Go struct field dockerConfigEntryWithAuth.auth of type string`,
	}
	want[2] = strings.Replace(want[2], "of type string", "of type map[string]string", 1)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if e := r.Explain(image(t, "y.io/app")).Entries; len(e) != 1 || e[0].Username != "yy" {
		t.Errorf("%+v", e)
	}
}

func TestSkipped(t *testing.T) {
	t.Parallel()
	text := []byte(`{"auths":{"reg.io":{}}}`)
	r := New(
		Source{Name: "opaque", Type: "Opaque", Data: map[string][]byte{KeyDockerConfigJSON: text}},
		Source{Name: "typo", Type: "kubernetes.io/dockerconfig", Data: map[string][]byte{KeyDockerConfigJSON: text}},
		Source{Name: "key", Type: TypeDockerConfigJSON, Data: map[string][]byte{"config.json": text}},
		Source{Name: "old key", Type: TypeDockercfg, Data: map[string][]byte{KeyDockerConfigJSON: text}},
		Source{Name: "empty", Type: TypeDockerConfigJSON, Data: map[string][]byte{KeyDockerConfigJSON: {}}},
		Source{Name: "node", Type: TypeDockerConfigJSON, Data: map[string][]byte{KeyDockerConfigJSON: []byte("x")}, Node: true},
	)
	var got []string
	for _, s := range r.Skipped() {
		got = append(got, s.Source+": "+string(s.Reason))
		if s.Detail == "" {
			t.Errorf("%+v", s)
		}
	}
	want := []string{"opaque: wrong-type", "typo: wrong-type", "key: wrong-key", "old key: wrong-key", "empty: empty-value", "node: unreadable"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r.Err() != nil || len(r.Errors()) != 1 || !r.Errors()[0].Node {
		t.Errorf("%v %v", r.Err(), r.Errors())
	}
}

// TestNothingShowsThePassword, however it is printed, logged or encoded.
func TestNothingShowsThePassword(t *testing.T) {
	t.Parallel()
	const password = "pa55"
	r := New(keys("s", "reg.io"), secret("bad", `{"auths":{"x":{"username":3,"password":"pa55"},"y":{"auth":"cGE1NQ=="},"z":{"auth":"pa55pa55!"}}}`))
	good := New(keys("s", "reg.io"))
	i := image(t, "reg.io/app")
	creds := good.Match(i)
	if len(creds) != 1 || creds[0].Password != password {
		t.Fatal(creds)
	}
	var out strings.Builder
	for _, v := range []any{creds, creds[0], &creds[0], good.Explain(i), good, *good, keys("s", "reg.io"), map[string]any{"c": creds}, r.Err(), r.Errors(), r.Explain(i)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&out, verb, v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, form := range []string{password, fmt.Sprintf("%x", password), strings.Trim(fmt.Sprintf("%d", []byte(password)), "[]"), "cGE1NQ"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%s is in %s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), `"password":"redacted"`) {
		t.Error("JSON does not say that there is a password")
	}
}

func TestParseImage(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for name, want := range map[string]Image{
		"nginx":                          {Domain: "docker.io", Path: "library/nginx", Tag: "latest"},
		"index.docker.io/x":              {Domain: "docker.io", Path: "library/x", Tag: "latest"},
		"registry-1.docker.io/x:v1":      {Domain: "registry-1.docker.io", Path: "x", Tag: "v1"},
		"team/app@" + digest:             {Domain: "docker.io", Path: "team/app", Digest: digest},
		"reg.io:5000/a/b/c:v1@" + digest: {Domain: "reg.io:5000", Path: "a/b/c", Tag: "v1", Digest: digest},
		"localhost/app":                  {Domain: "localhost", Path: "app", Tag: "latest"},
		"HOST/app":                       {Domain: "HOST", Path: "app", Tag: "latest"},
		"a_b.c/d/e":                      {Domain: "a_b.c", Path: "d/e", Tag: "latest"},
		"[::1]:5000/app":                 {Domain: "[::1]:5000", Path: "app", Tag: "latest"},
	} {
		got, err := ParseImage(name)
		want.Name = name
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"":                       "the name is empty",
		"https://reg.io/app":     "leave the scheme out",
		"reg.io/Team/app":        "must be lowercase: write the name in lower case",
		"reg.io/team//app":       "slash too much",
		"reg.io./app":            "leave the dot at the end of the host out",
		"reg.io.:5000/app":       "leave the dot at the end of the host out",
		"bücher.example/app":     "begins with xn--",
		"reg.io/bücher":          "write REGISTRY/NAME:TAG",
		"reg.io/te am":           "white space",
		"reg.io/app:":            "write REGISTRY/NAME:TAG",
		"app@" + digest[:20]:     "invalid reference format",
		"app@" + digest[:60]:     "invalid checksum digest length: a digest is sha256:",
		strings.Repeat("0a", 32): "no name",
	} {
		if _, err := ParseImage(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzRing: nothing panics, and Match and Explain agree.
func FuzzRing(f *testing.F) {
	f.Add(`{"auths":{"reg.io":{"auth":"dTpw"},"*.io/te":{"username":"u"}}}`, "reg.io/team/app:v1", false)
	f.Add(`{"auths":{"https://index.docker.io/v1/":{},"docker.io":null}}`, "nginx", false)
	f.Add(`{"[::1]:5000/%25":{"auth":"!"},"a":[]}`, "[::1]:5000/app", true)
	f.Add(`{"auths":{"reg.io:*":{"auth":"dTp"}},"HttpHeaders":3}`, "reg.io/App", false)
	f.Fuzz(func(t *testing.T, text, name string, legacy bool) {
		s := secret("s", text)
		if legacy {
			s = Source{Name: "s", Type: TypeDockercfg, Data: map[string][]byte{KeyDockercfg: []byte(text)}}
		}
		i, err := ParseImage(name)
		if err != nil {
			i = Image{Domain: "reg.io", Path: "team/app"}
		}
		r := New(s)
		x := r.Explain(i)
		if d := cmp.Diff(r.Match(i), x.Matches); d != "" {
			t.Error(d)
		}
		if (r.Err() == nil) != (len(r.Errors()) == 0) {
			t.Errorf("%v, %v", r.Err(), r.Errors())
		}
		for _, e := range x.Entries {
			if e.Reason == "" || e.Detail == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}
