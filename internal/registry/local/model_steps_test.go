package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// step is one operation; its numbers choose what it is done to, whatever
// there is by then, so that any part of a list of steps can be run.
type step struct {
	kind       string
	a, b, c, d int
}

// kinds of steps, each as often as it stands here.
var kinds = []string{
	"push", "push", "push", "put", "put", "put", "put by digest", "put by digest", "wrong digest", "tags", "tags",
	"whole", "whole", "whole", "whole", "whole wrong", "whole cut",
	"begin", "append", "append", "append", "append wrong", "append cut", "commit", "commit wrong", "cancel", "foreign upload",
	"mount", "mount", "delete tag", "delete tag", "delete manifest", "delete manifest", "delete subject", "delete blob", "delete blob", "delete blob",
	"get tag", "get digest", "stat", "read", "read", "list tags", "list referrers", "list referrers", "list repositories",
	"sweep", "pass", "restart", "keys",
}

// duel runs steps on the registry and on the model.
type duel struct {
	p    *place
	m    *model
	s    *stock
	life int
}

func pick[T any](list []T, i int) T { return list[i%len(list)] }

// differs says what is wrong with an answer: its code must be want.
func differs(err error, want oci.Code) error {
	var e *oci.Error
	switch {
	case err == nil && want == "":
		return nil
	case err == nil:
		return fmt.Errorf("it went well, the model says %s", want)
	case !errors.As(err, &e):
		return fmt.Errorf("an internal error: %w", err)
	case e.Code != want:
		return fmt.Errorf("got %w (%s), the model says %q", err, e.Code, want)
	}
	return nil
}

func (d *duel) do(s step) error {
	repo := pick(d.s.repos, s.a)
	content := pick(d.s.blobs, s.b)
	x := pick(d.s.manifests, s.b)
	tag := pick(d.s.tags, s.c)
	switch s.kind {
	case "push":
		if err := d.fill(repo, x); err != nil {
			return err
		}
		return d.put(s, repo, x)
	case "put", "put by digest", "wrong digest", "tags":
		return d.put(s, repo, x)
	case "whole", "whole wrong", "whole cut":
		return d.whole(s, repo, content)
	case "begin":
		return d.begin(s, repo)
	case "append", "append wrong", "append cut", "commit", "commit wrong", "cancel", "foreign upload":
		return d.upload(s)
	case "mount":
		from := pick(d.s.repos, s.c)
		_, err := d.p.Mount(ctx, repo, from, content.Digest())
		return differs(err, d.m.mount(repo, from, content.Digest()))
	case "delete tag":
		err := d.p.DeleteManifest(ctx, repo, oci.Ref{Tag: tag})
		return differs(err, d.m.deleteManifest(repo, oci.Ref{Tag: tag}))
	case "delete manifest", "delete subject":
		return d.deleteManifest(s, repo, x)
	case "delete blob":
		digest := content.Digest()
		if of := x.blobs; s.d%2 == 0 && len(of) > 0 {
			digest = pick(of, s.c)
		}
		err := d.p.DeleteBlob(ctx, repo, digest)
		return differs(err, d.m.deleteBlob(repo, digest))
	case "get tag":
		return d.get(repo, oci.Ref{Tag: tag})
	case "get digest":
		return d.get(repo, oci.Ref{Digest: digestOf(x, s.c)})
	case "stat", "read":
		return d.read(s, repo, content)
	case "list tags", "list referrers", "list repositories":
		return d.list(s, repo, x)
	}
	return d.house(s)
}

// deleteManifest, or its subject, with a look before and after: what was read
// and cached must be forgotten.
func (d *duel) deleteManifest(s step, repo oci.Repo, x *thing) error {
	itself := oci.Ref{Digest: x.Digest()}
	ref := itself
	if s.kind == "delete subject" && x.subject != "" {
		ref.Digest = x.subject
	} else if s.kind == "delete manifest" {
		ref.Digest = digestOf(x, s.c)
	}
	if err := d.get(repo, itself); err != nil {
		return err
	}
	err := d.p.DeleteManifest(ctx, repo, ref)
	if err := differs(err, d.m.deleteManifest(repo, ref)); err != nil {
		return err
	}
	return d.get(repo, itself)
}

