package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/serve"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	// Not signed in, or refused: what else may be typed is another token's.
	exitRefused  = 3
	exitNotFound = 4
	// Something is in the way, or was changed meanwhile.
	exitConflict = 5
)

// env is the world as the commands see it.
type env struct {
	// program is what a person types; "" for fairlead.
	program string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	serve   func(context.Context, serve.Options) error
	rotate  func(file string) error
	upkeep  opener
	restore restorer
}

// Run runs one command line, which begins with the program's name, and gives
// the exit code. SIGINT and SIGTERM cancel the command; a second one ends the
// process. What the program does follows from its name: see programs.
func Run(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	ctx, stop := untilSignal(ctx)
	defer stop()
	name, args := nameOf(argv)
	return programs[name](ctx, args, env{
		stdin: stdin, stdout: stdout, stderr: stderr, environ: environ,
		serve: serve.Run, rotate: account.RotateOperator,
		upkeep: serverOr(offline(stderr)), restore: serve.Restore,
	})
}

func run(ctx context.Context, args []string, e env) int {
	root := newRoot(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var said *codeError
	if errors.As(err, &said) {
		return said.code
	}
	say := renamer(root, e.program)
	fmt.Fprintln(e.stderr, root.DisplayName()+": "+say(err.Error()))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(e.stderr, "Next: "+say(hint))
	}
	var usage *usageError
	if _, bad := config.AsError(err); bad || errors.As(err, &usage) {
		return exitUsage
	}
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitCodeOf(err)
}

func newRoot(e env) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "fairlead",
		Short: "Keep private container images, and say who may fetch them",
		Long: `Keep private container images, and say who may fetch them.

Commands talk to the server that --server or --context names; else the one in
FAIRLEAD_SERVER (its token is in the file FAIRLEAD_TOKEN_FILE); else the one
that runs on the folder --data; else that of the current login; else the one
that runs on the default data folder.

Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong,
3 not signed in or refused, 4 there is no such thing, 5 something is in the way
or was changed meanwhile.

The spellings of 2018 work, too: namespace-add, namespace-list, namespace-rm,
token-add, token-list, token-get, token-rm, image-list, image-inspect, image-rm.`,
		Example: `  fairlead serve
  fairlead login http://127.0.0.1:5000 --token-file fairlead-data/operator.token
  fairlead image list`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	},
		newLogin(e), newLogout(e), newWhoami(e), newContext(e), newAccount(e), newNamespace(e), newToken(e), newRepository(e),
		newImage(e), newTrash(e), newUsage(e), newAudit(e), newServe(e), newController(e), newKey(e), newSweep(e), newFsck(e), newBackup(e), newRestore(e),
		newCluster(e), newSecret(e), newKeyring(e), newWhy(e), newConfig(e), newOperatorToken(e), newVersion(e), newCompletion())
	root.AddCommand(spellings(e)...)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd.CommandPath()+" --help", "%w", err)
	})
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	rename(root, e.program)
	return root
}

// group makes a command of commands: alone it shows its help and fails.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(children...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := cmd.CommandPath() + " --help"
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = cmd.CommandPath() + " " + near[0]
		}
		return usagef(hint, "%q is no command of %s", args[0], cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		names := []string{}
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return usagef(cmd.CommandPath()+" --help", "%s needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
	return cmd
}

// noArgs refuses arguments that would be ignored.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd.CommandPath()+" --help", "%s takes no argument, but was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}
