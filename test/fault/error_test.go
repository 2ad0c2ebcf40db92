package fault

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/fault/layer"
)

// start a server on a new disk, with two blobs and a manifest over them.
func start(t *testing.T, disk *layer.Disk, flags ...string) (s *server, small, large []byte) {
	t.Helper()
	needLayer(t)
	s, err := boot(t, disk, flags...)
	if err != nil {
		t.Fatal(err)
	}
	small, large = bytes.Repeat([]byte("small"), 1000), make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large)
	must(t, http.StatusCreated)(s.push(repos[0], small))
	must(t, http.StatusCreated)(s.push(repos[0], large))
	must(t, http.StatusCreated)(s.putManifest(repos[0], "tag", image("", small, large)))
	return s, small, large
}

// failing makes operations of one kind on one class of files fail, the first
// so many of them; less than 0 is all.
func failing(kind layer.Kind, what string, with syscall.Errno, times int) func(layer.Op) layer.Fault {
	return func(op layer.Op) layer.Fault {
		if op.Kind != kind || class(op.Path) != what || times == 0 {
			return layer.Fault{}
		}
		times--
		return layer.Fault{Err: with}
	}
}

// TestReadErrors: what can not be read is an internal error or a body that
// ends early; never other bytes, and never "unknown".
func TestReadErrors(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, large := start(t, disk)
	for _, c := range []struct {
		name string
		hook func(layer.Op) layer.Fault
	}{
		{"read", failing(layer.Read, "blob", syscall.EIO, -1)},
		{"open", failing(layer.Open, "blob", syscall.EIO, -1)},
		{"too many open files", failing(layer.Open, "blob", syscall.EMFILE, -1)},
		{"read further in", func(op layer.Op) layer.Fault {
			if op.Kind == layer.Read && class(op.Path) == "blob" && op.Offset >= 500_000 {
				return layer.Fault{Err: syscall.EIO}
			}
			return layer.Fault{}
		}},
	} {
		for _, content := range [][]byte{small, large} {
			disk.Hook(c.hook)
			a, err := s.blob(repos[0], sum(content))
			disk.Hook(nil)
			switch {
			case a.status == http.StatusOK && !bytes.HasPrefix(content, a.body):
				t.Errorf("%s: %d WRONG BYTES", c.name, len(a.body))
			case a.status == http.StatusOK && err == nil && len(a.body) < len(content):
				t.Errorf("%s: %d of %d bytes, and the body seems whole", c.name, len(a.body), len(content))
			case a.status == http.StatusOK && err == nil && (c.name != "read further in" || len(content) > 500_000):
				t.Errorf("%s: the disk did not fail", c.name)
			case a.status != http.StatusOK && a.status < 500:
				t.Errorf("%s: %s, want 500 or more", c.name, a)
			}
			// The disk is well again, and so is the answer.
			if a, err = s.blob(repos[0], sum(content)); err != nil || !bytes.Equal(a.body, content) {
				t.Errorf("after %s: %v %d bytes, want all %d", c.name, err, len(a.body), len(content))
			}
		}
	}
	s.stop()
}

