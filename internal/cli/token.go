package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

var accesses = []string{"readonly", "readwrite", "admin", "cluster"}

func newToken(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Look after tokens, which people and robots sign in with",
		Long: `A token is what a person, a robot or a cluster signs in with: user name token,
password its value. Its ID is public, its value is secret.`,
		Example: `  fairlead token add --description "build robot" --readwrite
  fairlead token list`,
	}, newTokenAdd(e), newTokenList(e), newTokenGet(e), newTokenRotate(e), newTokenRm(e))
}

// tokenFlags are those of token add.
type tokenFlags struct {
	spec                     v1.TokenSpec
	namespaces, repositories []string
	expires                  age
	readwrite, force, quiet  bool
}

func newTokenAdd(e env) *cobra.Command {
	var t tokenFlags
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Make a token and print its value",
		Long: `Make a token and print its value. Without flags it may pull from all namespaces
of the account, those added later included, and is good for a day.

A token that never expires is warned of; if it may also write, a person is
asked, and in scripts --force is needed.`,
		Example: `  fairlead token add --description "laptop of Jo"
  fairlead token add --readwrite --repository acme/web --expires 90d --description "build robot"
  fairlead token add --access cluster --cluster prod --expires 365d
  fairlead token add --quiet | docker login HOST --username token --password-stdin`,
		Args: noArgs,
	}
	out := addNamedOutput(cmd)
	t.add(cmd)
	c := addConnection(cmd, e, "token")
	c.completeFlag(e, "namespace", namespaceNames)
	c.completeFlag(e, "repository", repositoryNames)
	c.completeFlag(e, "account", accountNames)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := t.read(cmd); err != nil {
			return err
		}
		return c.with(e, "add the token", func(ctx context.Context, s *session) error {
			if err := t.reach(s); err != nil {
				return err
			}
			if err := t.warn(ctx, e); err != nil {
				return err
			}
			v, err := s.api.AddToken(ctx, t.spec, "")
			if err != nil {
				return err
			}
			return printValue(e, out, t.quiet, v)
		})
	}
	return cmd
}

func (t *tokenFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.spec.Access, "access", "", "`what` it may: readonly, readwrite, admin or cluster (default readonly)")
	f.BoolVar(&t.readwrite, "readwrite", false, "the same as --access readwrite")
	f.StringSliceVar(&t.namespaces, "namespace", nil, "reach only this `namespace`; may be repeated (default all of the account)")
	f.StringSliceVar(&t.repositories, "repository", nil, "reach only this `repository` and those below it; may be repeated")
	f.Var(&t.expires, "expires", "good for this `time`, such as 12h, 90d or 52w (default 24h)")
	f.BoolVar(&t.spec.NonExpiring, "non-expiring", false, "good for ever, until it is removed")
	f.StringVar(&t.spec.Description, "description", "", "`text` that says whose it is")
	f.StringVar(&t.spec.Cluster, "cluster", "", "`name` of the cluster that it is for")
	f.StringVar(&t.spec.Account, "account", "", "`account` to own it, for the operator (default one's own)")
	f.BoolVar(&t.force, "force", false, "do not ask")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print the value only")
	complete(cmd, "access", accesses...)
	complete(cmd, "expires", "24h", "30d", "90d", "365d")
	complete(cmd, "description")
	complete(cmd, "cluster")
}

// read checks the flags.
func (t *tokenFlags) read(cmd *cobra.Command) error {
	const hint = "fairlead token add --help"
	if t.readwrite {
		if t.spec.Access != "" && t.spec.Access != "readwrite" {
			return usagef(hint, "give --access or --readwrite, not both")
		}
		t.spec.Access = "readwrite"
	}
	expires := cmd.Flags().Changed("expires")
	switch {
	case t.spec.Access != "" && !slices.Contains(accesses, t.spec.Access):
		return usagef(hint, "--access is %q: write %s", t.spec.Access, strings.Join(accesses, ", "))
	case t.spec.Access == "cluster" && t.spec.Cluster == "":
		return usagef("fairlead token add --access cluster --cluster NAME", "a cluster's token needs the cluster's name: add --cluster")
	case expires && t.spec.NonExpiring:
		return usagef(hint, "give --expires or --non-expiring, not both")
	case expires && t.expires <= 0:
		return usagef(hint, "--expires must be above 0")
	case expires:
		t.spec.Expires = span(time.Duration(t.expires))
	}
	return nil
}

