package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// containerd 2, which Debian 12 has not.
const (
	containerdModule  = "github.com/containerd/containerd/v2"
	containerdVersion = "v2.4.2"
)

// Containerd gives a folder with containerd 2 and its shim, building them
// unless the user's cache has them.
func Containerd(ctx context.Context, log io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, "containerd.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, "containerd-"+containerdVersion)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(log, "building containerd %s for the tests\n", containerdVersion)
	begun := time.Now()
	next := dir + ".next"
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w",
		containerdModule+"/cmd/containerd@"+containerdVersion,
		containerdModule+"/cmd/containerd-shim-runc-v2@"+containerdVersion)
	cmd.Dir = string(filepath.Separator) // no module has a say
	cmd.Env = append(append(os.Environ(), environment...), "GOBIN="+next)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building containerd: %w", err)
	}
	fmt.Fprintf(log, "built containerd in %s\n", time.Since(begun).Round(time.Second))
	return dir, os.Rename(next, dir)
}
