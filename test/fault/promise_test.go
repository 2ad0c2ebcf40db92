package fault

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" //nolint:depguard // SQLite itself is asked about the file

	"fairlead.dev/fairlead/test/fault/layer"
)

// promises looks at everything that was promised, and gives what was broken.
// What is found to be so must stay so: a start leaves nothing that is seen and
// not durable. Error: errPower if the disk froze meanwhile.
func promises(s *server, h *history) (broken []string, err error) {
	present := map[thing]string{}
	for _, t := range h.things() {
		value, bad, err := look(s, t)
		if err != nil {
			return broken, power(s, err)
		}
		allowed := h.allowed(t)
		switch {
		case bad != "":
			broken = append(broken, fmt.Sprintf("%s %s of %s: %s", t.kind, t.name, t.repo, bad))
		case !slices.Contains(allowed, value):
			broken = append(broken, fmt.Sprintf("%s %s of %s: is %q, promised was %q", t.kind, t.name, t.repo, value, allowed))
		default:
			present[t] = value
		}
	}
	broken = append(broken, whole(h, present)...)
	if len(broken) == 0 {
		for t, value := range present {
			h.found(t, value)
		}
	}
	for _, u := range h.take() {
		bad, err := resume(s, h, u)
		if err != nil {
			return broken, power(s, err)
		}
		if bad != "" {
			broken = append(broken, fmt.Sprintf("upload of %s into %s: %s", sum(u.content), u.repo, bad))
		}
	}
	return broken, nil
}

// power tells a broken connection from a frozen disk.
func power(s *server, err error) error {
	select {
	case <-s.frozen():
		return errPower
	default:
		return fmt.Errorf("the server does not answer: %w\n%s", err, s.log.tail())
	}
}

// look at a thing: its state, or what is wrong with what the server answers.
func look(s *server, t thing) (value, bad string, err error) {
	var a answer
	if t.kind == "blobs" {
		a, err = s.blob(t.repo, t.name)
	} else {
		a, err = s.manifest(t.repo, t.name)
	}
	switch {
	case err != nil:
		return "", "", err
	case a.status == http.StatusNotFound:
		return "", "", nil
	case a.status != http.StatusOK:
		return "", a.String(), nil
	}
	digest := sum(a.body)
	if said := a.header.Get("Docker-Content-Digest"); said != digest {
		return "", fmt.Sprintf("WRONG BYTES: %d with digest %s, announced as %s", len(a.body), digest, said), nil
	}
	if t.kind == "tags" {
		return digest, "", nil
	}
	if digest != t.name {
		return "", fmt.Sprintf("WRONG BYTES: %d with digest %s", len(a.body), digest), nil
	}
	return there, "", nil
}

// whole checks that what is there has all that it needs.
func whole(h *history, present map[thing]string) (broken []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t, value := range present {
		switch {
		case value == "" || t.kind == "blobs":
			continue
		case t.kind == "tags":
			if present[thing{"manifests", t.repo, value}] != there {
				broken = append(broken, fmt.Sprintf("tag %s of %s names %s, which is not there by digest", t.name, t.repo, value))
			}
			continue
		}
		for _, digest := range h.images[t.name] {
			if present[thing{"blobs", t.repo, digest}] != there {
				broken = append(broken, fmt.Sprintf("manifest %s of %s is there, its blob %s is not", t.name, t.repo, digest))
			}
		}
	}
	return broken
}

// resume goes on with an upload: it ends well or is unknown.
func resume(s *server, h *history, u *upload) (bad string, err error) {
	t := thing{"blobs", u.repo, sum(u.content)}
	where := s.url + u.where
	a, err := s.do(http.MethodGet, where, nil)
	if err != nil || unknown(a) {
		return "", err
	}
	if a.status != http.StatusNoContent {
		return "status: " + a.String(), nil
	}
	_, last, _ := strings.Cut(a.header.Get("Range"), "-")
	offset, err := strconv.Atoi(last)
	if err != nil {
		return "status: Range is " + a.header.Get("Range"), nil
	}
	if offset > 0 {
		offset++
	}
	if offset > len(u.content) {
		return fmt.Sprintf("stands at %d of %d", offset, len(u.content)), nil
	}
	if offset <= 1 && len(u.content) > 0 { // 0-0 is said of none and of one
		offset = 0
		if u.sent == 1 {
			offset = 1
		}
	}
	if offset < len(u.content) {
		a, err = s.patch(where, offset, u.content[offset:])
		if err != nil || unknown(a) {
			return "", err
		}
		if a.status != http.StatusAccepted {
			return fmt.Sprintf("go on at %d of %d: %s", offset, len(u.content), a), nil
		}
	}
	mark := h.begin(t, there)
	a, err = s.commit(where, sum(u.content))
	switch {
	case err != nil:
		return "", err
	case unknown(a):
		h.refused(t, mark)
		return "", nil
	case a.status != http.StatusCreated:
		return "commit: " + a.String(), nil
	}
	h.done(mark)
	value, bad, err := look(s, t)
	if err == nil && bad == "" && value != there {
		bad = "committed, and not there"
	}
	return bad, err
}

func unknown(a answer) bool {
	return a.status == http.StatusNotFound && a.code() == "BLOB_UPLOAD_UNKNOWN"
}

// integrity asks SQLite itself about the database on a disk, as it lies there.
func integrity(t *testing.T, disk *layer.Disk) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "fairlead.db")
	for _, end := range []string{"", "-wal", "-journal"} {
		b, err := disk.ReadFile("data/fairlead.db" + end)
		if err != nil {
			continue // not there yet, or gone
		}
		if err := os.WriteFile(path+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return // the power went before there was one
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for pragma, want := range map[string][]string{"integrity_check": {"ok"}, "foreign_key_check": nil} {
		if got, err := query(t, db, "PRAGMA "+pragma); err != nil || !slices.Equal(got, want) {
			t.Errorf("PRAGMA %s: %q, %v", pragma, got, err)
		}
	}
}

// query gives the first column.
func query(t *testing.T, db *sql.DB, text string) (list []string, err error) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = &sql.NullString{}
		}
		if err := rows.Scan(row...); err != nil {
			return nil, err
		}
		list = append(list, row[0].(*sql.NullString).String)
	}
	return list, rows.Err()
}