// span writes a duration as short as it can be.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// reach reads where the token may act.
func (t *tokenFlags) reach(s *session) error {
	const hint = "fairlead token add --help"
	if len(t.namespaces)+len(t.repositories) == 0 {
		return nil // all: the server's default
	}
	r := &v1.Reach{}
	for _, text := range t.namespaces {
		n, err := parseNamespace(text, hint)
		if err != nil {
			return err
		}
		r.Namespaces = append(r.Namespaces, n)
	}
	for _, text := range t.repositories {
		n, err := s.repository(text, hint)
		if err != nil {
			return err
		}
		r.Repositories = append(r.Repositories, n)
	}
	t.spec.Reach = r
	return nil
}

// warn says what a token that never expires means.
func (t *tokenFlags) warn(ctx context.Context, e env) error {
	if !t.spec.NonExpiring {
		return nil
	}
	fmt.Fprintln(e.stderr, "warning: a token that never expires is good for whoever finds it, until it is removed; --expires 90d is safer")
	if t.spec.Access != "readwrite" && t.spec.Access != "admin" {
		return nil
	}
	return confirm(ctx, e, t.force, "fairlead token add", fmt.Sprintf("Make a token that never expires and has the access %s?", t.spec.Access))
}

// printValue prints a token with its value.
func printValue(e env, out *output, quiet bool, v v1.TokenValue) error {
	if quiet {
		_, err := fmt.Fprintln(e.stdout, v.Value)
		return err
	}
	return out.printNamed(e.stdout, v, []string{v.ID}, func(w io.Writer) { valueText(w, v) })
}

func valueText(w io.Writer, v v1.TokenValue) {
	expires, former := "never", ""
	if v.Expires != nil {
		expires = moment(*v.Expires)
	}
	if v.FormerUntil != nil {
		former = moment(*v.FormerUntil)
	}
	facts(w, "Token ID", v.ID, "Account", v.Account, "Access", v.Access, "Reach", reachText(v.Reach), "Description", v.Description,
		"Cluster", v.Cluster, "Expires", expires, "Old value until", former, "Token", v.Value)
}

func reachText(r v1.Reach) string {
	if r.All {
		return "all"
	}
	list := slices.Clone(r.Namespaces)
	for _, p := range r.Repositories {
		list = append(list, p+"*")
	}
	return strings.Join(list, ",")
}

var tokenView = view[v1.Token]{
	head: []string{"ID", "ACCOUNT", "ACCESS", "REACH", "DESCRIPTION", "CREATED", "EXPIRES", "LAST USED", "STATE"},
	row: func(t v1.Token, l look) []string {
		used := "never"
		if t.LastUsed != nil {
			used = l.since(t.LastUsed.At)
		}
		return []string{
			t.ID, t.Account, t.Access, l.text(reachText(t.Reach), 30), l.text(t.Description, 30),
			l.since(t.Created), l.maybe(t.Expires, "never"), used, t.State,
		}
	},
	name: func(t v1.Token) string { return t.ID },
}

