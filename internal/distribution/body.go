package distribution

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
)

// answerTime is how long an answer may take to leave, or a stretch of a large
// one.
const answerTime = 2 * time.Minute

// limitAnswer bounds how long the client may take to read the answer. The
// server's own limit, which begins with a request, has run out when the
// request's body took long.
func (x *exchange) limitAnswer() {
	if x.r.ContentLength != 0 {
		_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(answerTime)) // not every writer has one
	}
}

// limitBody bounds how long the client may take to send a body, also one that
// no handler reads: net/http waits for it before it sends the answer. A
// request without a body must not have the limit, for the connection is then
// watched for the client's going away.
func (x *exchange) limitBody() {
	if x.r.ContentLength != 0 {
		x.readUntil(time.Now().Add(x.h.o.Patience))
	}
}

// readUntil sets the deadline for reading, which net/http lifts at the body's
// end. Not every writer has one.
func (x *exchange) readUntil(t time.Time) {
	x.until(http.NewResponseController(x.w).SetReadDeadline, t)
}

// body is the request's body. A client that stops sending is given up, what
// cannot be read is the client's error and not ours, and a token that is
// revoked meanwhile ends it.
func (x *exchange) body() io.Reader {
	x.watchBody(x.stopReading)
	return &patience{x: x}
}

type patience struct {
	x     *exchange
	until time.Time // the deadline that is set
}

func (p *patience) Read(b []byte) (int, error) {
	now := time.Now()
	if wait := p.x.h.o.Patience; p.until.Sub(now) < wait/2 {
		p.until = now.Add(wait)
		p.x.readUntil(p.until)
	}
	n, err := p.x.r.Body.Read(b)
	if err == io.EOF {
		return n, err
	}
	if lost := p.x.ended(); lost != nil {
		p.x.w.Header().Set("Connection", "close")
		return 0, lost
	}
	if err != nil {
		p.x.w.Header().Set("Connection", "close")
		return n, &bodyError{fmt.Errorf("after %d bytes of this read: %w", n, err)}
	}
	return n, nil
}

// bodyError is a request body that could not be read to its end.
type bodyError struct{ cause error }

func (e *bodyError) Error() string { return "read the request's body: " + e.cause.Error() }

func (e *bodyError) Unwrap() []error {
	text := "the connection ended before the body did, or nothing came for too long: send it again, or resume the upload"
	if errors.Is(e.cause, io.ErrUnexpectedEOF) {
		text = "the body is shorter than its Content-Length: send it again, or resume the upload"
	}
	return []error{oci.Errorf(oci.CodeSizeInvalid, "%s", text), e.cause}
}

// chunk is the body as a piece of an upload that stands at the given offset:
// where it begins, which is what Content-Range says or else where the upload
// stands, and its bytes, which must be as many as Content-Range says.
func (x *exchange) chunk(stands int64) (int64, io.Reader, error) {
	header := x.r.Header.Get("Content-Range")
	if header == "" {
		return stands, x.body(), nil
	}
	c, err := wire.ParseContentRange(header)
	if err != nil {
		return 0, nil, err
	}
	if n := x.r.ContentLength; n >= 0 && n != c.Length {
		return 0, nil, oci.Errorf(oci.CodeSizeInvalid, "the Content-Range %q names %d bytes but the Content-Length is %d: they must agree", oci.Clip(header), c.Length, n)
	}
	return c.Start, &exact{from: x.body(), left: c.Length}, nil
}

// exact reads as many bytes as Content-Range announced of a body whose length
// was not; more or fewer are an error.
type exact struct {
	from io.Reader
	left int64
}

func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		b = b[:min(len(b), 1)]
	}
	n, err := e.from.Read(b[:min(int64(len(b)), max(e.left, 1))])
	if int64(n) > e.left {
		return 0, oci.Errorf(oci.CodeSizeInvalid, "the body is longer than the Content-Range says: ask for the upload's status and go on from there")
	}
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		return n, oci.Errorf(oci.CodeSizeInvalid, "the body ends %d bytes before the Content-Range does: ask for the upload's status and go on from there", e.left)
	}
	return n, err
}
