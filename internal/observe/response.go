package observe

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// response counts what is answered. It keeps the abilities of the writer
// underneath: ReadFrom, so that files reach the socket by sendfile, Flush, and
// Unwrap for http.ResponseController.
type response struct {
	http.ResponseWriter
	status int // 0 until a header was sent
	out    int64
}

var (
	_ io.ReaderFrom = (*response)(nil)
	_ http.Flusher  = (*response)(nil)
)

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.started()
	n, err := w.ResponseWriter.Write(p)
	w.out += int64(n)
	return n, err
}

func (w *response) WriteString(s string) (int, error) {
	w.started()
	n, err := io.WriteString(w.ResponseWriter, s)
	w.out += int64(n)
	return n, err
}

// ReadFrom hands src through as it is: wrapped, it would be copied by hand.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.started()
	var n int64
	var err error
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		n, err = rf.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{w.ResponseWriter}, src)
	}
	w.out += n
	return n, err
}

// Flush sends what is buffered, where the writer underneath can.
func (w *response) Flush() {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); !errors.Is(err, http.ErrNotSupported) {
		w.started()
	}
}

func (w *response) started() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// body counts what is read of the request.
type body struct {
	io.ReadCloser
	in atomic.Int64 // a handler may read in another goroutine than it ends
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.in.Add(int64(n))
	return n, err
}
