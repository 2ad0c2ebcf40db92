package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// toolLimit bounds one run of a foreign program.
const toolLimit = 4 * time.Minute

// Home is the world of a foreign program: its settings, credentials and
// scratch space, in folders that vanish with the test.
type Home struct {
	// Dir is the HOME of the programs.
	Dir string

	t       testing.TB
	env     []string
	secrets *secrets
}

// Home makes a world in which nothing is logged in to the server.
func (s *Server) Home(t testing.TB) *Home {
	t.Helper()
	dir := t.TempDir()
	h := &Home{Dir: dir, t: t, secrets: s.secrets}
	for _, sub := range []string{"tmp", "run", "docker", ".config/containers"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatalf("making a home: %v", err)
		}
	}
	// The machine's own policy and registries are not asked.
	h.Write(".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	h.Write("registries.conf", "unqualified-search-registries = []\n")
	h.Write("auth.json", "{}") // buildah wants the file to be there
	// podman's own defaults leave a lock in shared memory and one in /etc.
	h.Write("containers.conf", fmt.Sprintf("[engine]\nlock_type = \"file\"\n[network]\nnetwork_config_dir = %q\n", h.Path("networks")))
	h.Setenv("CONTAINERS_CONF", h.Path("containers.conf"))
	if os.Geteuid() == 0 {
		// As root, skopeo, podman and buildah keep what they know of blobs in
		// /var/lib; inside a user's namespace they keep it in the home.
		h.Setenv("_CONTAINERS_ROOTLESS_UID", "1000")
		h.Setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
	}
	// Nothing beyond this machine is asked: whoever tries finds no way out.
	h.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	h.Setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	h.Setenv("NO_PROXY", "127.0.0.0/8,localhost")
	h.Setenv("HOME", dir)
	h.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	h.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
	h.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, ".config"))
	h.Setenv("DOCKER_CONFIG", filepath.Join(dir, "docker"))
	h.Setenv("REGISTRY_AUTH_FILE", h.AuthFile())
	h.Setenv("CONTAINERS_REGISTRIES_CONF", filepath.Join(dir, "registries.conf"))
	return h
}

// Path of a file of this home.
func (h *Home) Path(name string) string { return filepath.Join(h.Dir, name) }

// DockerConfig is the credential file that docker, crane, cosign and helm share.
func (h *Home) DockerConfig() string { return h.Path("docker/config.json") }

// AuthFile is the credential file of skopeo, podman and buildah.
func (h *Home) AuthFile() string { return h.Path("auth.json") }

// Setenv sets a variable for the programs of this home.
func (h *Home) Setenv(key, value string) { h.env = append(h.env, key+"="+value) }

// Write makes a file of this home and gives its path.
func (h *Home) Write(name, content string) string {
	h.t.Helper()
	path := h.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatalf("writing %s: %v", name, err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatalf("writing %s: %v", name, err)
	}
	return path
}

// Read gives a file of this home.
func (h *Home) Read(name string) string {
	h.t.Helper()
	b, err := os.ReadFile(h.Path(name))
	if err != nil {
		h.t.Fatalf("reading what the client wrote: %v", err)
	}
	return string(b)
}

// Tool is a foreign program in its home.
type Tool struct {
	home *Home
	name string
	path string
	args []string
}

// Tool finds a program: among those that `make deps` installed, then in PATH.
// Without it the test is skipped; where every client must be there (CI=true
// or FAIRLEAD_REQUIRE_CLIENTS=1) it fails. args come first in every run.
func (h *Home) Tool(name string, args ...string) *Tool {
	h.t.Helper()
	path, err := Find(name)
	if err != nil {
		Unavailable(h.t, "%s is not installed (run make deps): %v", name, err)
	}
	return &Tool{home: h, name: name, path: path, args: args}
}

// Unavailable ends a test that this machine cannot run: it fails where
// everything must run, and is skipped elsewhere.
func Unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("FAIRLEAD_REQUIRE_CLIENTS") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Find gives the path of a program: of those that `make deps` installed first,
// then of those in PATH.
func Find(name string) (string, error) {
	dir, err := Root()
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath(filepath.Join(dir, "bin", "tools", name)); err == nil {
		return path, nil
	}
	return exec.LookPath(name)
}

