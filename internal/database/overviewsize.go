package database

import (
	"context"
	"database/sql"
	"slices"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

var (
	manifestSizes = newListed(`SELECT m.id, m.size, (SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT)
	FROM manifest_blobs n CROSS JOIN blobs b WHERE b.id = n.blob_id AND n.manifest_id = m.id)
FROM manifests m WHERE m.id IN (*)`)

	liveChildren = newListed(`SELECT c.parent_id, m.id, m.size FROM manifest_children c CROSS JOIN manifest_contents k CROSS JOIN manifests m
WHERE k.digest = c.child AND m.content_id = k.id AND m.repository_id = c.repository_id AND c.parent_id IN (*)`)

	blobSizes = newListed(`SELECT n.manifest_id, b.id, b.size FROM manifest_blobs n CROSS JOIN blobs b
WHERE b.id = n.blob_id AND n.manifest_id IN (*)`)

	manifestTags = newListed(`SELECT manifest_id, name FROM tags WHERE manifest_id IN (*)`)
)

const (
	// Who else needs it: one more row than are known is enough to tell.
	blobNeeds      = `SELECT manifest_id FROM manifest_blobs WHERE blob_id = ? LIMIT ?`
	blobTrashed    = `SELECT manifest_id FROM trash_blobs WHERE blob_id = ? LIMIT ?`
	contentNeeds   = `SELECT id FROM manifests WHERE content_id = (SELECT content_id FROM manifests WHERE id = ?) LIMIT ?`
	contentTrashed = `SELECT id FROM trash_manifests WHERE content_id = (SELECT content_id FROM manifests WHERE id = ?) LIMIT ?`
)

// graph is manifests with all that they name.
type graph struct {
	size     map[int64]int64   // of manifests' own bytes
	flat     map[int64]int64   // with their blobs; of the roots only
	children map[int64][]int64 // by parent
	blobs    map[int64][]int64 // by manifest
	blobSize map[int64]int64
}

// graphOf reads what the roots name. Blobs are read, but for flat, of those
// only that have children or that whole asks for.
func graphOf(ctx context.Context, q Queryer, roots []int64, whole bool) (*graph, error) {
	g := &graph{map[int64]int64{}, map[int64]int64{}, map[int64][]int64{}, map[int64][]int64{}, map[int64]int64{}}
	err := eachID(manifestSizes, nil, roots, func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var id, size, blobs int64
			err := scan(&id, &size, &blobs)
			g.size[id], g.flat[id] = size, size+blobs
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for fresh := roots; len(fresh) > 0; {
		if fresh, err = g.grow(ctx, q, fresh); err != nil {
			return nil, err
		}
	}
	var deep []int64
	for _, root := range roots {
		if whole || len(g.children[root]) > 0 {
			deep = append(deep, g.closure(root)...)
		}
	}
	err = eachID(blobSizes, nil, unique(deep), func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var id, blob, size int64
			err := scan(&id, &blob, &size)
			g.blobs[id], g.blobSize[blob] = append(g.blobs[id], blob), size
			return err
		})
	})
	return g, err
}

// grow reads the children of manifests and returns those not known before.
func (g *graph) grow(ctx context.Context, q Queryer, of []int64) ([]int64, error) {
	var fresh []int64
	err := eachID(liveChildren, nil, of, func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var parent, id, size int64
			if err := scan(&parent, &id, &size); err != nil {
				return err
			}
			g.children[parent] = append(g.children[parent], id)
			if _, known := g.size[id]; !known {
				g.size[id], fresh = size, append(fresh, id)
			}
			return nil
		})
	})
	return fresh, err
}

// closure is manifests with all below them, each once.
func (g *graph) closure(roots ...int64) []int64 {
	seen := map[int64]bool{}
	var all []int64
	for waiting := slices.Clone(roots); len(waiting) > 0; {
		id := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
			waiting = append(waiting, g.children[id]...)
		}
	}
	return all
}

