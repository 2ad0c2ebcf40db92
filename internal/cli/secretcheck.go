package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// checkFlags are those of secret check.
type checkFlags struct {
	files    *filenames
	cluster  secretCluster // nil where only files can be read
	all      bool
	severity severity
	out      *output
}

func newSecretCheck(e env, cluster addSecretCluster) *cobra.Command {
	c := checkFlags{severity: severity(pullsecret.Ignored)}
	cmd := &cobra.Command{
		Use:   "check NAME...|-f FILE...",
		Short: "Say what is wrong with pull secrets",
		Long: `Say all that the API server refuses, and all that it accepts and the kubelet
rejects, passes over or misreads: where it is, to the byte, what happens to
pods, and what to do. It judges manifests (YAML or JSON, several documents,
Lists), docker's config.json, a .dockercfg, whole folders, or the secrets of a
cluster. Nothing secret is printed.

Exit codes: 0 when there is nothing, or notes only; 1 when there is an error or
a warning (--severity moves the line); 2 when the command line is wrong or a
file cannot be read; 3 or 4 when a cluster refuses, or has no such secret.`,
		Example: `  fairlead secret check -f regcred.yaml
  fairlead secret check -f deploy/ -o sarif > pull-secrets.sarif
  fairlead secret check --all-namespaces
  kustomize build | fairlead secret check -f -`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.add(cmd)
	if cluster != nil {
		c.cluster = cluster(cmd)
		cmd.Flags().BoolVarP(&c.all, "all-namespaces", "A", false, "check the pull secrets of all namespaces")
	}
	cmd.Args = c.what
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := c.run(cmd.Context(), e, args)
		if err != nil && r.Secrets == 0 {
			return failed("check secrets", err)
		}
		if perr := c.print(e, r); perr != nil {
			return perr
		}
		if err != nil {
			return failed("check secrets", err)
		}
		return c.verdict(r)
	}
	return cmd
}

func (c *checkFlags) add(cmd *cobra.Command) {
	o := output("table")
	c.out = &o
	cmd.Flags().VarP(sarifToo{c.out}, "output", "o", "`form` of what is printed: table, json, yaml or sarif")
	complete(cmd, "output", append(append([]string(nil), outputs...), "sarif")...)
	cmd.Flags().Var(&c.severity, "severity", "fail at findings of this `kind` or a worse one: note, warning or error")
	complete(cmd, "severity", "note", "warning", "error")
	c.files = addFilenames(cmd, "check this `file`, the manifests in this folder, or - for the standard input; may be repeated")
}

// what says which secrets are meant.
func (c *checkFlags) what(cmd *cobra.Command, args []string) error {
	hint := cmd.CommandPath() + " --help"
	named := 0
	for _, given := range []bool{len(args) > 0, len(c.files.names) > 0, c.all} {
		if given {
			named++
		}
	}
	switch {
	case named == 0 || empty(args) || empty(c.files.names):
		return usagef(hint, "say what to check: files with -f, or names of secrets in a cluster, or --all-namespaces")
	case named > 1:
		return usagef(hint, "give one of -f, names of secrets, and --all-namespaces")
	case len(args) > 0 && c.cluster == nil:
		return usagef("fairlead secret check -f "+args[0], "to check a file, name it with -f")
	}
	return nil
}

// report is what was checked, and what was found.
type report struct {
	Secrets  int                  `json:"secrets"`
	Files    int                  `json:"files,omitempty"`
	Errors   int                  `json:"errors"`
	Warnings int                  `json:"warnings"`
	Notes    int                  `json:"notes"`
	Findings []pullsecret.Finding `json:"findings"`
}

func (r *report) add(fs ...pullsecret.Finding) {
	for _, f := range fs {
		switch f.Severity {
		case pullsecret.Broken:
			r.Errors++
		case pullsecret.Ignored:
			r.Warnings++
		default:
			r.Notes++
		}
	}
	r.Findings = append(r.Findings, fs...)
}