// TestWriteErrors: a push that the disk does not take is refused and leaves
// nothing half-written; the next one succeeds, without a restart.
func TestWriteErrors(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, _ := start(t, disk)
	n := 0
	ways := map[string]func([]byte) (answer, error){
		"POST":             func(b []byte) (answer, error) { return s.postWhole(repos[0], b) },
		"POST, PATCH, PUT": func(b []byte) (answer, error) { return s.push(repos[0], b) },
		"manifest":         func(b []byte) (answer, error) { return s.putManifest(repos[0], "new", image(string(b), small)) },
		"mount": func(b []byte) (answer, error) {
			if a, err := s.postWhole(repos[1], b); err != nil || a.status != http.StatusCreated {
				return a, err
			}
			return s.mount(repos[0], repos[1], sum(b))
		},
	}
	for _, c := range []struct {
		kind layer.Kind
		what string
		err  syscall.Errno
	}{
		{layer.Create, "blob", syscall.EIO},
		{layer.Write, "blob", syscall.EIO},
		{layer.Sync, "blob", syscall.EIO},
		{layer.SyncFolder, "folder", syscall.EIO},
		{layer.Write, "log", syscall.EIO},
		{layer.Sync, "log", syscall.EIO},
		{layer.Write, "blob", syscall.ENOSPC},
		{layer.Sync, "blob", syscall.ENOSPC},
		{layer.Write, "log", syscall.ENOSPC},
		{layer.Write, "blob", syscall.EROFS},
		{layer.Write, "log", syscall.EROFS},
	} {
		for way, push := range ways {
			if way == "manifest" && c.what != "log" {
				continue // it needs no blob to be written
			}
			n++
			name := fmt.Sprintf("%s of a %s fails with %s, push by %s", c.kind, c.what, c.err, way)
			content := fmt.Appendf(nil, "content %d of the blob", n)
			disk.Hook(failing(c.kind, c.what, c.err, -1))
			a, err := push(content)
			disk.Hook(nil)
			if err != nil || a.status < 500 {
				t.Errorf("%s: %v %s, want 500 or more", name, err, a)
			}
			if full := a.status == http.StatusInsufficientStorage; full != (c.err == syscall.ENOSPC) {
				t.Errorf("%s: %s; 507 is for a full disk, and only for that", name, a)
			}
			if way == "manifest" {
				must(t, http.StatusNotFound)(s.manifest(repos[0], sum(image(string(content), small))))
			} else {
				must(t, http.StatusNotFound)(s.blob(repos[0], sum(content)))
			}
			a, err = push(content)
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("%s; the disk is well again: %v %s, want 201", name, err, a)
			}
		}
	}
	must(t, http.StatusOK)(s.do(http.MethodGet, "/readyz", nil))
	s.stop()
}

// TestShortWrites: a disk that takes a part of what is written is asked again.
func TestShortWrites(t *testing.T) {
	needLayer(t)
	t.Parallel()
	disk, h := layer.New(layer.Options{}), newHistory()
	s, err := boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	disk.Hook(func(op layer.Op) layer.Fault {
		if op.Kind != layer.Write || strings.HasSuffix(op.Path, "-shm") || op.Size < 2 {
			return layer.Fault{} // pages that are mapped are not written in part
		}
		return layer.Fault{Short: max(op.Size/4, 1) + r.IntN(op.Size)}
	})
	disk.FreezeAt(2500)
	timer := time.AfterFunc(lifeTime, disk.Freeze)
	defer timer.Stop()
	c := newCrew(s, h, "short")
	c.work(1)
	s.powerOff()
	report(t, s, "short writes", c.faults, nil)
	afterwards(t, disk.Cut(3), h)
}

// afterwards looks at what is left of a disk.
func afterwards(t *testing.T, disk *layer.Disk, h *history) {
	t.Helper()
	integrity(t, disk)
	s, err := boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := promises(s, h)
	report(t, s, "afterwards", broken, err)
	s.stop()
	integrity(t, disk)
}

