// Package guard is the view that one principal has of a registry. It is the
// only place where a registry call is refused.
//
// A call needs two things: a registry token with the scope (what the client
// asked for) and the policy's consent (what the principal may do now, so that
// a withdrawn right ends before its token does). What is missing decides the
// answer: a token with more scopes can be fetched (UNAUTHORIZED, with the
// scope that is needed), a right cannot (DENIED). No refusal depends on what
// the registry holds: next is not asked before a call is allowed.
//
// A "*" on a repository is no right, should a token ever hold one.
package guard

import (
	"context"
	"errors"
	"iter"
	"slices"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Viewer is who looks, for one request. The zero Viewer may do nothing.
type Viewer struct {
	Principal access.Principal
	// Granted are the scopes of the verified registry token; nil if there is
	// no token.
	Granted []oci.Scope
	// SignedIn: the principal is known, and signing in would not help.
	SignedIn bool
	// Expired: the registry token was valid, but has expired. Only an upload
	// that was begun in time may go on.
	Expired bool
	Policy  access.Policy
	// Audit gets an Event for each write, each delete and each refusal; it
	// may be nil. It is called before the call returns.
	Audit func(context.Context, Event)
}

// Event is a line of the audit trail.
type Event struct {
	// Method of registry.Registry; "Commit" for a blob that was uploaded.
	Method    string
	Principal access.Principal
	// Repo is "" for the catalog.
	Repo oci.Repo
	// From is the repository that a blob is mounted from.
	From oci.Repo
	// Ref is the tag or digest; zero if there is none. Tags were moved.
	Ref     oci.Ref
	Tags    []oci.Tag
	Allowed bool
	// Reason of the refusal.
	Reason string
	// Err is why an allowed call failed; nil if what it should do is done.
	Err error
}

// New makes the view of v. Refusals are *access.Error; everything else is
// next's own answer.
func New(next registry.Registry, v Viewer) registry.Registry {
	return &guard{next: next, v: v}
}

type guard struct {
	next registry.Registry
	v    Viewer
}

// Shared, so that an allowed call allocates nothing.
var (
	pull   = []oci.Action{oci.ActionPull}
	push   = []oci.Action{oci.ActionPush}
	remove = []oci.Action{oci.ActionDelete}
	all    = []oci.Action{oci.ActionAll}
)

func need(repo oci.Repo, actions []oci.Action) oci.Scope {
	return oci.Scope{Type: oci.ResourceRepository, Name: string(repo), Actions: actions}
}

// granted tells whether the registry token has the scope.
func (v *Viewer) granted(need oci.Scope) bool {
	return slices.ContainsFunc(v.Granted, func(s oci.Scope) bool { return s.Covers(need) })
}

// check decides a call with a token that must not have expired.
func (v *Viewer) check(need oci.Scope) error {
	if v.Expired {
		return unauthorized(need, "the registry token has expired: fetch another")
	}
	return v.checkScope(need)
}

// checkScope decides a call whether or not the token has expired.
func (v *Viewer) checkScope(need oci.Scope) error {
	d := v.Policy.Explain(v.Principal, need)
	switch {
	case d.Allowed && v.granted(need):
		return nil
	case d.Allowed:
		return unauthorized(need, "the registry token lacks the scope "+need.String()+": fetch one that has it")
	case !v.SignedIn:
		return unauthorized(need, d.Reason)
	default:
		return &access.Error{Code: oci.CodeDenied, Reason: d.Reason}
	}
}

// unauthorized refuses with the scopes to ask for. Who pushes is told to ask
// for pull as well, as every registry does: clients look before they upload,
// and would otherwise fetch token after token.
func unauthorized(need oci.Scope, reason string) *access.Error {
	need.Actions = slices.Clone(need.Actions) // ours are shared
	if slices.Contains(need.Actions, oci.ActionPush) {
		need.Actions = []oci.Action{oci.ActionPull, oci.ActionPush}
	}
	return &access.Error{Need: []oci.Scope{need}, Code: oci.CodeUnauthorized, Reason: reason}
}

// allow checks a call and reports a refusal.
func (g *guard) allow(ctx context.Context, need oci.Scope, e Event) error {
	err := g.v.check(need)
	if err != nil {
		g.refused(ctx, e, err)
	}
	return err
}

func (g *guard) refused(ctx context.Context, e Event, err error) {
	e.Reason = err.Error()
	g.report(ctx, e)
}

// done reports a write or delete that was allowed.
func (g *guard) done(ctx context.Context, e Event, err error) {
	e.Allowed, e.Err = true, err
	g.report(ctx, e)
}

func (g *guard) report(ctx context.Context, e Event) {
	if g.v.Audit != nil {
		e.Principal = g.v.Principal
		g.v.Audit(ctx, e)
	}
}

// Resolve needs pull.
func (g *guard) Resolve(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Descriptor, error) {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "Resolve", Repo: repo, Ref: ref}); err != nil {
		return oci.Descriptor{}, err
	}
	return g.next.Resolve(ctx, repo, ref)
}

