package cli

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const (
	programFairlead = "fairlead"
	// programPlugin is what kubectl calls for kubectl fairlead.
	programPlugin = "kubectl-fairlead"
	// programCredential is what docker and other clients call for a credential.
	programCredential = "docker-credential-fairlead"
)

// programs are what one binary is, by the name that it is called by; any other
// name is fairlead's.
var programs = map[string]func(ctx context.Context, args []string, e env) int{
	programFairlead: run,
	programPlugin: func(ctx context.Context, args []string, e env) int {
		e.program = "kubectl fairlead"
		return run(ctx, args, e)
	},
	programCredential: runCredentialHelper,
}

// nameOf splits a command line into the program that it means and the rest.
// The file may have gained .exe, a path, or another name.
func nameOf(argv []string) (name string, args []string) {
	if len(argv) == 0 {
		return programFairlead, nil
	}
	name = strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	if _, ok := programs[name]; !ok {
		name = programFairlead
	}
	return name, argv[1:]
}

// called is how a person calls the program.
func (e env) called() string {
	if e.program == "" {
		return programFairlead
	}
	return e.program
}

// rename lets the help of all commands say what a person types.
func rename(root *cobra.Command, program string) {
	if program == "" {
		return
	}
	say := renamer(root, program)
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: program}
	var all func(*cobra.Command)
	all = func(c *cobra.Command) {
		c.Long, c.Example = say(c.Long), say(c.Example)
		for _, child := range c.Commands() {
			all(child)
		}
	}
	all(root)
}

// renamer gives texts that call the program as a person does: where its name
// stands before one of its commands.
func renamer(root *cobra.Command, program string) func(string) string {
	if program == "" {
		return func(text string) string { return text }
	}
	var names []string
	for _, c := range root.Commands() {
		names = append(names, regexp.QuoteMeta(c.Name()))
	}
	slices.Sort(names)
	called := regexp.MustCompile(`(^|[^\w/-])(?:kubectl )?` + programFairlead + ` (` + strings.Join(names, "|") + `)\b`)
	return func(text string) string { return called.ReplaceAllString(text, "${1}"+program+" ${2}") }
}
