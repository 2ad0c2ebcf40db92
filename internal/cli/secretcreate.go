package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// createFlags are those of secret create.
type createFlags struct {
	login  loginSource
	tokens tokenSource
	file   fileSource
	scopes []string

	labels, annotations map[string]string
	immutable, hash     bool
	dryRun, output      string
	verify, force       bool
	places              *placeFlags
	cmd                 *cobra.Command
}

func newSecretCreate(e env) *cobra.Command {
	var c createFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a pull secret, or bring one up to date",
		Long: `Make a pull secret in a namespace, in several, or in all, or bring one up to
date: the command can be given again. What others wrote to the secret stays, and
nothing is ever deleted.

What is in it comes from one of these:
  --server and --username: the password is asked for on a terminal, and else
    comes from --password-stdin, --password-file or --credential-helper, never
    from the command line, where other users and the shell's history see it;
  --token ID: a token of the registry that you are signed in to, for which admin
    rights are needed; --new-token makes one that may only pull;
  --from-docker-config or --from-auth-file: what docker or podman are signed in
    to. What lies in their stores and helpers is fetched from there.

With --scope, or with several tokens, entries are written as HOST/NAMESPACE/, so
that several accounts of one registry stand side by side.

--dry-run and -o yaml or json print, and need no cluster.`,
		Example: `  fairlead secret create regcred --server registry.example.com --username jo
  fairlead secret create regcred --token 3f9k2m --selector team=shop
  fairlead secret create regcred --new-token --expires 90d -n shop
  fairlead secret create regcred --from-docker-config --only ghcr.io -o yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				// The argument is not repeated: it may be the password.
				return usagef(cmd.CommandPath()+" --help", "create takes one NAME; %s", noPasswordHere)
			}
			return exactly(1, "one secret")(cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.add(cmd, e)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.read(); err != nil {
			return err
		}
		return failed("create the secret", c.run(cmd.Context(), e, args[0]))
	}
	return cmd
}

func (c *createFlags) add(cmd *cobra.Command, e env) {
	c.cmd = cmd
	f := cmd.Flags()
	f.SortFlags = false
	c.login.add(cmd)
	c.tokens.add(cmd)
	c.file.add(cmd)
	f.DurationVar(&c.login.patience, "helper-timeout", helperTime, "how `long` a credential helper may take for one answer")
	f.StringSliceVar(&c.scopes, "scope", nil, "write the entry for this `namespace` of the registry alone; may be repeated")
	f.StringToStringVar(&c.labels, "label", nil, "`key=value` to label the secret with; may be repeated")
	f.StringToStringVar(&c.annotations, "annotation", nil, "`key=value` to annotate the secret with; may be repeated")
	f.BoolVar(&c.immutable, "immutable", false, "make it immutable: nobody can change its credentials any more")
	f.BoolVar(&c.hash, "append-hash", false, "let the name end with a hash of the content")
	f.StringVar(&c.dryRun, "dry-run", "none", "only say what would be made: `client`, the value without one")
	f.Lookup("dry-run").NoOptDefVal = "client"
	f.StringVarP(&c.output, "output", "o", "", "print the manifest, with its credentials, in this `form`, yaml or json, and apply nothing")
	f.BoolVar(&c.verify, "verify", false, "sign in with each entry first (default on a terminal)")
	f.BoolVar(&c.force, "force-conflicts", false, "take over what other managers of the secret wrote")
	complete(cmd, "dry-run", "client", "none")
	complete(cmd, "output", "yaml", "json")
	for _, flag := range []string{"scope", "label", "annotation"} {
		complete(cmd, flag)
	}
	c.places = addPlaces(cmd, e)
	c.tokens.connect(cmd, e)
}

// read checks the flags.
func (c *createFlags) read() error {
	hint := c.cmd.CommandPath() + " --help"
	var sources []string
	for _, s := range []struct {
		name  string
		given bool
	}{
		{"--username and --server", c.login.given(c.cmd) || c.cmd.Flags().Changed("server") && !c.tokens.given()},
		{"--token", c.tokens.given()},
		{"--from-docker-config", c.file.docker != ""},
		{"--from-auth-file", c.file.containers != ""},
	} {
		if s.given {
			sources = append(sources, s.name)
		}
	}
	switch {
	case c.login.refused(c.cmd):
		return usagef(hint, "%s: leave it out, and it is asked for, or give --password-stdin, --password-file or --credential-helper", noPasswordHere)
	case len(sources) == 0:
		return usagef(hint, "say what is to be in it: --server and --username, --token or --new-token, --from-docker-config, or --from-auth-file")
	case len(sources) > 1:
		return usagef(hint, "give one of %s", strings.Join(sources, ", "))
	case !slices.Contains([]string{"", "yaml", "json"}, c.output):
		return usagef(hint, "--output is %q: write yaml or json", c.output)
	case !slices.Contains([]string{"client", "none"}, c.dryRun):
		return usagef(hint, "--dry-run is %q: write client; what a server would say is not asked", c.dryRun)
	case c.output != "" && (c.places.all || c.places.selector != ""):
		return usagef(hint, "--output needs no cluster, and prints no namespaces that it would have to ask for: name them with --namespace")
	case c.login.patience <= 0:
		return usagef(hint, "--helper-timeout %s is no time to wait: write such as 30s", c.login.patience)
	case len(c.scopes) > 0 && c.file.given():
		return usagef(hint, "--scope is for --username and --token: the entries of a file have their keys")
	case len(c.file.only) > 0 && !c.file.given():
		return usagef(hint, "--only picks from --from-docker-config and --from-auth-file")
	case c.tokens.fresh && c.dry() && c.output == "":
		return usagef(hint, "--dry-run makes no token: name one with --token, or leave --dry-run out")
	}
	c.file.patience = c.login.patience
	for _, check := range []func() error{c.places.check, func() error { return c.login.read(c.cmd, slices.Contains(sources, "--username and --server")) }, func() error { return c.tokens.read(c.cmd) }} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *createFlags) dry() bool { return c.dryRun == "client" }

func (c *createFlags) run(ctx context.Context, e env, name string) error {
	var k *kube.Cluster
	if c.output == "" && !c.dry() {
		var err error
		if k, err = c.places.cluster.open(); err != nil { // before a person is asked for anything
			return err
		}
		defer k.Close()
	}
	if _, err := c.build(name, []dockerconfig.Entry{{Key: "registry.example", Username: "u", Password: "p"}}); err != nil {
		return err // before a token is made
	}
	entries, err := c.entries(ctx, e, name)
	if err != nil {
		return err
	}
	s, err := c.build(name, entries)
	if err != nil {
		return err
	}
	if err := sound(e, s); err != nil {
		return err
	}
	if c.verify || !c.cmd.Flags().Changed("verify") && e.attended(e.stdin) && e.attended(e.stderr) {
		if err := signsIn(ctx, e, entries); err != nil {
			return err
		}
	}
	switch {
	case c.output != "":
		return c.write(e.stdout, s)
	case c.dry():
		return c.wouldMake(e, s)
	}
	return c.apply(ctx, e, k, s)
}

// entries gathers what is to be in the secret.
func (c *createFlags) entries(ctx context.Context, e env, name string) ([]dockerconfig.Entry, error) {
	switch {
	case c.tokens.given():
		return c.tokens.entries(ctx, e, name, c.login.server, c.scopes)
	case c.file.given():
		return c.file.entries(ctx, e)
	}
	return c.login.entries(ctx, e, c.scopes)
}

func (c *createFlags) build(name string, entries []dockerconfig.Entry) (pullsecret.Secret, error) {
	s, err := pullsecret.Build(pullsecret.Recipe{
		Name: name, Entries: entries, Labels: c.labels, Annotations: c.annotations, Immutable: c.immutable, AppendHash: c.hash,
	})
	var bad *pullsecret.BuildError
	if errors.As(err, &bad) {
		return s, usagef(c.cmd.CommandPath()+" --help", "%w", err)
	}
	return s, err
}

// sound refuses a secret that pods could not use, and warns of what they
// would misread.
func sound(e env, s pullsecret.Secret) error {
	var broken []string
	var hint string
	for _, f := range pullsecret.Check(s, pullsecret.Options{Now: time.Now()}) {
		switch f.Severity {
		case pullsecret.Broken:
			broken = append(broken, f.Message)
			if hint == "" {
				hint = f.Fix
			}
		case pullsecret.Ignored:
			fmt.Fprintln(e.stderr, "warning: "+shown(strings.TrimSpace(f.Message+" "+f.Effect)))
		}
	}
	if len(broken) > 0 {
		return saidf(hint, "pods could not use the secret %s: %s", s.ID(), shown(strings.Join(broken, " ")))
	}
	return nil
}

// write writes the manifest: one for each namespace that was named.
func (c *createFlags) write(w io.Writer, s pullsecret.Secret) error {
	namespaces := c.places.cluster.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	list := make([]pullsecret.Secret, len(namespaces))
	for i, n := range namespaces {
		list[i] = s
		list[i].Namespace = n
	}
	_, err := w.Write(manifests(list, c.output == "json"))
	return err
}

// wouldMake says for people what create would do.
func (c *createFlags) wouldMake(e env, s pullsecret.Secret) error {
	where := "the context's namespace"
	switch {
	case c.places.all:
		where = "every namespace"
	case c.places.selector != "":
		where = "every namespace with " + c.places.selector
	case len(c.places.cluster.namespaces) > 0:
		where = strings.Join(c.places.cluster.namespaces, ", ")
	}
	fmt.Fprintf(e.stdout, "The secret %s would be made in %s (dry run):\n", s.Name, where)
	lines := [][]string{{"ENTRY", "USER"}}
	for _, l := range pullsecret.Logins(s) {
		lines = append(lines, []string{l.Key, l.Username})
	}
	columns(e.stdout, lines, e.coloured())
	return nil
}

func (c *createFlags) apply(ctx context.Context, e env, k *kube.Cluster, s pullsecret.Secret) error {
	o, err := spread(ctx, e, "secrets", c.places.from(ctx, k), func(ctx context.Context, p place) (kube.Result, error) {
		in := s
		in.Namespace = p.namespace
		return k.Apply(ctx, in, c.force)
	})
	if err == nil || len(o.lines) > 0 {
		o.say(e.stdout, "The secret "+s.Name, "namespace")
	}
	if err != nil {
		return err
	}
	if o.counts[kube.Created] > 0 {
		fmt.Fprintf(e.stderr, "Next: %s secret use %s --serviceaccount default%s\n", e.called(), s.Name, c.places.again())
	}
	return o.error()
}