// Manifest needs pull.
func (g *guard) Manifest(ctx context.Context, repo oci.Repo, ref oci.Ref) (oci.Manifest, error) {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "Manifest", Repo: repo, Ref: ref}); err != nil {
		return oci.Manifest{}, err
	}
	return g.next.Manifest(ctx, repo, ref)
}

// StatBlob needs pull.
func (g *guard) StatBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) (oci.Descriptor, error) {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "StatBlob", Repo: repo, Ref: oci.Ref{Digest: digest}}); err != nil {
		return oci.Descriptor{}, err
	}
	return g.next.StatBlob(ctx, repo, digest)
}

// OpenBlob needs pull. The blob is next's own, untouched: its Body must stay
// what it is for sendfile to work.
func (g *guard) OpenBlob(ctx context.Context, repo oci.Repo, digest oci.Digest, r registry.Range) (*registry.Blob, error) {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "OpenBlob", Repo: repo, Ref: oci.Ref{Digest: digest}}); err != nil {
		return nil, err
	}
	return g.next.OpenBlob(ctx, repo, digest, r)
}

// PutManifest needs push, also to move tags.
func (g *guard) PutManifest(ctx context.Context, repo oci.Repo, put registry.Put) (registry.Stored, error) {
	e := Event{Method: "PutManifest", Repo: repo, Ref: oci.Ref{Digest: put.Digest}, Tags: put.Tags}
	if err := g.allow(ctx, need(repo, push), e); err != nil {
		return registry.Stored{}, err
	}
	stored, err := g.next.PutManifest(registry.WithActor(ctx, g.v.Principal.Name), repo, put)
	if err == nil {
		e.Ref = oci.Ref{Digest: stored.Digest}
	}
	g.done(ctx, e, err)
	return stored, err
}

// Upload needs push. An upload that was begun in time goes on with an expired
// token; whose it is, next checks by the Owner that is set here.
func (g *guard) Upload(ctx context.Context, repo oci.Repo, s registry.Session) (registry.Upload, error) {
	n := need(repo, push)
	check := g.v.check
	if s.ID != "" {
		check = g.v.checkScope
	}
	err := check(n)
	if err == nil && g.v.Principal.TokenID == "" {
		// Without an owner, everybody without one could go on with it.
		err = unauthorized(n, "sign in to push: an upload needs an owner")
	}
	if err != nil {
		g.refused(ctx, Event{Method: "Upload", Repo: repo}, err)
		return nil, err
	}
	s.Owner = g.v.Principal.TokenID
	u, err := g.next.Upload(ctx, repo, s)
	if err != nil || g.v.Audit == nil {
		return u, err
	}
	return &upload{Upload: u, g: g, repo: repo}, nil
}

// upload reports when a blob is stored.
type upload struct {
	registry.Upload
	g    *guard
	repo oci.Repo
}

func (u *upload) Commit(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	d, err := u.Upload.Commit(ctx, digest)
	u.g.done(ctx, Event{Method: "Commit", Repo: u.repo, Ref: oci.Ref{Digest: digest}}, err)
	return d, err
}

// Mount needs push on to and pull on from. Without the second the answer is
// that there is no such blob, which is also the answer when there is none:
// nothing, not even the time it takes, tells what a foreign repository holds.
func (g *guard) Mount(ctx context.Context, to, from oci.Repo, digest oci.Digest) (oci.Descriptor, error) {
	e := Event{Method: "Mount", Repo: to, From: from, Ref: oci.Ref{Digest: digest}}
	if err := g.allow(ctx, need(to, push), e); err != nil {
		var refused *access.Error
		if errors.As(err, &refused) && refused.Code == oci.CodeUnauthorized && from != to {
			refused.Need = append(refused.Need, oci.RepoScope(from, oci.ActionPull))
		}
		return oci.Descriptor{}, err
	}
	if err := g.v.check(need(from, pull)); err != nil {
		g.refused(ctx, e, err)
		return oci.Descriptor{}, oci.Errorf(oci.CodeBlobUnknown, "no blob to mount: upload it")
	}
	d, err := g.next.Mount(ctx, to, from, digest)
	g.done(ctx, e, err)
	return d, err
}

