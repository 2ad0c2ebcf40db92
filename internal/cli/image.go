package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

func newImage(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "image",
		Short: "List, inspect, tag, copy and remove images",
		Long:  `Images are named REPO:TAG or REPO@DIGEST. Without a tag, latest is meant.`,
		Example: `  fairlead image list
  fairlead image inspect acme/web:1.0
  fairlead image history acme/web:latest`,
	}, newImageList(e), newImageInspect(e), newImageTag(e), newImageCopy(e), newImageRm(e), newImageDigests(e), newImageHistory(e), newImageSelf(e))
}

var imageView = view[v1.Image]{
	head: []string{"REPOSITORY", "NAMESPACE", "TAG", "DIGEST", "CREATED", "SIZE"},
	row: func(i v1.Image, l look) []string {
		return []string{i.Repository, i.Namespace, i.Tag, brief(i.Digest, l.whole), l.since(i.Pushed), size(i.Size)}
	},
	name: func(i v1.Image) string { return i.Repository + ":" + i.Tag },
}

func newImageList(e env) *cobra.Command {
	var q v1.PlaceQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List images by repository and tag",
		Example: `  fairlead image list
  fairlead image list --restrict acme/web --no-trunc
  fairlead image list --include-public --format '{{.Repository}}:{{.Tag}} {{.Digest}}'`,
		Args: noArgs,
	}
	l := addListing(cmd, "print REPO:TAG only")
	w := addWhere(cmd, &q)
	c := addConnection(cmd, e, "image")
	w.completeFlags(e, c)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list images", func(ctx context.Context, s *session) error {
			if err := w.read(s, "fairlead image list --help"); err != nil {
				return err
			}
			return list(e, l, "images", imageView, func(next string, limit int) ([]v1.Image, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.api.Images(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

var digestView = view[v1.Digest]{
	head: []string{"DIGEST", "TAGS", "TYPE", "PUSHED", "SIZE", "PULLS", "LAST PULL"},
	row: func(d v1.Digest, l look) []string {
		return []string{
			brief(d.Digest, l.whole), l.text(strings.Join(d.Tags, ","), 40), kindOf(d.MediaType, d.Artifact, d.Subject),
			l.since(d.Pushed), size(d.Size), strconv.FormatInt(d.Pulls, 10), l.maybe(d.LastPull, "never"),
		}
	},
	name: func(d v1.Digest) string { return d.Digest },
}

// kindOf says in a word what a manifest is.
func kindOf(mediaType, artifact, subject string) string {
	switch {
	case subject != "":
		return "attached"
	case artifact != "":
		return "artifact"
	case strings.HasSuffix(mediaType, "index.v1+json"), strings.HasSuffix(mediaType, "list.v2+json"):
		return "index"
	}
	return "image"
}

func newImageDigests(e env) *cobra.Command {
	var q v1.DigestQuery
	cmd := &cobra.Command{
		Use:   "digests REPO",
		Short: "List all manifests of a repository, with and without tags",
		Example: `  fairlead image digests acme/web
  fairlead image digests acme/web --no-trunc --all`,
		Args: exactly(1, "one repository"),
	}
	l := addListing(cmd, "print digests only")
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, 1, repositoryNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.with(e, "list digests", func(ctx context.Context, s *session) (err error) {
			if q.Repository, err = s.repository(args[0], "fairlead image digests --help"); err != nil {
				return err
			}
			return list(e, l, "digests", digestView, func(next string, limit int) ([]v1.Digest, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.api.Digests(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func newImageTag(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag IMAGE TAG",
		Short: "Give an image one more tag",
		Long: `Give an image one more tag in its repository; nothing is sent. A tag that names
another image is moved.`,
		Example: `  fairlead image tag acme/web:1.0 stable
  fairlead image tag acme/web@sha256:DIGEST acme/web:1.0.1`,
		Args: exactly(2, "an image and a tag"),
	}
	out := addNamedOutput(cmd)
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, 1, imageNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		const hint = "fairlead image tag --help"
		return c.with(e, "tag the image", func(ctx context.Context, s *session) error {
			from, err := s.image(args[0], hint)
			if err != nil {
				return err
			}
			to := target{repo: from.repo}
			if strings.ContainsAny(args[1], ":/@") {
				to, err = s.target(args[1], hint)
			} else {
				to.ref.Tag, err = oci.ParseTag(args[1])
			}
			switch {
			case err != nil:
				return usagef(hint, "%w", err)
			case to.repo != from.repo:
				return usagef("fairlead image copy "+args[0]+" "+args[1], "%s is another repository: copy the image", to.repo)
			case to.ref.Tag == "":
				return usagef(hint, "name the tag to give, such as stable")
			}
			r, err := s.api.Tag(ctx, v1.TagOptions{ImageRef: from.v1(), Tag: string(to.ref.Tag)})
			if err != nil {
				return err
			}
			return printCopied(e, out, r)
		})
	}
	return cmd
}

func newImageCopy(e env) *cobra.Command {
	var o v1.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy IMAGE TO",
		Short: "Copy an image to another repository of the registry",
		Long: `Copy an image to another repository of the same registry; no byte is sent again.
Signatures and whatever else is attached to it go along. Without a tag, TO is
given the tag latest; with the image's digest, no tag.`,
		Example: `  fairlead image copy acme/web:1.0 acme-prod/web:1.0
  fairlead image copy acme/web@sha256:DIGEST acme-prod/web:1.0 --no-referrers`,
		Args: exactly(2, "an image and where to copy it"),
	}
	out := addNamedOutput(cmd)
	cmd.Flags().BoolVar(&o.NoReferrers, "no-referrers", false, "leave signatures and whatever else is attached behind")
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, 2, imageNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		const hint = "fairlead image copy --help"
		return c.with(e, "copy the image", func(ctx context.Context, s *session) error {
			from, err := s.image(args[0], hint)
			if err != nil {
				return err
			}
			to, err := s.image(args[1], hint)
			if err != nil {
				return err
			}
			if to.ref.Digest != "" {
				if to.ref.Digest != from.ref.Digest {
					return usagef(hint, "a copy has the digest of what is copied: give TO a tag")
				}
				to.ref = oci.Ref{}
			}
			o.From, o.To = from.v1(), to.v1()
			r, err := s.api.Copy(ctx, o)
			if err != nil {
				return err
			}
			return printCopied(e, out, r)
		})
	}
	return cmd
}

func (t target) v1() v1.ImageRef {
	return v1.ImageRef{Repository: string(t.repo), Reference: t.ref.String()}
}

func printCopied(e env, out *output, r v1.Copied) error {
	name := full(r.Repository, r.Tag)
	if r.Tag == "" {
		name = full(r.Repository, r.Digest)
	}
	return out.printNamed(e.stdout, r, []string{name}, func(w io.Writer) {
		fmt.Fprintf(w, "%s names %s", name, r.Digest)
		if r.Moved != "" {
			fmt.Fprintf(w, "; it named %s before", r.Moved)
		}
		fmt.Fprintln(w, ".")
		if r.Manifests > 0 {
			fmt.Fprintf(w, "New in %s: %s, %s.\n", r.Repository, count(r.Manifests, "manifest"), count(r.Blobs, "blob"))
		}
	})
}

var historyView = view[v1.TagMove]{
	head: []string{"WHEN", "TAG", "FROM", "TO", "BY"},
	row: func(m v1.TagMove, l look) []string {
		return []string{moment(m.At), m.Tag, brief(m.From, l.whole), brief(m.To, l.whole), m.By}
	},
	name: func(m v1.TagMove) string { return m.To },
}

func newImageHistory(e env) *cobra.Command {
	var q v1.HistoryQuery
	cmd := &cobra.Command{
		Use:   "history REPO[:TAG]",
		Short: "Say who moved a tag, when, from which digest to which",
		Long: `List the moves of a tag, or of all tags of a repository, newest first. A tag
without FROM was new, one without TO was deleted. A repository that is gone has
its history, too.`,
		Example: `  fairlead image history acme/web:latest
  fairlead image history acme/web --all -o json`,
		Args: exactly(1, "one repository, or one tag as REPO:TAG"),
	}
	l := &listing{out: addOutput(cmd), paging: addPaging(cmd)}
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, 1, imageNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		const hint = "fairlead image history --help"
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.withAny(e, "read the history", func(ctx context.Context, s *session) error {
			t, err := s.target(args[0], hint)
			if err != nil {
				return err
			}
			if t.ref.Digest != "" {
				return usagef("fairlead image history "+string(t.repo), "a digest never moves: give a tag as REPO:TAG, or the repository alone")
			}
			q.Repository, q.Tag = string(t.repo), string(t.ref.Tag)
			return list(e, l, "moves", historyView, func(next string, limit int) ([]v1.TagMove, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.upkeep.History(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

// sorted gives the names of a map in order.
func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
