package local

import (
	"hash/maphash"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"fairlead.dev/fairlead/internal/oci"
)

// Bounds of the caches: entries, and the size of a manifest that is worth
// keeping. At most about 64 MiB in all.
const (
	cachedManifests     = 2048
	cachedManifestBytes = 32 << 10
	cachedTags          = 16384
	cachedBlobs         = 65536
	cacheStripes        = 256
)

type (
	digestKey struct {
		repo   oci.Repo
		digest oci.Digest
	}
	tagKey struct {
		repo oci.Repo
		tag  oci.Tag
	}
)

// cache holds what the catalog answered. A reader takes a mark before it asks
// the catalog; its answer is kept only if no change of the repository came in
// between. A change invalidates after its commit and before it is acknowledged,
// so nobody who was told of it reads the old state.
type cache struct {
	seed      maphash.Seed
	stripes   [cacheStripes]stripe
	manifests *lru.Cache[digestKey, oci.Manifest]
	tags      *lru.Cache[tagKey, oci.Digest]
	blobs     *lru.Cache[digestKey, BlobRow]
}

type stripe struct {
	mu      sync.Mutex
	changes uint64
}

// mark is a stripe's state when a reader began.
type mark struct {
	s       *stripe
	changes uint64
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed()}
	// New fails for a size below 1 only.
	c.manifests, _ = lru.New[digestKey, oci.Manifest](cachedManifests)
	c.tags, _ = lru.New[tagKey, oci.Digest](cachedTags)
	c.blobs, _ = lru.New[digestKey, BlobRow](cachedBlobs)
	return c
}

func (c *cache) stripe(repo oci.Repo) *stripe {
	return &c.stripes[maphash.String(c.seed, string(repo))%cacheStripes]
}

func (c *cache) mark(repo oci.Repo) mark {
	s := c.stripe(repo)
	s.mu.Lock()
	defer s.mu.Unlock()
	return mark{s, s.changes}
}

func (c *cache) keep(m mark, add func()) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.s.changes == m.changes {
		add()
	}
}

func (c *cache) change(repo oci.Repo, remove func()) {
	s := c.stripe(repo)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	remove()
}

func (c *cache) manifest(repo oci.Repo, ref oci.Ref) (oci.Manifest, bool) {
	d := ref.Digest
	if d == "" {
		var ok bool
		if d, ok = c.tags.Get(tagKey{repo, ref.Tag}); !ok {
			return oci.Manifest{}, false
		}
	}
	return c.manifests.Get(digestKey{repo, d})
}

func (c *cache) addManifest(at mark, repo oci.Repo, ref oci.Ref, m oci.Manifest) {
	if len(m.Bytes) > cachedManifestBytes {
		return
	}
	c.keep(at, func() {
		c.manifests.Add(digestKey{repo, m.Digest}, m)
		if ref.Digest == "" {
			c.tags.Add(tagKey{repo, ref.Tag}, m.Digest)
		}
	})
}

func (c *cache) blob(repo oci.Repo, d oci.Digest) (BlobRow, bool) {
	return c.blobs.Get(digestKey{repo, d})
}

func (c *cache) addBlob(at mark, repo oci.Repo, row BlobRow) {
	c.keep(at, func() { c.blobs.Add(digestKey{repo, row.Digest}, row) })
}

func (c *cache) forgetBlob(repo oci.Repo, d oci.Digest) {
	c.change(repo, func() { c.blobs.Remove(digestKey{repo, d}) })
}

func (c *cache) forgetTag(repo oci.Repo, tags ...oci.Tag) {
	c.change(repo, func() {
		for _, t := range tags {
			c.tags.Remove(tagKey{repo, t})
		}
	})
}

// forgetManifests drops every manifest and tag of the repository: with a
// manifest go the tags that named it and its referrers.
func (c *cache) forgetManifests(repo oci.Repo) {
	c.change(repo, func() {
		for _, k := range c.manifests.Keys() {
			if k.repo == repo {
				c.manifests.Remove(k)
			}
		}
		for _, k := range c.tags.Keys() {
			if k.repo == repo {
				c.tags.Remove(k)
			}
		}
	})
}

// forgetAll drops everything, after a change of many repositories.
func (c *cache) forgetAll() {
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.Lock()
		s.changes++
		s.mu.Unlock()
	}
	c.manifests.Purge()
	c.tags.Purge()
	c.blobs.Purge()
}
