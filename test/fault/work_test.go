package fault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workers  = 6
	lifeTime = 4 * time.Second // at most, if the disk does not freeze before
)

// crew is the clients of one life: goroutines that push, mount, tag, delete
// and pull until the power goes.
type crew struct {
	s    *server
	h    *history
	life string
	// refusing says that the disk is made to fail: what comes of it is an
	// internal error, and no fault.
	refusing atomic.Bool

	mu     sync.Mutex
	shared []held   // what stays for good, for all to mount, tag and pull
	faults []string // what the server did wrong while it lived
	acts   map[string]int
}

// held is an image that was acknowledged.
type held struct {
	repo, digest string
	blobs        [][]byte
}

func newCrew(s *server, h *history, life string) *crew {
	return &crew{s: s, h: h, life: life, acts: map[string]int{}}
}

// work until the disk is frozen.
func (c *crew) work(seed uint64) {
	var group sync.WaitGroup
	for id := range workers {
		group.Go(func() {
			w := &worker{crew: c, rand: rand.New(rand.NewPCG(seed, uint64(id))), name: fmt.Sprintf("%s-w%d", c.life, id)}
			w.run()
		})
	}
	group.Wait()
}

func (c *crew) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// worker is one client. What it deletes is its own, so that it knows what
// must be there.
type worker struct {
	*crew
	rand  *rand.Rand
	name  string
	count int
	mine  []held // to be deleted
	tags  []thing
	blobs []thing
	down  bool
}

func (w *worker) run() {
	acts := []struct {
		name   string
		weight int
		do     func()
	}{
		{"push", 6, w.pushImage},
		{"retag", 3, w.retag},
		{"untag", 2, w.untag},
		{"delete manifest", 2, w.deleteManifest},
		{"delete blob", 2, w.deleteBlob},
		{"leave upload", 2, w.leaveUpload},
		{"cancel", 1, w.cancel},
		{"pull", 3, w.pull},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	for !w.down {
		n := w.rand.IntN(total)
		for _, a := range acts {
			if n -= a.weight; n < 0 {
				a.do()
				w.mu.Lock()
				w.acts[a.name]++
				w.mu.Unlock()
				break
			}
		}
	}
}

// ask sends a request that changes a thing, and notes what came of it. It
// tells whether it was done.
func (w *worker) ask(t thing, value string, want int, send func() (answer, error)) bool {
	s := w.h.begin(t, value)
	a, err := send()
	switch {
	case err != nil:
		w.down = true // it may have happened
	case a.status == want:
		w.h.done(s)
		return true
	case a.status >= 500:
		w.failed("%s %s: %s", t.kind, t.name, a)
	default:
		w.h.refused(t, s)
		w.fault("%s %s in %s: %s, want %d", t.kind, t.name, t.repo, a, want)
	}
	return false
}

// failed is an answer of 500 and more: after the freeze it may come of it.
func (w *worker) failed(format string, args ...any) {
	select {
	case <-w.s.frozen():
		w.down = true
	default:
		if !w.refusing.Load() {
			w.fault(format, args...)
		}
	}
}

// step sends a request that changes nothing that is promised.
func (w *worker) step(what string, want int, send func() (answer, error)) (answer, bool) {
	a, err := send()
	switch {
	case err != nil:
		w.down = true
	case a.status == want:
		return a, true
	case a.status >= 500:
		w.failed("%s: %s", what, a)
	default:
		w.fault("%s: %s, want %d", what, a, want)
	}
	return a, false
}

// content that nobody had before, of a size that is interesting to the disk.
func (w *worker) content() []byte {
	w.count++
	sizes := []int{1 + w.rand.IntN(100), 4096, 4095 + w.rand.IntN(3), 1 + w.rand.IntN(20_000), 60_000 + w.rand.IntN(10_000), 1 + w.rand.IntN(400_000)}
	size := sizes[w.rand.IntN(len(sizes))]
	if w.rand.IntN(30) == 0 {
		size = 2<<20 + w.rand.IntN(2<<20) // beyond one early writeback
	}
	b := fmt.Appendf(nil, "%s-%d;", w.name, w.count)
	var key [32]byte
	copy(key[:], b)
	more := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(more)
	return append(b, more...)
}

func (w *worker) repo() string { return repos[w.rand.IntN(len(repos))] }

// upload pushes one blob in one of the ways there are.
func (w *worker) upload(repo string, content []byte) bool {
	t := thing{"blobs", repo, sum(content)}
	switch w.rand.IntN(3) {
	case 0:
		return w.ask(t, there, http.StatusCreated, func() (answer, error) { return w.s.postWhole(repo, content) })
	case 1:
		return w.send(repo, content, len(content))
	}
	return w.send(repo, content, 1+w.rand.IntN(len(content)))
}

// send pushes a blob in chunks.
func (w *worker) send(repo string, content []byte, chunk int) bool {
	u := w.start(repo, content, len(content), max(chunk, len(content)/6))
	if u == nil {
		return false
	}
	t := thing{"blobs", repo, sum(content)}
	if w.ask(t, there, http.StatusCreated, func() (answer, error) { return w.s.commit(w.s.url+u.where, sum(content)) }) {
		return true
	}
	w.h.leave(u)
	return false
}

// start begins an upload and sends its first bytes.
func (w *worker) start(repo string, content []byte, upTo, chunk int) *upload {
	a, ok := w.step("begin", http.StatusAccepted, func() (answer, error) { return w.s.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil) })
	if !ok {
		return nil
	}
	u := &upload{repo: repo, where: strings.TrimPrefix(a.header.Get("Location"), w.s.url), content: content}
	for u.sent < upTo {
		end := min(u.sent+chunk, upTo)
		if _, ok := w.step("patch", http.StatusAccepted, func() (answer, error) { return w.s.patch(w.s.url+u.where, u.sent, content[u.sent:end]) }); !ok {
			w.h.leave(u)
			return nil
		}
		u.sent = end
	}
	return u
}

