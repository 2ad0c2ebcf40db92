// Package fault runs a real fairlead on a disk that fails: that loses its
// power, refuses to read or write, or is full. The disk is the package layer.
package fault

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fairlead.dev/fairlead/test/fault/layer"
)

// binary is the program under test: written by build before any test runs.
var binary string

func TestMain(m *testing.M) {
	if err := layer.Exec(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	layer.Tidy()
	os.Exit(build(m))
}

// build makes the binary, runs the tests and gives their exit code.
// FAIRLEAD_BINARY names a program that was built already.
func build(m *testing.M) int {
	if binary = os.Getenv("FAIRLEAD_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "fairlead-fault-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binary:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "fairlead")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "./cmd/fairlead")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building fairlead:", err)
		return 1
	}
	return m.Run()
}

// needLayer skips the test where no disk can be mounted, unless
// FAIRLEAD_REQUIRE_FUSE=1 says that it must be possible.
func needLayer(t *testing.T) {
	t.Helper()
	err := layer.Usable()
	switch {
	case err == nil:
	case os.Getenv("FAIRLEAD_REQUIRE_FUSE") == "1":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
