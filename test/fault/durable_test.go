package fault

import (
	"net/http"
	"syscall"
	"testing"

	"fairlead.dev/fairlead/test/fault/layer"
)

// TestCommitAfterFailedFsync: an fsync of the log fails, and with it what was
// written before without one; the kernel does not try again. The next commit
// must not rest on it.
func TestCommitAfterFailedFsync(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, _ := start(t, disk)
	_, a, err := s.begin(repos[0]) // is not synced
	must(t, http.StatusAccepted)(a, err)
	disk.Hook(failing(layer.Sync, "log", syscall.EIO, 1))
	must(t, http.StatusInternalServerError)(s.putManifest(repos[0], "lost", image("lost", small)))
	must(t, http.StatusCreated)(s.putManifest(repos[0], "kept", image("kept", small)))
	must(t, http.StatusCreated)(s.push(repos[0], []byte("kept")))
	s.powerOff()
	disk = disk.CutAll()
	integrity(t, disk)
	s, err = boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(s.manifest(repos[0], "kept"))
	must(t, http.StatusOK)(s.blob(repos[0], sum([]byte("kept"))))
	s.stop()
}

// TestStartMakesDurable: the server is killed in the middle of a commit, after
// the log was written and before it was synced. The next life reads it, and
// acknowledges what it has already without writing anything. Then the power
// goes.
func TestStartMakesDurable(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, _ := start(t, disk)
	kept := image("kept", small)
	disk.Hook(func(op layer.Op) layer.Fault {
		return layer.Fault{Freeze: op.Kind == layer.Sync && class(op.Path) == "log"}
	})
	if a, err := s.putManifest(repos[0], "kept", kept); err == nil {
		t.Errorf("a commit without its fsync: %s", a)
	}
	s.powerOff()
	disk.Hook(nil)
	disk.Thaw()
	s, err := boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(s.manifest(repos[0], "kept"))
	must(t, http.StatusCreated)(s.putManifest(repos[0], "kept", kept))
	s.powerOff()
	disk = disk.CutAll()
	integrity(t, disk)
	if s, err = boot(t, disk); err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(s.manifest(repos[0], "kept"))
	s.stop()
}

// TestCheckpointFails: after many commits that were not synced something must
// sync the log, and that fails. If it is a checkpoint, its error is nobody's
// answer. What is committed afterwards must not rest on what was lost.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, small, _ := start(t, disk)
	where, a, err := s.begin(repos[0])
	must(t, http.StatusAccepted)(a, err)
	failed := false
	disk.Hook(func(op layer.Op) layer.Fault {
		if op.Kind == layer.Sync && class(op.Path) == "log" && !failed {
			failed = true
			return layer.Fault{Err: syscall.EIO}
		}
		return layer.Fault{}
	})
	for n, done := 0, false; !done; n++ {
		if n == 5000 {
			t.Fatal("the log is never synced")
		}
		a, err := s.patch(where, n, []byte("x"))
		disk.Do(func() { done = failed })
		if err != nil || a.status != http.StatusAccepted && !done {
			t.Fatalf("chunk %d: %v %s", n, err, a)
		}
	}
	must(t, http.StatusCreated)(s.putManifest(repos[0], "kept", image("kept", small)))
	s.powerOff()
	disk = disk.CutAll()
	integrity(t, disk)
	if s, err = boot(t, disk); err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(s.manifest(repos[0], "kept"))
	s.stop()
}