// digestOf a manifest, sometimes the longer one.
func digestOf(x *thing, n int) oci.Digest {
	if n%5 == 0 {
		return oci.DigestOf(oci.SHA512, x.Bytes)
	}
	return x.Digest()
}

func (d *duel) put(s step, repo oci.Repo, x *thing) error {
	put := registrytest.Put(x.Content)
	if s.c%3 == 0 {
		put.MediaType = "" // the document says it
	}
	switch s.kind {
	case "wrong digest":
		put.Digest = pick(d.s.blobs, s.d).Digest()
	case "tags":
		put.Tags = []oci.Tag{pick(d.s.tags, s.c), pick(d.s.tags, s.d)}
		put.Digest = digestOf(x, s.c)
	case "put by digest":
		put.Digest = digestOf(x, s.c)
	default:
		put.Tags = []oci.Tag{pick(d.s.tags, s.c)}
	}
	if x.broken {
		put.MediaType = x.MediaType
	}
	stored, err := d.p.PutManifest(ctx, repo, put)
	want, missing := d.m.put(repo, x, put.Digest, put.Tags)
	if e := differs(err, want); e != nil {
		return e
	}
	if want == oci.CodeManifestBlobUnknown {
		var e *oci.Error
		_ = errors.As(err, &e)
		got, _ := e.Detail.([]oci.Digest)
		got = slices.Sorted(slices.Values(got))
		slices.Sort(missing)
		if !slices.Equal(got, missing) {
			return fmt.Errorf("%v are said to be missing, it is %v", got, missing)
		}
	}
	digest := x.Digest()
	if put.Digest != "" {
		digest = put.Digest
	}
	if err == nil && (stored.Digest != digest || stored.Subject != x.subject || stored.MediaType != x.MediaType) {
		return fmt.Errorf("stored %+v", stored)
	}
	return nil
}

