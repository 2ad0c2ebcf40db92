package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// cpus is how many there are, also when this process may use only one.
func cpus() int {
	if n, err := strconv.Atoi(os.Getenv(pinned)); err == nil {
		return n
	}
	return runtime.NumCPU()
}

// load is the load average of the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// machine says what the figures were taken on.
func machine(data string) string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(b) {
			if k, v, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel := "unknown"
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%d cores (%s), Linux %s, %s, data on %s", cpus(), model, kernel, runtime.Version(), fileSystem(data))
}

// Magic numbers of statfs(2).
const (
	extMagic   = 0xef53
	xfsMagic   = 0x58465342
	btrfsMagic = 0x9123683e
	tmpfsMagic = 0x01021994
)

func fileSystem(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "an unknown file system"
	}
	switch st.Type {
	case extMagic:
		return "ext4"
	case xfsMagic:
		return "xfs"
	case btrfsMagic:
		return "btrfs"
	case tmpfsMagic:
		return "tmpfs"
	}
	return fmt.Sprintf("file system %#x", st.Type)
}

// firstLine of what a program prints, for versions.
func firstLine(path string, args ...string) string {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil && len(out) == 0 { // wrk says its version and fails
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
