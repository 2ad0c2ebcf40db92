package local_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// Blobs lie in groups: of each group's, the first ten are one image and the
// others are named by no manifest. Groups are spread over repositories.
const (
	neededOfGroup = 10
	stockRepos    = 64
	stockBytes    = "0123456789"
	stockAge      = 3 * time.Hour
)

// long tells whether the campaigns run at their full scale.
func long() bool { return os.Getenv("FAIRLEAD_LONG") == "1" }

// scaled is n in the long campaign and few otherwise.
func scaled(few, n int) int {
	if long() {
		return n
	}
	return few
}

// side is a connection of the test's own to the registry's database, for rows
// in bulk; it is used while the registry is idle.
func (w *world) side(t *testing.T) *sql.DB {
	t.Helper()
	query := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "foreign_keys(1)", "synchronous(normal)", "cache_size(-65536)"}}
	u := url.URL{Scheme: "file", Path: filepath.Join(w.dir, "db"), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}

// stock fills the registry with groups of blobs, made stockAge before its
// clock: rows and files, and through the registry the manifests that need
// some of them. Files are not synced: only the kernel's memory is asked.
func (w *world) stock(t *testing.T, groups, ofGroup int) {
	t.Helper()
	start := time.Now()
	db := w.side(t)
	made := w.clock.Now().Add(-stockAge).UnixMicro()
	exec(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO repositories (id, name, incarnation, created_at) SELECT i, 'stock/r' || i, lower(hex(randomblob(16))), ? FROM n`, stockRepos, made)
	exec(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO blobs (id, digest, size, key, created_at)
SELECT i, 'sha256:' || lower(hex(randomblob(32))), ?, lower(hex(randomblob(16))), ? FROM n`, groups*ofGroup, len(stockBytes), made)
	exec(t, db, `INSERT INTO repository_blobs (blob_id, repository_id, created_at) SELECT id, (id - 1) / ? % ? + 1, created_at FROM blobs`, ofGroup, stockRepos)
	rows := time.Since(start)
	w.stockFiles(t, db)
	files := time.Since(start) - rows
	w.stockManifests(t, db, ofGroup)
	t.Logf("filled with %d blobs: rows %s, files %s, manifests %s", groups*ofGroup, rows, files, time.Since(start)-rows-files)
}

func (w *world) stockFiles(t *testing.T, db *sql.DB) {
	t.Helper()
	keys, err := db.QueryContext(t.Context(), `SELECT key FROM blobs ORDER BY key`)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close() //nolint:errcheck // Err says it
	for keys.Next() {
		var key string
		if err := keys.Scan(&key); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "blobs", key[:2], key), []byte(stockBytes), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) stockManifests(t *testing.T, db *sql.DB, ofGroup int) {
	t.Helper()
	needed, err := db.QueryContext(t.Context(), `SELECT (id - 1) / ? % ? + 1, digest FROM blobs WHERE (id - 1) % ? < ? ORDER BY id`,
		ofGroup, stockRepos, ofGroup, neededOfGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer needed.Close() //nolint:errcheck // Err says it
	var work errgroup.Group
	work.SetLimit(16)
	var image []oci.Descriptor
	for needed.Next() {
		var repo int
		d := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Size: int64(len(stockBytes))}
		if err := needed.Scan(&repo, &d.Digest); err != nil {
			t.Fatal(err)
		}
		if image = append(image, d); len(image) < neededOfGroup {
			continue
		}
		body := imageJSON(image)
		image = nil
		work.Go(func() error {
			_, err := w.PutManifest(ctx, oci.Repo(fmt.Sprint("stock/r", repo)), put(body))
			return err
		})
	}
	if err := needed.Err(); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
}