// fill gives the repository what the manifest needs, and its subject.
func (d *duel) fill(repo oci.Repo, x *thing) error {
	for _, digest := range slices.Concat(x.blobs, x.children, []oci.Digest{x.subject}) {
		for i, c := range d.s.blobs {
			if c.Digest() != digest {
				continue
			}
			if err := d.do(step{kind: "whole", a: slices.Index(d.s.repos, repo), b: i}); err != nil {
				return err
			}
		}
		for _, child := range d.s.manifests {
			if child.Digest() != digest {
				continue
			}
			if err := d.fill(repo, child); err != nil {
				return err
			}
			if err := d.put(step{kind: "put by digest", c: 1}, repo, child); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole uploads in one request.
func (d *duel) whole(s step, repo oci.Repo, c registrytest.Content) error {
	u, err := d.p.Upload(ctx, repo, registry.Session{Owner: "o", Algorithm: c.Digest().Algorithm(), OneRequest: true})
	if err != nil {
		return err
	}
	var body io.Reader = bytes.NewReader(c.Bytes)
	if s.kind == "whole cut" {
		body = io.MultiReader(bytes.NewReader(c.Bytes[:len(c.Bytes)/2]), iotest.ErrReader(errGone))
	}
	err = u.Append(ctx, 0, body)
	if s.kind == "whole cut" {
		if !errors.Is(err, errGone) {
			return fmt.Errorf("the reader's error became %w", err)
		}
		return u.Close()
	}
	if err != nil {
		return err
	}
	digest := c.Digest()
	if s.kind == "whole wrong" {
		digest = pick(d.s.blobs, s.b+1).Digest()
	}
	got, err := u.Commit(ctx, digest)
	want := d.m.commit(&modelUpload{repo: repo, bytes: c.Bytes}, digest)
	if err == nil && (got.Digest != digest || got.Size != int64(len(c.Bytes))) {
		return fmt.Errorf("committed %+v", got)
	}
	return errors.Join(differs(err, want), u.Close())
}

var errGone = errors.New("the client is gone")

var owners = []string{"o", "p"}

func (d *duel) begin(s step, repo oci.Repo) error {
	owner := pick(owners, s.b)
	u, err := d.p.Upload(ctx, repo, registry.Session{Owner: owner, Algorithm: []oci.Algorithm{"", oci.SHA256, oci.SHA512}[s.c%3]})
	if err != nil {
		return err
	}
	d.m.uploads = append(d.m.uploads, &modelUpload{id: u.ID(), owner: owner, repo: repo, life: d.life, touched: d.m.now})
	return u.Close()
}

// upload goes on with an open upload.
func (d *duel) upload(s step) error {
	if len(d.m.uploads) == 0 {
		return nil
	}
	mine := pick(d.m.uploads, s.a)
	repo, owner := mine.repo, mine.owner
	if s.kind == "foreign upload" {
		repo, owner = pick(d.s.repos, s.b), pick(owners, s.c)
	}
	u, err := d.p.Upload(ctx, repo, registry.Session{Owner: owner, ID: mine.id})
	if d.m.open(repo, owner, mine.id) == nil {
		return differs(err, oci.CodeBlobUploadUnknown)
	}
	if err != nil {
		return err
	}
	if u.Offset() != int64(len(mine.bytes)) || u.ID() != mine.id {
		return fmt.Errorf("upload %s stands at %d, the model's at %d", u.ID(), u.Offset(), len(mine.bytes))
	}
	c := pick(d.s.blobs, s.b)
	switch s.kind {
	case "append", "append cut", "append wrong":
		err = d.append(s, u, mine, c)
	case "commit", "commit wrong":
		digest := oci.DigestOf(c.Digest().Algorithm(), mine.bytes)
		if s.kind == "commit wrong" {
			digest = c.Digest()
		}
		_, cerr := u.Commit(ctx, digest)
		err = differs(cerr, d.m.commit(mine, digest))
		if cerr == nil && !slices.ContainsFunc(d.s.blobs, func(c registrytest.Content) bool { return c.Digest() == digest }) {
			d.s.blobs = append(d.s.blobs, registrytest.Content{Bytes: slices.Clone(mine.bytes), Algorithm: digest.Algorithm()})
		}
	case "cancel":
		d.m.end(mine)
		err = u.Cancel(ctx)
	}
	return errors.Join(err, u.Close())
}

func (d *duel) append(s step, u registry.Upload, mine *modelUpload, c registrytest.Content) error {
	stands := int64(len(mine.bytes))
	if mine.life != d.life && stands > 0 {
		// The first request of a life reads it all back, and notes that.
		mine.life, mine.touched = d.life, d.m.now
	}
	if s.kind == "append wrong" {
		at := stands + int64(s.c%3) - 1
		if at == stands {
			at += 10
		}
		err := u.Append(ctx, at, bytes.NewReader(c.Bytes))
		var e *registry.OffsetError
		if !errors.As(err, &e) || e.Offset != stands || e.Sent != at {
			return fmt.Errorf("a chunk at %d of an upload at %d: %w", at, stands, err)
		}
		return nil
	}
	part := c.Bytes[s.c%(len(c.Bytes)+1):]
	var body io.Reader = bytes.NewReader(part)
	if s.kind == "append cut" {
		body = io.MultiReader(body, iotest.ErrReader(errGone))
	}
	err := u.Append(ctx, stands, body)
	if s.kind == "append cut" && errors.Is(err, errGone) {
		err = nil
	}
	mine.stored = true
	mine.bytes = append(mine.bytes, part...)
	if len(part) > 0 {
		mine.life, mine.touched = d.life, d.m.now
	}
	if err == nil && u.Offset() != int64(len(mine.bytes)) {
		err = fmt.Errorf("the upload stands at %d after %d bytes", u.Offset(), len(mine.bytes))
	}
	return err
}

func (d *duel) get(repo oci.Repo, ref oci.Ref) error {
	x, digest, want := d.m.find(repo, ref)
	got, err := d.p.Manifest(ctx, repo, ref)
	if e := differs(err, want); e != nil {
		return e
	}
	desc, err := d.p.Resolve(ctx, repo, ref)
	if e := differs(err, want); e != nil {
		return fmt.Errorf("resolve: %w", e)
	}
	if want == "" && (!x.is(got, digest) || !cmp.Equal(desc, x.descriptor(digest))) {
		return fmt.Errorf("%s of %s is %+v", ref, repo, desc)
	}
	return nil
}

func (d *duel) read(s step, repo oci.Repo, c registrytest.Content) error {
	want := d.m.tell(repo, c.Digest())
	desc, err := d.p.StatBlob(ctx, repo, c.Digest())
	if e := differs(err, want); e != nil {
		return e
	}
	rng := registry.Whole
	size := int64(len(c.Bytes))
	if s.kind == "read" && size > 0 {
		rng = registry.Range{Offset: int64(s.c) % size, Length: int64(s.d) % size}
	}
	b, err := d.p.OpenBlob(ctx, repo, c.Digest(), rng)
	if e := differs(err, want); e != nil || want != "" {
		return e
	}
	var body io.Reader = b.Body
	end := size
	if rng.Length >= 0 {
		body = io.LimitReader(body, rng.Length)
		end = min(size, rng.Offset+rng.Length)
	}
	got, err := io.ReadAll(body)
	if err = errors.Join(err, b.Body.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, c.Bytes[rng.Offset:end]) || b.Size != size || desc.Size != size || desc.Digest != c.Digest() {
		return fmt.Errorf("blob %s of %s: %d bytes of %d at %d", c.Digest(), repo, len(got), b.Size, rng.Offset)
	}
	return nil
}

func (d *duel) list(s step, repo oci.Repo, x *thing) error {
	n := 1 + s.d%8
	switch s.kind {
	case "list tags":
		after := oci.Tag("")
		if s.c%3 > 0 {
			after = pick(d.s.tags, s.c)
		}
		want, code := d.m.tags(repo, after)
		got, err := some(d.p.Tags(ctx, repo, after), n)
		return errors.Join(differs(err, code), same(got, want, n))
	case "list referrers":
		f := registry.Filter{ArtifactType: []string{"", signature, sbom}[s.c%3]}
		if s.d%2 == 0 {
			f.After = pick(d.s.manifests, s.d/2).Digest()
		}
		got, err := some(d.p.Referrers(ctx, repo, x.Digest(), f), n)
		return errors.Join(err, same(got, d.m.referrers(repo, x.Digest(), f), n))
	}
	after := oci.Repo("")
	if s.c%2 > 0 {
		after = repo
	}
	got, err := some(d.p.Repositories(ctx, registry.Everywhere, after), n)
	return errors.Join(err, same(got, d.m.repositories(after), n))
}

func some[T any](seq iter.Seq2[T, error], n int) ([]T, error) {
	var list []T
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		if list = append(list, v); len(list) == n {
			break
		}
	}
	return list, nil
}

// same compares the first n.
func same[T any](got, want []T, n int) error {
	want = want[:min(n, len(want))]
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("a list (-model +registry):\n%s", diff)
	}
	return nil
}

// house keeps: the sweep, the clock, a new life, what lies in the store.
func (d *duel) house(s step) error {
	switch s.kind {
	case "sweep":
		got, err := d.p.Sweep(ctx, local.SweepOptions{})
		want := d.m.sweep()
		if err != nil || got != want {
			return fmt.Errorf("swept %+v, the model %+v (%w)", got, want, err)
		}
	case "pass":
		by := []time.Duration{
			time.Second, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 5 * 24 * time.Hour,
		}[s.a%8]
		d.p.pass(by)
		d.m.now = d.m.now.Add(by)
	case "restart":
		d.p.restart(s.a%8 == 0)
		d.life++
		d.m.born = d.m.now
		clear(d.m.told)
	case "keys":
		got, err := d.p.keys()
		if want := d.m.keys(); err != nil || got != want {
			return fmt.Errorf("%d keys lie in the store, the model has %d (%w)", got, want, err)
		}
	}
	return nil
}
