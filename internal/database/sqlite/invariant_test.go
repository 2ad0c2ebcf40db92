package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/local/localtest"
	counts "fairlead.dev/fairlead/internal/tally"
)

// invariants count rows that must not be, whatever was done.
var invariants = map[string]string{
	"a blob is dated exactly while nobody holds it": `SELECT COUNT(*) FROM blobs b WHERE (unlinked_at IS NULL)
		<> (EXISTS (SELECT 1 FROM repository_blobs l WHERE l.blob_id = b.id) OR EXISTS (SELECT 1 FROM trash_blobs t WHERE t.blob_id = b.id))`,
	"a content is some manifest's": `SELECT COUNT(*) FROM manifest_contents c
		WHERE NOT EXISTS (SELECT 1 FROM manifests m WHERE m.content_id = c.id) AND NOT EXISTS (SELECT 1 FROM trash_manifests t WHERE t.content_id = c.id)`,
	"a manifest's digest is its content's": `SELECT COUNT(*) FROM manifests m JOIN manifest_contents c ON c.id = m.content_id WHERE m.digest <> c.digest`,
	"a link that a manifest names is of its repository": `SELECT COUNT(*) FROM manifest_blobs n
		JOIN manifests m ON m.id = n.manifest_id WHERE m.repository_id <> n.repository_id`,
	"a child's parent is of its repository": `SELECT COUNT(*) FROM manifest_children n
		JOIN manifests m ON m.id = n.parent_id WHERE m.repository_id <> n.repository_id`,
	"a tag's manifest is of its repository": `SELECT COUNT(*) FROM tags t
		JOIN manifests m ON m.id = t.manifest_id WHERE m.repository_id <> t.repository_id`,
	"an entry says what it holds": `SELECT COUNT(*) FROM trash t WHERE purged_at IS NULL AND (
		manifests <> (SELECT COUNT(*) FROM trash_manifests m WHERE m.trash_id = t.id)
		OR tags <> (SELECT COUNT(*) FROM trash_tags g WHERE g.trash_id = t.id)
		OR bytes <> (SELECT COALESCE(SUM(size), 0) FROM blobs WHERE id IN
			(SELECT x.blob_id FROM trash_blobs x JOIN trash_manifests m ON m.id = x.manifest_id WHERE m.trash_id = t.id)))`,
	"an entry of a tag or manifest holds something": `SELECT COUNT(*) FROM trash WHERE purged_at IS NULL AND manifests + tags = 0 AND kind IN ('tag', 'manifest')`,
	"what an entry holds is of its repositories": `SELECT COUNT(*) FROM
		(SELECT trash_id, repository FROM trash_manifests UNION ALL SELECT trash_id, repository FROM trash_tags) x
		WHERE NOT EXISTS (SELECT 1 FROM trash_repositories r WHERE r.trash_id = x.trash_id AND r.repository = x.repository)`,
	"a tag's last move led to what it names": `SELECT COUNT(*) FROM tags t JOIN repositories r ON r.id = t.repository_id
		JOIN manifests m ON m.id = t.manifest_id WHERE m.digest <>
		(SELECT to_digest FROM tag_moves v WHERE v.repository = r.name AND v.name = t.name ORDER BY id DESC LIMIT 1)`,
	"the last move of no tag led to none": `SELECT COUNT(*) FROM tag_moves v WHERE to_digest <> ''
		AND id = (SELECT MAX(id) FROM tag_moves w WHERE w.repository = v.repository AND w.name = v.name)
		AND NOT EXISTS (SELECT 1 FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE r.name = v.repository AND t.name = v.name)`,
	"a move begins where the one before ended, if that is known": `SELECT COUNT(*) FROM tag_moves v WHERE from_digest <>
		(SELECT to_digest FROM tag_moves w WHERE w.repository = v.repository AND w.name = v.name AND w.id < v.id ORDER BY id DESC LIMIT 1)`,
	"no repository is in a removed namespace": `SELECT COUNT(*) FROM repositories r JOIN namespaces n
		ON r.name LIKE n.name || '/%' WHERE n.removed_at IS NOT NULL`,
	"counts are of what is there": `SELECT COUNT(*) FROM pulls p WHERE NOT EXISTS (SELECT 1 FROM repositories r WHERE r.name = p.repository AND
		(p.kind = 'repository' OR p.kind = 'tag' AND EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = r.id AND t.name = p.name)
		OR p.kind = 'digest' AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id AND m.digest = p.name)))`,
	"what changed last has the counter's value": `SELECT COUNT(*) FROM directory WHERE counter <>
		(SELECT MAX(changed) FROM (SELECT changed FROM accounts UNION ALL SELECT changed FROM namespaces))`,
	"a move leads somewhere else": `SELECT COUNT(*) FROM tag_moves WHERE from_digest = to_digest`,
}

