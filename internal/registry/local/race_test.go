package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// interleavings is how often each race is run; they are started in an order
// and with pauses that differ.
const interleavings = 300

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// readsAs reads an open blob to its end.
func readsAs(got *registry.Blob, want registrytest.Content) error {
	b, err := io.ReadAll(got.Body)
	if err = errors.Join(err, got.Body.Close()); err != nil {
		return err
	}
	if !bytes.Equal(b, want.Bytes) {
		return fmt.Errorf("%s reads as %d other bytes", want.Digest(), len(b))
	}
	return nil
}

// race runs all at once, each after a pause that depends on the round.
func race(round int, all ...func() error) error {
	errs := make([]error, len(all))
	start := make(chan struct{})
	var group sync.WaitGroup
	for i, run := range all {
		pause := time.Duration(round*(i+1)*7%23) * 20 * time.Microsecond
		if (round+i)%3 == 0 {
			pause = 0
		}
		group.Go(func() {
			<-start
			time.Sleep(pause)
			errs[i] = run()
		})
	}
	close(start)
	group.Wait()
	return errors.Join(errs...)
}

// whole checks that what a tag or digest names can be pulled, by the caches
// and without them, and tells whether there is something.
func (p *place) whole(repo oci.Repo, ref oci.Ref, blobs ...registrytest.Content) (bool, error) {
	fresh := local.New(p.o)
	m, err := p.Manifest(ctx, repo, ref)
	again, ferr := fresh.Manifest(ctx, repo, ref)
	if (err == nil) != (ferr == nil) || m.Digest != again.Digest {
		return false, fmt.Errorf("%s is %s (%w) by the cache, %s (%w) in truth", ref, m.Digest, err, again.Digest, ferr)
	}
	if err != nil {
		return false, unless(err, oci.CodeManifestUnknown)
	}
	if _, err := p.Manifest(ctx, repo, oci.Ref{Digest: m.Digest}); err != nil {
		return false, fmt.Errorf("%s is %s, which is not there: %w", ref, m.Digest, err)
	}
	for _, b := range blobs {
		for _, r := range []registry.Registry{p, fresh} {
			got, err := r.OpenBlob(ctx, repo, b.Digest(), registry.Whole)
			if err != nil {
				return false, fmt.Errorf("a blob of %s: %w", ref, err)
			}
			if err := readsAs(got, b); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// upload pushes a blob in one request or several.
func (p *place) upload(repo oci.Repo, b registrytest.Content, once bool) error {
	u, err := p.Upload(ctx, repo, registry.Session{Owner: "o", OneRequest: once})
	if err != nil {
		return err
	}
	if err = u.Append(ctx, 0, newReader(b.Bytes)); err == nil {
		_, err = u.Commit(ctx, b.Digest())
	}
	return errors.Join(err, u.Close())
}

// TestDeleteAgainstPush of the same manifest: it is there with its tag and its
// blobs, or it is not; the caches agree.
func TestDeleteAgainstPush(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	layer := registrytest.Blob("layer")
	m := registrytest.Spec{Layers: []registrytest.Content{layer}}.Push(t, p, "a", "v1")
	tagged, untagged := 0, 0
	for round := range interleavings {
		err := race(round,
			func() error {
				_, err := p.PutManifest(ctx, "a", registrytest.Put(m, "v1"))
				return err
			},
			func() error {
				return unless(p.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}), oci.CodeManifestUnknown)
			},
			func() error {
				_, err := p.Manifest(ctx, "a", oci.Ref{Tag: "v1"})
				return unless(err, oci.CodeManifestUnknown)
			},
		)
		byTag, terr := p.whole("a", oci.Ref{Tag: "v1"}, layer)
		byDigest, derr := p.whole("a", oci.Ref{Digest: m.Digest()}, layer)
		if err = errors.Join(err, terr, derr); err != nil || byTag != byDigest {
			t.Fatalf("round %d: tag %t, digest %t: %v", round, byTag, byDigest, err)
		}
		if byTag {
			tagged++
		} else {
			untagged++
		}
	}
	if tagged == 0 || untagged == 0 {
		t.Errorf("the race was never one: %d pushes and %d deletions came last", tagged, untagged)
	}
}

// TestSweepAgainstPush: a blob that lost its last link an hour ago is pushed
// again while the sweep forgets it.
func TestSweepAgainstPush(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	swept := 0
	for round := range interleavings {
		b := registrytest.Blob(fmt.Sprint("blob ", round))
		registrytest.PushBlob(t, p, "a", b)
		if err := p.DeleteBlob(ctx, "a", b.Digest()); err != nil {
			t.Fatal(err)
		}
		p.pass(modelGrace + time.Second)
		err := race(round,
			func() error {
				s, err := p.Sweep(ctx, local.SweepOptions{})
				swept += s.Blobs
				return err
			},
			func() error { return p.upload("a", b, round%2 == 0) },
		)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		got, err := p.OpenBlob(ctx, "a", b.Digest(), registry.Whole)
		if err == nil {
			err = readsAs(got, b)
		}
		if err != nil {
			t.Fatalf("round %d: the blob that was pushed is lost: %v", round, err)
		}
	}
	if swept == 0 || swept == interleavings {
		t.Errorf("the race was never one: the sweep came first in %d of %d", swept, interleavings)
	}
}

// TestSweepAfterPushAgain: a blob that is pushed again counts from then on,
// though its link is not dated anew.
func TestSweepAfterPushAgain(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	b := registrytest.Blob("pushed twice")
	registrytest.PushBlob(t, p, "a", b)
	p.pass(9 * time.Minute)
	registrytest.PushBlob(t, p, "a", b)
	p.pass(modelGrace - time.Minute)
	if _, err := p.Sweep(ctx, local.SweepOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.StatBlob(ctx, "a", b.Digest()); err != nil {
		t.Errorf("it is gone within the grace period of the second push: %v", err)
	}
}

// TestSweepAgainstMount: a blob is mounted while the repository it comes from
// gives it up and the sweep comes by.
func TestSweepAgainstMount(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	mounted := 0
	for round := range interleavings {
		b := registrytest.Blob(fmt.Sprint("blob ", round))
		registrytest.PushBlob(t, p, "from", b)
		p.pass(modelGrace + time.Second)
		var mount error
		err := race(round,
			func() error {
				_, mount = p.Mount(ctx, "to", "from", b.Digest())
				return unless(mount, oci.CodeBlobUnknown)
			},
			func() error { return unless(p.DeleteBlob(ctx, "from", b.Digest()), oci.CodeBlobUnknown) },
			func() error {
				_, err := p.Sweep(ctx, local.SweepOptions{})
				return err
			},
		)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if mount == nil { // who mounts a blob pushes a manifest that names it
			registrytest.Spec{Layers: []registrytest.Content{b}}.Push(t, p, "to")
		}
		// Were it garbage, the next sweep would take it.
		p.pass(modelGrace + time.Second)
		if _, err := p.Sweep(ctx, local.SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := p.OpenBlob(ctx, "to", b.Digest(), registry.Whole)
		switch {
		case mount != nil:
			err = unless(err, oci.CodeBlobUnknown, oci.CodeNameUnknown)
		case err == nil:
			mounted++
			err = readsAs(got, b)
		}
		if err != nil {
			t.Fatalf("round %d: mounted (%v), then: %v", round, mount, err)
		}
	}
	if mounted == 0 || mounted == interleavings {
		t.Errorf("the race was never one: %d of %d were mounted", mounted, interleavings)
	}
}

// TestSweepAgainstHead: who was told that a blob is there need not push it:
// the manifest that names it is accepted, whatever the sweep does meanwhile.
func TestSweepAgainstHead(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	for round := range interleavings {
		layer := registrytest.Blob(fmt.Sprint("layer ", round))
		spec := registrytest.Spec{Layers: []registrytest.Content{layer}}
		m := spec.Push(t, p, "a")
		if err := p.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
			t.Fatal(err)
		}
		p.pass(modelGrace + time.Second)
		tag := oci.Tag(fmt.Sprint("v", round))
		err := race(round,
			func() error {
				_, err := p.Sweep(ctx, local.SweepOptions{})
				return err
			},
			func() error {
				var doc struct{ Config oci.Descriptor }
				if err := json.Unmarshal(m.Bytes, &doc); err != nil {
					return err
				}
				for _, d := range []oci.Digest{doc.Config.Digest, layer.Digest()} {
					_, err := p.StatBlob(ctx, "a", d)
					if errors.Is(err, oci.ErrBlobUnknown) {
						return nil // then it must push
					}
					if err != nil {
						return err
					}
				}
				_, err := p.PutManifest(ctx, "a", registrytest.Put(m, tag))
				return err
			},
		)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := p.whole("a", oci.Ref{Tag: tag}, layer); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// TestSweepAgainstCommit: an upload that nobody touched for a day is ended or
// continued by its owner while the sweep takes it away: one of them wins.
func TestSweepAgainstCommit(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	won := 0
	for round := range interleavings {
		b := registrytest.Blob(fmt.Sprint("blob ", round))
		u, err := p.Upload(ctx, "a", registry.Session{Owner: "o"})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(ctx, 0, newReader(b.Bytes)); err != nil {
			t.Fatal(err)
		}
		p.pass(modelExpiry + time.Second)
		var commit error
		err = race(round,
			func() error {
				_, err := p.Sweep(ctx, local.SweepOptions{})
				return err
			},
			func() error {
				if round%2 == 0 {
					_, commit = u.Commit(ctx, b.Digest())
				} else {
					commit = u.Append(ctx, u.Offset(), newReader([]byte("more")))
				}
				return nil
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		if round%2 > 0 {
			if commit == nil {
				b = registrytest.Blob(string(b.Bytes) + "more")
				_, commit = u.Commit(ctx, b.Digest())
			}
			if err := unless(commit, oci.CodeBlobUploadUnknown); err != nil {
				t.Fatalf("round %d: the owner is told: %v", round, err)
			}
		}
		got, err := p.OpenBlob(ctx, "a", b.Digest(), registry.Whole)
		switch {
		case commit == nil && err == nil:
			won++
			err = readsAs(got, b)
		case commit != nil && !errors.Is(commit, oci.ErrBlobUploadUnknown):
			err = fmt.Errorf("the owner is told: %w", commit)
		case commit != nil:
			err = unless(err, oci.CodeBlobUnknown, oci.CodeNameUnknown)
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if won == 0 || won == interleavings {
		t.Errorf("the race was never one: %d of %d were committed", won, interleavings)
	}
}

// TestTwoTagsAtOnce: one push moves all of its tags or none.
func TestTwoTagsAtOnce(t *testing.T) {
	t.Parallel()
	p := settle(t, nil)
	var images []registrytest.Content
	for i := range 3 {
		images = append(images, registrytest.Spec{Layers: []registrytest.Content{registrytest.Blob(fmt.Sprint(i))}}.Push(t, p, "a"))
	}
	last := map[oci.Digest]int{}
	for round := range interleavings {
		all := []func() error{}
		for i, m := range images {
			all = append(all, func() error {
				tags := []oci.Tag{"v1", "latest"}
				if i == 1 {
					tags = []oci.Tag{"latest", "v1"}
				}
				_, err := p.PutManifest(ctx, "a", registrytest.Put(m, tags...))
				return err
			}, func() error {
				_, err := p.Resolve(ctx, "a", oci.Ref{Tag: []oci.Tag{"v1", "latest", "v1"}[i]})
				return unless(err, oci.CodeManifestUnknown)
			})
		}
		if err := race(round, all...); err != nil {
			t.Fatal(err)
		}
		for _, r := range []registry.Registry{p, local.New(p.o)} {
			v1, err := r.Resolve(ctx, "a", oci.Ref{Tag: "v1"})
			latest, lerr := r.Resolve(ctx, "a", oci.Ref{Tag: "latest"})
			if err = errors.Join(err, lerr); err != nil || v1.Digest != latest.Digest {
				t.Fatalf("round %d: v1 is %s, latest %s: one push moved both (%v)", round, v1.Digest, latest.Digest, err)
			}
			last[v1.Digest]++
		}
	}
	if len(last) < 2 {
		t.Errorf("the race was never one: %v", last)
	}
}

// atSeal does something when the bytes of a blob are safe and no row names
// them yet.
type atSeal struct {
	blob.Store
	do func()
}

func (s *atSeal) Seal(ctx context.Context, key blob.Key) error {
	err := s.Store.Seal(ctx, key)
	s.do()
	return err
}

// TestSweepBetweenBytesAndRow: a blob that was pushed in one request has no
// row until it is linked. The sweep must not take it for what a crash left,
// however the clock jumps.
func TestSweepBetweenBytesAndRow(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		hook := &atSeal{}
		p := settle(t, nil)
		hook.Store, p.o.Blobs = p.o.Blobs, hook
		p.restart(false)
		hook.do = func() {
			p.pass(2 * modelGrace)
			if _, err := p.Sweep(ctx, local.SweepOptions{}); err != nil {
				t.Error(err)
			}
		}
		b := registrytest.Blob("pushed while the clock jumped")
		if err := p.upload("a", b, once); err != nil {
			t.Fatalf("once %t: %v", once, err)
		}
		got, err := p.OpenBlob(ctx, "a", b.Digest(), registry.Whole)
		if err == nil {
			err = readsAs(got, b)
		}
		if err != nil {
			t.Errorf("once %t: what was acknowledged is lost: %v", once, err)
		}
	}
}
