package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newNamespace(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "namespace",
		Short: "Look after namespaces, the first part of repositories' names",
		Example: `  fairlead namespace add acme
  fairlead namespace list
  fairlead namespace rm acme`,
	}, newNamespaceAdd(e), newNamespaceList(e), newNamespaceShow(e), newNamespaceSet(e), newNamespaceRm(e))
}

func newNamespaceAdd(e env) *cobra.Command {
	var s v1.NamespaceSpec
	var quiet bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a namespace",
		Long: `Make a namespace: 4 to 30 lower-case letters, digits, _ and -, beginning and
ending with a letter or digit. Its name is unique in the registry. One that is
yours already is left as it is.`,
		Example: `  fairlead namespace add acme
  fairlead namespace add acme --visibility public
  fairlead namespace add acme --account acme`,
		Args:              exactly(1, "one namespace"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addNamedOutput(cmd)
	cmd.Flags().StringVar(&s.Account, "account", "", "`account` to own it, for the operator (default one's own)")
	cmd.Flags().StringVar(&s.Visibility, "visibility", "", "`who` may pull: private or public, which is every signed-in account (default private)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the name only")
	complete(cmd, "visibility", "private", "public")
	c := addConnection(cmd, e, "namespace")
	c.completeFlag(e, "account", accountNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s.Name = args[0]
		if quiet {
			*out = "name"
		}
		return c.with(e, "add the namespace", func(ctx context.Context, ses *session) error {
			made, err := ses.api.AddNamespace(ctx, s)
			if err != nil {
				return err
			}
			return out.printNamed(e.stdout, made, []string{made.Name}, func(w io.Writer) {
				if !made.Added {
					fmt.Fprintf(w, "The namespace %s was there already, and is yours (account %s, %s).\n", made.Name, made.Account, made.Visibility)
					return
				}
				fmt.Fprintf(w, "The namespace %s is added (account %s, %s).\n", made.Name, made.Account, made.Visibility)
			})
		})
	}
	return cmd
}

var namespaceView = view[v1.Namespace]{
	head: []string{"NAME", "ACCOUNT", "VISIBILITY", "IMMUTABLE TAGS", "CREATED", "BY"},
	row: func(n v1.Namespace, l look) []string {
		return []string{n.Name, n.Account, n.Visibility, l.text(ruleText(n.Immutable), 40), l.since(n.Created), n.CreatedBy}
	},
	name: func(n v1.Namespace) string { return n.Name },
}

// ruleText writes rules as --immutable takes them.
func ruleText(rules []v1.ImmutableRule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.Tags
		if r.Repositories != "" {
			texts[i] = r.Repositories + "=" + r.Tags
		}
	}
	return strings.Join(texts, ", ")
}

