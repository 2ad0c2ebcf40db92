package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newContext(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "context",
		Short: "Choose among the registries that you are signed in to",
		Example: `  fairlead context list
  fairlead context use local`,
	}, newContextList(e), newContextUse(e), newContextRm(e))
}

// contextItem is a context without its token.
type contextItem struct {
	Name             string `json:"name"`
	Server           string `json:"server"`
	Current          bool   `json:"current"`
	CredentialHelper string `json:"credentialHelper,omitempty"`
}

func newContextList(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the registries that you are signed in to",
		Example: `  fairlead context list
  fairlead context list -o name`,
		Args: noArgs,
	}
	out := addNamedOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, err := readLogins(e)
		if err != nil {
			return err
		}
		items, names := []contextItem{}, []string{}
		lines := [][]string{{"CURRENT", "NAME", "SERVER", "TOKEN IN"}}
		for _, c := range l.Contexts {
			items = append(items, contextItem{c.Name, c.Server, c.Name == l.Current, c.CredentialHelper})
			names = append(names, c.Name)
			mark, kept := "", "contexts.yaml"
			if c.Name == l.Current {
				mark = "*"
			}
			if c.CredentialHelper != "" {
				kept = "docker-credential-" + c.CredentialHelper
			}
			lines = append(lines, []string{mark, c.Name, c.Server, kept})
		}
		return out.printNamed(e.stdout, page[contextItem]{Items: items}, names, func(w io.Writer) { columns(w, lines, e.coloured()) })
	}
	return cmd
}

func newContextUse(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "use NAME",
		Short:             "Let commands talk to another registry",
		Example:           `  fairlead context use local`,
		Args:              exactly(1, "one context"),
		ValidArgsFunction: completeContexts(e),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return changeLogins(cmd.Context(), e, func(l *logins) error {
			c := l.find(args[0])
			if c == nil {
				return noContext(args[0])
			}
			l.Current = c.Name
			if err := l.write(); err != nil {
				return err
			}
			_, err := fmt.Fprintf(e.stdout, "Commands talk to %s.\n", c.Server)
			return err
		})
	}
	return cmd
}

func noContext(name string) error {
	return &hintError{fmt.Errorf("there is no context %q", name), "fairlead context list"}
}

func newContextRm(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "rm NAME",
		Short:             "Forget a registry and its token, as logout does",
		Example:           `  fairlead context rm local`,
		Args:              exactly(1, "one context"),
		ValidArgsFunction: completeContexts(e),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return logOut(cmd.Context(), e, args[0]) }
	return cmd
}

func newLogout(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logout [CONTEXT]",
		Short: "Forget the token of the current context, or of another",
		Long: `Forget the token of the current context, or of the one that is named, and the
context with it. The token itself stays good: fairlead token rm ends it.
Short-lived tokens that docker-credential-fairlead made with it are revoked.`,
		Example: `  fairlead logout
  fairlead logout local`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("fairlead logout --help", "name one context, or none for the current one")
			}
			return nil
		},
		ValidArgsFunction: completeContexts(e),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		return logOut(cmd.Context(), e, name)
	}
	return cmd
}

// signOut forgets a context with its token, and ends the short-lived ones. The
// caller holds the lock, and writes.
func (l *logins) signOut(ctx context.Context, e env, c login) error {
	if err := endLeases(ctx, e, c); err != nil {
		return err
	}
	if err := c.erase(ctx); err != nil {
		return err
	}
	l.drop(c.Name)
	return nil
}

// logOut forgets a context; the current one for "".
func logOut(ctx context.Context, e env, name string) error {
	return changeLogins(ctx, e, func(l *logins) error { return l.logOut(ctx, e, name) })
}

func (l *logins) logOut(ctx context.Context, e env, name string) error {
	if name == "" {
		if name = l.Current; name == "" {
			return &hintError{errors.New("nobody is signed in"), "fairlead context list"}
		}
	}
	c := l.find(name)
	if c == nil {
		return noContext(name)
	}
	server := c.Server
	if err := l.signOut(ctx, e, *c); err != nil {
		return failed("sign out", err)
	}
	if err := l.write(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Signed out of %s; the context %s is gone.\n", server, name)
	if l.Current == "" && len(l.Contexts) > 0 {
		fmt.Fprintf(e.stdout, "No context is current. Next: fairlead context use %s\n", l.Contexts[0].Name)
	}
	return nil
}
