package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRenderIsRead: what YAML writes, Load reads back as the same value.
func TestRenderIsRead(t *testing.T) {
	t.Parallel()
	c, origins, err := Trace(Source{Flags: map[string][]string{
		"listen": {":443"}, "tls-cert": {"c: #1.pem"}, "tls-key": {"k"}, "public-url": {"https://a.example,https://b.example"},
		"trusted-proxies": {"10.0.0.0/8,::1"}, "max-blob-size": {"10GB"}, "token-lifetime": {"90s"}, "upload-expiry": {"36h"},
		"min-free-disk": {"12.5%"}, "log-level": {"warn"}, "operator-token-file": {"true"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []map[string]string{nil, origins} {
		body, err := c.YAML(o)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Load(Source{File: file})
		if err != nil {
			t.Fatalf("%v in\n%s", err, body)
		}
		if d := cmp.Diff(c, again, cmp.Comparer(func(a, b Network) bool { return a == b })); d != "" {
			t.Errorf("%s in\n%s", d, body)
		}
	}
}

// TestRenderRedacts uses a struct with secrets, because Config has none today.
func TestRenderRedacts(t *testing.T) {
	t.Parallel()
	type vault struct {
		Name   string   `yaml:"name"`
		Word   string   `yaml:"word" secret:"true"`
		Unset  string   `yaml:"unset" secret:"true"`
		Spares []Origin `yaml:"spares" secret:"true"`
		Length int      `yaml:"length" secret:"true" min:"1"`
	}
	body, err := render(reflect.ValueOf(vault{"door", "sesame", "", []Origin{{"https", "hidden.example"}}, 424242}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"sesame", "hidden", "424242"} {
		if strings.Contains(string(body), leak) {
			t.Errorf("%q is shown in\n%s", leak, body)
		}
	}
	if !strings.Contains(string(body), "name: door") || !strings.Contains(string(body), `unset: ""`) {
		t.Errorf("more than the secrets is hidden:\n%s", body)
	}

	// A problem with a secret does not show it either.
	l := newLoad(settingsOf(reflect.TypeFor[vault]()))
	l.give(l.byKey["length"], []string{"sesame"}, "flag --length")
	var v vault
	l.fill(reflect.ValueOf(&v))
	text := (&Error{l.problems}).Error()
	if len(l.problems) != 1 || strings.Contains(text, "sesame") || !strings.Contains(text, redacted) {
		t.Errorf("got %s", text)
	}
}
