package distribution

import (
	"errors"
	"net/http"
	"strconv"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

// uploadBegin opens an upload for later requests.
func (x *exchange) uploadBegin() error {
	u, err := x.reg.Upload(x.r.Context(), x.req.Repo, registry.Session{Algorithm: x.req.Algorithm})
	if err != nil {
		return err
	}
	defer x.close(u)
	x.warn(true)
	if n := u.MinChunk(); n > 0 {
		x.w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(n, 10))
	}
	x.uploadHeaders(u.ID(), u.Offset())
	return x.empty(http.StatusAccepted)
}

// uploadWhole takes a blob in one POST.
func (x *exchange) uploadWhole() error {
	u, err := x.reg.Upload(x.r.Context(), x.req.Repo, registry.Session{Algorithm: x.req.Digest.Algorithm(), OneRequest: true})
	if err != nil {
		return err
	}
	defer x.close(u)
	if err := u.Append(x.r.Context(), 0, x.body()); err != nil {
		return err
	}
	return x.commit(u)
}

// uploadMount links a blob of another repository, or begins an upload: which
// of the two tells nothing about a repository the client may not read.
func (x *exchange) uploadMount() error {
	if x.req.From == "" {
		return x.uploadBegin()
	}
	desc, err := x.reg.Mount(x.r.Context(), x.req.Repo, x.req.From, x.req.Digest)
	if errors.Is(err, oci.ErrBlobUnknown) {
		return x.uploadBegin()
	}
	if err != nil {
		return err
	}
	x.warn(true)
	x.located(wire.Request{Kind: wire.BlobGet, Repo: x.req.Repo, Digest: desc.Digest}, desc.Digest)
	return x.empty(http.StatusCreated)
}

// open finds the upload that the request names.
func (x *exchange) open() (registry.Upload, error) {
	return x.reg.Upload(x.r.Context(), x.req.Repo, registry.Session{ID: x.req.Upload})
}

func (x *exchange) uploadStatus() error {
	u, err := x.open()
	if err != nil {
		return err
	}
	defer x.close(u)
	x.uploadHeaders(u.ID(), u.Offset())
	return x.empty(http.StatusNoContent)
}

func (x *exchange) uploadAppend() error {
	u, err := x.open()
	if err != nil {
		return err
	}
	defer x.close(u)
	offset, body, err := x.chunk(u.Offset())
	if err != nil {
		return err
	}
	if err := u.Append(x.r.Context(), offset, body); err != nil {
		return err
	}
	x.uploadHeaders(u.ID(), u.Offset())
	return x.empty(http.StatusAccepted)
}

func (x *exchange) uploadCommit() error {
	u, err := x.open()
	if err != nil {
		return err
	}
	defer x.close(u)
	offset, body, err := x.chunk(u.Offset())
	if err != nil {
		return err
	}
	if x.r.ContentLength != 0 {
		if err := u.Append(x.r.Context(), offset, body); err != nil {
			return err
		}
	}
	return x.commit(u)
}

func (x *exchange) uploadCancel() error {
	u, err := x.open()
	if err != nil {
		return err
	}
	defer x.close(u)
	if err := u.Cancel(x.r.Context()); err != nil {
		return err
	}
	return x.empty(http.StatusNoContent)
}

func (x *exchange) commit(u registry.Upload) error {
	desc, err := u.Commit(x.r.Context(), x.req.Digest)
	if err != nil {
		return err
	}
	x.warn(true)
	x.located(wire.Request{Kind: wire.BlobGet, Repo: x.req.Repo, Digest: desc.Digest}, desc.Digest)
	return x.empty(http.StatusCreated)
}

// uploadHeaders tell where the upload goes on and how far it is.
func (x *exchange) uploadHeaders(id string, offset int64) {
	h := x.w.Header()
	where := wire.Request{Kind: wire.UploadStatus, Repo: x.req.Repo, Upload: id}
	h.Set("Location", x.h.hosts.base(x.r)+where.Target())
	h.Set("Range", wire.UploadRange(offset))
	h.Set("Docker-Upload-UUID", id)
}
