package local_test

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/registrytest"
)

// model is a registry as one would write it in an hour: maps, loops, no store,
// no catalog, no cache. It says what the real one must answer.
type model struct {
	now, born time.Time
	repos     map[oci.Repo]*modelRepo
	blobs     map[oci.Digest]*modelBlob // in the store, linked or not
	uploads   []*modelUpload
	trash     []modelEntry
	told      map[oci.Digest]time.Time // until when blobs are leased
}

// modelEntry is one act of deleting, with the blobs that it holds.
type modelEntry struct {
	at    time.Time
	blobs []oci.Digest
}

type modelRepo struct {
	manifests map[oci.Digest]*thing
	tags      map[oci.Tag]oci.Digest
	blobs     map[oci.Digest]time.Time // since when it counts as new
}

type modelBlob struct {
	size     int
	unlinked time.Time // zero while some repository has it, or the trash
}

type modelUpload struct {
	id, owner string
	repo      oci.Repo
	bytes     []byte
	stored    bool // a key was made for it
	life      int  // that received its last bytes
	touched   time.Time
}

// thing is a manifest of the tests with what it says.
type thing struct {
	registrytest.Content
	subject      oci.Digest
	artifactType string
	annotations  map[string]string
	blobs        []oci.Digest
	children     []oci.Digest
	broken       bool
}

func newModel(now time.Time) *model {
	return &model{
		now: now, born: now, repos: map[oci.Repo]*modelRepo{}, blobs: map[oci.Digest]*modelBlob{},
		told: map[oci.Digest]time.Time{},
	}
}

func (m *model) make(repo oci.Repo) *modelRepo {
	if m.repos[repo] == nil {
		m.repos[repo] = &modelRepo{manifests: map[oci.Digest]*thing{}, tags: map[oci.Tag]oci.Digest{}, blobs: map[oci.Digest]time.Time{}}
	}
	return m.repos[repo]
}

