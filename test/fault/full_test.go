package fault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/fairlead/test/fault/layer"
)

const mebi = 1 << 20

// TestFullDisk: pushes are refused with 507 and a sentence, pulls go on; when
// there is room again pushes go on, without a restart. On the layer and on a
// real tmpfs; with a share of the disk that is kept free, and without.
func TestFullDisk(t *testing.T) {
	needLayer(t)
	t.Parallel()
	for _, flags := range [][]string{{"--min-free-disk", "0"}, {"--min-free-disk", "5%"}} {
		t.Run("layer"+strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			disk := layer.New(layer.Options{Capacity: 24 * mebi})
			s, err := boot(t, disk, flags...)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, s, func() { disk.Grow(64 * mebi) })
			s.stop()
			integrity(t, disk)
		})
		t.Run("tmpfs"+strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Errorf("unmount: %v", err)
				}
			})
			s := bootOn(t, dir, flags...)
			fill(t, s, func() {
				if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
					t.Fatal(err)
				}
			})
			s.stop()
		})
	}
}

// chunk of random bytes that nobody else has.
func random(seed, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7}).Read(b)
	return b
}

// fill pushes until nothing fits any more, and goes on when there is room.
func fill(t *testing.T, s *server, makeRoom func()) {
	t.Helper()
	repo := repos[0]
	first := random(0, mebi)
	must(t, http.StatusCreated)(s.push(repo, first))
	must(t, http.StatusCreated)(s.putManifest(repo, "tag", image("", first)))
	half := random(1000, mebi)
	where, a, err := s.begin(repo)
	must(t, http.StatusAccepted)(a, err)
	must(t, http.StatusAccepted)(s.patch(where, 0, half[:mebi/2]))

	// Large blobs first, then small ones into what they leave, each way.
	pushed := [][]byte{first}
	for size := mebi; size >= 256; size /= 8 {
		for n := 1; ; n++ {
			b := random(size+n, size)
			push := s.push
			if n%2 == 0 {
				push = s.postWhole
			}
			a, err := push(repo, b)
			if err == nil && a.status == http.StatusCreated {
				pushed = append(pushed, b)
				continue
			}
			wantFull(t, fmt.Sprintf("blob of %d bytes", size), a, err)
			must(t, http.StatusNotFound)(s.blob(repo, sum(b)))
			break
		}
		if s.cmd.ProcessState != nil {
			t.Fatalf("the server is gone:\n%s", s.log.tail())
		}
	}
	a, err = s.patch(where, mebi/2, half[mebi/2:])
	wantFull(t, "resumed upload", a, err)

	// Whatever else does not work, reading does.
	for _, b := range [][]byte{pushed[0], pushed[len(pushed)-1]} {
		if a, err := s.blob(repo, sum(b)); err != nil || !bytes.Equal(a.body, b) {
			t.Errorf("pull from a full disk: %v %d %d bytes, want %d", err, a.status, len(a.body), len(b))
		}
	}
	must(t, http.StatusOK)(s.manifest(repo, "tag"))
	must(t, http.StatusOK)(s.do(http.MethodGet, "/v2/"+repo+"/tags/list", nil))
	if err := s.login(); err != nil {
		t.Errorf("a registry token from a full disk: %v", err)
	}

	makeRoom()
	time.Sleep(1100 * time.Millisecond) // for so long the room is remembered
	b := random(9999, mebi)
	must(t, http.StatusCreated)(s.push(repo, b))
	must(t, http.StatusCreated)(s.putManifest(repo, "again", image("again", b)))
	u := &upload{repo: repo, where: strings.TrimPrefix(where, s.url), content: half, sent: mebi / 2}
	h := newHistory()
	if bad, err := resume(s, h, u); bad != "" || err != nil {
		t.Errorf("resume the upload: %s %v", bad, err)
	}
	must(t, http.StatusOK)(s.blob(repo, sum(half)))
	for _, b := range append(pushed, b) {
		if a, err := s.blob(repo, sum(b)); err != nil || !bytes.Equal(a.body, b) {
			t.Fatalf("pull afterwards: %v %d %d bytes, want %d", err, a.status, len(a.body), len(b))
		}
	}
	must(t, http.StatusOK)(s.do(http.MethodGet, "/readyz", nil))
	t.Logf("%d blobs fit", len(pushed))
}

// wantFull is 507, and a sentence that names the disk and who can help.
func wantFull(t *testing.T, what string, a answer, err error) {
	t.Helper()
	text := string(a.body)
	if err != nil || a.status != http.StatusInsufficientStorage || a.code() != "DENIED" || !strings.Contains(text, "full") {
		t.Errorf("%s: %v %s, want 507 and that the disk is full", what, err, a)
	}
	t.Logf("%s: %s", what, text)
}

// TestSlowFsync: an fsync that takes longer than the grace of the sweep does
// not make it take the blob for garbage.
func TestSlowFsync(t *testing.T) {
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, _, _ := start(t, disk, "--sweep-interval", "1s", "--sweep-grace", "1s")
	slow := 3500 * time.Millisecond
	disk.Hook(func(op layer.Op) layer.Fault {
		if op.Kind == layer.Sync && class(op.Path) == "blob" {
			return layer.Fault{Delay: slow}
		}
		return layer.Fault{}
	})
	for what, push := range map[string]func(string, []byte) (answer, error){"by POST": s.postWhole, "by POST, PATCH, PUT": s.push} {
		b := []byte("slow " + what)
		must(t, http.StatusCreated)(push(repos[0], b))
		must(t, http.StatusOK)(s.blob(repos[0], sum(b))) // at once: from now on it is garbage
	}
	disk.Hook(nil)
	s.stop()
}
