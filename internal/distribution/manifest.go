package distribution

import (
	"net/http"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

func (x *exchange) manifestGet() error {
	m, err := x.reg.Manifest(x.r.Context(), x.req.Repo, x.req.Ref)
	if err != nil {
		return err
	}
	if x.h.o.Pulled != nil {
		x.h.o.Pulled(x.viewer.Principal, x.req.Repo, x.req.Ref, m.Digest, x.req.Kind == wire.ManifestHead)
	}
	x.warnOfEnd()
	etag := `"` + string(m.Digest) + `"`
	nameContent(x.w.Header(), etag, m.Digest)
	if noneMatch(x.r, etag) {
		return x.empty(http.StatusNotModified)
	}
	return x.bytes(http.StatusOK, m.MediaType, m.Bytes)
}

// nameContent says what the answer holds, to caches and to clients.
func nameContent(h http.Header, etag string, digest oci.Digest) {
	v := &[2]string{etag, string(digest)} // one allocation for both
	h["Etag"], h["Docker-Content-Digest"] = v[0:1:1], v[1:2:2]
}

// noneMatch tells whether If-None-Match names what the client would get.
// Source: RFC 9110 13.1.2.
func noneMatch(r *http.Request, etag string) bool {
	for _, v := range r.Header["If-None-Match"] {
		for t := range strings.SplitSeq(v, ",") {
			t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
			if t == etag || t == "*" || t == strings.Trim(etag, `"`) {
				return true
			}
		}
	}
	return false
}

func (x *exchange) manifestPut() error {
	put := registry.Put{Digest: x.req.Ref.Digest, Tags: x.req.Tags, Body: x.body(), Size: x.r.ContentLength}
	if x.req.Ref.Tag != "" {
		put.Tags = []oci.Tag{x.req.Ref.Tag}
	}
	if ct := x.r.Header.Get("Content-Type"); ct != "" {
		var err error
		if put.MediaType, err = oci.ParseMediaType(ct); err != nil {
			return err
		}
	}
	stored, err := x.reg.PutManifest(x.r.Context(), x.req.Repo, put)
	if err != nil {
		return err
	}
	x.warn(true)
	h := x.w.Header()
	if stored.Subject != "" {
		h.Set("OCI-Subject", string(stored.Subject))
	}
	for _, t := range x.req.Tags {
		h.Add("OCI-Tag", string(t))
	}
	x.located(wire.Request{Kind: wire.ManifestGet, Repo: x.req.Repo, Ref: oci.Ref{Digest: stored.Digest}}, stored.Digest)
	return x.empty(http.StatusCreated)
}

func (x *exchange) manifestDelete() error {
	if err := x.reg.DeleteManifest(x.r.Context(), x.req.Repo, x.req.Ref); err != nil {
		return err
	}
	return x.empty(http.StatusAccepted)
}

// located names where a stored thing can be pulled from, and its digest.
func (x *exchange) located(where wire.Request, digest oci.Digest) {
	h := x.w.Header()
	h.Set("Location", x.h.hosts.base(x.r)+where.Target())
	h.Set("Docker-Content-Digest", string(digest))
}
