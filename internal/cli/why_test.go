package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
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
