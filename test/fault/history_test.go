package fault

import (
	"math"
	"slices"
	"sync"
)

// thing is something whose state was promised: a tag, a manifest or a blob of
// a repository.
type thing struct {
	kind string // tags, manifests, blobs
	repo string
	name string // tag or digest
}

// there is the state of a manifest or blob that exists; a tag's is its digest;
// absent is "".
const there = "there"

// step is one change that was asked for.
type step struct {
	value      string
	begun, end int // ticks; end is infinite while it is not known to have happened
}

// known tells whether the server said that it happened.
func (s *step) known() bool { return s.end < math.MaxInt }

// history is what was asked for and what was acknowledged. Two changes of one
// thing may overlap; what comes of them is decided by the times alone.
type history struct {
	mu      sync.Mutex
	tick    int
	steps   map[thing][]*step
	uploads []*upload
	images  map[string][]string // manifest's digest to its blobs' digests
	bodies  map[string][]byte   // manifest's digest to its bytes
}

// upload is one that was begun and is left to be resumed.
type upload struct {
	repo    string
	where   string // path
	content []byte
	sent    int // bytes that were acknowledged
}

func newHistory() *history {
	return &history{steps: map[thing][]*step{}, images: map[string][]string{}, bodies: map[string][]byte{}}
}

// begin notes that a change is asked for.
func (h *history) begin(t thing, value string) *step {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.steps[t] == nil {
		h.steps[t] = []*step{{}} // at the beginning it is absent, for sure
	}
	h.tick++
	s := &step{value: value, begun: h.tick, end: math.MaxInt}
	h.steps[t] = append(h.steps[t], s)
	return s
}

// done notes that the server acknowledged a change.
func (h *history) done(s *step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	s.end = h.tick
}

// refused notes that a change did not happen and will not.
func (h *history) refused(t thing, s *step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps[t] = slices.DeleteFunc(h.steps[t], func(o *step) bool { return o == s })
}

// allowed are the states that a thing may be in: what an acknowledged change,
// or one that may have happened, made of it, unless another was acknowledged
// that began after it had ended.
func (h *history) allowed(t thing) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var values []string
	for _, s := range h.steps[t] {
		if !slices.ContainsFunc(h.steps[t], func(o *step) bool { return o.known() && o.begun > s.end }) {
			values = append(values, s.value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// found notes what the state is: from now on that is what was promised.
func (h *history) found(t thing, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	h.steps[t] = []*step{{value: value, begun: h.tick, end: h.tick}}
}

// things in a fixed order.
func (h *history) things() []thing {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]thing, 0, len(h.steps))
	for t := range h.steps {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b thing) int {
		return slices.Compare([]string{a.kind, a.repo, a.name}, []string{b.kind, b.repo, b.name})
	})
	return list
}

// describe an image: which blobs it needs.
func (h *history) describe(body []byte, blobs []string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := sum(body)
	h.images[digest], h.bodies[digest] = blobs, body
	return digest
}

// leave an upload to be resumed.
func (h *history) leave(u *upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uploads = append(h.uploads, u)
}

// take all uploads that were left.
func (h *history) take() []*upload {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.uploads
	h.uploads = nil
	return list
}
