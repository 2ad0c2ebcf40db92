package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/selfimage"
	"fairlead.dev/fairlead/keyring"
)

// madeImage is an image of a fairlead program.
type madeImage struct {
	Name     string `json:"name"`
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
	Revision string `json:"revision,omitempty"`
	// Size is that of what would be pulled, in bytes.
	Size int64  `json:"size"`
	File string `json:"file,omitempty"`
}

func newImageSelf(e env) *cobra.Command {
	var binary, name string
	cmd := &cobra.Command{
		Use:   "self FILE",
		Short: "Make an image of this program",
		Long: `Make a container image of this program, or of another build of it, as a file that
docker load, podman load, skopeo copy oci-archive:FILE and ctr images import
take. With - as FILE it goes to the standard output. Nothing is fetched: the
program is static, and all that the image needs. The same program gives the same
image.

In the image it is /fairlead and runs as the user 65532, to whom
/var/lib/fairlead belongs.`,
		Example: `  fairlead image self fairlead.tar
  fairlead image self - --tag registry.example.com/acme-tools/fairlead:v1 | docker load
  fairlead image self fairlead-arm64.tar --binary fairlead-linux-arm64 -o json`,
		Args: exactly(1, "one file"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []cobra.Completion{"tar"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	out := addNamedOutput(cmd)
	cmd.Flags().StringVar(&binary, "binary", "", "make it of this `file`, a build of the same version for Linux (default the program that runs)")
	cmd.Flags().StringVar(&name, "tag", "", "the image's `name` (default fairlead:VERSION)")
	complete(cmd, "tag")
	_ = cmd.MarkFlagFilename("binary")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		const hint = "fairlead image self --help"
		if name == "" {
			name = "fairlead:" + imageTag(build().Version)
		}
		n, err := keyring.ParseImage(name)
		switch {
		case err != nil:
			return usagef(hint, "--tag: %w", err)
		case n.Digest != "":
			return usagef(hint, "--tag is %q: a digest is made of the image, leave it out", name)
		case args[0] == "-" && cmd.Flags().Changed("output"):
			return usagef(hint, "--output goes to the standard output, and so does the image: name a file")
		case args[0] == "-" && terminal(e.stdout):
			return usagef(hint, "an image is no text for a terminal: name a file, or pipe it")
		}
		if !strings.HasSuffix(n.Name, ":"+n.Tag) {
			n.Name += ":" + n.Tag // latest
		}
		return failed("make the image", writeSelf(e, *out, args[0], binary, n))
	}
	return cmd
}

func writeSelf(e env, out output, file, binary string, name keyring.Image) error {
	img, err := selfImage(binary)
	if err != nil {
		return err
	}
	if file == "-" {
		return img.WriteArchive(e.stdout, name)
	}
	if err := writeWhole(file, 0o644, func(w io.Writer) error { return img.WriteArchive(w, name) }); err != nil {
		return err
	}
	m := madeImage{
		Name: name.Name, Digest: string(img.Manifest.Digest), Platform: img.Platform.String(), Revision: img.Revision,
		Size: img.Layer.Size + img.Config.Size + img.Manifest.Size, File: file,
	}
	return out.printNamed(e.stdout, m, []string{m.Name + "@" + m.Digest}, func(w io.Writer) {
		fmt.Fprintf(w, "%s has the image %s for %s, of %s.\nIts digest is %s.\n", m.File, m.Name, m.Platform, size(m.Size), m.Digest)
	})
}

// selfImage makes the image of a fairlead program, of the one that runs for
// "".
func selfImage(binary string) (*selfimage.Image, error) {
	o := selfimage.Options{Version: build().Version}
	if binary == "" {
		if runtime.GOOS != "linux" {
			return nil, &hintError{errors.New("this program is for " + runtime.GOOS + ", and containers run Linux"), "--binary FILE, with a fairlead for Linux"}
		}
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the program that runs: %w", err)
		}
	}
	if c := build().Commit; c != "unknown" {
		o.Revision = c
	}
	return selfimage.Build(binary, o)
}

var notInTag = regexp.MustCompile(`[^0-9A-Za-z_.-]`)

// imageTag is a version as a tag: v1.2.3+dirty has a sign that no tag has.
func imageTag(version string) string {
	return notInTag.ReplaceAllString(version, "-")
}