// run checks. With an error comes what was checked before it.
func (c *checkFlags) run(ctx context.Context, e env, names []string) (report, error) {
	r := report{Findings: []pullsecret.Finding{}} // an empty list is [] in JSON
	o := pullsecret.Options{Now: time.Now(), Token: damaged}
	if len(c.files.names) > 0 {
		return c.readFiles(e, r, o)
	}
	source := c.cluster.everywhere
	if len(names) > 0 {
		source = func() secretSource { return c.cluster.named(names) }
	}
	m := newMeter(e, "secrets")
	defer m.end()
	for s, err := range source()(ctx) {
		if err != nil {
			return r, err
		}
		r.Secrets++
		r.add(pullsecret.Check(s, o)...)
		m.show(v1.Progress{Step: "secrets", Done: int64(r.Secrets)})
	}
	return r, nil
}

func (c *checkFlags) readFiles(e env, r report, o pullsecret.Options) (report, error) {
	files, err := c.files.read(e)
	if err != nil {
		return r, err
	}
	for _, f := range warnFound(e.stderr, files) {
		r.Files++
		r.Secrets += len(f.Secrets)
		for _, x := range f.Findings {
			if f.found && x.Rule == pullsecret.NoObjects {
				continue // an empty file in a folder is no mistake
			}
			r.add(x)
		}
		o.Bare = f.Credentials
		for _, s := range f.Secrets {
			r.add(pullsecret.Check(s, o)...)
		}
		if f.bad != nil {
			r.add(f.bad.Finding())
		}
	}
	return r, nil
}

// damaged tells a token of ours that is not whole.
func damaged(password string) error {
	if !strings.HasPrefix(password, "flt_") {
		return nil
	}
	_, err := account.ParseValue(password)
	return err
}

// verdict is the error that a report ends the command with.
func (c *checkFlags) verdict(r report) error {
	for _, f := range r.Findings {
		if f.Severity.AtLeast(pullsecret.Severity(c.severity)) {
			return saidf("docs/pull-secrets.md, which lists every rule", "%s", found(r))
		}
	}
	return nil
}

// found counts the findings in words.
func found(r report) string {
	var parts []string
	for _, p := range []struct {
		n    int
		noun string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Notes, "note"}} {
		if p.n > 0 {
			parts = append(parts, count(p.n, p.noun))
		}
	}
	if len(parts) == 0 {
		return "nothing is wrong"
	}
	return strings.Join(parts, ", ")
}

func (c *checkFlags) print(e env, r report) error {
	if *c.out == "sarif" {
		o := output("json")
		return o.print(e.stdout, sarifOf(r, build().Version), nil)
	}
	out := c.out
	return out.print(e.stdout, r, func(w io.Writer) { checkText(w, r) })
}

// checkText writes each finding as a paragraph: a table would break its
// sentences.
func checkText(w io.Writer, r report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s %s %s\n", findingPlace(f), f.Severity, f.Rule)
		fmt.Fprintln(w, "  "+shown(f.Message))
		fmt.Fprintln(w, "  "+shown(f.Effect))
		fmt.Fprintln(w, "  Fix: "+shown(f.Fix))
		for _, c := range f.Commands {
			fmt.Fprintln(w, "    "+shown(c))
		}
		fmt.Fprintln(w)
	}
	in := ""
	if r.Files > 0 {
		in = " in " + count(r.Files, "file")
	}
	fmt.Fprintf(w, "Checked %s%s: %s.\n", count(r.Secrets, "secret"), in, found(r))
}

// findingPlace is the file and line, and the secret.
func findingPlace(f pullsecret.Finding) string {
	place := f.File
	if f.Line > 0 {
		place += fmt.Sprintf(":%d", f.Line)
	}
	if f.Secret != "" && f.Secret != f.File {
		place = strings.TrimSpace(place + " " + f.Secret)
	}
	return shown(place) + ":"
}

// severity is a kind of finding, as a flag.
type severity pullsecret.Severity

func (s *severity) String() string { return string(*s) }

// Type names the flag's kind.
func (s *severity) Type() string { return "kind" }

// Set takes what findings are called.
func (s *severity) Set(text string) error {
	switch pullsecret.Severity(text) {
	case pullsecret.Broken, pullsecret.Ignored, pullsecret.Notice:
		*s = severity(text)
		return nil
	}
	return fmt.Errorf("%q is unknown: write note, warning or error", text)
}

// sarifToo is an output that may also be sarif.
type sarifToo struct{ *output }

// Set also takes sarif.
func (s sarifToo) Set(text string) error {
	if text == "sarif" {
		*s.output = "sarif"
		return nil
	}
	if s.output.Set(text) != nil {
		return fmt.Errorf("%q is unknown: write table, json, yaml or sarif", text)
	}
	return nil
}