// pushImage pushes blobs, mounts one that another repository has, and pushes
// a manifest by tag.
func (w *worker) pushImage() {
	repo := w.repo()
	w.count++
	blobs := [][]byte{fmt.Appendf(nil, `{"config of":"%s-%d"}`, w.name, w.count)}
	for range w.rand.IntN(3) {
		blobs = append(blobs, w.content())
	}
	for _, b := range blobs {
		if !w.upload(repo, b) {
			return
		}
	}
	if from, ok := w.pick(); ok && from.repo != repo {
		b := from.blobs[w.rand.IntN(len(from.blobs))]
		if !w.ask(thing{"blobs", repo, sum(b)}, there, http.StatusCreated, func() (answer, error) { return w.s.mount(repo, from.repo, sum(b)) }) {
			return
		}
		blobs = append(blobs, b)
	}
	w.count++
	img := held{repo: repo, blobs: blobs}
	body := image(fmt.Sprintf("%s-%d", w.name, w.count), blobs...)
	needs := make([]string, len(blobs))
	for i, b := range blobs {
		needs[i] = sum(b)
	}
	img.digest = w.h.describe(body, needs)
	scratch := w.rand.IntN(3) == 0
	tag := thing{"tags", repo, fmt.Sprintf("%s-%d", w.name, w.count)}
	if !scratch && w.rand.IntN(3) == 0 {
		tag.name = "latest"
	}
	if !w.putTag(tag, img.digest, body) {
		return
	}
	if scratch {
		w.mine = append(w.mine, img)
		w.tags = append(w.tags, tag)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shared = append(w.shared, img)
}

// putTag pushes a manifest by tag, which makes both.
func (w *worker) putTag(tag thing, digest string, body []byte) bool {
	m := thing{"manifests", tag.repo, digest}
	s := w.h.begin(m, there)
	ok := w.ask(tag, digest, http.StatusCreated, func() (answer, error) { return w.s.putManifest(tag.repo, tag.name, body) })
	if ok {
		w.h.done(s)
	}
	return ok
}

// pick one of the images that stay.
func (w *worker) pick() (held, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.shared) == 0 {
		return held{}, false
	}
	return w.shared[w.rand.IntN(len(w.shared))], true
}

