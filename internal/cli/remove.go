package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

func newRepository(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "repository",
		Short:   "Look after repositories",
		Example: `  fairlead repository rm acme/web`,
	}, newRemove(e, removal{
		noun: "repository", argument: "REPO", example: "acme/web", short: "Move a repository to the trash, with all its images",
		read: func(text, hint string) (v1.RemoveOptions, error) {
			t, err := parseTarget(text, hint)
			if err == nil && !t.ref.IsZero() {
				err = usagef(hint, "%q names an image: give its repository alone, without a tag or digest", text)
			}
			return v1.RemoveOptions{Repository: string(t.repo)}, err
		},
	}))
}

func newNamespace(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "namespace",
		Short:   "Look after namespaces",
		Example: `  fairlead namespace rm acme`,
	}, newRemove(e, removal{
		noun: "namespace", argument: "NAME", example: "acme", short: "Move all repositories of a namespace to the trash",
		read: func(text, hint string) (v1.RemoveOptions, error) {
			name, err := parseNamespace(text, hint)
			return v1.RemoveOptions{Namespace: name}, err
		},
	}))
}

// removal is what differs between the commands that remove.
type removal struct {
	noun, argument, example, short string
	read                           func(text, hint string) (v1.RemoveOptions, error)
}

func newRemove(e env, r removal) *cobra.Command {
	var force bool
	path := "fairlead " + r.noun + " rm"
	cmd := &cobra.Command{
		Use:   "rm " + r.argument,
		Short: r.short,
		Long: r.short + `. It is hidden at once:
nobody can pull it any more. It can come back until its time in the trash is
over.

A person is asked first; in scripts --force is needed.`,
		Example: "  " + path + " " + r.example + "\n  " + path + " " + r.example + " --force",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(path+" --help", "name one %s", r.noun)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addOutput(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	s := addSettings(cmd, "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what := "remove the " + r.noun
		o, err := r.read(args[0], path+" --help")
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Move the %s %s to the trash, with all its images?", r.noun, args[0])
		if err := confirm(cmd.Context(), e, force, path+" "+args[0], question); err != nil {
			return failed(what, err)
		}
		return withUpkeep(cmd, e, s, what, func(ctx context.Context, u admin.Upkeep) error {
			entry, err := u.Remove(ctx, o)
			if err != nil {
				return err
			}
			return out.print(e.stdout, entry, func(w io.Writer) {
				fmt.Fprintf(w, "The %s %s is in the trash until %s: %s, %s, %s.\nTo bring it back: fairlead trash restore %d\n",
					entry.Kind, full(entry.Repository, entry.Name), moment(entry.Expires),
					count(entry.Manifests, "manifest"), count(entry.Tags, "tag"), size(entry.Bytes), entry.ID)
			})
		})
	}
	return cmd
}
