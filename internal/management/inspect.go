package management

import (
	"context"
	"encoding/json"
	"io"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

const (
	// mostConfig is the largest image configuration that is shown, in bytes.
	mostConfig = 1 << 20
	// mostShown bounds lists of one image: platforms, referrers, layers.
	mostShown = 1000
)

// document is what is shown of a manifest or an index.
type document struct {
	Config      *descriptor       `json:"config"`
	Layers      []descriptor      `json:"layers"`
	Manifests   []descriptor      `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
}

type descriptor struct {
	MediaType string     `json:"mediaType"`
	Digest    oci.Digest `json:"digest"`
	Size      int64      `json:"size"`
	Platform  *platform  `json:"platform"`
}

// platform of an index's child; an image's configuration has the same fields.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// Inspect shows an image in full.
func (d *Desk) Inspect(ctx context.Context, p access.Principal, r v1.ImageRef) (v1.ImageDetail, error) {
	repo, ref, err := refer("reference", r)
	if err != nil {
		return v1.ImageDetail{}, err
	}
	if err := d.sees(p, repo); err != nil {
		return v1.ImageDetail{}, err
	}
	view := d.view(p, repo)
	desc, err := view.Resolve(ctx, repo, ref)
	if err != nil {
		return v1.ImageDetail{}, err
	}
	m, err := d.o.Registry.Peek(ctx, repo, desc.Digest) // looking is no pull
	if err != nil {
		return v1.ImageDetail{}, err
	}
	out := v1.ImageDetail{Repository: string(repo), Reference: ref.String(), Digest: string(m.Digest), MediaType: m.MediaType}
	if err := d.body(ctx, view, repo, m, &out); err != nil {
		return out, err
	}
	return out, d.surroundings(ctx, view, repo, m, &out)
}

// body shows what the manifest says.
func (d *Desk) body(ctx context.Context, view registry.Registry, repo oci.Repo, m oci.Manifest, out *v1.ImageDetail) error {
	_, content, err := oci.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		return err
	}
	var doc document
	if err := json.Unmarshal(m.Bytes, &doc); err != nil {
		return invalid("the manifest %s is not readable", m.Digest)
	}
	out.Annotations, out.Subject = doc.Annotations, string(content.Subject)
	for _, l := range doc.Layers[:min(len(doc.Layers), mostShown)] {
		out.Layers = append(out.Layers, v1.Layer{Digest: string(l.Digest), MediaType: l.MediaType, Size: l.Size})
	}
	for _, c := range doc.Manifests[:min(len(doc.Manifests), mostShown)] {
		if c.Platform != nil {
			out.Platforms = append(out.Platforms, platformOf(*c.Platform, c.Digest, c.Size))
		}
	}
	if doc.Config == nil {
		return nil
	}
	if !imageConfig[doc.Config.MediaType] {
		out.Artifact = content.ArtifactType
		return nil
	}
	return d.config(ctx, view, repo, m, *doc.Config, out)
}

// imageConfig are the media types of configurations of images.
var imageConfig = map[string]bool{
	"application/vnd.oci.image.config.v1+json":       true,
	"application/vnd.docker.container.image.v1+json": true,
}

// config shows an image's configuration.
func (d *Desk) config(ctx context.Context, view registry.Registry, repo oci.Repo, m oci.Manifest, c descriptor, out *v1.ImageDetail) error {
	if c.Size > mostConfig {
		return nil
	}
	b, err := view.OpenBlob(ctx, repo, c.Digest, registry.Whole)
	if err != nil || b.Body == nil {
		return err
	}
	defer b.Body.Close()
	text, err := io.ReadAll(io.LimitReader(b.Body, mostConfig))
	if err != nil {
		return err
	}
	var config any
	var at platform
	if json.Unmarshal(text, &config) != nil || json.Unmarshal(text, &at) != nil {
		return nil // a client may push what it likes
	}
	out.Config = config
	if at.OS != "" || at.Architecture != "" {
		out.Platforms = []v1.Platform{platformOf(at, m.Digest, m.Size)}
	}
	return nil
}

func platformOf(p platform, digest oci.Digest, size int64) v1.Platform {
	return v1.Platform{Digest: string(digest), OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, Size: size}
}

// surroundings: tags, referrers and the bytes that would go.
func (d *Desk) surroundings(ctx context.Context, view registry.Registry, repo oci.Repo, m oci.Manifest, out *v1.ImageDetail) error {
	tags, err := d.o.Overview.TagsOf(ctx, repo, m.Digest)
	if err != nil {
		return err
	}
	out.Tags = texts(tags)
	for r, err := range view.Referrers(ctx, repo, m.Digest, registry.Filter{}) {
		if err != nil {
			return err
		}
		if len(out.Referrers) == mostShown {
			break
		}
		out.Referrers = append(out.Referrers, v1.Referrer{Digest: string(r.Digest), Artifact: r.ArtifactType, Size: r.Size})
	}
	b, err := d.o.Overview.BytesOf(ctx, repo, []oci.Digest{m.Digest})
	out.UniqueBytes, out.SharedBytes, out.Size = b.Unique, b.Shared, b.Unique+b.Shared
	return err
}