// imageJSON is a manifest: the first blob is its config.
func imageJSON(blobs []oci.Descriptor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[`,
		oci.MediaTypeImageManifest, blobs[0].Digest, blobs[0].Size)
	for i, d := range blobs[1:] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
	}
	b.WriteString("]}")
	return b.Bytes()
}

func put(body []byte, tags ...oci.Tag) registry.Put {
	return registrytest.Put(registrytest.Content{MediaType: oci.MediaTypeImageManifest, Bytes: body}, tags...)
}

// pushing is a load of clients that push images of ten new layers and a
// config, each after asking whether it is there.
type pushing struct {
	w      *world
	blobs  atomic.Int64 // pushed
	images atomic.Int64
	took   [2]latencies // without and with a sweep
	swept  atomic.Int32 // 1 while the sweep runs
	stop   func() error
}

type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

const (
	pushers   = 4
	layerSize = 16 << 10
)

func (w *world) push(seed string) *pushing {
	p := &pushing{w: w}
	ctx, cancel := context.WithCancel(ctx)
	var work errgroup.Group
	for g := range pushers {
		work.Go(func() error {
			for i := 0; ctx.Err() == nil; i++ {
				if err := p.image(fmt.Sprintf("%s-%d-%d", seed, g, i), oci.Repo(fmt.Sprint("push/r", g))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	p.stop = func() error { cancel(); return work.Wait() }
	return p
}

func (p *pushing) image(name string, repo oci.Repo) error {
	var blobs []oci.Descriptor
	for l := range 11 {
		body := make([]byte, layerSize)
		copy(body, fmt.Sprintf("%s-%d", name, l))
		start := time.Now()
		d := oci.DigestOf(oci.SHA256, body)
		if _, err := p.w.StatBlob(ctx, repo, d); err == nil {
			return fmt.Errorf("blob %s is there before it was pushed", d)
		}
		u, err := p.w.Upload(ctx, repo, registry.Session{Owner: "o", OneRequest: true})
		if err != nil {
			return err
		}
		if err := u.Append(ctx, 0, bytes.NewReader(body)); err != nil {
			return err
		}
		if _, err := u.Commit(ctx, d); err != nil {
			return err
		}
		if err := u.Close(); err != nil { // it holds the key until then
			return err
		}
		p.took[p.swept.Load()].add(time.Since(start))
		blobs = append(blobs, oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: layerSize})
		p.blobs.Add(1)
	}
	if _, err := p.w.PutManifest(ctx, repo, put(imageJSON(blobs), "latest")); err != nil {
		return err
	}
	p.images.Add(1)
	return nil
}

// gate lets the sweep pass between two of its batches, or not. It sums how
// long each step took without the waiting.
type gate struct {
	mu    sync.Mutex
	at    time.Time
	steps map[string]time.Duration
}

func (g *gate) progress(step string, _, _, _ int64) {
	g.steps[step] += time.Since(g.at).Round(time.Millisecond)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = time.Now()
}

// sweepWhilePushing sweeps in windows, between which it stands still, so that
// a load of the machine from elsewhere hits both kinds alike.
func (w *world) sweepWhilePushing(t *testing.T, name string) (swept local.Swept, images int64) {
	t.Helper()
	window, settle := 100*time.Millisecond, 10*time.Millisecond
	if long() {
		window, settle = 2*time.Second, 200*time.Millisecond
	}
	p := w.push(name)
	heap := watchMemory()
	g := gate{at: time.Now(), steps: map[string]time.Duration{}}
	g.mu.Lock()
	done := make(chan error, 1)
	go func() {
		var err error
		swept, err = w.Sweep(ctx, local.SweepOptions{Progress: g.progress})
		done <- err
	}()
	var rate [2]windows
	var open time.Duration
	var failed error
	for running := true; running; {
		_, _ = rate[0].measure(p, window, settle, nil) // nothing ends it
		g.mu.Unlock()
		p.swept.Store(1)
		at := time.Now()
		ended, err := rate[1].measure(p, window, settle, done)
		open += time.Since(at)
		g.mu.Lock()
		p.swept.Store(0)
		if ended {
			running, failed = false, err
		}
	}
	g.mu.Unlock()
	memory := heap.stop()
	if err := p.stop(); err != nil {
		t.Errorf("pushes beside the sweep: %v", err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	t.Logf("%s: the sweep took %s %v; %d windows; pushes %.0f and beside it %.0f blobs/s: slower by %.1f %%; p50 %s and %s, p99 %s and %s; %s",
		name, open.Round(time.Millisecond), g.steps, rate[1].n, rate[0].rate(), rate[1].rate(), 100*(1-rate[1].rate()/rate[0].rate()),
		p.took[0].at(50), p.took[1].at(50), p.took[0].at(99), p.took[1].at(99), memory)
	memory.check(t, 96<<20)
	return swept, p.images.Load()
}

// windows sums what was pushed in those of one kind.
type windows struct {
	n     int
	blobs int64
	time  time.Duration
}

func (s *windows) rate() float64 { return float64(s.blobs) / max(s.time.Seconds(), 1e-9) }

// measure one window, unless done comes first.
func (s *windows) measure(p *pushing, window, settle time.Duration, done <-chan error) (ended bool, said error) {
	time.Sleep(settle)
	from, start := p.blobs.Load(), time.Now()
	select {
	case err := <-done:
		return true, err
	case <-time.After(window):
	}
	s.n++
	s.blobs += p.blobs.Load() - from
	s.time += time.Since(start)
	return false, nil
}

// TestSweepAtScale: a hundred thousand blobs that nobody needs go, those that
// are needed and those that are being pushed stay, pushes go on as if nothing
// was, and the memory is bounded.
func TestSweepAtScale(t *testing.T) {
	const unneededOfGroup = 90
	groups := scaled(22, 1112)
	w := open(t, t.TempDir(), nil)
	w.clock.now = time.Now().Add(-2 * stockAge)
	w.restart() // so that it was born long before the sweep
	w.clock.now = time.Now()
	w.stock(t, groups, neededOfGroup+unneededOfGroup)

	swept, images := w.sweepWhilePushing(t, "links")
	if swept.Links != groups*unneededOfGroup || swept.Blobs != 0 || swept.Orphans != 0 {
		t.Errorf("first swept %+v", swept)
	}
	exec(t, w.side(t), `UPDATE blobs SET unlinked_at = unlinked_at - ? WHERE unlinked_at IS NOT NULL`, stockAge.Microseconds())
	swept, more := w.sweepWhilePushing(t, "blobs")
	if swept.Links != 0 || swept.Blobs != groups*unneededOfGroup || swept.Orphans != 0 || swept.Bytes != int64(swept.Blobs*len(stockBytes)) {
		t.Errorf("then swept %+v", swept)
	}
	images += more

	r, err := w.Fsck(ctx, local.FsckOptions{})
	if err != nil || r.Found != 0 {
		t.Errorf("fsck: %+v %v", r, err)
	}
	want := int64(groups*neededOfGroup) + 11*images
	if r.Blobs != want {
		t.Errorf("%d blobs are left, want %d", r.Blobs, want)
	}
	if n := int64(w.keys(t)); n != r.Blobs {
		t.Errorf("%d files for %d blobs", n, r.Blobs)
	}
}

// TestFsckAtScale: a million blobs are checked in minutes and little memory.
func TestFsckAtScale(t *testing.T) {
	groups := scaled(20, 10_000)
	const ofGroup = 100
	w := open(t, t.TempDir(), nil)
	w.stock(t, groups, ofGroup)
	w.clock.now = w.clock.now.Add(stockAge) // files that are young are not asked about
	lost := blob.Key("")
	db := w.side(t)
	if err := db.QueryRowContext(t.Context(), `SELECT key FROM blobs ORDER BY id DESC LIMIT 1`).Scan(&lost); err != nil {
		t.Fatal(err)
	}
	if err := w.blobs.Delete(ctx, lost); err != nil {
		t.Fatal(err)
	}
	memory := watchMemory()
	var step string
	steps := map[string]time.Duration{}
	at := time.Now()
	start := at
	r, err := w.Fsck(ctx, local.FsckOptions{Progress: func(s string, _, _, _ int64) {
		steps[step] += time.Since(at)
		step, at = s, time.Now()
	}})
	steps[step] += time.Since(at)
	took := time.Since(start)
	used := memory.stop()
	delete(steps, "")
	t.Logf("fsck of %d blobs, %d manifests, %d files took %s %v; %s", r.Blobs, r.Manifests, r.Files, took.Round(time.Millisecond), steps, used)
	n := int64(groups * ofGroup)
	if err != nil || r.Blobs != n || r.Files != n-1 || r.Manifests != int64(groups) || r.Found != 1 || r.Lost != 1 || r.Problems[0].Key != lost {
		t.Errorf("fsck: %+v %v", r, err)
	}
	used.check(t, 64<<20)
	if limit := 6 * time.Minute; took > limit { // the aim is 2 minutes on a machine of its own
		t.Errorf("fsck took %s, more than %s", took, limit)
	}
}
