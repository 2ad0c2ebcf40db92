package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// clock are the names of package time that read a clock or wait for one.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// TestPureRoomsHaveNoClock: time comes in as an argument.
func TestPureRoomsHaveNoClock(t *testing.T) {
	t.Parallel()
	files := 0
	for _, p := range graph(t) {
		if !underAny(p.path, pure) || suite(p.path) {
			continue
		}
		for _, f := range p.files {
			files++
			for _, use := range clockUses(t, filepath.Join(p.dir, f), nil) {
				t.Errorf("%s: %s: pure code is given the time", p.path, use)
			}
		}
	}
	if files == 0 {
		t.Error("no pure room was looked at")
	}
}

func TestTheClockIsFound(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]int{
		"package x\nimport \"time\"\nvar a = time.Now()":                              1,
		"package x\nimport clock \"time\"\nvar a, b = clock.Since, clock.Until":       2,
		"package x\nimport \"time\"\nvar a = time.Second\nfunc f(time.Time) {}":       0,
		"package x\ntype t struct{ Now int }\nfunc f(time t) int { return time.Now }": 0,
	} {
		if got := clockUses(t, "x.go", src); len(got) != want {
			t.Errorf("found %q in\n%s", got, src)
		}
	}
}

func clockUses(t *testing.T, name string, src any) []string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	local := ""
	for _, i := range file.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == "time" {
			local = "time"
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && local != "" && x.Name == local && slices.Contains(clock, s.Sel.Name) {
			out = append(out, fset.Position(s.Pos()).String()+": "+x.Name+"."+s.Sel.Name)
		}
		return true
	})
	return out
}