// sizesOf manifests with all they name, each blob once.
func sizesOf(ctx context.Context, q Queryer, roots []int64) (map[int64]int64, error) {
	g, err := graphOf(ctx, q, unique(slices.Clone(roots)), false)
	if err != nil {
		return nil, err
	}
	sizes := g.flat
	for root := range g.flat {
		if len(g.children[root]) == 0 {
			continue
		}
		var total int64
		seen := map[int64]bool{}
		for _, id := range g.closure(root) {
			total += g.size[id]
			for _, b := range g.blobs[id] {
				if !seen[b] {
					seen[b] = true
					total += g.blobSize[b]
				}
			}
		}
		sizes[root] = total
	}
	return sizes, nil
}

// tagsByManifest gives the tags of each, in byte order.
func tagsByManifest(ctx context.Context, q Queryer, manifests []int64) (map[int64][]oci.Tag, error) {
	tags := map[int64][]oci.Tag{}
	err := eachID(manifestTags, nil, manifests, func(text string, args []any) error {
		return q.Rows(ctx, text, args, func(scan func(...any) error) error {
			var id int64
			var tag oci.Tag
			err := scan(&id, &tag)
			tags[id] = append(tags[id], tag)
			return err
		})
	})
	for _, of := range tags {
		slices.Sort(of)
	}
	return tags, err
}

// manifestID is 0 for one that is not there. Error: NAME_UNKNOWN.
func manifestID(ctx context.Context, q Queryer, repo oci.Repo, digest oci.Digest) (int64, error) {
	var repository int64
	var content, id sql.NullInt64
	found, err := q.Row(ctx, manifestPlace, []any{string(digest), string(repo)}, &repository, &content, &id)
	if err == nil && !found {
		_, err = findRepository(ctx, q, repo)
	}
	return id.Int64, err
}

// BytesOf passes over manifests that are not there.
func (o *Overview) BytesOf(ctx context.Context, repo oci.Repo, digests []oci.Digest) (local.Bytes, error) {
	var roots []int64
	for _, d := range digests {
		id, err := manifestID(ctx, o.db, repo, d)
		if err != nil {
			return local.Bytes{}, failed(err, "measure manifests of %s", repo)
		}
		if id != 0 {
			roots = append(roots, id)
		}
	}
	b, err := o.bytesOf(ctx, unique(roots))
	return b, failed(err, "measure manifests of %s", repo)
}

func (o *Overview) bytesOf(ctx context.Context, roots []int64) (local.Bytes, error) {
	var sum local.Bytes
	g, err := graphOf(ctx, o.db, roots, true)
	if err != nil {
		return sum, err
	}
	add := func(size int64, shared bool) {
		if shared {
			sum.Shared += size
		} else {
			sum.Unique += size
		}
	}
	inside, needs := map[int64]bool{}, map[int64]int{}
	all := g.closure(roots...)
	for _, id := range all {
		inside[id] = true
		for _, b := range g.blobs[id] {
			needs[b]++
		}
	}
	for _, id := range all {
		shared, err := o.shared(ctx, contentNeeds, contentTrashed, id, 1, inside)
		if err != nil {
			return sum, err
		}
		add(g.size[id], shared)
	}
	for b, n := range needs {
		shared, err := o.shared(ctx, blobNeeds, blobTrashed, b, n, inside)
		if err != nil {
			return sum, err
		}
		add(g.blobSize[b], shared)
	}
	return sum, nil
}

// shared tells whether others than the known needs hold something, or the
// trash does.
func (o *Overview) shared(ctx context.Context, needs, trashed string, id int64, known int, inside map[int64]bool) (bool, error) {
	live, err := ids(ctx, o.db, needs, id, known+1)
	if err != nil || slices.ContainsFunc(live, func(m int64) bool { return !inside[m] }) {
		return true, err
	}
	gone, err := ids(ctx, o.db, trashed, id, 1)
	return len(gone) > 0, err
}
