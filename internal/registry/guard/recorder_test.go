package guard_test

import (
	"context"
	"io"
	"iter"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// recorder counts what reaches the registry behind the guard. It answers with
// values that the guard must hand on as they are.
type recorder struct {
	calls     []string
	session   registry.Session
	from      oci.Repo
	fail      error
	blob      registry.Blob
	committed []oci.Digest
}

func (r *recorder) call(name string) error {
	r.calls = append(r.calls, name)
	return r.fail
}

func (r *recorder) Resolve(context.Context, oci.Repo, oci.Ref) (oci.Descriptor, error) {
	return oci.Descriptor{Digest: sum}, r.call("Resolve")
}

func (r *recorder) Manifest(context.Context, oci.Repo, oci.Ref) (oci.Manifest, error) {
	return oci.Manifest{Bytes: []byte("{}")}, r.call("Manifest")
}

func (r *recorder) StatBlob(context.Context, oci.Repo, oci.Digest) (oci.Descriptor, error) {
	return oci.Descriptor{Digest: sum}, r.call("StatBlob")
}

func (r *recorder) OpenBlob(context.Context, oci.Repo, oci.Digest, registry.Range) (*registry.Blob, error) {
	return &r.blob, r.call("OpenBlob")
}

func (r *recorder) PutManifest(context.Context, oci.Repo, registry.Put) (registry.Stored, error) {
	return registry.Stored{Descriptor: oci.Descriptor{Digest: sum}}, r.call("PutManifest")
}

func (r *recorder) Upload(_ context.Context, _ oci.Repo, s registry.Session) (registry.Upload, error) {
	r.session = s
	return upload{r}, r.call("Upload")
}

func (r *recorder) Mount(_ context.Context, _, from oci.Repo, _ oci.Digest) (oci.Descriptor, error) {
	r.from = from
	return oci.Descriptor{Digest: sum}, r.call("Mount")
}

func (r *recorder) DeleteManifest(context.Context, oci.Repo, oci.Ref) error {
	return r.call("DeleteManifest")
}

func (r *recorder) DeleteBlob(context.Context, oci.Repo, oci.Digest) error {
	return r.call("DeleteBlob")
}

func (r *recorder) Repositories(context.Context, registry.Within, oci.Repo) iter.Seq2[oci.Repo, error] {
	_ = r.call("Repositories")
	return sequence(r.fail, web, nobodys, other)
}

func (r *recorder) Tags(context.Context, oci.Repo, oci.Tag) iter.Seq2[oci.Tag, error] {
	_ = r.call("Tags")
	return sequence(r.fail, oci.Tag("latest"))
}

func (r *recorder) Referrers(context.Context, oci.Repo, oci.Digest, registry.Filter) iter.Seq2[oci.Descriptor, error] {
	_ = r.call("Referrers")
	return sequence(r.fail, oci.Descriptor{Digest: sum})
}

func sequence[T any](fail error, of ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range of {
			if !yield(x, nil) {
				return
			}
		}
		if fail != nil {
			var none T
			yield(none, fail)
		}
	}
}

type upload struct{ r *recorder }

func (u upload) ID() string      { return "id" }
func (u upload) Offset() int64   { return 7 }
func (u upload) MinChunk() int64 { return 5 }
func (u upload) Close() error    { return nil }

func (u upload) Append(context.Context, int64, io.Reader) error { return nil }
func (u upload) Cancel(context.Context) error                   { return nil }

func (u upload) Commit(_ context.Context, d oci.Digest) (oci.Descriptor, error) {
	u.r.committed = append(u.r.committed, d)
	return oci.Descriptor{Digest: d}, u.r.fail
}

// method is one way to call a registry.
type method struct {
	name string
	// need is the right it takes; "*" is the catalog.
	need oci.Action
	call func(context.Context, registry.Registry) error
}

func first[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

var tag = oci.Ref{Tag: "latest"}

// methods are all of registry.Registry, some in several uses.
var methods = []method{
	{"Resolve", "pull", func(ctx context.Context, r registry.Registry) error { _, err := r.Resolve(ctx, web, tag); return err }},
	{"Manifest", "pull", func(ctx context.Context, r registry.Registry) error { _, err := r.Manifest(ctx, web, tag); return err }},
	{"StatBlob", "pull", func(ctx context.Context, r registry.Registry) error { _, err := r.StatBlob(ctx, web, sum); return err }},
	{"OpenBlob", "pull", func(ctx context.Context, r registry.Registry) error {
		_, err := r.OpenBlob(ctx, web, sum, registry.Whole)
		return err
	}},
	{"Tags", "pull", func(ctx context.Context, r registry.Registry) error { return first(r.Tags(ctx, web, "")) }},
	{"Referrers", "pull", func(ctx context.Context, r registry.Registry) error {
		return first(r.Referrers(ctx, web, sum, registry.Filter{}))
	}},
	{"PutManifest", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.PutManifest(ctx, web, registry.Put{Digest: sum})
		return err
	}},
	{"PutManifest with tags", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.PutManifest(ctx, web, registry.Put{Tags: []oci.Tag{"v1", "latest"}})
		return err
	}},
	{"Upload", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.Upload(ctx, web, registry.Session{})
		return err
	}},
	{"Upload in one request", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.Upload(ctx, web, registry.Session{OneRequest: true})
		return err
	}},
	{"Upload continued", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.Upload(ctx, web, registry.Session{ID: "id"})
		return err
	}},
	{"Mount", "push", func(ctx context.Context, r registry.Registry) error {
		_, err := r.Mount(ctx, web, other, sum)
		return err
	}},
	{"DeleteManifest by tag", "delete", func(ctx context.Context, r registry.Registry) error { return r.DeleteManifest(ctx, web, tag) }},
	{"DeleteManifest by digest", "delete", func(ctx context.Context, r registry.Registry) error {
		return r.DeleteManifest(ctx, web, oci.Ref{Digest: sum})
	}},
	{"DeleteBlob", "delete", func(ctx context.Context, r registry.Registry) error { return r.DeleteBlob(ctx, web, sum) }},
	{"Repositories", "*", func(ctx context.Context, r registry.Registry) error {
		return first(r.Repositories(ctx, registry.Everywhere, ""))
	}},
}

func (m method) reached() string { return strings.Fields(m.name)[0] }

// scope is the scope that the method needs a token for.
func (m method) scope() oci.Scope {
	if m.need == "*" {
		return oci.CatalogScope()
	}
	return oci.RepoScope(web, m.need)
}