// Run must succeed; it gives the standard output, space trimmed.
func (tool *Tool) Run(args ...string) string {
	tool.home.t.Helper()
	return tool.Input(nil, args...)
}

// Input is Run with a standard input.
func (tool *Tool) Input(stdin io.Reader, args ...string) string {
	tool.home.t.Helper()
	stdout, all, err := tool.run(stdin, args)
	if err != nil {
		tool.home.t.Fatalf("%s: %v\n%s", tool.line(args), err, tail(all, 8_000))
	}
	return stdout
}

// Pipe is Run with its standard output going to w.
func (tool *Tool) Pipe(w io.Writer, args ...string) {
	tool.home.t.Helper()
	cmd, cancel := tool.Command(args...)
	defer cancel()
	var complaint Record
	cmd.Stdout, cmd.Stderr = w, &complaint
	if err := cmd.Run(); err != nil {
		tool.home.t.Fatalf("%s: %v\n%s", tool.line(args), err, tail(complaint.String(), 8_000))
	}
}

// Fails must end with a failure of its own; it gives everything it said.
func (tool *Tool) Fails(stdin io.Reader, args ...string) string {
	tool.home.t.Helper()
	_, all, err := tool.run(stdin, args)
	var exit *exec.ExitError
	switch {
	case err == nil:
		tool.home.t.Fatalf("%s succeeded, it must fail\n%s", tool.line(args), tail(all, 8_000))
	case !errors.As(err, &exit) || !exit.Exited():
		tool.home.t.Fatalf("%s: %v, want an exit code\n%s", tool.line(args), err, tail(all, 8_000))
	}
	return all
}

// Try gives everything the program said, and whether it succeeded.
func (tool *Tool) Try(stdin io.Reader, args ...string) (said string, ok bool) {
	tool.home.t.Helper()
	_, all, err := tool.run(stdin, args)
	return all, err == nil
}

// Works tells whether the program succeeds.
func (tool *Tool) Works(args ...string) bool {
	_, _, err := tool.run(nil, args)
	return err == nil
}

// Home that the program lives in.
func (tool *Tool) Home() *Home { return tool.home }

var refusal = regexp.MustCompile(`(?i)\b(unauthorized|denied|authentication required|authorization failed|access forbidden|no basic auth credentials|40[13])\b`)

// Refused must fail because the server did not let it in, and say so.
func (tool *Tool) Refused(args ...string) string {
	tool.home.t.Helper()
	said := tool.Fails(nil, args...)
	if !refusal.MatchString(said) {
		tool.home.t.Fatalf("%s failed, but not because it was refused:\n%s", tool.line(args), tail(said, 8_000))
	}
	return said
}

// Command is the program ready to start, killed with all its children when
// its time is over or cancel is called.
func (tool *Tool) Command(args ...string) (*exec.Cmd, context.CancelFunc) {
	h := tool.home
	h.t.Helper()
	// Not the context of the test: that ends before its daemons are stopped.
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	cmd := exec.CommandContext(ctx, tool.path, slices.Concat(tool.args, args)...)
	cmd.Dir = h.Dir
	cmd.Env = append(clean(os.Environ()), h.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if h.secrets.in(strings.Join(slices.Concat(cmd.Args, cmd.Env), "\n")) {
		h.t.Fatalf("%s would get a secret on its command line or in its environment", tool.name)
	}
	return cmd, cancel
}

func (tool *Tool) run(stdin io.Reader, args []string) (stdout, all string, err error) {
	tool.home.t.Helper()
	cmd, cancel := tool.Command(args...)
	defer cancel()
	var out bytes.Buffer
	var both Record
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, io.MultiWriter(&out, &both), &both
	err = cmd.Run()
	return strings.TrimSpace(out.String()), both.String(), err
}

func (tool *Tool) line(args []string) string {
	return tool.name + " " + strings.Join(args, " ")
}

// clean drops what would change the clients' behaviour behind our back.
func clean(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		for _, prefix := range []string{"DOCKER_", "HELM_", "COSIGN_", "CONTAINER", "REGISTRY_", "REGCTL_", "XDG_", "FAIRLEAD_", "BUILDAH_", "_CONTAINERS", "SSL_CERT_"} {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
		return strings.HasSuffix(key, "_PROXY") || key == "HOME" || key == "TMPDIR"
	})
}

// Record is what programs say: several may write to it, and it may be read
// meanwhile.
type Record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *Record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *Record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
