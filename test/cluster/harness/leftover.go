package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// A cluster's folder and its control groups have one name. While the cluster
// lives, its folder is locked: what a killed test left is what nobody locks.

const prefix = "fairlead-cluster-"

// place is where the folders are: not TMPDIR, so that every test knows those
// of all others.
const place = "/tmp"

const cgroups = "/sys/fs/cgroup"

// claim makes a folder for a cluster. It is short, for the sockets in it.
func claim() (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp(place, fmt.Sprintf("%s%d-", prefix, os.Getpid())); err != nil {
		return "", nil, err
	}
	if lock, err = flock(dir); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

func flock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return f, nil
}

// sweep removes the folders and control groups of clusters that were killed;
// their processes and mounts are gone already.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(place, prefix+"*"))
	if err != nil {
		return err
	}
	var groups []string
	if os.Geteuid() == 0 {
		if groups, err = groupsCalled(prefix + "*"); err != nil {
			return err
		}
	}
	var names []string
	for _, path := range slices.Concat(dirs, groups) {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)
	var errs []error
	for _, name := range slices.Compact(names) {
		dir := filepath.Join(place, name)
		lock, err := flock(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // it lives, or is somebody else's
		}
		errs = append(errs, removeCgroup(name), os.RemoveAll(dir))
		if lock != nil {
			errs = append(errs, lock.Close())
		}
	}
	return errors.Join(errs...)
}

// groupsCalled are the control groups at the top with such a name.
func groupsCalled(pattern string) ([]string, error) {
	roots, err := hierarchies()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var groups []string
	for _, root := range roots {
		found, globErr := filepath.Glob(filepath.Join(root, pattern))
		groups, err = append(groups, found...), errors.Join(err, globErr)
	}
	return groups, err
}

// hierarchies are the roots of control groups: one, or one for each controller.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}, nil
	}
	entries, err := os.ReadDir(cgroups)
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, e := range entries {
		dir := filepath.Join(cgroups, e.Name())
		// Some names are links to a hierarchy of several controllers.
		if e.IsDir() {
			roots = append(roots, dir)
		}
	}
	return roots, nil
}

func makeCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a group with all below it, as soon as the kernel has
// forgotten the last process in it.
func removeCgroup(name string) error {
	roots, err := hierarchies()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return await("control groups "+name+" are empty", stopLimit, func() error {
		var errs []error
		for _, root := range roots {
			errs = append(errs, removeGroups(filepath.Join(root, name)))
		}
		return errors.Join(errs...)
	})
}

func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
