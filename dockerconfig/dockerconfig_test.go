package dockerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// TestKubectl: the bytes of kubectl create secret docker-registry.
func TestKubectl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		entry Entry
		want  string
	}{
		{Entry{Key: HubKey, Username: "u", Password: "p", Email: "e"}, `{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p","email":"e","auth":"dTpw"}}}`},
		{Entry{Key: "reg.io", Username: "u", Password: "p"}, `{"auths":{"reg.io":{"username":"u","password":"p","auth":"dTpw"}}}`},
		{Entry{Key: "reg.io/<&>", Username: "é", Password: "<&>\u2028\"\\\n"}, `{"auths":{"reg.io/\u003c\u0026\u003e":{"username":"é","password":"\u003c\u0026\u003e\u2028\"\\\n","auth":"w6k6PCY+4oCoIlwK"}}}`},
		{Entry{Key: "reg.io", Username: "robot$x", Password: "p:w"}, `{"auths":{"reg.io":{"username":"robot$x","password":"p:w","auth":"cm9ib3QkeDpwOnc="}}}`},
		{Entry{Key: "reg.io", Username: "u", Password: ""}, `{"auths":{"reg.io":{"username":"u","auth":"dTo="}}}`},
	} {
		var f File
		if err := f.Set(c.entry); err != nil {
			t.Fatal(err)
		}
		if got := string(f.Encode()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		back := parse(t, c.want)
		if e, ok := back.Entry(c.entry.Key); !ok || e != c.entry {
			t.Errorf("it comes back as %v", e)
		}
		if got := string(back.Encode()); got != c.want {
			t.Errorf("encoded again: %s", got)
		}
	}
}

// TestKeepsAll: what is not known stays, in its order; Set touches one entry.
func TestKeepsAll(t *testing.T) {
	t.Parallel()
	const text = "{\n\t\"psFormat\": \"table <x>\",\n\t\"auths\": {\n\t\t\"b.io\": {\"auth\": \"dTpw\", \"x\": [1, {}]},\n\t\t\"a.io\": {\"Username\": \"u\", \"note\": \"n\"},\n\t\t\"c.io\": null\n\t},\n\t\"HttpHeaders\": {\"A\": \"b\"},\n\t\"credsStore\": \"pass\",\n\t\"big\": 123456789012345678901234567890\n}"
	f := parse(t, text)
	if got, want := string(f.Encode()), `{"psFormat":"table <x>","auths":{"b.io":{"auth":"dTpw","x":[1,{}]},"a.io":{"Username":"u","note":"n"},"c.io":{}},"HttpHeaders":{"A":"b"},"credsStore":"pass","big":123456789012345678901234567890}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := f.Set(Entry{Key: "a.io", Username: "v", Password: "q"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(Entry{Key: "d.io", IdentityToken: "t"}); err != nil {
		t.Fatal(err)
	}
	if !f.Remove("b.io") || f.Remove("b.io") {
		t.Error("Remove does not say what it did")
	}
	want := `{
	"psFormat": "table <x>",
	"auths": {
		"a.io": {
			"username": "v",
			"password": "q",
			"auth": "djpx",
			"note": "n"
		},
		"c.io": {},
		"d.io": {
			"identitytoken": "t"
		}
	},
	"HttpHeaders": {
		"A": "b"
	},
	"credsStore": "pass",
	"big": 123456789012345678901234567890
}`
	if d := cmp.Diff(want, string(f.EncodeIndent())); d != "" {
		t.Error(d)
	}
	if got := string((&File{}).Encode()); got != `{"auths":{}}` {
		t.Errorf("an empty file is %s", got)
	}
	if got := string(parse(t, `{"a":1}`).Encode()); got != `{"auths":{},"a":1}` {
		t.Errorf("a file without auths is %s", got)
	}
}

// TestTwice: the last of a name counts, as in docker.
func TestTwice(t *testing.T) {
	t.Parallel()
	f := parse(t, `{"auths":{"a":{"auth":"dTpw"},"b":{}},"x":1,"Auths":{"a":{"username":"u2","AUTH":"djpx","auth":null}},"x":2}`)
	if got, want := string(f.Encode()), `{"auths":{"a":{"username":"u2","AUTH":"djpx","auth":null},"b":{}},"x":2}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e, _ := f.Entry("a"); e.Username != "v" || e.Password != "q" {
		t.Errorf("user %q", e.Username)
	}
}

