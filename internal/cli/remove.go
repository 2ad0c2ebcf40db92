package cli

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// goodExpression says what is wrong with an RE2 expression.
func goodExpression(text string) error {
	_, err := regexp.Compile(text)
	return err
}

// removal is what differs between the commands that remove.
type removal struct {
	noun, argument, example, short, more string

	read  func(s *session, text, hint string) (string, error)
	api   func(ctx context.Context, s *session, name string, dryRun bool) (v1.Removed, error)
	old   func(name string) v1.RemoveOptions
	names completer
}

// remove removes by the API; where the data folder itself was opened, as the
// folder's owner, which cannot count beforehand.
func (r removal) remove(ctx context.Context, s *session, name string, dryRun bool) (removed v1.Removed, counted bool, err error) {
	if s.api != nil {
		removed, err = r.api(ctx, s, name, dryRun)
		if _, code := refusal(err); oci.Code(code) != oci.CodeRouteUnknown {
			return removed, true, err
		}
	}
	if dryRun {
		return v1.Removed{Kind: r.noun, Name: name, DryRun: true}, false, nil
	}
	entry, err := s.upkeep.Remove(ctx, r.old(name))
	if err != nil {
		return v1.Removed{}, false, err
	}
	return v1.Removed{
		Kind: entry.Kind, Name: full(entry.Repository, entry.Name), Manifests: entry.Manifests, Tags: entry.Tags,
		Bytes: entry.Bytes, TrashID: entry.ID, Expires: &entry.Expires,
	}, true, nil
}

func newRemove(e env, r removal) *cobra.Command {
	var force, dryRun bool
	path := "fairlead " + r.noun + " rm"
	cmd := &cobra.Command{
		Use:   "rm " + r.argument,
		Short: r.short,
		Long: r.short + `. It is hidden at once:
nobody can pull it any more. It can come back until its time in the trash is
over.` + r.more + `

It is shown what goes, and a person is asked first; in scripts --force is
needed.`,
		Example: "  " + path + " " + r.example + "\n  " + path + " " + r.example + " --dry-run\n  " + path + " " + r.example + " --force",
		Args:    exactly(1, "one "+r.noun),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would go")
	c := addConnection(cmd, e, r.noun)
	cmd.ValidArgsFunction = c.completing(e, 1, r.names)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		command := path + " " + args[0]
		return c.withAny(e, "remove the "+r.noun, func(ctx context.Context, s *session) error {
			name, err := r.read(s, args[0], path+" --help")
			if err != nil {
				return err
			}
			if err := askable(e, force || dryRun, command); err != nil {
				return err
			}
			removed, counted := v1.Removed{}, false
			if !force || dryRun {
				if removed, counted, err = r.remove(ctx, s, name, true); err != nil {
					return err
				}
			}
			if !dryRun {
				if err := confirm(ctx, e, force, command, r.question(name, removed, counted)); err != nil {
					return err
				}
				if removed, _, err = r.remove(ctx, s, name, false); err != nil {
					return err
				}
			}
			return out.printNamed(e.stdout, removed, []string{removed.Name}, func(w io.Writer) { removedText(w, removed) })
		})
	}
	return cmd
}

func (r removal) question(name string, would v1.Removed, counted bool) string {
	if !counted {
		return fmt.Sprintf("Move the %s %s to the trash, with all its images?", r.noun, name)
	}
	return fmt.Sprintf("Move the %s %s to the trash, with %s?", r.noun, name, removedCounts(would))
}

func removedCounts(r v1.Removed) string {
	text := fmt.Sprintf("%s, %s, %s", count(r.Manifests, "manifest"), count(r.Tags, "tag"), size(r.Bytes))
	if r.Kind == "namespace" && r.Repositories > 0 {
		text = count(r.Repositories, "repository", "repositories") + ", " + text
	}
	return text
}

// removedText says what went, and how it comes back.
func removedText(w io.Writer, r v1.Removed) {
	until := ""
	if r.Expires != nil {
		until = " until " + moment(*r.Expires)
	}
	switch {
	case r.DryRun:
		fmt.Fprintf(w, "The %s %s would go to the trash: %s.\n", r.Kind, r.Name, removedCounts(r))
	case r.Remains != nil:
		fmt.Fprintf(w, "The tag %s is removed. Its manifest %s remains, %s.\n", r.Name, r.Remains.Digest, otherTags(r.Remains.Tags))
	default:
		fmt.Fprintf(w, "The %s %s is in the trash%s: %s.\n", r.Kind, r.Name, until, removedCounts(r))
	}
	if len(r.TagNames) > 0 {
		fmt.Fprintf(w, "Tags: %s.\n", tagNames(r))
	}
	if r.TrashID != 0 {
		fmt.Fprintf(w, "To bring it back: fairlead trash restore %d\n", r.TrashID)
	}
}

func otherTags(tags []string) string {
	switch len(tags) {
	case 0:
		return "without a tag"
	case 1:
		return "with the tag " + tags[0]
	}
	return "with the tags " + strings.Join(tags, ", ")
}

// tagNames lists the tags that go, of which the server names the first ones.
func tagNames(r v1.Removed) string {
	text := strings.Join(r.TagNames, ", ")
	if hidden := r.Tags - len(r.TagNames); hidden > 0 {
		text += fmt.Sprintf(" and %d more", hidden)
	}
	return text
}
