package distribution

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

const (
	blobType = "application/octet-stream"
	// smallBlob is sent by one write: below it, sendfile costs more than it
	// saves.
	smallBlob = 64 << 10
	// Steps of a large blob, in bytes. Each must leave within answerTime, or
	// the client is given up, so a step grows only while it takes the client no
	// longer than stepTime.
	firstStep, lastStep = 256 << 10, 4 << 20
	stepTime            = 250 * time.Millisecond
)

var smallBuffers = sync.Pool{New: func() any { return new([smallBlob]byte) }}

func (x *exchange) blobGet() error {
	desc, err := x.reg.StatBlob(x.r.Context(), x.req.Repo, x.req.Digest)
	if err != nil {
		return x.unlessLost(err)
	}
	h := x.w.Header()
	etag := `"` + string(desc.Digest) + `"`
	nameContent(h, etag, desc.Digest)
	h["Accept-Ranges"] = acceptRanges
	h["Cache-Control"] = immutable
	if noneMatch(x.r, etag) {
		return x.empty(http.StatusNotModified)
	}
	if x.req.Kind == wire.BlobHead {
		h["Content-Type"] = blobTypes
		h["Content-Length"] = []string{strconv.FormatInt(desc.Size, 10)}
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	header := x.r.Header.Get("Range")
	if header == "" || !ifRange(x.r, etag) {
		return x.blobWhole(desc.Size)
	}
	ranges, ok := wire.ParseRange(header, desc.Size)
	switch {
	case !ok:
		return &rangeError{desc.Size}
	case ranges == nil:
		return x.blobWhole(desc.Size)
	case len(ranges) == 1:
		return x.blobPart(ranges[0], desc.Size)
	}
	return x.blobParts(ranges, desc.Size)
}

// unlessLost is the error of a blob that is not there: of a read of what the
// registry has lost, that of the read, which is no 404.
func (x *exchange) unlessLost(err error) error {
	if x.req.Kind == wire.BlobHead || !errors.Is(err, oci.ErrBlobUnknown) {
		return err
	}
	b, lost := x.reg.OpenBlob(x.r.Context(), x.req.Repo, x.req.Digest, registry.Whole)
	if lost != nil {
		return lost
	}
	if b.Body != nil { // it was pushed a moment ago
		x.close(b.Body)
	}
	return err
}

// ifRange tells whether a Range may be honoured: without If-Range, or when it
// names this very content. Source: RFC 9110 13.1.5.
func ifRange(r *http.Request, etag string) bool {
	v := r.Header.Get("If-Range")
	return v == "" || v == etag
}

// rangeError is a Range that lies outside of the blob; the answer names its
// size in Content-Range (RFC 9110 15.5.17).
type rangeError struct{ size int64 }

func (e *rangeError) Error() string {
	return fmt.Sprintf("the Range lies outside of the blob, which has %d bytes", e.size)
}

// Unwrap makes it RANGE_INVALID, 416.
func (e *rangeError) Unwrap() error { return oci.Errorf(oci.CodeRangeInvalid, "%s", e.Error()) }

func (x *exchange) blobWhole(size int64) error {
	return x.blobSend(http.StatusOK, wire.ByteRange{Length: size})
}

func (x *exchange) blobPart(part wire.ByteRange, size int64) error {
	x.w.Header().Set("Content-Range", contentRange(part, size))
	return x.blobSend(http.StatusPartialContent, part)
}

func contentRange(p wire.ByteRange, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", p.Start, p.Start+p.Length-1, size)
}

// blobSend answers with one stretch of the blob, or sends the client where the
// store offers it.
func (x *exchange) blobSend(status int, part wire.ByteRange) error {
	b, err := x.reg.OpenBlob(x.r.Context(), x.req.Repo, x.req.Digest, registry.Range{Offset: part.Start, Length: part.Length})
	if err != nil {
		return err
	}
	h := x.w.Header()
	if b.URL != "" {
		h.Set("Location", b.URL)
		h.Set("Cache-Control", "no-store")
		h.Del("Content-Range")
		return x.empty(http.StatusTemporaryRedirect)
	}
	defer x.close(b.Body)
	h["Content-Type"] = blobTypes
	h["Content-Length"] = []string{strconv.FormatInt(part.Length, 10)}
	if part.Length <= smallBlob {
		return x.sendSmall(status, b.Body, part.Length)
	}
	x.w.WriteHeader(status)
	x.sendLarge(x.w, b.Body, part.Length)
	return nil
}

// sendSmall reads first and answers then, so that a failed read is still an
// error to the client.
func (x *exchange) sendSmall(status int, body io.Reader, n int64) error {
	buf, ok := smallBuffers.Get().(*[smallBlob]byte)
	if !ok {
		buf = new([smallBlob]byte)
	}
	defer smallBuffers.Put(buf)
	if _, err := io.ReadFull(body, buf[:n]); err != nil {
		return fmt.Errorf("read blob %s: %w", x.req.Digest, err)
	}
	x.w.WriteHeader(status)
	if _, err := x.w.Write(buf[:n]); err != nil {
		x.record.Error = err
	}
	return nil
}

// sendLarge copies n bytes in steps, each with a deadline. The header is out:
// what fails now breaks the connection, and the client sees a short body.
func (x *exchange) sendLarge(w io.Writer, body io.Reader, n int64) bool {
	limit := http.NewResponseController(x.w).SetWriteDeadline
	x.watchBody(x.stopSending)
	size := int64(firstStep)
	for n > 0 {
		step, began := min(n, size), time.Now()
		x.until(limit, began.Add(answerTime))
		_, err := io.CopyN(w, body, step)
		if lost := x.ended(); lost != nil {
			err = lost
		}
		if err != nil {
			x.record.Error = fmt.Errorf("send blob %s, %d bytes left: %w", x.req.Digest, n, err)
			return false
		}
		n -= step
		switch took := time.Since(began); {
		case took < stepTime/2:
			size = min(2*size, lastStep)
		case took > stepTime:
			size = max(size/4, smallBlob)
		}
	}
	return true
}

// blobParts answers with several ranges as multipart/byteranges.
func (x *exchange) blobParts(parts []wire.ByteRange, size int64) error {
	m := multipart.NewWriter(x.w)
	opened := false
	for _, p := range parts {
		b, err := x.reg.OpenBlob(x.r.Context(), x.req.Repo, x.req.Digest, registry.Range{Offset: p.Start, Length: p.Length})
		if err != nil && !opened {
			return err
		}
		if err != nil {
			x.record.Error = err
			return nil
		}
		if b.URL != "" {
			x.w.Header().Set("Location", b.URL)
			return x.empty(http.StatusTemporaryRedirect)
		}
		if !opened {
			opened = true
			x.w.Header().Set("Content-Type", "multipart/byteranges; boundary="+m.Boundary())
			x.w.WriteHeader(http.StatusPartialContent)
		}
		if !x.sendPart(m, b, p, size) {
			return nil
		}
	}
	if err := m.Close(); err != nil {
		x.record.Error = err
	}
	return nil
}

func (x *exchange) sendPart(m *multipart.Writer, b *registry.Blob, p wire.ByteRange, size int64) bool {
	defer x.close(b.Body)
	w, err := m.CreatePart(textproto.MIMEHeader{
		"Content-Type":  {blobType},
		"Content-Range": {contentRange(p, size)},
	})
	if err != nil {
		x.record.Error = err
		return false
	}
	return x.sendLarge(w, b.Body, p.Length)
}

func (x *exchange) close(c io.Closer) {
	if err := c.Close(); err != nil && x.record.Error == nil {
		x.record.Error = err
	}
}

func (x *exchange) blobDelete() error {
	if err := x.reg.DeleteBlob(x.r.Context(), x.req.Repo, x.req.Digest); err != nil {
		return err
	}
	return x.empty(http.StatusAccepted)
}
