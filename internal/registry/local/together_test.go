package local_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// crowd is many goroutines on few names.
type crowd struct {
	p *place
	s *stock
	h *history
	// passing is held while the clock moves: no operation lasts a grace
	// period.
	passing sync.RWMutex
}

// TestTogether: whatever goroutines do at once, each of them sees a registry
// in which things happen one after the other; also while the sweep takes what
// nobody has. FAIRLEAD_SEED and FAIRLEAD_SEEDS as in TestModel, FAIRLEAD_STEPS
// for each of eight goroutines.
func TestTogether(t *testing.T) {
	t.Parallel()
	first := setting(t, "FAIRLEAD_SEED", uint64(time.Now().UnixNano()))
	for i := range setting(t, "FAIRLEAD_SEEDS", 2) {
		seed := first + i
		if err := together(t, seed, int(setting(t, "FAIRLEAD_STEPS", 200))); err != nil {
			t.Fatalf("FAIRLEAD_SEED=%d FAIRLEAD_SEEDS=1: %v", seed, err)
		}
	}
}

func together(t *testing.T, seed uint64, n int) error {
	t.Helper()
	p := settle(t, func(o *local.Options) { o.UploadExpiry = 10000 * time.Hour })
	// Each cell changes by its own operations only: the sweep ends no links
	// here (the model and TestSweepUnneeded have that).
	p.o.Retention = keepLinks{p.db.Retention}
	p.Registry = local.New(p.o)
	c := &crowd{p: p, s: newStock(t), h: &history{}}
	defer c.p.stop()
	c.s.repos, c.s.tags = c.s.repos[:2], c.s.tags[:2]
	// A handful of each, so that they meet: images that share blobs, one
	// that refers to another, an index.
	list := c.s.manifests
	c.s.manifests = slices.Concat(list[:2], list[6:7], list[len(list)-2:len(list)-1])
	errs := make([]error, 9)
	var group, busy sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		busy.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for range n {
				if errs[i] = c.step(rng); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Go(func() { errs[8] = c.sweep(stop) })
	busy.Wait()
	close(stop)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := c.inTheEnd(); err != nil {
		return err
	}
	return c.h.check()
}

// sweep lets an hour pass again and again, and sweeps.
func (c *crowd) sweep(stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		c.passing.Lock()
		c.p.pass(modelGrace + time.Second)
		c.passing.Unlock()
		if _, err := c.p.Sweep(ctx, local.SweepOptions{}); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
}

func (c *crowd) step(rng *rand.Rand) error {
	c.passing.RLock()
	defer c.passing.RUnlock()
	repo, x := pick(c.s.repos, rng.Int()), pick(c.s.manifests, rng.Int())
	b, tag := pick(c.s.blobs, rng.Int()), pick(c.s.tags, rng.Int())
	if rng.IntN(2) == 0 && len(x.blobs) > 0 {
		digest := pick(x.blobs, rng.Int())
		b = c.s.blobs[slices.IndexFunc(c.s.blobs, func(b registrytest.Content) bool { return b.Digest() == digest })]
	}
	switch n := rng.IntN(20); n {
	case 0, 1, 2:
		return c.push(repo, x, tag)
	case 3, 4:
		return c.put(repo, x, []oci.Tag{tag})
	case 5:
		return c.put(repo, x, c.s.tags)
	case 6:
		return c.mount(repo, pick(c.s.repos, rng.Int()), b)
	case 7, 8:
		return c.upload(repo, b, n == 7)
	case 9:
		start := c.h.tick()
		at := cell{'t', repo, string(tag)}
		return c.removed(start, at, gone, c.p.DeleteManifest(ctx, repo, oci.Ref{Tag: tag}))
	case 10, 11:
		return c.deleteManifest(repo, x)
	case 12, 13, 14:
		start := c.h.tick()
		at := cell{'b', repo, string(b.Digest())}
		return c.removed(start, at, there, c.p.DeleteBlob(ctx, repo, b.Digest()))
	case 15, 16:
		return c.pull(repo, oci.Ref{Tag: tag})
	case 17:
		return c.pull(repo, oci.Ref{Digest: x.Digest()})
	}
	return c.read(repo, b)
}

// unless it is an error of these codes, it is a fault.
func unless(err error, codes ...oci.Code) error {
	var e *oci.Error
	if errors.As(err, &e) && slices.Contains(codes, e.Code) {
		return nil
	}
	return err
}

func (c *crowd) push(repo oci.Repo, x *thing, tag oci.Tag) error {
	for _, digest := range x.blobs {
		i := slices.IndexFunc(c.s.blobs, func(b registrytest.Content) bool { return b.Digest() == digest })
		if err := c.upload(repo, c.s.blobs[i], i%2 == 0); err != nil {
			return err
		}
	}
	return c.put(repo, x, []oci.Tag{tag})
}

func (c *crowd) put(repo oci.Repo, x *thing, tags []oci.Tag) error {
	start := c.h.tick()
	put := registrytest.Put(x.Content, tags...)
	put.Digest = x.Digest()
	_, err := c.p.PutManifest(ctx, repo, put)
	var e *oci.Error
	if errors.As(err, &e) && e.Code == oci.CodeManifestBlobUnknown {
		missing, _ := e.Detail.([]oci.Digest)
		for _, d := range missing {
			kind := byte('m')
			if slices.Contains(x.blobs, d) {
				kind = 'b'
			}
			c.h.saw(start, cell{kind, repo, string(d)}, gone)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	for _, d := range x.blobs {
		c.h.saw(start, cell{'b', repo, string(d)}, there)
	}
	for _, d := range x.children {
		c.h.saw(start, cell{'m', repo, string(d)}, there)
	}
	c.h.wrote(start, cell{'m', repo, string(x.Digest())}, there)
	for _, tag := range tags {
		c.h.wrote(start, cell{'t', repo, string(tag)}, string(x.Digest()))
	}
	return nil
}

func (c *crowd) upload(repo oci.Repo, b registrytest.Content, once bool) error {
	start := c.h.tick()
	u, err := c.p.Upload(ctx, repo, registry.Session{Owner: "o", OneRequest: once, Algorithm: b.Digest().Algorithm()})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err = u.Append(ctx, 0, newReader(b.Bytes))
	if err == nil {
		_, err = u.Commit(ctx, b.Digest())
	}
	if err = errors.Join(err, u.Close()); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	c.h.wrote(start, cell{'b', repo, string(b.Digest())}, there)
	return nil
}

func (c *crowd) mount(to, from oci.Repo, b registrytest.Content) error {
	start := c.h.tick()
	_, err := c.p.Mount(ctx, to, from, b.Digest())
	if err == nil {
		c.h.saw(start, cell{'b', from, string(b.Digest())}, there)
		c.h.wrote(start, cell{'b', to, string(b.Digest())}, there)
	}
	return unless(err, oci.CodeBlobUnknown)
}

// keepLinks finds no link that is not needed.
type keepLinks struct{ local.Retention }

func (keepLinks) UnneededLinks(context.Context, time.Time, string, int) ([]local.Link, string, error) {
	return nil, "", nil
}

func (c *crowd) deleteManifest(repo oci.Repo, x *thing) error {
	start := c.h.tick()
	err := c.p.DeleteManifest(ctx, repo, oci.Ref{Digest: x.Digest()})
	if err == nil {
		for _, tag := range c.s.tags {
			c.h.took(start, cell{'t', repo, string(tag)}, string(x.Digest()))
		}
		for _, r := range c.s.manifests {
			if r.subject == x.Digest() { // goes along if it has no tag
				c.h.mayTake(start, cell{'m', repo, string(r.Digest())}, there)
			}
		}
	}
	return c.removed(start, cell{'m', repo, string(x.Digest())}, gone, err)
}

// removed records how a deletion went; needed is what a refusal tells.
func (c *crowd) removed(start int64, at cell, needed string, err error) error {
	switch {
	case err == nil:
		c.h.wrote(start, at, gone)
	case errors.Is(err, oci.ErrUnsupported):
		c.h.saw(start, at, needed)
	case errors.Is(err, oci.ErrBlobUnknown), errors.Is(err, oci.ErrManifestUnknown), errors.Is(err, oci.ErrNameUnknown):
		c.h.saw(start, at, gone)
	default:
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

func (c *crowd) pull(repo oci.Repo, ref oci.Ref) error {
	start := c.h.tick()
	at := cell{'m', repo, string(ref.Digest)}
	if ref.Digest == "" {
		at = cell{'t', repo, string(ref.Tag)}
	}
	m, err := c.p.Manifest(ctx, repo, ref)
	if err != nil {
		c.h.saw(start, at, gone)
		return unless(err, oci.CodeManifestUnknown, oci.CodeNameUnknown)
	}
	if oci.DigestOf(m.Digest.Algorithm(), m.Bytes) != m.Digest {
		return fmt.Errorf("%s has the bytes of another", m.Digest)
	}
	if ref.Digest == "" {
		c.h.saw(start, at, string(m.Digest))
	}
	c.h.saw(start, cell{'m', repo, string(m.Digest)}, there)
	return nil
}

func (c *crowd) read(repo oci.Repo, b registrytest.Content) error {
	start := c.h.tick()
	at := cell{'b', repo, string(b.Digest())}
	got, err := c.p.OpenBlob(ctx, repo, b.Digest(), registry.Whole)
	if err != nil {
		c.h.saw(start, at, gone)
		return unless(err, oci.CodeBlobUnknown, oci.CodeNameUnknown)
	}
	c.h.saw(start, at, there)
	return readsAs(got, b)
}

// inTheEnd, when all is quiet: everything is looked at, with the caches and
// without, and what a manifest needs is there.
func (c *crowd) inTheEnd() error {
	for life := range 2 {
		for _, repo := range c.s.repos {
			for _, tag := range c.s.tags {
				if err := c.pull(repo, oci.Ref{Tag: tag}); err != nil {
					return err
				}
			}
			for _, b := range c.s.blobs {
				if err := c.read(repo, b); err != nil {
					return fmt.Errorf("life %d: %w", life, err)
				}
			}
			for _, x := range c.s.manifests {
				if err := c.pull(repo, oci.Ref{Digest: x.Digest()}); err != nil {
					return err
				}
				if _, err := c.p.Resolve(ctx, repo, oci.Ref{Digest: x.Digest()}); err != nil {
					continue
				}
				for _, d := range x.blobs {
					if _, err := c.p.StatBlob(ctx, repo, d); err != nil {
						return fmt.Errorf("%s of %s lacks a blob: %w", x.Digest(), repo, err)
					}
				}
			}
		}
		c.p.restart(false)
	}
	return nil
}
