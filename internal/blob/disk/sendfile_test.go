package disk_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

// TestServedByReadFrom: what Open returns reaches net/http as an *os.File, on
// the path that ends in sendfile.
func TestServedByReadFrom(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	content := bytes.Repeat([]byte("fairlead"), 1<<17)
	key := blob.NewKey()
	if _, err := s.Append(t.Context(), key, 0, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	const offset, length = 1001, 900_000
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc, err := s.Open(r.Context(), key, offset, length)
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		defer rc.Close()
		f, ok := rc.(*os.File)
		if !ok {
			t.Errorf("Open returned a %T, want an *os.File", rc)
			return
		}
		if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != offset {
			t.Errorf("the file stands at %d, want %d (%v)", at, offset, err)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(length))
		spy := &readFromSpy{ResponseWriter: w}
		if n, err := io.CopyN(spy, rc, length); err != nil || n != length {
			t.Errorf("copied %d bytes, error %v", n, err)
		}
		if spy.files != 1 || spy.writes != 0 {
			t.Errorf("%d files were handed to ReadFrom and %d buffers to Write, want 1 and 0", spy.files, spy.writes)
		}
	}))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(got, content[offset:offset+length]) {
		t.Errorf("the client read %d bytes that are not those asked for, error %v", len(got), err)
	}
}

// readFromSpy counts the ways on which a body reaches the real writer.
type readFromSpy struct {
	http.ResponseWriter
	files, writes int
}

func (s *readFromSpy) Write(b []byte) (int, error) {
	s.writes++
	return s.ResponseWriter.Write(b)
}

func (s *readFromSpy) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			s.files++
		}
	}
	// Panics, and so fails, if net/http's own writer has no such path.
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}
