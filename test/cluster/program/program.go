// Package program builds the Kubernetes of the tests, once for all of them.
package program

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Version of Kubernetes, as its programs say it.
const Version = "v1.36.3"

// name of the program, and how its folders in the cache begin.
const name = "kubernetes"

// packages of the module, each of which becomes a program: kubernetes, kubectl.
var packages = []string{".", "./kubectl"}

// keep is how long a build that nobody uses stays.
const keep = 14 * 24 * time.Hour

var (
	flags = []string{"-trimpath", "-p", "2", "-ldflags=" + strings.Join([]string{
		"-s", "-w",
		"-X k8s.io/component-base/version.gitVersion=" + Version,
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=36",
	}, " ")}
	environment = []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off"}
)

// Path gives a folder with the programs kubernetes and kubectl, building them
// from the module in dir unless the user's cache has that build already. Whoever comes while it is being built
// waits for it. log learns of a build before it begins.
func Path(ctx context.Context, dir string, log io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := key(ctx, dir)
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(cache, name+"-"+key)
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		return path, os.Chtimes(path, now, now)
	}
	if err := build(ctx, dir, path, log); err != nil {
		return "", err
	}
	return path, forget(cache)
}

func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a place for built programs: %w", err)
	}
	cache = filepath.Join(cache, "fairlead-test")
	return cache, os.MkdirAll(cache, 0o755)
}

func build(ctx context.Context, dir, path string, log io.Writer) error {
	fmt.Fprintf(log, "building Kubernetes %s for the tests: 5 to 15 minutes the first time, then it is kept in %s\n", Version, filepath.Dir(path))
	next := path + ".next"
	begun := time.Now()
	if err := os.MkdirAll(next, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", next}, flags, packages)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building Kubernetes in %s: %w", dir, err)
	}
	fmt.Fprintf(log, "built Kubernetes in %s\n", time.Since(begun).Round(time.Second))
	return os.Rename(next, path)
}

// key changes with everything that the program is made of.
func key(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir = dir
	version, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking for Go's version: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s %q %q\n", version, runtime.GOOS, runtime.GOARCH, flags, environment)
	for _, p := range packages {
		files, err := os.ReadDir(filepath.Join(dir, p))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), "go.") && !strings.HasSuffix(f.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, p, f.Name()))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s/%s %d\n%s", p, f.Name(), len(text), text)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// forget removes builds that were not used for long.
func forget(cache string) error {
	paths, err := filepath.Glob(filepath.Join(cache, name+"-*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || time.Since(info.ModTime()) < keep {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
