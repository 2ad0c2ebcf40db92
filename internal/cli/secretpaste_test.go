package cli

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// words splits a line as a shell does, as far as pullsecret.Quote quotes.
func words(line string) []string {
	var out []string
	word, quoted, begun := "", false, false
	for _, c := range line {
		switch {
		case c == '\'':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				out = append(out, word)
			}
			word, begun = "", false
		default:
			word += string(c)
			begun = true
		}
	}
	return append(out, word)
}

// TestCommandsCanBePasted: every command that a finding proposes is one that
// there is, with flags and arguments that it takes.
func TestCommandsCanBePasted(t *testing.T) {
	t.Parallel()
	n := 0
	for _, bare := range []bool{false, true} {
		for _, file := range []string{"", "a b.yaml"} {
			for _, s := range append(spoilt(),
				pullSecret("", "odd name", `{"auths":{"reg.example.com/a b":{},"b.io":{}}}`), pullSecret("shop", "a", `{"credsStore":"pass"}`),
				pullSecret("shop", "a", `{"auths":{"h.io":{"username":"robot","password":"x"}}}`), pullSecret("shop", "a", "[]")) {
				s.Position.File = file
				for _, f := range pullsecret.Check(s, pullsecret.Options{Bare: bare, Token: damaged}) {
					for _, line := range f.Commands {
						args := words(line)
						if args[0] != "fairlead" {
							continue
						}
						n++
						cmd, rest, err := newRoot(env{}).Find(args[1:])
						if err == nil {
							err = cmd.ParseFlags(rest)
						}
						if err == nil {
							err = cmd.ValidateArgs(cmd.Flags().Args())
						}
						if err != nil || !strings.HasPrefix(cmd.CommandPath(), "fairlead secret") {
							t.Errorf("%s: %q: %v", f.Rule, line, err)
						}
					}
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d commands were looked at", n)
	}
}
