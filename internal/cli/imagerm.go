package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newImageRm(e env) *cobra.Command {
	var r imageRemoval
	cmd := &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove tags, or with --digest manifests with all their tags",
		Long: `Remove a tag, and say what remains: the manifest, and the other tags that name
it. With --digest, or when the image is given by its digest, the manifest goes
with all its tags; it is shown which, and a person is asked first (in scripts
--force is needed). All of it can come back from the trash.`,
		Example: `  fairlead image rm acme/web:1.0
  fairlead image rm acme/web:1.0 --digest
  fairlead image rm acme/web:1.0 acme/web:1.1 --dry-run`,
		Args: atLeastOne("images"),
	}
	out := addNamedOutput(cmd)
	f := cmd.Flags()
	f.BoolVar(&r.digest, "digest", false, "remove the manifest, with all its tags")
	f.BoolVar(&r.force, "force", false, "do not ask")
	f.BoolVar(&r.dryRun, "dry-run", false, "only say what would go")
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, -1, imageNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		r.command = "fairlead image rm " + strings.Join(args, " ")
		if r.digest {
			r.command += " --digest"
		}
		return c.with(e, "remove the image", func(ctx context.Context, s *session) error {
			targets, err := r.read(e, s, args)
			if err != nil {
				return err
			}
			var done []v1.Removed
			return each(e, out, args, &done, func(a string) error {
				removed, err := r.remove(ctx, e, s, targets[a])
				if err == nil {
					done = append(done, removed)
				}
				return err
			}, func(r v1.Removed) string { return r.Name }, removedText)
		})
	}
	return cmd
}

// imageRemoval is how images are removed.
type imageRemoval struct {
	digest, force, dryRun bool
	command               string
}

// read reads all arguments before anything is done.
func (r *imageRemoval) read(e env, s *session, args []string) (map[string]target, error) {
	targets := map[string]target{}
	for _, a := range args {
		t, err := s.image(a, "fairlead image rm --help")
		if err != nil {
			return nil, err
		}
		if r.digest || t.ref.Digest != "" {
			if err := askable(e, r.force || r.dryRun, r.command); err != nil {
				return nil, err
			}
		}
		targets[a] = t
	}
	return targets, nil
}

func (r *imageRemoval) remove(ctx context.Context, e env, s *session, t target) (v1.Removed, error) {
	ref := t.v1()
	if !r.digest && t.ref.Digest == "" {
		return s.api.RemoveImage(ctx, ref, r.dryRun)
	}
	if t.ref.Digest == "" {
		d, err := s.api.Inspect(ctx, ref)
		if err != nil {
			return v1.Removed{}, err
		}
		ref.Reference = d.Digest
	}
	would, err := s.api.RemoveImage(ctx, ref, true)
	if err != nil || r.dryRun {
		return would, err
	}
	tags := "It has no tag."
	if len(would.TagNames) > 0 {
		tags = "Its tags go with it: " + tagNames(would) + "."
	}
	question := fmt.Sprintf("%s\nMove the manifest %s to the trash?", tags, full(ref.Repository, ref.Reference))
	if err := confirm(ctx, e, r.force, r.command, question); err != nil {
		return v1.Removed{}, err
	}
	return s.api.RemoveImage(ctx, ref, false)
}