// put gives the code of the refusal, and what is missing.
func (m *model) put(repo oci.Repo, x *thing, named oci.Digest, tags []oci.Tag) (oci.Code, []oci.Digest) {
	digest := x.Digest()
	if named != "" {
		digest = oci.DigestOf(named.Algorithm(), x.Bytes)
		if named != digest {
			return oci.CodeDigestInvalid, nil
		}
	}
	if x.broken {
		return oci.CodeManifestInvalid, nil
	}
	r := m.repos[repo]
	if r == nil {
		r = &modelRepo{} // made when all is well
	}
	var missing []oci.Digest
	for _, d := range x.blobs {
		if r.blobs[d].IsZero() {
			missing = append(missing, d)
		}
	}
	for _, d := range x.children {
		if r.manifests[d] == nil {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return oci.CodeManifestBlobUnknown, missing
	}
	r = m.make(repo)
	r.manifests[digest] = x
	for _, t := range tags {
		r.tags[t] = digest
	}
	return "", nil
}

func (m *model) find(repo oci.Repo, ref oci.Ref) (*thing, oci.Digest, oci.Code) {
	r := m.repos[repo]
	if r == nil {
		return nil, "", oci.CodeNameUnknown
	}
	d := ref.Digest
	if d == "" {
		d = r.tags[ref.Tag]
	}
	if r.manifests[d] == nil {
		return nil, "", oci.CodeManifestUnknown
	}
	return r.manifests[d], d, ""
}

func (m *model) stat(repo oci.Repo, d oci.Digest) oci.Code {
	switch r := m.repos[repo]; {
	case r == nil:
		return oci.CodeNameUnknown
	case r.blobs[d].IsZero():
		return oci.CodeBlobUnknown
	}
	return ""
}

// tell is stat by somebody who may then count on the blob.
func (m *model) tell(repo oci.Repo, d oci.Digest) oci.Code {
	code := m.stat(repo, d)
	if code == "" {
		m.told[d] = m.now.Add(modelGrace)
	}
	return code
}

func (m *model) link(repo oci.Repo, d oci.Digest, size int) {
	r := m.make(repo)
	if m.now.Sub(r.blobs[d]) > 10*time.Minute {
		r.blobs[d] = m.now
	}
	m.blobs[d] = &modelBlob{size: size}
}

// held tells whether a repository has the blob, or the trash.
func (m *model) held(d oci.Digest) bool {
	for _, r := range m.repos {
		if !r.blobs[d].IsZero() {
			return true
		}
	}
	return slices.ContainsFunc(m.trash, func(e modelEntry) bool { return slices.Contains(e.blobs, d) })
}

// let begins the time of a blob that nobody has any more.
func (m *model) let(d oci.Digest) {
	if b := m.blobs[d]; b != nil && b.unlinked.IsZero() && !m.held(d) {
		b.unlinked = m.now
	}
}

func (m *model) mount(to, from oci.Repo, d oci.Digest) oci.Code {
	if m.tell(from, d) != "" {
		return oci.CodeBlobUnknown
	}
	m.link(to, d, m.blobs[d].size)
	return ""
}

func (m *model) deleteManifest(repo oci.Repo, ref oci.Ref) oci.Code {
	_, d, code := m.find(repo, ref)
	if code != "" {
		return code
	}
	r := m.repos[repo]
	e := modelEntry{at: m.now}
	if ref.Digest == "" {
		delete(r.tags, ref.Tag)
	} else {
		for d := range r.family(d) {
			r.remove(d, &e)
		}
	}
	m.trash = append(m.trash, e)
	return ""
}

// family is what goes with a manifest: its referrers, and theirs, that have no
// tag and are in no index that stays.
func (r *modelRepo) family(root oci.Digest) map[oci.Digest]bool {
	going := map[oci.Digest]bool{root: true}
	for grown := true; grown; {
		grown = false
		for d, x := range r.manifests {
			if going[x.subject] && !going[d] && !r.tagged(d) && !r.inOther(going, d) {
				going[d], grown = true, true
			}
		}
	}
	return going
}

func (r *modelRepo) tagged(d oci.Digest) bool {
	for _, named := range r.tags {
		if named == d {
			return true
		}
	}
	return false
}

// inOther tells whether an index that is not going names the manifest.
func (r *modelRepo) inOther(going map[oci.Digest]bool, d oci.Digest) bool {
	for parent, x := range r.manifests {
		if !going[parent] && slices.Contains(x.children, d) {
			return true
		}
	}
	return false
}

// remove takes a manifest away with its tags.
func (r *modelRepo) remove(d oci.Digest, e *modelEntry) {
	e.blobs = append(e.blobs, r.manifests[d].blobs...)
	delete(r.manifests, d)
	for t, named := range r.tags {
		if named == d {
			delete(r.tags, t)
		}
	}
}

// needs tells whether a manifest names the blob.
func (r *modelRepo) needs(d oci.Digest) bool {
	for _, x := range r.manifests {
		if slices.Contains(x.blobs, d) {
			return true
		}
	}
	return false
}

func (m *model) deleteBlob(repo oci.Repo, d oci.Digest) oci.Code {
	if code := m.stat(repo, d); code != "" {
		return code
	}
	r := m.repos[repo]
	if r.needs(d) {
		return oci.CodeUnsupported
	}
	delete(r.blobs, d)
	m.let(d)
	return ""
}

// open finds an upload; another repository's or owner's is unknown.
func (m *model) open(repo oci.Repo, owner, id string) *modelUpload {
	for _, u := range m.uploads {
		if u.id == id && u.repo == repo && u.owner == owner {
			return u
		}
	}
	return nil
}

func (m *model) end(u *modelUpload) {
	m.uploads = slices.DeleteFunc(m.uploads, func(x *modelUpload) bool { return x == u })
}

// commit ends an upload with a digest.
func (m *model) commit(u *modelUpload, d oci.Digest) oci.Code {
	m.end(u)
	if oci.DigestOf(d.Algorithm(), u.bytes) != d {
		return oci.CodeDigestInvalid
	}
	m.link(u.repo, d, len(u.bytes))
	m.told[d] = m.now.Add(modelGrace)
	return ""
}

const (
	modelGrace  = time.Hour
	modelExpiry = 24 * time.Hour
	modelTrash  = 30 * 24 * time.Hour
)

func (m *model) sweep() local.Swept {
	var s local.Swept
	for len(m.trash) > 0 && m.trash[0].at.Before(m.now.Add(-modelTrash)) {
		gone := m.trash[0].blobs
		m.trash = m.trash[1:]
		for _, d := range gone {
			m.let(d)
		}
		s.Expired++
	}
	for _, u := range slices.Clone(m.uploads) {
		if u.touched.Before(m.now.Add(-modelExpiry)) {
			s.Uploads++
			s.Bytes += int64(len(u.bytes))
			m.end(u)
		}
	}
	if m.now.Sub(m.born) < modelGrace {
		return s
	}
	leased := func(d oci.Digest) bool { return m.now.Before(m.told[d]) }
	for _, r := range m.repos {
		for d, since := range r.blobs {
			if since.Before(m.now.Add(-modelGrace)) && !r.needs(d) && !leased(d) {
				s.Links++
				delete(r.blobs, d)
				m.let(d)
			}
		}
	}
	for d, b := range m.blobs {
		if leased(d) {
			continue
		}
		if !b.unlinked.IsZero() && b.unlinked.Before(m.now.Add(-modelGrace)) {
			s.Blobs++
			s.Bytes += int64(b.size)
			delete(m.blobs, d)
		}
	}
	return s
}

// keys is how many lie in the store.
func (m *model) keys() int {
	n := len(m.blobs)
	for _, u := range m.uploads {
		if u.stored {
			n++
		}
	}
	return n
}

func (m *model) repositories(after oci.Repo) []oci.Repo {
	return beyond(m.repos, after)
}

// tags of a repository; its code if there is none.
func (m *model) tags(repo oci.Repo, after oci.Tag) ([]oci.Tag, oci.Code) {
	r := m.repos[repo]
	if r == nil {
		return nil, oci.CodeNameUnknown
	}
	return beyond(r.tags, after), ""
}

// beyond are the keys of a map beyond one of them, in byte order.
func beyond[K ~string, V any](all map[K]V, after K) []K {
	list := []K{}
	for k := range all {
		if k > after {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b K) int { return strings.Compare(string(a), string(b)) })
	return list
}

func (m *model) referrers(repo oci.Repo, subject oci.Digest, f registry.Filter) []oci.Descriptor {
	list := []oci.Descriptor{}
	r := m.repos[repo]
	if r == nil {
		return list
	}
	for _, d := range beyond(r.manifests, f.After) {
		x := r.manifests[d]
		if x.subject != subject || subject == "" || f.ArtifactType != "" && x.artifactType != f.ArtifactType {
			continue
		}
		list = append(list, oci.Descriptor{
			MediaType: x.MediaType, Digest: d, Size: int64(len(x.Bytes)),
			ArtifactType: x.artifactType, Annotations: x.annotations,
		})
	}
	return list
}

// descriptor of what Manifest and Resolve answer.
func (x *thing) descriptor(d oci.Digest) oci.Descriptor {
	return oci.Descriptor{MediaType: x.MediaType, Digest: d, Size: int64(len(x.Bytes))}
}

func (x *thing) is(m oci.Manifest, d oci.Digest) bool {
	return bytes.Equal(m.Bytes, x.Bytes) && m.Digest == d && m.MediaType == x.MediaType && m.Size == int64(len(x.Bytes))
}
