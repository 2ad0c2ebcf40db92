package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output is the form that data is printed in.
type output string

var outputs = []string{"table", "json", "yaml"}

// named is an output that may also be the names alone.
type named struct{ *output }

// addOutput gives cmd the flag --output.
func addOutput(cmd *cobra.Command) *output {
	o := output("table")
	cmd.Flags().VarP(&o, "output", "o", "`form` of what is printed: table, json or yaml")
	complete(cmd, "output", outputs...)
	return &o
}

// addNamedOutput is addOutput for what has names.
func addNamedOutput(cmd *cobra.Command) *output {
	o := output("table")
	cmd.Flags().VarP(named{&o}, "output", "o", "`form` of what is printed: table, json, yaml or name")
	complete(cmd, "output", append(slices.Clone(outputs), "name")...)
	return &o
}

// Set also takes name.
func (n named) Set(text string) error {
	if text == "name" {
		*n.output = "name"
		return nil
	}
	if n.output.Set(text) != nil {
		return fmt.Errorf("%q is unknown: write table, json, yaml or name", text)
	}
	return nil
}

// complete lets the shell complete a flag's value.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// The only error is a flag that does not exist; a test walks them all.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// Set refuses what is unknown before anything is done.
func (o *output) Set(text string) error {
	for _, known := range outputs {
		if text == known {
			*o = output(text)
			return nil
		}
	}
	return fmt.Errorf("%q is unknown: write table, json or yaml", text)
}

func (o *output) String() string { return string(*o) }

// Type names the flag's kind.
func (o *output) Type() string { return "form" }

// printNamed is print; the form name is one name per line.
func (o *output) printNamed(w io.Writer, v any, names []string, table func(io.Writer)) error {
	if *o != "name" {
		return o.print(w, v, table)
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	return nil
}

// print writes v, or what table writes for people.
func (o *output) print(w io.Writer, v any, table func(io.Writer)) error {
	switch *o {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "yaml":
		return printYAML(w, v)
	}
	var b bytes.Buffer
	table(&b)
	_, err := w.Write(b.Bytes())
	return err
}

// printYAML writes what is JSON, with the same names in the same order.
func printYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil { // JSON is YAML
		return err
	}
	plain(&n)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return err
	}
	return enc.Close()
}

// plain takes JSON's braces and quotes off, where they are not needed.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// moment is a time for people: in their zone, to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// brief shortens a digest as people know it, unless it is to be whole.
func brief(name string, whole bool) string {
	const digits = 12
	algorithm, hex, ok := strings.Cut(name, ":")
	if whole || !ok || len(hex) <= digits {
		return name
	}
	return algorithm + ":" + hex[:digits]
}

// count is a number with its noun; the plural has an s, or is given.
func count[N int | int64](n N, noun string, plural ...string) string {
	if n != 1 {
		noun += "s"
		if len(plural) > 0 {
			noun = plural[0]
		}
	}
	return fmt.Sprintf("%d %s", n, noun)
}
