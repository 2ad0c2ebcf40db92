package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/serve"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fairlead": program, "kubectl-fairlead": program, "docker-credential-fairlead": program,
		"stubborn": stubborn,

		"docker": fakeClient, "podman": fakeClient, "docker-credential-fake": fakeHelper,
	})
}

func program() {
	os.Exit(Run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

func TestScripts(t *testing.T) {
	t.Parallel()
	c := &controls{by: map[string]*admintest.Recorder{}}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			plainWorld(e)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"control": c.start,
			"asked":   c.asked,
			"exit":    exitCode,
		},
	})
}

// exitCode is "exit N PROGRAM ARGUMENT...": testscript tells only success
// from failure.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// walk calls visit for every command.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// TestEveryCommandIsDescribed walks the command tree.
func TestEveryCommandIsDescribed(t *testing.T) {
	t.Parallel()
	n := 0
	walk(newRoot(env{}), func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		n++
		switch {
		case c.Short == "" || strings.HasSuffix(c.Short, "."):
			t.Errorf("%s: Short is one line without a full stop, got %q", c.CommandPath(), c.Short)
		case c.Example == "":
			t.Errorf("%s has no Example", c.CommandPath())
		case !strings.Contains(c.Example, c.CommandPath()):
			t.Errorf("%s: its Example does not call it:\n%s", c.CommandPath(), c.Example)
		case c.Args == nil:
			t.Errorf("%s does not check its arguments", c.CommandPath())
		case c.RunE == nil || c.Run != nil:
			t.Errorf("%s must have RunE, so that its errors are ended in one place", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no usage", c.CommandPath(), f.Name)
			}
		})
	})
	if n < 8 {
		t.Errorf("only %d commands were visited", n)
	}
}

// TestDefaultsAreConstant: setting every flag of one command line leaves no
// trace in the next, and no default depends on the machine.
func TestDefaultsAreConstant(t *testing.T) {
	defaults := func() map[string]string {
		out := map[string]string{}
		walk(newRoot(env{}), func(c *cobra.Command) {
			c.Flags().VisitAll(func(f *pflag.Flag) { out[c.CommandPath()+" --"+f.Name] = f.DefValue + "|" + f.Value.String() })
		})
		return out
	}
	before := defaults()
	walk(newRoot(env{}), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, v := range []string{"true", "7", "x"} {
				_ = f.Value.Set(v)
			}
		})
	})
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("FAIRLEAD_LISTEN", ":1")
	for name, v := range defaults() {
		if before[name] != v {
			t.Errorf("%s: the default was %q and is %q", name, before[name], v)
		}
	}
	for _, s := range config.Settings() {
		if got, want := before["fairlead serve --"+s.Key], s.Default+"|"+s.Default; got != want {
			t.Errorf("serve --%s: default %q, want %q", s.Key, got, want)
		}
	}
}

// TestServeIsGivenTheConfiguration: what the command line says is what runs.
func TestServeIsGivenTheConfiguration(t *testing.T) {
	t.Parallel()
	var got serve.Options
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"serve", "--listen", "127.0.0.1:0", "--public-url", "https://a.example", "--public-url=https://b.example"}, env{
		stdout: &out, stderr: &errs, environ: []string{"FAIRLEAD_DATA=elsewhere"},
		serve: func(_ context.Context, o serve.Options) error { got = o; return nil },
	})
	c := got.Config
	if code != exitDone || c.Listen != "127.0.0.1:0" || c.Data != "elsewhere" || len(c.PublicURL) != 2 || got.Interactive || got.Version == "" || got.Commit == "" {
		t.Errorf("exit %d with %+v; %s", code, got, &errs)
	}
}

func TestServeFailureHasAHint(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	code := run(t.Context(), []string{"serve"}, env{
		stderr: &errs,
		serve:  func(context.Context, serve.Options) error { return errors.New("the data folder is in use") },
	})
	if code != exitFailed || !strings.Contains(errs.String(), "the data folder is in use") || !strings.Contains(errs.String(), "Next: fairlead ") {
		t.Errorf("exit %d: %s", code, &errs)
	}
	errs.Reset()
	run(t.Context(), []string{"serve"}, env{
		stderr: &errs,
		serve: func(context.Context, serve.Options) error {
			return fmt.Errorf("wrapped: %w", &hintError{errors.New("in use"), "fairlead serve --data OTHER"})
		},
	})
	if !strings.Contains(errs.String(), "Next: fairlead serve --data OTHER\n") {
		t.Errorf("the error knew better: %s", &errs)
	}
}

// plainWorld is the same everywhere: times are printed for people, and under
// the race detector each of a thousand runs would wait a second at its end.
func plainWorld(e *testscript.Env) {
	e.Setenv("TZ", "UTC")
	e.Setenv("GORACE", "atexit_sleep_ms=0")
}
