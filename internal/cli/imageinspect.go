package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newImageInspect(e env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show an image in full, with its configuration",
		Long: `Show an image: its platforms, layers, what is attached to it, and its
configuration as it was pushed. Unique bytes go with the image, shared ones stay
because other images need them.`,
		Example: `  fairlead image inspect acme/web:1.0
  fairlead image inspect acme/web@sha256:DIGEST -o json
  fairlead image inspect acme/web --format '{{.Digest}}'`,
		Args: exactly(1, "one image"),
	}
	out := addNamedOutput(cmd)
	addFormat(cmd, &format)
	c := addConnection(cmd, e, "image")
	cmd.ValidArgsFunction = c.completing(e, 1, imageNames)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		const hint = "fairlead image inspect --help"
		if _, err := parseFormat(format, hint); err != nil {
			return err
		}
		return c.with(e, "inspect the image", func(ctx context.Context, s *session) error {
			t, err := s.image(args[0], hint)
			if err != nil {
				return err
			}
			d, err := s.api.Inspect(ctx, t.v1())
			if err != nil {
				return err
			}
			if format != "" {
				return formatted(e.stdout, format, []v1.ImageDetail{d})
			}
			return out.printNamed(e.stdout, d, []string{full(d.Repository, d.Digest)}, func(w io.Writer) { detailText(w, d) })
		})
	}
	return cmd
}

func detailText(w io.Writer, d v1.ImageDetail) {
	facts(w, "Image", full(d.Repository, d.Reference), "Digest", d.Digest, "Tags", strings.Join(d.Tags, ", "),
		"Type", d.MediaType, "Artifact type", d.Artifact, "Attached to", d.Subject,
		"Size", fmt.Sprintf("%s (%s unique, %s shared)", size(d.Size), size(d.UniqueBytes), size(d.SharedBytes)))
	part := func(lines [][]string) {
		if len(lines) > 1 {
			fmt.Fprintln(w)
			rows(w, lines)
		}
	}
	platforms := [][]string{{"PLATFORM", "DIGEST", "SIZE"}}
	for _, p := range d.Platforms {
		platforms = append(platforms, []string{platform(p), p.Digest, size(p.Size)})
	}
	part(platforms)
	layers := [][]string{{"LAYER", "SIZE"}}
	for _, l := range d.Layers {
		layers = append(layers, []string{l.Digest, size(l.Size)})
	}
	part(layers)
	attached := [][]string{{"ATTACHED", "TYPE", "SIZE"}}
	for _, r := range d.Referrers {
		attached = append(attached, []string{r.Digest, r.Artifact, size(r.Size)})
	}
	part(attached)
	notes := [][]string{{"ANNOTATION", "VALUE"}}
	for _, n := range sorted(d.Annotations) {
		notes = append(notes, []string{n, d.Annotations[n]})
	}
	part(notes)
	if d.Config != nil {
		configText(w, d.Config)
	}
}

func platform(p v1.Platform) string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// configText prints an image's configuration as YAML, which escapes what
// would command a terminal.
func configText(w io.Writer, config any) {
	var b bytes.Buffer
	if err := printYAML(&b, config); err != nil {
		fmt.Fprintf(w, "\nThe configuration cannot be shown: %v\n", err)
		return
	}
	fmt.Fprintln(w, "\nCONFIGURATION")
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, "  "+shown(strings.TrimSuffix(line, "\n")))
	}
}
