package management

import (
	"context"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/registry/local"
)

// view is the registry as p sees it, with all that p may do in the
// repositories.
func (d *Desk) view(p access.Principal, repos ...oci.Repo) registry.Registry {
	var wanted []oci.Scope
	for _, r := range repos {
		wanted = append(wanted, oci.RepoScope(r, oci.ActionPull, oci.ActionPush, oci.ActionDelete))
	}
	return d.o.View(guard.Viewer{
		Principal: p, Granted: d.o.Policy.Allow(p, wanted), SignedIn: true, Policy: d.o.Policy, Audit: d.o.Audited,
	})
}

// refer reads an image's name; no reference is the tag latest.
func refer(field string, r v1.ImageRef) (oci.Repo, oci.Ref, error) {
	repo, err := oci.ParseRepo(r.Repository)
	if err != nil {
		return "", oci.Ref{}, err
	}
	if r.Reference == "" {
		return repo, oci.Ref{Tag: latest}, nil
	}
	ref, err := oci.ParseRef(r.Reference)
	if err != nil {
		return "", oci.Ref{}, invalid("%s: %s", field, err.Error())
	}
	return repo, ref, nil
}

const latest oci.Tag = "latest"

// sees hides what p may not pull from: it answers as if it were not there.
func (d *Desk) sees(p access.Principal, repo oci.Repo) error {
	if d.o.Policy.Visible(p, repo) {
		return nil
	}
	return oci.Errorf(oci.CodeNameUnknown, "there is no repository %s here: list them (fairlead image list)", repo)
}

// Repositories by name.
func (d *Desk) Repositories(ctx context.Context, p access.Principal, q v1.PlaceQuery) (v1.RepositoryPage, error) {
	out := v1.RepositoryPage{Items: []v1.Repository{}}
	after := oci.Repo(q.Next)
	places, err := d.places(ctx, p, q, after)
	if err != nil {
		return out, err
	}
	for _, place := range places {
		if behind(place, after) {
			continue
		}
		rows, err := d.o.Overview.RepositoryPage(ctx, place, after, q.Limit+1-len(out.Items))
		if err != nil {
			return out, err
		}
		for _, r := range rows {
			if len(out.Items) == q.Limit {
				out.Next = out.Items[q.Limit-1].Name
				return out, nil
			}
			out.Items = append(out.Items, v1.Repository{
				Name: string(r.Repo), Namespace: r.Repo.Namespace(), Created: r.Created.UTC(), Updated: r.Updated.UTC(),
				Tags: r.Tags, Manifests: r.Manifests, Bytes: r.Bytes, Pulls: r.Pulls, LastPull: optional(r.LastPull),
			})
		}
	}
	return out, nil
}

// Images by repository and tag. The cursor is REPOSITORY:TAG.
func (d *Desk) Images(ctx context.Context, p access.Principal, q v1.PlaceQuery) (v1.ImagePage, error) {
	out := v1.ImagePage{Items: []v1.Image{}}
	repo, tag, ok := strings.Cut(q.Next, ":")
	if q.Next != "" && !ok {
		return out, invalid("next is %q: it must be the next of the page before", oci.Clip(q.Next))
	}
	places, err := d.places(ctx, p, q, oci.Repo(repo))
	if err != nil {
		return out, err
	}
	for _, place := range places {
		if behind(place, oci.Repo(repo)) {
			continue
		}
		rows, err := d.o.Overview.ImagePage(ctx, place, oci.Repo(repo), oci.Tag(tag), q.Limit+1-len(out.Items))
		if err != nil {
			return out, err
		}
		for _, r := range rows {
			if len(out.Items) == q.Limit {
				last := out.Items[q.Limit-1]
				out.Next = last.Repository + ":" + last.Tag
				return out, nil
			}
			out.Items = append(out.Items, imageOf(r))
		}
	}
	return out, nil
}

func imageOf(r local.ImageInfo) v1.Image {
	return v1.Image{
		Repository: string(r.Repo), Namespace: r.Repo.Namespace(), Tag: string(r.Tag), Digest: string(r.Digest),
		MediaType: r.MediaType, Artifact: artifact(r.Artifact), Pushed: r.Pushed.UTC(), Updated: r.Updated.UTC(), Size: r.Size,
		Pulls: r.Pulls, LastPull: optional(r.LastPull),
	}
}

