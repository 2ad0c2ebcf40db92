package distribution

import (
	"encoding/json"
	"iter"
	"net/http"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

const (
	// maxPage bounds a page, however many entries were asked for
	// (CVE-2023-2253); it is also the page of a request that names no number.
	maxPage = 10_000
	// maxReferrers and maxReferrerBytes bound a page of referrers, so that its
	// index stays below the manifest limit of every client.
	maxReferrers     = 1000
	maxReferrerBytes = 3 << 20
)

func (x *exchange) tagList() error {
	tags, err := page(x, x.reg.Tags(x.r.Context(), x.req.Repo, oci.Tag(x.req.Last)))
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, struct {
		Name oci.Repo  `json:"name"`
		Tags []oci.Tag `json:"tags"`
	}{x.req.Repo, tags})
}

func (x *exchange) catalog() error {
	repos, err := page(x, x.reg.Repositories(x.r.Context(), registry.Everywhere, oci.Repo(x.req.Last)))
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, struct {
		Repositories []oci.Repo `json:"repositories"`
	}{repos})
}

// page takes as many entries as were asked for; if more follow, the Link
// header says where.
func page[T ~string](x *exchange, all iter.Seq2[T, error]) ([]T, error) {
	want := x.req.N
	if want == wire.NoLimit || want > maxPage {
		want = maxPage
	}
	out := []T{}
	for item, err := range all {
		if err != nil {
			return nil, err
		}
		if len(out) == want {
			if want > 0 {
				x.next(want, string(out[want-1]))
			}
			break
		}
		out = append(out, item)
	}
	return out, nil
}

// next links to the page after last. Source: RFC 8288.
func (x *exchange) next(n int, last string) {
	r := x.req
	r.N, r.Last = n, last
	x.w.Header().Set("Link", "<"+r.Target()+`>; rel="next"`)
}

// referrerIndex is the image index that the referrers API answers with.
type referrerIndex struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     []oci.Descriptor `json:"manifests"`
}

func (x *exchange) referrerList() error {
	want := maxReferrers
	if x.req.N > 0 && x.req.N < want {
		want = x.req.N
	}
	f := registry.Filter{ArtifactType: x.req.ArtifactType, After: oci.Digest(x.req.Last)}
	index := referrerIndex{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}}
	size := 0
	for d, err := range x.reg.Referrers(x.r.Context(), x.req.Repo, x.req.Digest, f) {
		if err != nil {
			return err
		}
		n := len(index.Manifests)
		if n == want || n > 0 && size+weight(d) > maxReferrerBytes {
			x.next(want, string(index.Manifests[n-1].Digest))
			break
		}
		size += weight(d)
		index.Manifests = append(index.Manifests, d)
	}
	if f.ArtifactType != "" {
		x.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	body, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return x.bytes(http.StatusOK, oci.MediaTypeImageIndex, body)
}

// weight is about how many bytes a descriptor takes in JSON.
func weight(d oci.Descriptor) int {
	n := 256 + len(d.MediaType) + len(d.ArtifactType) + len(d.Digest)
	for k, v := range d.Annotations {
		n += len(k) + len(v) + 8
	}
	return n
}