func newTokenList(e env) *cobra.Command {
	var q v1.TokenQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens, without their values",
		Example: `  fairlead token list
  fairlead token list --ended --all
  fairlead token list --format '{{.ID}} {{.Description}}'`,
		Args: noArgs,
	}
	l := addListing(cmd, "print IDs only")
	f := cmd.Flags()
	f.StringVar(&q.Account, "account", "", "those of this `account`, for the operator")
	f.StringVar(&q.Cluster, "cluster", "", "those of this `cluster`")
	f.BoolVar(&q.Ended, "ended", false, "expired and revoked ones, too")
	complete(cmd, "cluster")
	c := addConnection(cmd, e, "token")
	c.completeFlag(e, "account", accountNames)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list tokens", func(ctx context.Context, s *session) error {
			return list(e, l, "tokens", tokenView, func(next string, limit int) ([]v1.Token, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.api.Tokens(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func newTokenGet(e env) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show a token with its value",
		Long: `Show a token with its value. Only admins of its account and the operator may,
and it is audited each time.`,
		Example: `  fairlead token get 3f9k2m
  fairlead token get 3f9k2m --quiet | docker login HOST --username token --password-stdin`,
		Args: exactly(1, "one token by its ID"),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the value only")
	addFormat(cmd, &format)
	c := addConnection(cmd, e, "token")
	cmd.ValidArgsFunction = c.completing(e, 1, tokenIDs)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if _, err := parseFormat(format, "fairlead token get --help"); err != nil {
			return err
		}
		return c.with(e, "get the token", func(ctx context.Context, s *session) error {
			v, err := s.api.TokenValue(ctx, args[0])
			switch {
			case err != nil:
				return err
			case format != "":
				return formatted(e.stdout, format, []v1.TokenValue{v})
			}
			return printValue(e, out, quiet, v)
		})
	}
	return cmd
}

func newTokenRotate(e env) *cobra.Command {
	var overlap age
	var quiet bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a token a new value",
		Long: `Give a token a new value and print it. The old value stays good for the overlap,
a day unless it is said, so that whoever uses it can change.`,
		Example: `  fairlead token rotate 3f9k2m
  fairlead token rotate 3f9k2m --overlap 1h --quiet`,
		Args: exactly(1, "one token by its ID"),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().Var(&overlap, "overlap", "how `long` the old value stays good, such as 1h; 0s ends it at once (default 24h)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the new value only")
	complete(cmd, "overlap", "0s", "1h", "24h", "7d")
	c := addConnection(cmd, e, "token")
	cmd.ValidArgsFunction = c.completing(e, 1, tokenIDs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var o v1.RotateOptions
		if cmd.Flags().Changed("overlap") {
			o.Overlap = span(time.Duration(overlap))
		}
		return c.with(e, "rotate the token", func(ctx context.Context, s *session) error {
			v, err := s.api.RotateToken(ctx, args[0], o)
			if err != nil {
				return err
			}
			return printValue(e, out, quiet, v)
		})
	}
	return cmd
}

func newTokenRm(e env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm ID...",
		Short: "Revoke tokens for good",
		Long: `Revoke tokens: within two seconds they open nothing any more. A revoked token
does not come back.

A person is asked first; in scripts --force is needed.`,
		Example: `  fairlead token rm 3f9k2m
  fairlead token rm 3f9k2m 8c1x0d --force`,
		Args: atLeastOne("tokens by their IDs"),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	c := addConnection(cmd, e, "token")
	cmd.ValidArgsFunction = c.completing(e, -1, tokenIDs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		command := "fairlead token rm " + strings.Join(args, " ")
		question := fmt.Sprintf("Revoke %s for good: %s?", count(len(args), "token"), strings.Join(args, ", "))
		if err := confirm(cmd.Context(), e, force, command, question); err != nil {
			return failed("revoke the token", err)
		}
		return c.with(e, "revoke the token", func(ctx context.Context, s *session) error {
			var done []v1.Token
			return each(e, out, args, &done, func(id string) error {
				t, err := s.api.RevokeToken(ctx, id)
				if err == nil {
					done = append(done, t)
				}
				return err
			}, func(t v1.Token) string { return t.ID }, func(w io.Writer, t v1.Token) {
				fmt.Fprintf(w, "The token %s is revoked.\n", t.ID)
			})
		})
	}
	return cmd
}

// each does something to every argument, as far as it goes, and prints what
// was done even when something failed.
func each[T any](e env, out *output, args []string, done *[]T, do func(string) error, name func(T) string, text func(io.Writer, T)) error {
	var failure error
	for _, a := range args {
		if err := do(a); err != nil {
			failure = err
			if len(args) > 1 {
				failure = fmt.Errorf("%s: %w", a, err)
			}
			break
		}
	}
	if len(*done) == 0 && failure != nil {
		return failure
	}
	names := make([]string, len(*done))
	for i, d := range *done {
		names[i] = name(d)
	}
	err := out.printNamed(e.stdout, page[T]{Items: *done}, names, func(w io.Writer) {
		for _, d := range *done {
			text(w, d)
		}
	})
	if failure != nil {
		return failure
	}
	return err
}
