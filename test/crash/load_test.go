package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	workers = 8
	tags    = 24
	large   = 16 << 20
	larges  = 8 // contents of that size, used again and again
)

var repos = []string{"acme/a", "acme/b", "acme/c/d", "other/a", "zoo"}

// world is what the clients know, over all lives of the server.
type world struct {
	data   string
	ledger *ledger

	mu        sync.Mutex
	numbers   uint64
	contents  map[string]content // by digest
	begins    map[string]content // by their first bytes
	recent    []content
	larges    []content
	manifests map[string]manifest
	pushed    map[string][]string // digests that were tried, by repository
	uploads   []*upload           // open ones that nobody holds
	faults    []string

	requests atomic.Int64
	resumed  atomic.Int64 // uploads that went on in another life
	sealed   map[string]string
}

func newWorld(data string) *world {
	return &world{
		data: data, ledger: newLedger(), contents: map[string]content{}, begins: map[string]content{},
		manifests: map[string]manifest{}, pushed: map[string][]string{}, sealed: map[string]string{},
	}
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// beginning is how a file of the blob folder is recognised.
const beginning = 8

func (w *world) content(size int) content {
	w.mu.Lock()
	w.numbers++
	n := w.numbers
	w.mu.Unlock()
	c := newContent(n, size)
	first := string(content{number: n, size: beginning}.bytes())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.contents[c.digest], w.begins[first] = c, c
	if size == large {
		w.larges = append(w.larges, c)
	} else {
		w.recent = append(w.recent[max(0, len(w.recent)-200):], c)
	}
	return c
}

func (w *world) remember(repo string, m manifest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manifests[m.digest] = m
	w.pushed[repo] = append(w.pushed[repo], m.digest)
}

// known is some manifest that was tried in the repository, a young one rather
// than an old one.
func (w *world) known(rng *rand.Rand, repo string) (manifest, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.pushed[repo]
	if len(list) == 0 {
		return manifest{}, false
	}
	if rng.IntN(3) > 0 {
		list = list[max(0, len(list)-20):]
	}
	return w.manifests[list[rng.IntN(len(list))]], true
}

func (w *world) take(rng *rand.Rand) *upload {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.uploads) == 0 {
		return nil
	}
	i := rng.IntN(len(w.uploads))
	u := w.uploads[i]
	w.uploads = slices.Delete(w.uploads, i, i+1)
	return u
}

func (w *world) leave(u *upload) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uploads = append(w.uploads, u)
}

// worker is one client under load.
type worker struct {
	w     *world
	c     *client
	rng   *rand.Rand
	life  int
	light bool
	large func(n int) // told of bytes of large uploads as they leave
}

// run works until the server is gone. What fails before that is a fault.
func (k *worker) run(ctx context.Context, s *server) {
	for !s.killed.Load() {
		err := k.step(ctx)
		if err != nil && !s.killed.Load() {
			k.w.fault("the server broke a connection: %v", err)
			return
		}
		if err != nil {
			return
		}
	}
}

// step does one thing. In light rounds that is mostly one request, so that
// many are acknowledged in the last milliseconds.
func (k *worker) step(ctx context.Context) error {
	repo := repos[k.rng.IntN(len(repos))]
	n := k.rng.IntN(100)
	if k.light && n < 40 {
		n = 40 + n%26
	}
	switch {
	case n < 36:
		return k.push(ctx, repo)
	case n < 40:
		return k.pushIndex(ctx, repo)
	case n < 53:
		return k.retag(ctx, repo)
	case n < 63:
		return k.deleteTag(ctx, repo)
	case n < 67:
		return k.deleteManifest(ctx, repo)
	case n < 71:
		return k.deleteBlob(ctx, repo)
	case n < 75:
		return k.mount(ctx, repo, k.blob())
	case n < 82:
		return k.resume(ctx)
	case n < 83:
		return k.pushLarge(ctx, repo)
	}
	return k.pull(ctx, repo)
}

func (k *worker) do(ctx context.Context, r request) (answer, error) {
	k.w.requests.Add(1)
	a, err := k.c.do(ctx, r)
	if err == nil && a.status >= 500 {
		k.w.fault("%s %s: %d %s", r.method, r.target, a.status, a.body)
	}
	return a, err
}

func (k *worker) unexpected(r request, a answer) {
	k.w.fault("%s %s: %d %s", r.method, r.target, a.status, a.body)
}

// blob is an old content or a new one.
func (k *worker) blob() content {
	k.w.mu.Lock()
	recent := k.w.recent
	k.w.mu.Unlock()
	if len(recent) > 0 && k.rng.IntN(5) < 2 {
		return recent[k.rng.IntN(len(recent))]
	}
	return k.w.content(16 + k.rng.IntN(1<<(6+k.rng.IntN(10))))
}

func (k *worker) tag() string { return fmt.Sprintf("v%d", k.rng.IntN(tags)) }

// push an image: a new one, or one that some repository has or had.
func (k *worker) push(ctx context.Context, repo string) error {
	m, ok := k.w.known(k.rng, repos[k.rng.IntN(len(repos))])
	if !ok || m.kind != manifestType || k.rng.IntN(4) > 0 {
		var blobs []content
		for range 1 + k.rng.IntN(4) {
			if b := k.blob(); !slices.Contains(blobs, b) {
				blobs = append(blobs, b)
			}
		}
		m = image(fmt.Sprint(k.rng.Uint64()), blobs)
	}
	for _, b := range m.blobs {
		if err := k.ensure(ctx, repo, b); err != nil {
			return err
		}
	}
	return k.put(ctx, repo, m)
}