// retag moves a tag that all move, or one of the worker's own.
func (w *worker) retag() {
	img, ok := w.pick()
	if !ok {
		return
	}
	w.h.mu.Lock()
	body := w.h.bodies[img.digest]
	w.h.mu.Unlock()
	tag := thing{"tags", img.repo, "latest"}
	if w.rand.IntN(2) == 0 {
		tag.name = w.name + "-own"
	}
	if w.putTag(tag, img.digest, body) && tag.name != "latest" && !slices.Contains(w.tags, tag) {
		w.tags = append(w.tags, tag)
	}
}

// untag deletes one of the worker's own tags.
func (w *worker) untag() {
	if len(w.tags) == 0 {
		return
	}
	i := w.rand.IntN(len(w.tags))
	tag := w.tags[i]
	w.tags = slices.Delete(w.tags, i, i+1)
	w.ask(tag, "", http.StatusAccepted, func() (answer, error) { return w.s.remove(tag.repo, "manifests", tag.name) })
}

// deleteManifest deletes one that only the worker's own tag names.
func (w *worker) deleteManifest() {
	if len(w.mine) == 0 {
		return
	}
	img := w.mine[0]
	w.mine = w.mine[1:]
	var gone []*step
	w.tags = slices.DeleteFunc(w.tags, func(tag thing) bool {
		if tag.repo != img.repo || !slices.Contains(w.h.allowed(tag), img.digest) {
			return false
		}
		gone = append(gone, w.h.begin(tag, ""))
		return true
	})
	m := thing{"manifests", img.repo, img.digest}
	if w.ask(m, "", http.StatusAccepted, func() (answer, error) { return w.s.remove(m.repo, "manifests", m.name) }) {
		for _, s := range gone {
			w.h.done(s)
		}
	}
}

// deleteBlob pushes a blob that no manifest names, or deletes it again.
func (w *worker) deleteBlob() {
	if len(w.blobs) == 0 || w.rand.IntN(2) == 0 {
		b, repo := w.content(), w.repo()
		if w.upload(repo, b) {
			w.blobs = append(w.blobs, thing{"blobs", repo, sum(b)})
		}
		return
	}
	t := w.blobs[0]
	w.blobs = w.blobs[1:]
	w.ask(t, "", http.StatusAccepted, func() (answer, error) { return w.s.remove(t.repo, "blobs", t.name) })
}

// leaveUpload sends a part of a blob.
func (w *worker) leaveUpload() {
	content := w.content()
	if u := w.start(w.repo(), content, w.rand.IntN(len(content)+1), max(1, len(content)/3)); u != nil {
		w.h.leave(u)
	}
}

func (w *worker) cancel() {
	u := w.start(w.repo(), w.content(), 10, 10)
	if u != nil {
		w.step("cancel", http.StatusNoContent, func() (answer, error) { return w.s.do(http.MethodDelete, u.where, nil) })
	}
}

// pull one of the images that stay, with its blobs.
func (w *worker) pull() {
	img, ok := w.pick()
	if !ok {
		return
	}
	a, ok := w.step("pull", http.StatusOK, func() (answer, error) { return w.s.manifest(img.repo, img.digest) })
	if ok && sum(a.body) != img.digest {
		w.fault("manifest %s has the bytes of %s", img.digest, sum(a.body))
	}
	for _, b := range img.blobs {
		a, ok := w.step("pull "+sum(b), http.StatusOK, func() (answer, error) { return w.s.blob(img.repo, sum(b)) })
		if ok && !bytes.Equal(a.body, b) {
			w.fault("blob %s has other bytes", sum(b))
		}
	}
}
