package arch

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// requirement is one line of a table in docs/requirements.md.
type requirement struct {
	name, text, status, proof string
}

// TestRequirements: what docs/requirements.md calls done names tests that
// exist, and no requirement is missing.
func TestRequirements(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(filepath.Join(root, "docs", "requirements.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := requirements(string(body))
	for _, v := range unproven(rows, testNames(t, root)) {
		t.Error(v)
	}
	for _, n := range missing(rows, 110) {
		t.Errorf("S%d is in no line", n)
	}
}

var (
	cell     = regexp.MustCompile(`\s*\|\s*`)
	span     = regexp.MustCompile(`S(\d+)(?:–S(\d+))?`)
	proof    = regexp.MustCompile("`([^`]+)`")
	testFunc = regexp.MustCompile(`^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

func requirements(doc string) []requirement {
	var rows []requirement
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		cells := cell.Split(strings.Trim(line, "| "), -1)
		if !strings.HasPrefix(line, "|") || len(cells) < 3 || cells[0] == "line" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		r := requirement{name: cells[0], text: cells[1], status: cells[2]}
		if len(cells) > 3 {
			r.proof = cells[3]
		}
		rows = append(rows, r)
	}
	return rows
}

// unproven says which rows claim what no test shows.
func unproven(rows []requirement, exists map[string]bool) []string {
	var out []string
	for _, r := range rows {
		names := proof.FindAllStringSubmatch(r.proof, -1)
		for _, n := range names {
			if !exists[n[1]] {
				out = append(out, fmt.Sprintf("%s names the test %s, which does not exist", r.name, n[1]))
			}
		}
		switch {
		case r.status != "done" && r.status != "partly" && r.status != "planned":
			out = append(out, fmt.Sprintf("%s: the status %q is none of done, partly, planned", r.name, r.status))
		case r.status != "planned" && len(names) == 0:
			out = append(out, fmt.Sprintf("%s is called %s and names no test", r.name, r.status))
		}
	}
	return out
}

// missing gives the numbers up to most that no row covers.
func missing(rows []requirement, most int) []int {
	covered := map[int]bool{}
	for _, r := range rows {
		for _, m := range span.FindAllStringSubmatch(r.name, -1) {
			from, _ := strconv.Atoi(m[1]) // the pattern lets only digits through
			to := from
			if m[2] != "" {
				to, _ = strconv.Atoi(m[2])
			}
			for n := from; n <= to; n++ {
				covered[n] = true
			}
		}
	}
	var out []int
	for n := 1; n <= most; n++ {
		if !covered[n] {
			out = append(out, n)
		}
	}
	return out
}

// testNames finds the test functions and the scripts of the whole tree.
func testNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			names[d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			return scan(path, names)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func scan(path string, names map[string]bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if m := testFunc.FindStringSubmatch(s.Text()); m != nil {
			names[m[1]] = true
		}
	}
	return s.Err()
}

// TestRequirementsAreChecked: the checker finds what is wrong.
func TestRequirementsAreChecked(t *testing.T) {
	t.Parallel()
	rows := requirements("| line | what | status | tests |\n|---|---|---|---|\n" +
		"| S1–S3, S5 | a | done | `TestA`, `a.txtar` |\n| S4 | b | done | `TestGone` |\n| S6 | c | done | |\n| S7 | d | soon | |\n| S8 | e | planned | |\n")
	got := unproven(rows, map[string]bool{"TestA": true, "a.txtar": true})
	want := []string{"S4 names the test TestGone", "S6 is called done and names no test", `S7: the status "soon"`}
	if len(rows) != 5 || len(got) != len(want) {
		t.Fatalf("%d rows, reported %q", len(rows), got)
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) {
			t.Errorf("reported %q, want %q", got[i], w)
		}
	}
	if m := missing(rows, 9); len(m) != 1 || m[0] != 9 {
		t.Errorf("missing %v, want 9", m)
	}
	if names := testNames(t, "."); !names["TestRequirementsAreChecked"] {
		t.Error("the scan does not find this test")
	}
}