func (k *worker) pushIndex(ctx context.Context, repo string) error {
	var children []manifest
	for range 2 {
		if m, ok := k.w.known(k.rng, repo); ok && m.kind == manifestType {
			children = append(children, m)
		}
	}
	if len(children) == 0 {
		return k.push(ctx, repo)
	}
	return k.put(ctx, repo, index(fmt.Sprint(k.rng.Uint64()), children))
}

func (k *worker) retag(ctx context.Context, repo string) error {
	m, ok := k.w.known(k.rng, repo)
	if !ok {
		return k.push(ctx, repo)
	}
	return k.put(ctx, repo, m)
}

// put a manifest by tag, by digest, or by digest with several tags.
func (k *worker) put(ctx context.Context, repo string, m manifest) error {
	k.w.remember(repo, m)
	var names []string
	ref := m.digest
	switch k.rng.IntN(6) {
	case 0:
	case 1, 2:
		names = []string{k.tag(), k.tag(), k.tag()}
		ref += "?tag=" + strings.Join(names, "&tag=")
	default:
		names = []string{k.tag()}
		ref = names[0]
	}
	writes := []write{{key: key{'m', repo, m.digest}, value: present}}
	for _, n := range names {
		writes = append(writes, write{key: key{'t', repo, n}, value: m.digest})
	}
	op := k.w.ledger.begin(writes...)
	r := request{method: http.MethodPut, target: "/v2/" + repo + "/manifests/" + ref, kind: m.kind, body: m.body}
	a, err := k.do(ctx, r)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusCreated:
		op.done()
	case http.StatusNotFound: // what it names was deleted meanwhile
		op.refused()
	default:
		k.unexpected(r, a)
	}
	return nil
}

func (k *worker) deleteTag(ctx context.Context, repo string) error {
	at := key{'t', repo, k.tag()}
	return k.remove(ctx, "/v2/"+repo+"/manifests/"+at.name, at, write{key: at, value: absent})
}

// deleteManifest takes away its tags as well, and sometimes its blobs.
func (k *worker) deleteManifest(ctx context.Context, repo string) error {
	m, ok := k.w.known(k.rng, repo)
	if !ok {
		return nil
	}
	at := key{'m', repo, m.digest}
	writes := []write{{key: at, value: absent}}
	for i := range tags {
		writes = append(writes, write{key: key{'t', repo, fmt.Sprintf("v%d", i)}, value: absent, only: m.digest})
	}
	err := k.remove(ctx, "/v2/"+repo+"/manifests/"+m.digest, at, writes...)
	for _, b := range m.blobs {
		if err == nil && k.rng.IntN(2) == 0 {
			at := key{'b', repo, b.digest}
			err = k.remove(ctx, "/v2/"+repo+"/blobs/"+b.digest, at, write{key: at, value: absent})
		}
	}
	return err
}

func (k *worker) deleteBlob(ctx context.Context, repo string) error {
	at := key{'b', repo, k.blob().digest}
	return k.remove(ctx, "/v2/"+repo+"/blobs/"+at.name, at, write{key: at, value: absent})
}

func (k *worker) remove(ctx context.Context, target string, at key, writes ...write) error {
	op, saw := k.w.ledger.begin(writes...), k.w.ledger.look()
	r := request{method: http.MethodDelete, target: target}
	a, err := k.do(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusAccepted:
		op.done()
	case a.status == http.StatusNotFound:
		op.refused()
		saw(at, absent)
	case a.status == http.StatusMethodNotAllowed && at.kind == 'b': // a manifest needs it
		op.refused()
		saw(at, present)
	default:
		k.unexpected(r, a)
	}
	return nil
}

// pull by tag, with all blobs.
func (k *worker) pull(ctx context.Context, repo string) error {
	at := key{'t', repo, k.tag()}
	saw := k.w.ledger.look()
	r := request{method: http.MethodGet, target: "/v2/" + repo + "/manifests/" + at.name}
	a, err := k.do(ctx, r)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusNotFound:
		saw(at, absent)
		return nil
	case a.status != http.StatusOK || a.header.Get("Docker-Content-Digest") != a.sum:
		k.unexpected(r, a)
		return nil
	}
	saw(at, a.sum)
	saw(key{'m', repo, a.sum}, present)
	k.w.mu.Lock()
	m, ok := k.w.manifests[a.sum]
	k.w.mu.Unlock()
	if !ok {
		k.w.fault("%s names a manifest that nobody pushed", at)
	}
	for _, b := range m.blobs {
		if err := k.pullBlob(ctx, repo, b); err != nil {
			return err
		}
	}
	return nil
}

func (k *worker) pullBlob(ctx context.Context, repo string, b content) error {
	at := key{'b', repo, b.digest}
	saw := k.w.ledger.look()
	r := request{method: http.MethodGet, target: "/v2/" + repo + "/blobs/" + b.digest}
	a, err := k.do(ctx, r)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusNotFound:
		saw(at, absent)
	case a.status == http.StatusOK && a.sum == b.digest:
		saw(at, present)
	default:
		k.w.fault("GET %s: %d, %d bytes of %s", at, a.status, a.size, a.sum)
	}
	return nil
}
