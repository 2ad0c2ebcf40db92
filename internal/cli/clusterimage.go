package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/selfimage"
	"fairlead.dev/fairlead/keyring"
)

// controllerImage is the image that the controller runs.
type controllerImage struct {
	// reference is what the Deployment names.
	reference string
	// registry that it is pulled from with the cluster's token; nil if it is
	// none of those of the cluster, or needs no credential.
	registry *clusterRegistry
	// namespace of the registry that the credential is for; "" for all.
	namespace string

	// What is to be pushed; none if it is there.
	repo   oci.Repo
	tag    oci.Tag
	images []*selfimage.Image
	top    oci.Manifest
}

// pulled says whether a pull secret is needed.
func (i *controllerImage) pulled() bool { return i.registry != nil }

// key of its entry in the pull secret.
func (i *controllerImage) key() string {
	r := pullplan.Registry{Host: i.registry.url.Host}
	if i.namespace != "" {
		r.Namespaces = []string{i.namespace}
	}
	return r.Keys()[0]
}

// imageElsewhere is what to do where the image's namespace is none or another's.
const imageElsewhere = "another namespace of your own with --image-namespace NS"

// prepareImage makes the image, or reads the reference of one, and sees that
// all nodes can run it.
func (x *installation) prepareImage(ctx context.Context) (*controllerImage, error) {
	if x.installFlags.image != "" {
		return x.givenImage()
	}
	first := x.registries[0]
	out := &controllerImage{registry: first, namespace: x.imageNamespace, tag: oci.Tag(imageTag(build().Version))}
	if out.namespace == "" {
		out.namespace = first.account + "-fairlead"
	}
	if err := account.CheckNamespaceName(out.namespace); err != nil {
		return nil, usagef(imageElsewhere, "the controller's image: %w", err)
	}
	var err error
	if out.repo, err = oci.ParseRepo(out.namespace + "/fairlead"); err != nil {
		return nil, err
	}
	binaries := x.binaries
	if len(binaries) == 0 {
		binaries = []string{""}
	}
	for _, b := range binaries {
		img, err := selfImage(b)
		if err != nil {
			return nil, err
		}
		if same := slices.IndexFunc(out.images, func(o *selfimage.Image) bool { return o.Platform == img.Platform }); same >= 0 {
			return nil, usagef(x.cmd.CommandPath()+" --help", "--binary is given twice for %s", img.Platform)
		}
		out.images = append(out.images, img)
	}
	if err := x.runsOnAll(ctx, out.images); err != nil {
		return nil, err
	}
	if out.top = out.images[0].Manifest; len(out.images) > 1 {
		out.top = selfimage.Index(out.images)
	}
	out.reference = fmt.Sprintf("%s/%s:%s@%s", first.url.Host, out.repo, out.tag, out.top.Digest)
	return out, nil
}

// givenImage reads --image.
func (x *installation) givenImage() (*controllerImage, error) {
	n, err := keyring.ParseImage(x.installFlags.image)
	if err != nil {
		return nil, usagef(x.cmd.CommandPath()+" --help", "--image: %w", err)
	}
	out := &controllerImage{reference: n.Name}
	for _, r := range x.registries {
		if r.url.Host == n.Domain {
			out.registry = r
			if ns, _, has := strings.Cut(n.Path, "/"); has {
				out.namespace = ns
			}
		}
	}
	return out, nil
}

// runsOnAll refuses a cluster with nodes that the images are not for.
func (x *installation) runsOnAll(ctx context.Context, images []*selfimage.Image) error {
	nodes, err := x.k.Platforms(ctx)
	if err != nil {
		return err
	}
	var have, files []string
	for _, i := range images {
		have = append(have, i.Platform.OS+"/"+i.Platform.Architecture)
		files = append(files, "--binary FILE-FOR-"+strings.ToUpper(i.Platform.Architecture))
	}
	for _, p := range slices.Sorted(maps.Keys(nodes)) {
		system, arch, _ := strings.Cut(p, "/")
		if system != "linux" || slices.Contains(have, p) {
			continue
		}
		files = append(files, "--binary fairlead-linux-"+arch)
		return usagef(fmt.Sprintf("CGO_ENABLED=0 GOOS=linux GOARCH=%s go build -o fairlead-linux-%[1]s ./cmd/fairlead, of the same version; then the same command with %s", arch, strings.Join(files, " ")),
			"%s of the cluster is %s, and the controller's image would be for %s", count(nodes[p], "node"), p, strings.Join(have, ", "))
	}
	return nil
}

// home makes the image's namespace, unless it is there or none is needed.
func (i *controllerImage) home(ctx context.Context, e env, r *clusterRegistry) error {
	if len(i.images) == 0 {
		return nil
	}
	made, err := r.s.api.AddNamespace(ctx, v1.NamespaceSpec{Name: i.namespace, Account: r.account})
	if status, _ := refusal(err); status == http.StatusConflict {
		return &hintError{r.failed(err), imageElsewhere}
	}
	if err != nil {
		return r.failed(err)
	}
	if made.Added {
		fmt.Fprintf(e.stdout, "The namespace %s of %s is made, for the controller's image.\n", i.namespace, r.url)
	}
	return nil
}

// push sends the image to the registry, unless it is there.
func (i *controllerImage) push(ctx context.Context, e env, r *clusterRegistry) error {
	if len(i.images) == 0 {
		return nil
	}
	p, err := r.s.api.Pusher(ctx, i.repo)
	if err != nil {
		return r.failed(err)
	}
	there, err := p.Digest(ctx, oci.Ref{Digest: i.top.Digest})
	if err != nil {
		return r.failed(err)
	}
	tagged, err := p.Digest(ctx, oci.Ref{Tag: i.tag})
	if err != nil {
		return r.failed(err)
	}
	if there != "" && tagged == i.top.Digest {
		fmt.Fprintf(e.stdout, "The image %s is there.\n", i.reference)
		return nil
	}
	m := newMeter(e, "push the controller's image")
	defer m.end()
	progress := v1.Progress{Step: "bytes"}
	for _, img := range i.images {
		progress.Total += img.Layer.Size + img.Config.Size
	}
	sent := func(n int64) {
		progress.Done += n
		progress.Bytes = progress.Done
		m.show(progress)
	}
	for _, img := range i.images {
		for _, b := range []selfimage.Blob{img.Layer, img.Config} {
			if err := p.Blob(ctx, b.Digest, b.Bytes, sent); err != nil {
				return r.failed(err)
			}
		}
		if err := p.Manifest(ctx, oci.Ref{Digest: img.Manifest.Digest}, img.Manifest); err != nil {
			return r.failed(err)
		}
	}
	if err := p.Manifest(ctx, oci.Ref{Tag: i.tag}, i.top); err != nil {
		return r.failed(err)
	}
	m.end()
	fmt.Fprintf(e.stdout, "The image %s is pushed.\n", i.reference)
	return nil
}
