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
}

type modelRepo struct {
	manifests map[oci.Digest]*thing
	tags      map[oci.Tag]oci.Digest
	blobs     map[oci.Digest]bool
}

type modelBlob struct {
	size     int
	unlinked time.Time // zero while some repository has it
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
	either       []oci.Digest // children that do not say what they are
	broken       bool
}

func newModel(now time.Time) *model {
	return &model{now: now, born: now, repos: map[oci.Repo]*modelRepo{}, blobs: map[oci.Digest]*modelBlob{}}
}

func (m *model) make(repo oci.Repo) *modelRepo {
	if m.repos[repo] == nil {
		m.repos[repo] = &modelRepo{manifests: map[oci.Digest]*thing{}, tags: map[oci.Tag]oci.Digest{}, blobs: map[oci.Digest]bool{}}
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
		if !r.blobs[d] {
			missing = append(missing, d)
		}
	}
	for _, d := range x.children {
		if r.manifests[d] == nil {
			missing = append(missing, d)
		}
	}
	for _, d := range x.either {
		if r.manifests[d] == nil && !r.blobs[d] {
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
	case !r.blobs[d]:
		return oci.CodeBlobUnknown
	}
	return ""
}

func (m *model) link(repo oci.Repo, d oci.Digest, size int) {
	m.make(repo).blobs[d] = true
	m.blobs[d] = &modelBlob{size: size}
}

func (m *model) mount(to, from oci.Repo, d oci.Digest) oci.Code {
	if m.stat(from, d) != "" {
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
	if ref.Digest == "" {
		delete(r.tags, ref.Tag)
		return ""
	}
	delete(r.manifests, d)
	for t, named := range r.tags {
		if named == d {
			delete(r.tags, t)
		}
	}
	return ""
}

func (m *model) deleteBlob(repo oci.Repo, d oci.Digest) oci.Code {
	if code := m.stat(repo, d); code != "" {
		return code
	}
	r := m.repos[repo]
	for _, x := range r.manifests {
		if slices.Contains(x.blobs, d) || slices.Contains(x.either, d) {
			return oci.CodeUnsupported
		}
	}
	delete(r.blobs, d)
	for _, other := range m.repos {
		if other.blobs[d] {
			return ""
		}
	}
	m.blobs[d].unlinked = m.now
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
	return ""
}

const (
	modelGrace  = time.Hour
	modelExpiry = 24 * time.Hour
)

func (m *model) sweep() local.Swept {
	var s local.Swept
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
	for d, b := range m.blobs {
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
