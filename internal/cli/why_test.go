package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/diagnosis/diagnosistest"
)

var updateScreens = flag.Bool("update", false, "write the golden screens anew")

// TestWhyScreens: every cause has its screen, as people see it.
func TestWhyScreens(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, r := range diagnosistest.Rows() {
		fmt.Fprintf(&b, "=== %s\n", r.Name)
		whyScreen(&b, diagnosis.Diagnose(r.Evidence))
	}
	const golden = "testdata/why.golden"
	if *updateScreens {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the screens differ (go test ./internal/cli -run Screens -update writes them):\n%s", diff)
	}
}

// TestWhyDocs: the documentation has every cause.
func TestWhyDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/why.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range diagnosis.Causes() {
		if !bytes.Contains(text, []byte("`"+c+"`")) {
			t.Errorf("docs/why.md does not explain %s", c)
		}
	}
}

// TestFixesCanBePasted: every command of ours that a verdict proposes is one
// that there is, with flags and arguments that it takes.
func TestFixesCanBePasted(t *testing.T) {
	t.Parallel()
	n := 0
	for _, r := range diagnosistest.Rows() {
		for _, v := range diagnosis.Diagnose(r.Evidence).Verdicts {
			for _, s := range v.Fix {
				for _, line := range s.Run {
					line, _, _ = strings.Cut(line, " | ")
					line, _, _ = strings.Cut(line, " && ")
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
					if err != nil {
						t.Errorf("%s: %q: %v", r.Name, line, err)
					}
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d commands were looked at", n)
	}
}
