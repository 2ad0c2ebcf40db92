package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
)

// verify looks up every promise that the last life may have broken; whole
// looks at everything that ever was, else at what was touched and at a sample
// of the rest. swept: a sweep without grace may have taken blobs that no
// manifest needs.
func (w *world) verify(ctx context.Context, k *worker, whole, swept bool) error {
	touched := w.ledger.touched()
	keys := touched
	if whole {
		keys = w.ledger.all()
	} else {
		rest := w.ledger.all()
		for range min(200, len(rest)) {
			if at := rest[k.rng.IntN(len(rest))]; !slices.Contains(keys, at) {
				keys = append(keys, at)
			}
		}
	}
	first := []key{}
	blobs := map[key]bool{}
	for _, at := range keys {
		if at.kind == 'b' {
			blobs[at] = true
		} else {
			first = append(first, at)
		}
	}
	if err := w.each(first, func(at key) error { return w.verifyManifest(ctx, k.c, at) }); err != nil {
		return err
	}
	for _, at := range first {
		if at.kind == 'm' && w.ledger.settled(at) == present {
			for _, b := range w.manifests[at.name].blobs {
				blobs[key{'b', at.repo, b.digest}] = true
			}
		}
	}
	needed := w.needed()
	list := []key{}
	for at := range blobs {
		list = append(list, at)
	}
	if err := w.each(list, func(at key) error { return w.verifyBlob(ctx, k.c, at, needed[at], swept) }); err != nil {
		return err
	}
	for _, r := range repos {
		if err := w.verifyTags(ctx, k.c, r); err != nil {
			return err
		}
	}
	return w.verifyUploads(ctx, k)
}

// each runs over all keys at once, and gives an error of the connection.
func (w *world) each(keys []key, run func(key) error) error {
	var mu sync.Mutex
	var first error
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for j := i; j < len(keys); j += workers {
				if err := run(keys[j]); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	return first
}

// needed are the blobs that a manifest of their repository names.
func (w *world) needed() map[key]bool {
	needed := map[key]bool{}
	for _, at := range w.ledger.all() {
		if at.kind == 'm' && w.ledger.settled(at) == present {
			for _, b := range w.manifests[at.name].blobs {
				needed[key{'b', at.repo, b.digest}] = true
			}
		}
	}
	return needed
}

func (w *world) settle(at key, value string) {
	if err := w.ledger.settle(at, value); err != nil {
		w.fault("%v", err)
	}
}

// verifyManifest looks at a manifest or at a tag, whose manifest must then be
// there by its digest as well.
func (w *world) verifyManifest(ctx context.Context, c *client, at key) error {
	a, err := c.do(ctx, request{method: http.MethodGet, target: "/v2/" + at.repo + "/manifests/" + at.name})
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusNotFound:
		w.settle(at, absent)
	case a.status != http.StatusOK || a.header.Get("Docker-Content-Digest") != a.sum:
		w.fault("GET %s: %d %s", at, a.status, a.body)
	case at.kind == 'm':
		if a.sum != at.name {
			w.fault("%s is answered with the bytes of %s", at, a.sum)
		}
		w.settle(at, present)
	default:
		w.settle(at, a.sum)
		b, err := c.do(ctx, request{method: http.MethodHead, target: "/v2/" + at.repo + "/manifests/" + a.sum})
		if err != nil {
			return err
		}
		if b.status != http.StatusOK {
			w.fault("%s is %s, which answers %d", at, a.sum, b.status)
		}
	}
	return nil
}

func (w *world) verifyBlob(ctx context.Context, c *client, at key, needed, swept bool) error {
	a, err := c.do(ctx, request{method: http.MethodGet, target: "/v2/" + at.repo + "/blobs/" + at.name})
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusOK && a.sum == at.name && swept:
		_ = w.ledger.settle(at, present) // it may have been away meanwhile
	case a.status == http.StatusOK && a.sum == at.name:
		w.settle(at, present)
	case a.status != http.StatusNotFound:
		w.fault("GET %s: %d, %d bytes of %s", at, a.status, a.size, a.sum)
	case needed:
		w.fault("%s is lost: a manifest of the repository needs it", at)
	case swept:
		_ = w.ledger.settle(at, absent) // the sweep may have been right
	default:
		w.settle(at, absent)
	}
	return nil
}

// verifyTags compares the list, read in small pages, with the tags.
func (w *world) verifyTags(ctx context.Context, c *client, repo string) error {
	got := []string{}
	for last := ""; ; {
		a, err := c.do(ctx, request{method: http.MethodGet, target: "/v2/" + repo + "/tags/list?n=7&last=" + last})
		if err != nil {
			return err
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if a.status == http.StatusNotFound {
			break
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			w.fault("the tags of %s: %d %s", repo, a.status, a.body)
			return nil
		}
		got = append(got, page.Tags...)
		if len(page.Tags) < 7 {
			break
		}
		last = page.Tags[6]
	}
	want := []string{}
	for i := range tags {
		if n := fmt.Sprintf("v%d", i); w.ledger.settled(key{'t', repo, n}) != absent {
			want = append(want, n)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.fault("%s lists the tags %v, it has %v", repo, got, want)
	}
	return nil
}

// verifyUploads asks where every open upload stands, and finishes some.
func (w *world) verifyUploads(ctx context.Context, k *worker) error {
	w.mu.Lock()
	open := w.uploads
	w.uploads = nil
	w.mu.Unlock()
	for _, u := range open {
		ok, err := k.stands(ctx, u)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if k.rng.IntN(2) == 0 {
			w.leave(u)
			continue
		}
		if err := k.end(ctx, u, u.content.bytes()); err != nil {
			return err
		}
		if err := w.verifyBlob(ctx, k.c, key{'b', u.repo, u.content.digest}, true, false); err != nil {
			return err
		}
	}
	return nil
}

// random is the source of one worker's choices in one round.
func random(seed uint64, round, worker int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round)<<16|uint64(worker)))
}
