// Package arch holds no code: its tests are the walls of the house. They read
// the import graph and the sources and fail when a package reaches for what it
// must not know. CONTRIBUTING.md explains the floors.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "fairlead.dev/fairlead"

// pkg is one package of the module; paths inside of the module are shortened
// to what follows its name, such as "internal/oci".
type pkg struct {
	path    string
	dir     string
	files   []string // non-test Go files
	imports []string // direct, by non-test code
	deps    []string // transitive, by non-test code
}

// graph asks the Go command for every package of the module.
func graph(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-json=ImportPath,Dir,GoFiles,Imports,Deps", module+"/...")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &errs)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir        string
			GoFiles, Imports, Deps []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg{
			path: short(p.ImportPath), dir: p.Dir, files: p.GoFiles,
			imports: shorten(p.Imports), deps: shorten(p.Deps),
		})
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list names only %d packages", len(pkgs))
	}
	return pkgs
}

func short(path string) string { return strings.TrimPrefix(path, module+"/") }

func shorten(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = short(p)
	}
	return out
}

// under says whether path is root or lies below it.
func under(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

func underAny(path string, roots []string) bool {
	for _, r := range roots {
		if under(path, r) {
			return true
		}
	}
	return false
}
