package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files is what lies in the blob folder.
type files struct {
	sealed, open int
	copies       int // sealed, of a content that another file holds
	trashed      int // sealed, of a content that only a deleted manifest names
	unneeded     int // sealed, of a content that nobody has
	uploads      int // that clients can go on with, each of at most one file
	bytes        int64
}

// orphans are files that the sweep is to remove. A file of an open upload is
// none; it may be sealed, if the kill came before its blob was linked.
func (f files) orphans() int { return max(0, f.copies+f.unneeded+f.open-f.uploads) }

// dataFolder is what may lie in it beside the blobs.
var dataFolder = []string{"blobs", "control.sock", "fairlead.db", "fairlead.db-shm", "fairlead.db-wal", "fairlead.lock", "keys", "operator.token"}

// files looks at every file: each must have the name of a key, and hold a content
// that a client sent, or the beginning of one.
func (w *world) files() (files, error) {
	var f files
	entries, err := os.ReadDir(w.data)
	if err != nil {
		return f, err
	}
	for _, e := range entries {
		if !slices.Contains(dataFolder, e.Name()) {
			w.fault("the data folder holds %s", e.Name())
		}
	}
	root := filepath.Join(w.data, "blobs")
	live, held, seen := w.live(), w.held(), map[string]bool{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if e.IsDir() {
			if name != "." && (len(name) != 2 || !hexadecimal(name)) {
				w.fault("the blob folder holds the folder %s", name)
			}
			return nil
		}
		return w.file(&f, path, name, live, held, seen)
	})
	f.uploads = len(w.uploads)
	if err == nil && len(seen) < len(live) {
		for digest := range live {
			if !seen[digest] {
				err = fmt.Errorf("no file holds %s, which a repository has", digest)
			}
		}
	}
	return f, err
}

func (w *world) file(f *files, path, name string, live, held, seen map[string]bool) error {
	if len(name) != 35 || !hexadecimal(name[3:]) || name[:2] != name[3:5] {
		w.fault("the blob folder holds the file %s", name)
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.bytes += info.Size()
	digest, ok := w.sealed[name]
	if !ok {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o400 {
			f.open++
			if !w.begun(b) {
				w.fault("the file %s holds %d bytes that nobody sent", name, len(b))
			}
			return nil
		}
		digest = sum(b)
		if _, known := w.contents[digest]; !known {
			w.fault("the sealed file %s holds the %d bytes of %s, which nobody sent", name, len(b), digest)
		}
		w.sealed[name] = digest
	}
	f.sealed++
	switch {
	case seen[digest]:
		f.copies++
	case !live[digest] && held[digest]:
		f.trashed++
	case !live[digest]:
		f.unneeded++
	}
	seen[digest] = true
	return nil
}

// begun tells whether the bytes begin a content.
func (w *world) begun(b []byte) bool {
	if len(b) < beginning {
		return true // too few to tell, and none after a crash before the first
	}
	c, ok := w.begins[string(b[:beginning])]
	return ok && len(b) <= c.size && bytes.Equal(b, c.bytes()[:len(b)])
}

// live are the contents that some repository has.
func (w *world) live() map[string]bool {
	live := map[string]bool{}
	for _, at := range w.ledger.all() {
		if at.kind == 'b' && w.ledger.settled(at) == present {
			live[at.name] = true
		}
	}
	return live
}

// held are the contents that a manifest names or named: of a deleted one they
// stay while it lies in the trash.
func (w *world) held() map[string]bool {
	held := map[string]bool{}
	for _, m := range w.manifests {
		for _, b := range m.blobs {
			held[b.digest] = true
		}
	}
	return held
}

func hexadecimal(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