// TestErrorsAndPowerLoss: a disk refuses some writes and fsyncs, then none any
// more, then the power goes. What was acknowledged is there: also what came
// after an fsync that failed, which no kernel repeats.
func TestErrorsAndPowerLoss(t *testing.T) {
	needLayer(t)
	seed := uint64(number(t, "FAIRLEAD_SEED", int(time.Now().UnixNano()%1_000_000)*1000))
	for first := 0; first < number(t, "FAIRLEAD_ROUNDS", 20); first += lives {
		seed := seed + uint64(first/lives)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 4))
			disk, h := layer.New(layer.Options{}), newHistory()
			s, err := boot(t, disk)
			if err != nil {
				t.Fatal(err)
			}
			c := newCrew(s, h, fmt.Sprintf("e%d", seed))
			c.refusing.Store(true)
			odds, errs := 10+r.IntN(200), []syscall.Errno{syscall.EIO, syscall.EIO, syscall.ENOSPC}
			syncs := r.IntN(2) == 0 // only fsyncs of the log, and many
			disk.Hook(func(op layer.Op) layer.Fault {
				if syncs {
					if op.Kind == layer.Sync && class(op.Path) == "log" && r.IntN(4) == 0 {
						return layer.Fault{Err: syscall.EIO}
					}
					return layer.Fault{}
				}
				switch op.Kind {
				case layer.Write, layer.Sync, layer.SyncFolder, layer.Create, layer.Remove, layer.Change:
					if !strings.HasSuffix(op.Path, "-shm") && r.IntN(odds) == 0 {
						return layer.Fault{Err: errs[r.IntN(len(errs))]}
					}
				}
				return layer.Fault{}
			})
			well := time.AfterFunc(time.Second, func() { disk.Hook(nil) })
			defer well.Stop()
			calm := time.AfterFunc(1500*time.Millisecond, func() { c.refusing.Store(false) })
			defer calm.Stop()
			dark := time.AfterFunc(2*time.Second, disk.Freeze)
			defer dark.Stop()
			c.work(seed)
			s.powerOff()
			report(t, s, "errors", c.faults, nil)
			t.Logf("one in %d operations failed, or fsyncs only (%t): %v; %d promises", odds, syncs, c.acts, len(h.things()))
			afterwards(t, disk.Cut(seed), h)
		})
	}
}

// TestVanishedFolder: somebody removes the blobs under the server.
func TestVanishedFolder(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, large := start(t, disk)
	if out, err := exec.CommandContext(t.Context(), "rm", "-rf", filepath.Join(s.data, "blobs")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, b := range [][]byte{small, large} {
		must(t, http.StatusInternalServerError)(s.blob(repos[0], sum(b)))
	}
	must(t, http.StatusInternalServerError)(s.postWhole(repos[0], []byte("new")))
	must(t, http.StatusInternalServerError)(s.push(repos[0], []byte("newer")))
	must(t, http.StatusServiceUnavailable)(s.do(http.MethodGet, "/readyz", nil))
	must(t, http.StatusOK)(s.do(http.MethodGet, "/healthz", nil))
	must(t, http.StatusOK)(s.manifest(repos[0], "tag"))
	if !s.log.has("the bytes of a blob are missing", sum(small)) {
		t.Errorf("nothing in the log tells the operator:\n%s", s.log.tail())
	}
	s.stop()

	// A start makes the folder again: what is pushed is there, what is gone
	// is still an internal error.
	disk.Thaw()
	s, err := boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(s.do(http.MethodGet, "/readyz", nil))
	must(t, http.StatusCreated)(s.push(repos[0], []byte("new")))
	must(t, http.StatusOK)(s.blob(repos[0], sum([]byte("new"))))
	must(t, http.StatusInternalServerError)(s.blob(repos[0], sum(small)))
	s.stop()
}

// TestStartErrors: a start that the disk does not let happen says so, and the
// next one succeeds.
func TestStartErrors(t *testing.T) {
	needLayer(t)
	t.Parallel()
	disk := layer.New(layer.Options{})
	for i := 0; ; i++ {
		n := 0
		disk.Hook(func(op layer.Op) layer.Fault {
			switch op.Kind {
			case layer.Create, layer.Write, layer.Sync, layer.SyncFolder, layer.SyncAll:
				if n++; n > i*i/2 {
					return layer.Fault{Err: syscall.EIO}
				}
			}
			return layer.Fault{}
		})
		s, err := boot(t, disk)
		if err == nil {
			disk.Hook(nil)
			must(t, http.StatusCreated)(s.push(repos[0], []byte("blob")))
			s.stop()
			return
		}
		if errors.Is(err, errPower) || !s.log.has(s.data) {
			t.Errorf("start %d: %v: nothing tells which file it is", i, err)
		}
		t.Logf("start %d: %s", i, s.log.tail())
		s.powerOff()
		if i > 100 {
			t.Fatal("the server never starts")
		}
		disk.Hook(nil)
		disk.Thaw()
	}
}
