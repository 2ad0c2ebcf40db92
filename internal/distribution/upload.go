package distribution

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

// bodyTime is how long a client may pause while it sends a body.
const bodyTime = time.Minute

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
	offset, err := x.chunkStart(u.Offset())
	if err != nil {
		return err
	}
	if err := u.Append(x.r.Context(), offset, x.body()); err != nil {
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
	offset, err := x.chunkStart(u.Offset())
	if err != nil {
		return err
	}
	if x.r.ContentLength != 0 {
		if err := u.Append(x.r.Context(), offset, x.body()); err != nil {
			return err
		}
	} else if offset != u.Offset() {
		return &registry.OffsetError{ID: u.ID(), Offset: u.Offset(), Sent: offset}
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

// chunkStart is where the chunk of this request begins: where Content-Range
// says, or where the upload stands.
func (x *exchange) chunkStart(stands int64) (int64, error) {
	header := x.r.Header.Get("Content-Range")
	if header == "" {
		return stands, nil
	}
	c, err := wire.ParseContentRange(header)
	if err != nil {
		return 0, err
	}
	if n := x.r.ContentLength; n >= 0 && n != c.Length {
		return 0, oci.Errorf(oci.CodeSizeInvalid, "the Content-Range %q names %d bytes but the Content-Length is %d: they must agree", oci.Clip(header), c.Length, n)
	}
	return c.Start, nil
}

// uploadHeaders tell where the upload goes on and how far it is.
func (x *exchange) uploadHeaders(id string, offset int64) {
	h := x.w.Header()
	where := wire.Request{Kind: wire.UploadStatus, Repo: x.req.Repo, Upload: id}
	h.Set("Location", x.h.hosts.base(x.r)+where.Target())
	h.Set("Range", wire.UploadRange(offset))
	h.Set("Docker-Upload-UUID", id)
}

// body is the request's body; a client that stops sending is given up after
// bodyTime, and what cannot be read is the client's error, not ours.
func (x *exchange) body() io.Reader {
	return &patience{x: x, control: http.NewResponseController(x.w)}
}

type patience struct {
	x       *exchange
	control *http.ResponseController
	until   time.Time // the deadline that is set
}

func (p *patience) Read(b []byte) (int, error) {
	now := p.x.h.o.Now()
	if p.until.Sub(now) < bodyTime/2 {
		p.until = now.Add(bodyTime)
		_ = p.control.SetReadDeadline(p.until) // not every writer has one
	}
	n, err := p.x.r.Body.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's EOF is never wrapped
		p.x.w.Header().Set("Connection", "close")
		return n, &bodyError{fmt.Errorf("after %d bytes of this read: %w", n, err)}
	}
	return n, err
}
