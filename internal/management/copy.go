package management

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Tag gives an image another tag.
func (d *Desk) Tag(ctx context.Context, p access.Principal, o v1.TagOptions) (v1.Copied, error) {
	return d.copy(ctx, p, o.ImageRef, v1.ImageRef{Repository: o.Repository, Reference: o.Tag}, false)
}

// Copy makes an image one of another repository, too.
func (d *Desk) Copy(ctx context.Context, p access.Principal, o v1.CopyOptions) (v1.Copied, error) {
	if o.From.Repository == o.To.Repository && o.To.Reference == "" {
		return v1.Copied{}, invalid("to is where the image is already: name another repository, or a tag")
	}
	return d.copy(ctx, p, o.From, o.To, !o.NoReferrers)
}

func (d *Desk) copy(ctx context.Context, p access.Principal, from, to v1.ImageRef, referrers bool) (v1.Copied, error) {
	source, ref, err := refer("from.reference", from)
	if err != nil {
		return v1.Copied{}, err
	}
	target, err := oci.ParseRepo(to.Repository)
	if err != nil {
		return v1.Copied{}, err
	}
	var tag oci.Tag
	if to.Reference != "" {
		if tag, err = oci.ParseTag(to.Reference); err != nil {
			return v1.Copied{}, invalid("the new name must be a tag: %s", err.Error())
		}
	}
	if err := d.sees(p, source); err != nil {
		return v1.Copied{}, err
	}
	view := d.view(p, source, target)
	var was oci.Descriptor
	if tag != "" && d.o.Policy.Visible(p, target) {
		if was, err = view.Resolve(ctx, target, oci.Ref{Tag: tag}); err != nil && !unknown(err) {
			return v1.Copied{}, err
		}
	}
	n, err := registry.Copy(ctx, view, target, tag, source, ref, referrers)
	out := v1.Copied{Repository: string(target), Tag: string(tag), Digest: string(n.Digest), Manifests: n.Manifests, Blobs: n.Blobs}
	if err == nil && was.Digest != n.Digest {
		out.Moved = string(was.Digest)
	}
	return out, err
}