func newNamespaceList(e env) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List namespaces",
		Example: `  fairlead namespace list
  fairlead namespace list --account acme -o json
  fairlead namespace list --quiet`,
		Args: noArgs,
	}
	l := addListing(cmd, "print names only")
	cmd.Flags().StringVar(&account, "account", "", "those of this `account`, for the operator")
	c := addConnection(cmd, e, "namespace")
	c.completeFlag(e, "account", accountNames)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list namespaces", func(ctx context.Context, s *session) error {
			return list(e, l, "namespaces", namespaceView, func(next string, limit int) ([]v1.Namespace, string, error) {
				p, err := s.api.Namespaces(ctx, account, next, limit)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func namespaceText(w io.Writer, n v1.Namespace) {
	facts(w, "Namespace", n.Name, "Account", n.Account, "Visibility", n.Visibility, "Immutable tags", ruleText(n.Immutable),
		"Created", moment(n.Created), "Created by", n.CreatedBy, "Version", strconv.FormatInt(n.Version, 10))
}

func newNamespaceShow(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a namespace: its owner, who may pull, its immutable tags",
		Example: `  fairlead namespace show acme
  fairlead namespace show acme -o yaml`,
		Args: exactly(1, "one namespace"),
	}
	out := addNamedOutput(cmd)
	c := addConnection(cmd, e, "namespace")
	cmd.ValidArgsFunction = c.completing(e, 1, namespaceNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return c.with(e, "show the namespace", func(ctx context.Context, s *session) error {
			n, err := s.api.Namespace(ctx, args[0])
			if err != nil {
				return err
			}
			return out.printNamed(e.stdout, n, []string{n.Name}, func(w io.Writer) { namespaceText(w, n) })
		})
	}
	return cmd
}

func newNamespaceSet(e env) *cobra.Command {
	var visibility string
	var immutable []string
	var mutable bool
	var version int64
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change who may pull from a namespace, and which tags are immutable",
		Long: `Change a namespace. An immutable tag never moves and never goes. --immutable
takes a regular expression (RE2) that must match a whole tag, or two of them as
REPOSITORIES=TAGS, the first matching whole names of repositories. The rules
that are given replace those that were there.`,
		Example: `  fairlead namespace set acme --visibility public
  fairlead namespace set acme --immutable 'v[0-9.]+' --immutable 'acme/base/.*=.*'
  fairlead namespace set acme --mutable`,
		Args: exactly(1, "one namespace"),
	}
	out := addNamedOutput(cmd)
	f := cmd.Flags()
	f.StringVar(&visibility, "visibility", "", "`who` may pull: private or public")
	f.StringArrayVar(&immutable, "immutable", nil, "`rule` of immutable tags, as TAGS or REPOSITORIES=TAGS; may be repeated")
	f.BoolVar(&mutable, "mutable", false, "remove all rules of immutable tags")
	f.Int64Var(&version, "if-version", 0, "only if the namespace still has this `version` of fairlead namespace show")
	complete(cmd, "visibility", "private", "public")
	complete(cmd, "immutable")
	complete(cmd, "if-version")
	c := addConnection(cmd, e, "namespace")
	cmd.ValidArgsFunction = c.completing(e, 1, namespaceNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := readChange(cmd, visibility, immutable, mutable)
		if err != nil {
			return err
		}
		return c.with(e, "change the namespace", func(ctx context.Context, s *session) error {
			if version == 0 { // what is seen now is what is changed
				now, err := s.api.Namespace(ctx, args[0])
				if err != nil {
					return err
				}
				version = now.Version
			}
			n, err := s.api.SetNamespace(ctx, args[0], change, version)
			if err != nil {
				if _, code := refusal(err); code == "STALE" {
					return withHint(err, "fairlead namespace show "+args[0])
				}
				return err
			}
			return out.printNamed(e.stdout, n, []string{n.Name}, func(w io.Writer) { namespaceText(w, n) })
		})
	}
	return cmd
}

// readChange reads what is to be changed.
func readChange(cmd *cobra.Command, visibility string, immutable []string, mutable bool) (v1.NamespaceChange, error) {
	const hint = "fairlead namespace set --help"
	var change v1.NamespaceChange
	if mutable && len(immutable) > 0 {
		return change, usagef(hint, "give --immutable or --mutable, not both")
	}
	if cmd.Flags().Changed("visibility") {
		change.Visibility = &visibility
	}
	if mutable {
		change.Immutable = &[]v1.ImmutableRule{}
	}
	if len(immutable) > 0 {
		rules := make([]v1.ImmutableRule, len(immutable))
		for i, text := range immutable {
			r, err := parseRule(text, hint)
			if err != nil {
				return change, err
			}
			rules[i] = r
		}
		change.Immutable = &rules
	}
	if change.Visibility == nil && change.Immutable == nil {
		return change, usagef(hint, "say what to change: --visibility, --immutable or --mutable")
	}
	return change, nil
}

// parseRule reads TAGS or REPOSITORIES=TAGS. Neither a tag nor a repository
// can have a '=', so the first one divides.
func parseRule(text, hint string) (v1.ImmutableRule, error) {
	repositories, tags, both := strings.Cut(text, "=")
	if !both {
		repositories, tags = "", text
	}
	r := v1.ImmutableRule{Repositories: repositories, Tags: tags}
	if tags == "" || both && repositories == "" {
		return r, usagef(hint, "the rule %q is not whole: write TAGS or REPOSITORIES=TAGS", text)
	}
	for _, re := range []string{repositories, tags} {
		if err := goodExpression(re); err != nil {
			return r, usagef(hint, "the rule %q: %w", text, err)
		}
	}
	return r, nil
}

func newNamespaceRm(e env) *cobra.Command {
	return newRemove(e, removal{
		noun: "namespace", argument: "NAME", example: "acme", short: "Move a namespace to the trash, with all its repositories",
		more: ` Its name stays its owner's for as long. Tokens that were made for the
namespace alone do not open one of the same name that is made later.`,
		read: func(_ *session, text, hint string) (string, error) { return parseNamespace(text, hint) },
		api: func(ctx context.Context, s *session, name string, dryRun bool) (v1.Removed, error) {
			return s.api.RemoveNamespace(ctx, name, dryRun)
		},
		old:   func(name string) v1.RemoveOptions { return v1.RemoveOptions{Namespace: name} },
		names: namespaceNames,
	})
}