// DeleteManifest needs delete.
func (g *guard) DeleteManifest(ctx context.Context, repo oci.Repo, ref oci.Ref) error {
	e := Event{Method: "DeleteManifest", Repo: repo, Ref: ref}
	if err := g.allow(ctx, need(repo, remove), e); err != nil {
		return err
	}
	err := g.next.DeleteManifest(registry.WithActor(ctx, g.v.Principal.Name), repo, ref)
	g.done(ctx, e, err)
	return err
}

// DeleteBlob needs delete.
func (g *guard) DeleteBlob(ctx context.Context, repo oci.Repo, digest oci.Digest) error {
	e := Event{Method: "DeleteBlob", Repo: repo, Ref: oci.Ref{Digest: digest}}
	if err := g.allow(ctx, need(repo, remove), e); err != nil {
		return err
	}
	err := g.next.DeleteBlob(ctx, repo, digest)
	g.done(ctx, e, err)
	return err
}

// Repositories needs the catalog's scope, and shows the repositories that the
// principal may pull from.
func (g *guard) Repositories(ctx context.Context, in registry.Within, after oci.Repo) iter.Seq2[oci.Repo, error] {
	catalog := oci.Scope{Type: oci.ResourceRegistry, Name: oci.Catalog, Actions: all}
	if err := g.allow(ctx, catalog, Event{Method: "Repositories"}); err != nil {
		return refusal[oci.Repo](err)
	}
	if g.v.Principal.Kind == access.Operator || !in.All {
		return g.visible(g.next.Repositories(ctx, in, after))
	}
	return g.listed(ctx, after)
}

// visible leaves out what the principal may not pull from.
func (g *guard) visible(all iter.Seq2[oci.Repo, error]) iter.Seq2[oci.Repo, error] {
	return func(yield func(oci.Repo, error) bool) {
		for repo, err := range all {
			if (err != nil || g.v.Policy.Visible(g.v.Principal, repo)) && !yield(repo, err) {
				return
			}
		}
	}
}

// listed walks only where the principal may see something, however much there
// is besides: its namespaces and the public ones, and between them, in the
// order of names, the repositories of one element.
func (g *guard) listed(ctx context.Context, after oci.Repo) iter.Seq2[oci.Repo, error] {
	return func(yield func(oci.Repo, error) bool) {
		next, stop := iter.Pull2(g.visible(g.next.Repositories(ctx, registry.Within{}, after)))
		defer stop()
		single, err, more := next()
		until := func(name string) bool { // all singles before a name
			for more && (err != nil || name == "" || string(single) < name) {
				if !yield(single, err) {
					return false
				}
				single, err, more = next()
			}
			return true
		}
		for _, namespace := range g.v.Policy.Listed(g.v.Principal) {
			if namespace+"/\xff" <= string(after) {
				continue
			}
			if !until(namespace + "/") {
				return
			}
			for repo, err := range g.visible(g.next.Repositories(ctx, registry.Within{Namespace: namespace}, after)) {
				if !yield(repo, err) {
					return
				}
			}
		}
		until("")
	}
}

// Tags needs pull.
func (g *guard) Tags(ctx context.Context, repo oci.Repo, after oci.Tag) iter.Seq2[oci.Tag, error] {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "Tags", Repo: repo}); err != nil {
		return refusal[oci.Tag](err)
	}
	return g.next.Tags(ctx, repo, after)
}

// Referrers needs pull.
func (g *guard) Referrers(ctx context.Context, repo oci.Repo, subject oci.Digest, f registry.Filter) iter.Seq2[oci.Descriptor, error] {
	if err := g.allow(ctx, need(repo, pull), Event{Method: "Referrers", Repo: repo, Ref: oci.Ref{Digest: subject}}); err != nil {
		return refusal[oci.Descriptor](err)
	}
	return g.next.Referrers(ctx, repo, subject, f)
}

// refusal is a sequence of one error.
func refusal[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}
