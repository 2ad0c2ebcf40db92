package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/client"
)

func newKey(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "key",
		Short: "Look after the server's keys, which make tokens' values",
		Long: `The server's keys make the values of tokens, and sign what clients are given for
a few minutes. These commands talk to the server that runs on the data folder.`,
		Example: `  fairlead key list
  fairlead key rotate`,
	}, newKeyList(e), newKeyRotate(e), newKeyRetire(e))
}

// withControl runs do with the server that runs on the data folder.
func withControl(cmd *cobra.Command, e env, s *settings, what string, do func(context.Context, *client.Client) error) error {
	cfg, _, err := s.load(e)
	if err != nil {
		return err
	}
	api, err := control(cmd.Context(), cfg)
	if err != nil {
		return failed(what, err)
	}
	defer func() { _ = api.Close() }() // only idle connections
	return failed(what, advised(do(cmd.Context(), api), nil, "key"))
}

func keysText(e env, w io.Writer, keys v1.ServerKeys) {
	l := look{now: time.Now()}
	lines := [][]string{{"ID", "PURPOSE", "CURRENT", "MADE", "TOKENS"}}
	for _, k := range keys.Items {
		lines = append(lines, []string{k.ID, k.Purpose, yes(k.Current), l.since(k.Made), strconv.Itoa(k.Tokens)})
	}
	columns(w, lines, e.coloured())
}

func printKeys(e env, out *output, keys v1.ServerKeys, after string) error {
	if keys.Items == nil {
		keys.Items = []v1.ServerKey{} // an empty list is [] in JSON
	}
	names := make([]string, len(keys.Items))
	for i, k := range keys.Items {
		names[i] = k.ID
	}
	return out.printNamed(e.stdout, keys, names, func(w io.Writer) {
		keysText(e, w, keys)
		fmt.Fprint(e.stderr, after)
	})
}

func newKeyList(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the server's keys, with the number of tokens that need them",
		Example: `  fairlead key list
  fairlead key list --data /var/lib/fairlead -o json`,
		Args: noArgs,
	}
	out := addNamedOutput(cmd)
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withControl(cmd, e, s, "list the keys", func(ctx context.Context, api *client.Client) error {
			keys, err := api.Keys(ctx)
			if err != nil {
				return err
			}
			return printKeys(e, out, keys, "")
		})
	}
	return cmd
}

func newKeyRotate(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make new keys; the old ones stay good for what they made",
		Long: `Make new keys. Tokens that are made or rotated from then on are made with them;
those that were there stay good. When no token needs an old key any more, or it
became known to others, it is retired.`,
		Example: `  fairlead key rotate
  fairlead key rotate --data /var/lib/fairlead`,
		Args: noArgs,
	}
	out := addNamedOutput(cmd)
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withControl(cmd, e, s, "rotate the keys", func(ctx context.Context, api *client.Client) error {
			keys, err := api.RotateKeys(ctx)
			if err != nil {
				return err
			}
			return printKeys(e, out, keys, "Next: fairlead token rotate ID for each token, then fairlead key retire KID\n")
		})
	}
	return cmd
}

func newKeyRetire(e env) *cobra.Command {
	var o v1.RetireOptions
	var force bool
	cmd := &cobra.Command{
		Use:   "retire KID",
		Short: "End an old key",
		Long: `End an old key. One that makes the values of tokens is refused, unless --revoke
ends these tokens, too.

A person is asked first; in scripts --force is needed.`,
		Example: `  fairlead key retire k2
  fairlead key retire k2 --revoke --force`,
		Args: exactly(1, "one key by its ID"),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().BoolVar(&o.Revoke, "revoke", false, "end the tokens whose values it makes")
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	s := addSettings(cmd, "data")
	cmd.ValidArgsFunction = completeKeys(e, s)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.ID = args[0]
		command, question := "fairlead key retire "+o.ID, fmt.Sprintf("End the key %s for good?", o.ID)
		if o.Revoke {
			command, question = command+" --revoke", fmt.Sprintf("End the key %s for good, and revoke all tokens that it made?", o.ID)
		}
		if err := confirm(cmd.Context(), e, force, command, question); err != nil {
			return failed("retire the key", err)
		}
		return withControl(cmd, e, s, "retire the key", func(ctx context.Context, api *client.Client) error {
			r, err := api.RetireKey(ctx, o)
			if err != nil {
				if _, code := refusal(err); code == "CONFLICT" {
					return withHint(err, "fairlead token rotate ID for each token, or fairlead key retire "+o.ID+" --revoke")
				}
				return err
			}
			return out.printNamed(e.stdout, r, []string{r.ID}, func(w io.Writer) {
				fmt.Fprintf(w, "The key %s (%s) is retired; %s revoked.\n", r.ID, r.Purpose, count(r.Revoked, "token was", "tokens were"))
			})
		})
	}
	return cmd
}