// Digests of a repository, newest first.
func (d *Desk) Digests(ctx context.Context, p access.Principal, q v1.DigestQuery) (v1.DigestPage, error) {
	out := v1.DigestPage{Items: []v1.Digest{}}
	repo, err := oci.ParseRepo(q.Repository)
	if err != nil {
		return out, err
	}
	if err := d.sees(p, repo); err != nil {
		return out, err
	}
	var before int64
	if q.Next != "" {
		if before, err = strconv.ParseInt(q.Next, 10, 64); err != nil || before <= 0 {
			return out, invalid("next is %q: it must be the next of the page before", oci.Clip(q.Next))
		}
	}
	rows, next, err := d.o.Overview.DigestPage(ctx, repo, before, q.Limit)
	for _, r := range rows {
		out.Items = append(out.Items, v1.Digest{
			Repository: string(r.Repo), Digest: string(r.Digest), MediaType: r.MediaType, Artifact: artifact(r.Artifact), Pushed: r.Pushed.UTC(),
			Tags: texts(r.Tags), Subject: string(r.Subject), Parents: r.Parents, Referrers: r.Referrers, Size: r.Size,
			Pulls: r.Pulls, LastPull: optional(r.LastPull),
		})
	}
	if next != 0 {
		out.Next = strconv.FormatInt(next, 10)
	}
	return out, err
}

// artifact is the type of what is no image, "" for an image.
func artifact(t string) string {
	if imageConfig[t] {
		return ""
	}
	return t
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// RemoveImage removes a tag, or a manifest with all its tags.
func (d *Desk) RemoveImage(ctx context.Context, p access.Principal, r v1.ImageRef, dryRun bool) (v1.Removed, error) {
	repo, ref, err := refer("reference", r)
	if err != nil {
		return v1.Removed{}, err
	}
	if err := d.sees(p, repo); err != nil {
		return v1.Removed{}, err
	}
	view := d.view(p, repo)
	desc, err := view.Resolve(ctx, repo, ref)
	if err != nil {
		return v1.Removed{}, err
	}
	tags, err := d.o.Overview.TagsOf(ctx, repo, desc.Digest)
	if err != nil {
		return v1.Removed{}, err
	}
	out := v1.Removed{Kind: "tag", Name: string(repo) + ":" + string(ref.Tag), Tags: 1, DryRun: dryRun}
	if ref.Tag != "" {
		out.Remains = &v1.Remains{Digest: string(desc.Digest), Tags: []string{}}
		for _, t := range tags {
			if t != ref.Tag {
				out.Remains.Tags = append(out.Remains.Tags, string(t))
			}
		}
	} else {
		const most = 100
		b, err := d.o.Overview.BytesOf(ctx, repo, []oci.Digest{desc.Digest})
		if err != nil {
			return out, err
		}
		out = v1.Removed{
			Kind: "manifest", Name: string(repo) + "@" + string(desc.Digest), Manifests: 1, Tags: len(tags),
			TagNames: texts(tags[:min(len(tags), most)]), Bytes: b.Unique, DryRun: dryRun,
		}
	}
	if dryRun {
		return out, d.mayDelete(p, repo)
	}
	if err := view.DeleteManifest(ctx, repo, ref); err != nil {
		return out, err
	}
	return d.trashed(ctx, out, local.TrashFilter{Repo: repo, Name: ref.String()}, 0)
}

func (d *Desk) mayDelete(p access.Principal, repo oci.Repo) error {
	if v := d.o.Policy.Explain(p, oci.RepoScope(repo, oci.ActionDelete)); !v.Allowed {
		return oci.Errorf(oci.CodeDenied, "%s", v.Reason)
	}
	return nil
}

// RemoveRepository moves a repository to the trash, or says what would go.
func (d *Desk) RemoveRepository(ctx context.Context, p access.Principal, repository string, dryRun bool) (v1.Removed, error) {
	repo, err := oci.ParseRepo(repository)
	if err != nil {
		return v1.Removed{}, err
	}
	if err := d.sees(p, repo); err != nil {
		return v1.Removed{}, err
	}
	e := guard.Event{Method: "DeleteRepository", Principal: p, Repo: repo}
	if err := d.mayDelete(p, repo); err != nil {
		e.Reason = err.Error()
		d.o.Audited(ctx, e)
		return v1.Removed{}, err
	}
	rows, err := d.o.Overview.RepositoryPage(ctx, local.Place{Prefix: repository}, "", 1)
	if err != nil {
		return v1.Removed{}, err
	}
	if len(rows) == 0 || rows[0].Repo != repo {
		return v1.Removed{}, oci.Errorf(oci.CodeNameUnknown, "there is no repository %s here: list them (fairlead image list)", repo)
	}
	out := v1.Removed{
		Kind: "repository", Name: repository, Repositories: 1, Manifests: rows[0].Manifests, Tags: rows[0].Tags, Bytes: rows[0].Bytes, DryRun: dryRun,
	}
	if dryRun {
		return out, nil
	}
	entry, err := d.o.Registry.DeleteRepository(registry.WithActor(ctx, p.Name), repo)
	e.Allowed, e.Err = true, err
	d.o.Audited(ctx, e)
	if err != nil {
		return out, err
	}
	out.TrashID, out.Expires = entry.ID, optional(d.o.Registry.Expires(entry))
	return out, nil
}
