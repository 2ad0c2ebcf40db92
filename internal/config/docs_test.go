package config_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/config"
)

var update = flag.Bool("update", false, "write the table of docs/configuration.md anew")

const page = "../../docs/configuration.md"

// TestEverySettingIsComplete: the tags are all a setting has.
func TestEverySettingIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if s.Key == "" || s.Usage == "" || seen[s.Key] || !regexp.MustCompile(`^[a-z][a-z-]*[a-z]$`).MatchString(s.Key) {
			t.Errorf("%+v: needs a unique kebab-case yaml tag and a usage", s)
		}
		seen[s.Key] = true
	}
}

// TestDocs compares the table in docs/configuration.md with the struct;
// "go test ./internal/config -run TestDocs -update" writes it.
func TestDocs(t *testing.T) {
	body, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
	before, rest, ok1 := strings.Cut(string(body), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost the marks around its table", page)
	}
	want := before + begin + table() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(body) != want {
		t.Errorf("%s is behind the struct: run go test ./internal/config -run TestDocs -update", page)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| key and flag | variable | default | kind | what it is |\n|---|---|---|---|---|\n")
	for _, s := range config.Settings() {
		limits := ""
		switch {
		case s.Min != "" && s.Max != "":
			limits = fmt.Sprintf(", %s to %s", s.Min, s.Max)
		case s.Min != "":
			limits = ", at least " + s.Min
		}
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s%s | %s |\n", s.Key, s.Env, value, s.Kind, limits, s.Usage)
	}
	return b.String()
}