func TestDockercfg(t *testing.T) {
	t.Parallel()
	const text = `{"https://reg.io/v1/":{"auth":"dTpw","email":"e"},"b":{}}`
	f, err := ParseDockercfg([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Encode()); got != text {
		t.Error(got)
	}
	if e, ok := f.Entry("https://reg.io/v1/"); !ok || e.Username != "u" || e.Email != "e" {
		t.Errorf("%v", e)
	}
	if found, ok := f.Containers("reg.io/team/app"); !ok || found.Entry.Username != "u" {
		t.Errorf("%v", found)
	}
	var e *Error
	if _, err := ParseDockercfg([]byte(`{"auths":{"reg.io":{}}}`)); !errors.As(err, &e) || e.Field != "auths" || e.Offset != 9 {
		t.Errorf("a config.json: %v", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want Error // Text: a part of it
	}{
		{"", Error{Offset: -1, Text: "it is empty"}},
		{" \n", Error{Offset: -1, Text: "it is empty"}},
		{"\x00\x01", Error{Offset: 1, Text: "no JSON"}},
		{"eyJhdXRocyI6e319", Error{Offset: 1, Text: "no JSON"}},
		{`{"auths":{}`, Error{Offset: 11, Text: "unexpected end"}},
		{"auths:\n\treg.io: x", Error{Offset: 1, Text: "no JSON"}},
		{"[]", Error{Offset: -1, Text: "no object"}},
		{`"x"`, Error{Offset: -1, Text: "no object"}},
		{"null", Error{Offset: -1, Text: "no object"}},
		{`{"auths":[]}`, Error{Field: "auths", Offset: 9, Text: "no object of entries"}},
		{`{"auths": {"reg.io": "x"}}`, Error{Key: "reg.io", Offset: 21, Text: "an entry is an object"}},
		{`{"auths":{"reg.io":{"username":3}}}`, Error{Key: "reg.io", Field: "username", Offset: 31, Text: "no text"}},
		{`{"auths":{"reg.io":{"auth":"dTpw!A=="}}}`, Error{Key: "reg.io", Field: "auth", Offset: 4, Text: "base64"}},
		{`{"auths":{"reg.io":{"auth":"dTpwcA"}}}`, Error{Key: "reg.io", Field: "auth", Offset: 4, Text: "padded"}},
		{`{"auths":{"reg.io":{"auth":"dXNlcg=="}}}`, Error{Key: "reg.io", Field: "auth", Offset: -1, Text: "without a colon"}},
		{`{"auths":{"reg.io":{"auth":"OnBhNTU="}}}`, Error{Key: "reg.io", Field: "auth", Offset: -1, Text: "empty user"}},
		{`{"credsStore":3}`, Error{Field: "credsStore", Offset: 14, Text: "no text"}},
		{`{"credHelpers":3}`, Error{Field: "credHelpers", Offset: 15, Text: "no object of helpers"}},
		{`{"credHelpers":{"reg.io":[]}}`, Error{Field: "credHelpers.reg.io", Offset: 25, Text: "a helper is a text"}},
		{`{"auths":{"` + strings.Repeat("a", MaxSize) + `":{}}}`, Error{Offset: -1, Text: "more than the 1048576"}},
	} {
		_, err := Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.60q: %v", c.text, err)
			continue
		}
		if e.Key != c.want.Key || e.Field != c.want.Field || e.Offset != c.want.Offset || !strings.Contains(e.Text, c.want.Text) {
			t.Errorf("%.60q: %+v", c.text, *e)
		}
		if !strings.Contains(err.Error(), c.want.Key) || !strings.Contains(err.Error(), c.want.Field) {
			t.Errorf("%.60q: %v does not say where", c.text, err)
		}
	}
	for _, e := range []Entry{{Username: "u"}, {Key: "k", Username: "a:b", Password: "p"}, {Key: "k", Password: "p"}} {
		var f File
		if err := f.Set(e); err == nil || len(f.Entries()) != 0 {
			t.Errorf("%v is set", e)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	ours := parse(t, `{"auths":{"a":{"auth":"dTpw"},"b":{"auth":"dTpw"}},"credsStore":"x"}`)
	theirs := parse(t, `{"auths":{"b":{"username":"u","password":"p"},"a":{"auth":"djpx"},"c":{"auth":"dTpw","x":1}},"credsStore":"y","other":1}`)
	conflicts := ours.Merge(theirs)
	if len(conflicts) != 1 || conflicts[0].Key != "a" || conflicts[0].Ours.Username != "u" || conflicts[0].Theirs.Username != "v" {
		t.Errorf("%v", conflicts)
	}
	if got, want := string(ours.Encode()), `{"auths":{"a":{"auth":"dTpw"},"b":{"auth":"dTpw"},"c":{"auth":"dTpw","x":1}},"credsStore":"x"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if again := ours.Merge(ours); len(again) != 0 {
		t.Errorf("with itself: %v", again)
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Kind{
		`{}`:                                    KindEmpty,
		`null`:                                  KindEmpty,
		`{"email":"e"}`:                         KindEmpty,
		`{"auth":"dTpw"}`:                       KindPassword,
		`{"username":"u","password":"p"}`:       KindPassword,
		`{"auth":"dTo=","identitytoken":"t"}`:   KindIdentity,
		`{"username":"<token>","password":"t"}`: KindIdentity,
		`{"auth":"dTpw","registrytoken":"t"}`:   KindRegistry,
	} {
		if got := parse(t, `{"auths":{"k":`+text+`}}`).Entries()[0].Kind(); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestDocker(t *testing.T) {
	t.Parallel()
	const auth = `{"auth":"dTpw"}`
	for _, c := range []struct {
		file, host string
		want       string // key or helper; empty: nothing
		unstable   bool
	}{
		{`{"auths":{"reg.io":` + auth + `}}`, "reg.io", "reg.io", false},
		{`{"auths":{"reg.io":` + auth + `}}`, "reg.io:443", "", false},
		{`{"auths":{"https://reg.io/v1/":` + auth + `}}`, "reg.io", "https://reg.io/v1/", false},
		{`{"auths":{"reg.io/team":` + auth + `}}`, "reg.io", "reg.io/team", false},
		{`{"auths":{"reg.io/team":` + auth + `,"http://reg.io":` + auth + `}}`, "reg.io", "reg.io/team", true},
		{`{"auths":{"reg.io/team":` + auth + `,"reg.io":` + auth + `}}`, "reg.io", "reg.io", false},
		{`{"auths":{"https://index.docker.io/v1/":` + auth + `}}`, "docker.io", HubKey, false},
		{`{"auths":{"https://index.docker.io/v1/":` + auth + `}}`, "index.docker.io", HubKey, false},
		{`{"auths":{"docker.io":` + auth + `}}`, "docker.io", "", false},
		{`{"auths":{"https://[::1]:5000/x":` + auth + `}}`, "[::1]:5000", "https://[::1]:5000/x", false},
		{`{"auths":{"http://::1:5000/x":` + auth + `}}`, "[::1]:5000", "http://::1:5000/x", false},
		{`{"auths":{"https://":` + auth + `}}`, "https:", "https://", false},
		{`{"auths":{"reg.io":{}},"credsStore":"pass"}`, "reg.io", "helper pass for reg.io", false},
		{`{"credsStore":"pass","credHelpers":{"reg.io":"gcr"}}`, "reg.io", "helper gcr for reg.io", false},
		{`{"credsStore":"pass","credHelpers":{"reg.io":"gcr"}}`, "reg.io:443", "helper pass for reg.io:443", false},
		{`{"credHelpers":{"docker.io":"gcr"}}`, "docker.io", "", false},
		{`{"credHelpers":{"https://index.docker.io/v1/":"gcr"}}`, "docker.io", "helper gcr for " + HubKey, false},
		{`{"auths":{"reg.io":` + auth + `},"credsStore":"pass","credHelpers":{"reg.io":""}}`, "reg.io", "reg.io", false},
	} {
		found, ok := parse(t, c.file).Docker(c.host)
		got := found.Entry.Key
		if found.Helper != "" {
			got = "helper " + found.Helper + " for " + found.Server
		}
		if got != c.want || ok != (c.want != "") || found.Unstable != c.unstable {
			t.Errorf("%s in %s: %q, %v, unstable %v", c.host, c.file, got, ok, found.Unstable)
		}
	}
}

func TestContainers(t *testing.T) {
	t.Parallel()
	const auth = `{"auth":"dTpw"}`
	for _, c := range []struct {
		file, repository string
		want             string
	}{
		{`{"auths":{"quay.io":` + auth + `,"quay.io/team":` + auth + `,"quay.io/team/app":` + auth + `}}`, "quay.io/team/app", "quay.io/team/app"},
		{`{"auths":{"quay.io":` + auth + `,"quay.io/team":` + auth + `}}`, "quay.io/team/app", "quay.io/team"},
		{`{"auths":{"quay.io":` + auth + `,"quay.io/te":` + auth + `}}`, "quay.io/team/app", "quay.io"},
		{`{"auths":{"quay.io/team/":` + auth + `}}`, "quay.io/team/app", ""},
		{`{"auths":{"*.io":` + auth + `}}`, "quay.io/team/app", ""},
		{`{"auths":{"https://quay.io/v1/":` + auth + `}}`, "quay.io/team/app", "https://quay.io/v1/"},
		{`{"auths":{"https://index.docker.io/v1/":` + auth + `}}`, "docker.io/library/nginx", HubKey},
		{`{"auths":{"registry-1.docker.io":` + auth + `}}`, "docker.io/library/nginx", "registry-1.docker.io"},
		{`{"auths":{"index.docker.io/x":` + auth + `}}`, "docker.io/library/nginx", ""},
		{`{"credsStore":"pass"}`, "quay.io/team/app", ""},
		{`{"auths":{"quay.io/team":` + auth + `},"credHelpers":{"quay.io":"gcr"}}`, "quay.io/team/app", "helper gcr for quay.io"},
		{`{"auths":{"quay.io":` + auth + `}}`, "quay.io/team/app:v1", ""},
		{`{"auths":{"quay.io":` + auth + `}}`, "https://quay.io/team/app", ""},
	} {
		found, ok := parse(t, c.file).Containers(c.repository)
		got := found.Entry.Key
		if found.Helper != "" {
			got = "helper " + found.Helper + " for " + found.Server
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s in %s: %q, %v", c.repository, c.file, got, ok)
		}
	}
	found, ok := parse(t, `{"auths":{"quay.io":{"username":"u","password":"p","identitytoken":"t"}}}`).Containers("quay.io/team/app")
	if !ok || found.Entry.Username != "" || found.Entry.Password != "" || found.Entry.IdentityToken != "t" {
		t.Errorf("a user beside auth is read: %+v, %v", found, ok)
	}
}

// TestNothingShowsASecret, however it is printed, logged or encoded.
func TestNothingShowsASecret(t *testing.T) {
	t.Parallel()
	f := parse(t, `{"auths":{"a":{"username":"u","password":"pa55"},"b":{"identitytoken":"1dent1ty"},"c":{"registrytoken":"reg1stry"},"d":{"auth":"dTpwYTU1"}}}`)
	other := parse(t, `{"auths":{"a":{"username":"u","password":"other-pa55"}}}`)
	conflicts := f.Merge(other)
	if len(conflicts) != 1 {
		t.Fatal(conflicts)
	}
	found, _ := f.Docker("a")
	_, err := Parse([]byte(`{"auths":{"a":{"password":"pa55","auth":"cGE1NQ=="}}}`))
	_, err2 := Parse([]byte(`{"auths":{"a":{"auth":"pa55pa55!"}}}`))
	set := (&File{}).Set(Entry{Key: "k", Username: "pa55:x", Password: "pa55"})
	var out bytes.Buffer
	for _, v := range []any{f, *f, f.Entries(), f.Entries()[0], &f.Entries()[0], conflicts, conflicts[0], found, err, err2, set, map[string]any{"f": *f}} {
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
	for _, secret := range []string{"pa55", "1dent1ty", "reg1stry", "dTpwYTU1", "cGE1NQ"} {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("%s is in %s", form, out.String())
			}
		}
	}
	if !strings.Contains(out.String(), `"password":"redacted"`) {
		t.Error("JSON does not say that there is a password")
	}
}

// FuzzParse: nothing panics; what was read is written, and read alike.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p","email":"e","auth":"dTpw"}}}`,
		`{"auths":{"a":null,"A":{"auth":"dTpwcA=="}},"Auths":{},"credHelpers":{"reg.io":"x"},"credsStore":"y","n":1e400}`,
		`{"reg.io":{"auth":"dTpw","x":[{}]}}`, "{\"\\ud800\":{}}", `{"auths":{"a":{"identitytoken":"\u003c"}}}`, "", "[]",
	} {
		f.Add([]byte(text), "reg.io/team/app")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		for _, read := range []func([]byte) (*File, error){Parse, ParseDockercfg} {
			file, err := read(data)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("%T", err)
				}
				continue
			}
			for _, written := range [][]byte{file.Encode(), file.EncodeIndent()} {
				back, err := read(written)
				if err != nil && len(written) <= MaxSize {
					t.Fatalf("%q does not read what it wrote: %v", written, err)
				}
				if err == nil && !bytes.Equal(back.Encode(), file.Encode()) {
					t.Fatalf("%q became %q", file.Encode(), back.Encode())
				}
			}
			file.Docker(name)
			file.Containers(name)
			for _, e := range file.Entries() {
				if e.check() == nil {
					if err := file.Set(e); err != nil {
						t.Fatal(err)
					}
				}
				if got, ok := file.Entry(e.Key); !ok || got != e {
					t.Fatalf("%q is not what was set", e.Key)
				}
			}
		}
	})
}
