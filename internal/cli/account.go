package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newAccount(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "account",
		Short: "Look after accounts, which own namespaces and tokens",
		Example: `  fairlead account add acme
  fairlead account list`,
	}, newAccountAdd(e), newAccountList(e), newAccountRm(e))
}

func newAccountAdd(e env) *cobra.Command {
	var s v1.AccountSpec
	var quiet bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an account with its first admin token",
		Long: `Make an account, and print its first admin token. The operator makes accounts.
An account that is there already stays as it is, and no token is printed.`,
		Example: `  fairlead account add acme --description "The Acme Company"
  fairlead account add acme -o json
  fairlead account add acme --quiet > acme.token`,
		Args:              exactly(1, "one account"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addNamedOutput(cmd)
	cmd.Flags().StringVar(&s.Description, "description", "", "`text` that says whose it is")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the token's value only")
	complete(cmd, "description")
	c := addConnection(cmd, e, "account")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s.Name = args[0]
		return c.with(e, "add the account", func(ctx context.Context, ses *session) error {
			made, err := ses.api.AddAccount(ctx, s)
			if err != nil {
				return err
			}
			if quiet {
				return bare(e, made.Token, "the account "+made.Name+" was there already: fairlead token add --account "+made.Name+" --access admin")
			}
			return out.printNamed(e.stdout, made, []string{made.Name}, func(w io.Writer) { accountText(w, e.stderr, made) })
		})
	}
	return cmd
}

func accountText(w, notes io.Writer, made v1.AccountMade) {
	if !made.Added {
		fmt.Fprintf(w, "The account %s was there already.\n", made.Name)
		return
	}
	facts(w, "Account", made.Name, "Token ID", made.TokenID, "Token", made.Token)
	fmt.Fprintf(notes, "The token is an admin's of %s: keep it secret.\n", made.Name)
}

// bare prints a secret alone, or says why there is none.
func bare(e env, value, none string) error {
	if value == "" {
		return saidf("", "there is no value to print: %s", none)
	}
	_, err := fmt.Fprintln(e.stdout, value)
	return err
}

var accountView = view[v1.Account]{
	head: []string{"NAME", "DESCRIPTION", "CREATED", "BY"},
	row: func(a v1.Account, l look) []string {
		return []string{a.Name, l.text(a.Description, 40), l.since(a.Created), a.CreatedBy}
	},
	name: func(a v1.Account) string { return a.Name },
}

func newAccountList(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List accounts",
		Example: `  fairlead account list
  fairlead account list --format '{{.Name}} {{.Description}}'`,
		Args: noArgs,
	}
	l := addListing(cmd, "print names only")
	c := addConnection(cmd, e, "account")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list accounts", func(ctx context.Context, s *session) error {
			return list(e, l, "accounts", accountView, func(next string, limit int) ([]v1.Account, string, error) {
				p, err := s.api.Accounts(ctx, next, limit)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func newAccountRm(e env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove an account that has no namespaces",
		Long: `Remove an account, and end its tokens. Its namespaces must be removed first.

A person is asked first; in scripts --force is needed.`,
		Example: `  fairlead account rm acme
  fairlead account rm acme --force`,
		Args: exactly(1, "one account"),
	}
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	c := addConnection(cmd, e, "account")
	cmd.ValidArgsFunction = c.completing(e, 1, accountNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := confirm(cmd.Context(), e, force, "fairlead account rm "+args[0], fmt.Sprintf("Remove the account %s, and end its tokens for good?", args[0]))
		if err != nil {
			return failed("remove the account", err)
		}
		return c.with(e, "remove the account", func(ctx context.Context, s *session) error {
			if err := s.api.RemoveAccount(ctx, args[0]); err != nil {
				if _, code := refusal(err); code == "CONFLICT" {
					return withHint(err, "fairlead namespace list --account "+args[0])
				}
				return err
			}
			_, err := fmt.Fprintf(e.stdout, "The account %s is removed.\n", args[0])
			return err
		})
	}
	return cmd
}