// TestInvariants does what it pleases and looks after each step whether the
// rows still agree with each other.
func TestInvariants(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	clock := localtest.NewClock()
	w := wanderer{t: t, db: open(t, Options{Now: clock.Now}), clock: clock, r: rand.New(rand.NewPCG(seed, 0))}
	w.stock()
	for step := range 600 {
		what := w.step()
		for name, query := range invariants {
			if n := number(t, w.db, query); n != 0 {
				t.Fatalf("step %d (%s): %d rows are against: %s", step, what, n, name)
			}
		}
	}
	said, err := w.db.Inspection.Integrity(t.Context())
	if err != nil || len(said) > 0 {
		t.Errorf("integrity: %v, %v", said, err)
	}
	t.Logf("%d kinds of steps succeeded: %v", len(w.done), w.done)
	if len(w.done) < len(steps) {
		t.Errorf("only %d of %d kinds of steps ever succeeded", len(w.done), len(steps))
	}
}

type wanderer struct {
	t         *testing.T
	db        *DB
	clock     *localtest.Clock
	r         *rand.Rand
	account   int64
	manifests []local.ManifestRow
	done      map[string]int
}

// stock makes images that share layers, indexes of some and referrers of some.
func (w *wanderer) stock() {
	w.done = map[string]int{}
	a, err := w.db.Accounts.AddAccount(w.t.Context(), account.Account{Name: "acme"}, account.Token{ID: "t1"}, audit.Line{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.account = a.ID
	for i := range 6 {
		blobs := []local.BlobRow{named(0), named(uint64(1 + i)), named(uint64(1 + i/2))}
		w.manifests = append(w.manifests, imageOf(blobs[:2+i%2]))
	}
	for i := range 2 {
		var m local.ManifestRow
		m.MediaType, m.Bytes = oci.MediaTypeImageIndex, fmt.Appendf(nil, "index %d", i)
		for _, c := range w.manifests[i*2 : i*2+3] {
			m.Content.Children = append(m.Content.Children, c.Descriptor)
		}
		m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
		w.manifests = append(w.manifests, m)
	}
	for i := range 6 { // of images, of an index, of a referrer
		m := imageOf([]local.BlobRow{named(0)})
		m.Content.Subject = w.manifests[i*2].Digest
		m.Bytes = fmt.Appendf(m.Bytes, "subject %s", m.Content.Subject)
		m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
		w.manifests = append(w.manifests, m)
	}
}

func (w *wanderer) repo() oci.Repo { return oci.Repo(fmt.Sprint("acme/r", w.r.IntN(2))) }
func (w *wanderer) tag() oci.Tag   { return oci.Tag(fmt.Sprint("v", w.r.IntN(4))) }

func (w *wanderer) manifest() local.ManifestRow { return w.manifests[w.r.IntN(len(w.manifests))] }

func (w *wanderer) entry() int64 {
	all, err := w.db.Trash.TrashEntries(w.t.Context(), local.TrashFilter{}, 0, 100)
	if err != nil || len(all) == 0 {
		return 0
	}
	return all[w.r.IntN(len(all))].ID
}

// push brings the manifest with all it needs, or without.
func (w *wanderer) push(repo oci.Repo, m local.ManifestRow, tags []oci.Tag) error {
	for _, b := range m.Content.Blobs {
		if _, err := w.db.Catalog.LinkBlob(w.t.Context(), repo, local.BlobRow{Digest: b.Digest, Size: b.Size, Key: named(0).Key}, ""); err != nil {
			return err
		}
	}
	return w.db.Catalog.PutManifest(w.t.Context(), repo, m, tags, nil)
}

// steps with how often they are taken.
var steps = map[string]struct {
	often int
	run   func(w *wanderer) error
}{
	"push": {8, func(w *wanderer) error { return w.push(w.repo(), w.manifest(), nil) }},
	"tag":  {8, func(w *wanderer) error { return w.push(w.repo(), w.manifest(), []oci.Tag{w.tag(), w.tag()}) }},
	"delete tag": {3, func(w *wanderer) error {
		return w.db.Catalog.DeleteTag(w.t.Context(), w.repo(), w.tag(), nil)
	}},
	"delete manifest": {5, func(w *wanderer) error {
		return w.db.Catalog.DeleteManifest(w.t.Context(), w.repo(), w.manifest().Digest, nil)
	}},
	"unlink": {3, func(w *wanderer) error {
		repo, b := w.repo(), named(w.r.Uint64N(12)) // some are needed, some are not
		if _, err := w.db.Catalog.LinkBlob(w.t.Context(), repo, b, ""); err != nil {
			return err
		}
		return w.db.Catalog.UnlinkBlob(w.t.Context(), repo, b.Digest)
	}},
	"delete repository": {1, func(w *wanderer) error {
		_, err := w.db.Trash.DeleteRepository(w.t.Context(), w.repo(), nil)
		return err
	}},
	"delete namespace": {1, func(w *wanderer) error {
		_, err := w.db.Trash.DeleteNamespace(w.t.Context(), "acme")
		return err
	}},
	"add namespace": {3, func(w *wanderer) error {
		n := account.Namespace{Namespace: access.Namespace{Name: "acme", AccountID: w.account, Incarnation: fmt.Sprint(w.r.Uint64())}}
		_, _, err := w.db.Accounts.AddNamespace(w.t.Context(), n, time.Time{}, true, audit.Line{})
		return err
	}},
	"remove namespace": {1, func(w *wanderer) error {
		_, err := w.db.Accounts.RemoveNamespace(w.t.Context(), w.account, "acme", nil, audit.Line{})
		return err
	}},
	"count": {3, func(w *wanderer) error {
		repo, c := w.repo(), counts.Count{Total: 1, Last: w.clock.Now()}
		return w.db.Tally.Add(w.t.Context(), counts.Batch{Counts: map[counts.Key]counts.Count{
			{Repo: repo, Kind: counts.OfRepository}: c, {Repo: repo, Kind: counts.OfTag, Name: string(w.tag())}: c,
			{Repo: repo, Kind: counts.OfDigest, Name: string(w.manifest().Digest)}: c,
		}})
	}},
	"restore": {5, func(w *wanderer) error {
		_, err := w.db.Trash.Restore(w.t.Context(), w.entry(), w.r.IntN(2) == 0, nil)
		return err
	}},
	"purge": {1, func(w *wanderer) error { return w.db.Trash.Purge(w.t.Context(), w.entry()) }},
	"erase": {2, func(w *wanderer) error {
		_, err := w.db.Trash.Erase(w.t.Context(), 1+w.r.IntN(8))
		return err
	}},
	"forget moves": {1, func(w *wanderer) error {
		_, _, err := w.db.History.ForgetMoves(w.t.Context(), w.clock.Now().Add(-10*time.Hour), 0, 1+w.r.IntN(4))
		return err
	}},
	"unneeded": {2, func(w *wanderer) error {
		before := w.clock.Pass(time.Hour)
		links, _, err := w.db.Retention.UnneededLinks(w.t.Context(), before, "", 3)
		if err == nil {
			_, err = w.db.Retention.Unlink(w.t.Context(), before, links)
		}
		return err
	}},
	"untagged": {1, func(w *wanderer) error {
		_, _, err := w.db.Retention.TrashUntagged(w.t.Context(), w.clock.Pass(time.Hour), "", 2, false)
		return err
	}},
	"forget": {1, func(w *wanderer) error {
		_, err := w.db.Garbage.Forget(w.t.Context(), w.clock.Pass(time.Hour), 3, nil)
		return err
	}},
}

// step takes one, of which the registry may say that it cannot be.
func (w *wanderer) step() string {
	var bag []string
	for name, s := range steps {
		for range s.often {
			bag = append(bag, name)
		}
	}
	slices.Sort(bag) // a map has no order, but a seed should lead to one walk
	name := bag[w.r.IntN(len(bag))]
	err := steps[name].run(w)
	var refused *oci.Error
	switch {
	case err == nil:
		w.done[name]++
	case !errors.As(err, &refused) && !errors.Is(err, account.ErrNotFound):
		w.t.Fatalf("%s: %v", name, err)
	}
	return name
}
