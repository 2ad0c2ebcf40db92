package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fairlead.dev/fairlead/internal/config"
)

// settings are the flags of a command that reads the configuration: --config
// and one per setting, all of them text, because config alone parses.
type settings struct {
	file  string
	flags *pflag.FlagSet
	// twice: cobra parses the flags two times before it completes.
	twice bool
}

// addSettings gives cmd the flags of the named settings; of all without names.
func addSettings(cmd *cobra.Command, keys ...string) *settings {
	s := &settings{flags: cmd.Flags()}
	s.flags.SortFlags = false
	s.flags.StringVar(&s.file, "config", "", "YAML `file` with the settings ("+config.FileEnv+")")
	wanted := map[string]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	for _, c := range config.Settings() {
		if len(keys) == 0 || wanted[c.Key] {
			s.flags.Var(&flagValue{kind: c.Kind, fallback: c.Default}, c.Key, c.Usage)
			if c.Kind == config.KindSwitch {
				s.flags.Lookup(c.Key).NoOptDefVal = "true"
			}
		}
	}
	return s
}

// load reads the configuration with the flags that were set.
func (s *settings) load(e env) (config.Config, map[string]string, error) {
	flags := map[string][]string{}
	s.flags.Visit(func(f *pflag.Flag) {
		if v, ok := f.Value.(*flagValue); ok {
			flags[f.Name] = v.given
			if s.twice {
				flags[f.Name] = v.given[:len(v.given)/2]
			}
		}
	})
	return config.Trace(config.Source{File: s.file, Env: serverVariables(e.environ), Flags: flags})
}

// serverVariables leaves out what says which server to talk to, and is no
// setting of one.
func serverVariables(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		return strings.HasPrefix(v, serverEnv+"=") || strings.HasPrefix(v, tokenFileEnv+"=")
	})
}

// warn prints the configuration's warnings.
func warn(w io.Writer, c config.Config) {
	for _, text := range c.Warnings() {
		fmt.Fprintln(w, "warning: "+text)
	}
}

// flagValue keeps what a flag was given, unparsed.
type flagValue struct {
	kind     string
	fallback string
	given    []string
}

func (v *flagValue) Set(text string) error {
	v.given = append(v.given, text)
	return nil
}

func (v *flagValue) String() string { return v.fallback }

func (v *flagValue) Type() string { return v.kind }
