package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/serve"
)

// pushBlob pushes a blob and gives its digest.
func (r *running) pushBlob(t *testing.T, token, text string) oci.Digest {
	t.Helper()
	d := oci.DigestOf(oci.SHA256, []byte(text))
	res, body := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/?digest="+string(d), token, strings.NewReader(text))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("push a blob: %s %s", res.Status, body)
	}
	return d
}

// pushIndex pushes an index that names a blob.
func (r *running) pushIndex(t *testing.T, token, tag, text string) oci.Digest {
	t.Helper()
	d := r.pushBlob(t, token, text)
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"example/blob","digest":%q,"size":%d}]}`,
		oci.MediaTypeImageIndex, d, len(text))
	res, body := r.do(t, "PUT", "/v2/acme/hello/manifests/"+tag, token, strings.NewReader(m))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("push a manifest: %s %s", res.Status, body)
	}
	return oci.Digest(res.Header.Get("Docker-Content-Digest"))
}

func (r *running) control() *client.Client {
	return client.Socket(filepath.Join(r.data, "control.sock"))
}

// TestUpkeepOfARunningServer: sweep, trash, history and fsck through the
// socket.
func TestUpkeepOfARunningServer(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	c, ctx := r.control(), t.Context()
	token := r.token(t, r.secret(t), everything)
	first := r.pushIndex(t, token, "v1", "one")
	second := r.pushIndex(t, token, "v1", "two")
	if res, _ := r.do(t, "DELETE", "/v2/acme/hello/manifests/v1", token, nil); res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	page, err := c.Trash(ctx, v1.TrashQuery{Repository: "acme/hello"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Kind != "tag" || page.Items[0].DeletedBy != "operator" {
		t.Fatalf("trash: %+v %v", page, err)
	}
	if left := time.Until(page.Items[0].Expires); left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("it expires in %s", left)
	}
	back, err := c.Restore(ctx, v1.RestoreOptions{Repository: "acme/hello", Name: "v1"})
	if err != nil || back.Tags != 1 {
		t.Fatalf("restore: %+v %v", back, err)
	}
	if res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", token, nil); res.Header.Get("Docker-Content-Digest") != string(second) {
		t.Errorf("the tag came back as %s", res.Header.Get("Docker-Content-Digest"))
	}
	history, err := c.History(ctx, v1.HistoryQuery{Repository: "acme/hello", Tag: "v1", Limit: 2})
	if err != nil || len(history.Items) != 2 || history.Next == "" {
		t.Fatalf("history: %+v %v", history, err)
	}
	history, err = c.History(ctx, v1.HistoryQuery{Repository: "acme/hello", Tag: "v1", Next: history.Next})
	if err != nil || len(history.Items) != 2 || history.Items[0].From != string(first) || history.Items[0].To != string(second) || history.Items[1].From != "" {
		t.Errorf("history, older: %+v %v", history, err)
	}
	gone, err := c.Remove(ctx, v1.RemoveOptions{Namespace: "acme"})
	if err != nil || gone.Manifests != 2 {
		t.Errorf("remove: %+v %v", gone, err)
	}
	if res, _ := r.do(t, "GET", "/v2/acme/hello/tags/list", token, nil); res.StatusCode != 404 {
		t.Errorf("the namespace is still there: %s", res.Status)
	}
	_, err = c.Remove(ctx, v1.RemoveOptions{Namespace: "acme"})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("remove twice: %v", err)
	}
	var steps atomic.Int32
	report, err := c.Fsck(ctx, v1.FsckOptions{Rehash: true}, func(v1.Progress) { steps.Add(1) })
	if err != nil || report.Found != 0 || report.Blobs != 2 || report.Manifests != 2 || report.Rehashed != 2 || steps.Load() == 0 {
		t.Errorf("fsck: %+v %v, %d steps", report, err, steps.Load())
	}
	if purged, err := c.Purge(ctx, v1.PurgeOptions{All: true}); err != nil || purged.Entries != 1 {
		t.Errorf("purge: %+v %v", purged, err)
	}
	if s, err := c.Sweep(ctx, v1.SweepOptions{DryRun: true}, nil); err != nil || !s.DryRun {
		t.Errorf("sweep: %+v %v", s, err)
	}
}

// TestUpkeepWithoutAServer opens the folder itself, and is refused while a
// server runs.
func TestUpkeepWithoutAServer(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	r.pushIndex(t, token, "v1", "content")
	c := load(t, settings{"DATA": r.data})
	if _, _, err := serve.OpenUpkeep(t.Context(), c, io.Discard); err == nil || !strings.Contains(err.Error(), "another fairlead") {
		t.Errorf("a second opener: %v", err)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	u, closeUpkeep, err := serve.OpenUpkeep(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	report, err := u.Fsck(t.Context(), v1.FsckOptions{Rehash: true}, nil)
	if err = errors.Join(err, closeUpkeep()); err != nil || report.Found != 0 || report.Blobs != 1 {
		t.Errorf("fsck: %+v %v", report, err)
	}
	if _, _, err := serve.OpenUpkeep(t.Context(), load(t, settings{"DATA": t.TempDir()}), io.Discard); err == nil || !strings.Contains(err.Error(), "no registry") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestBackupUnderLoad: while clients push, a backup is taken, renewed, and
// restored onto another folder; what was pushed before it is there, and fsck
// is content.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	before := r.pushIndex(t, token, "before", "pushed before the backup")
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				r.pushIndex(t, token, fmt.Sprintf("t%d", n%7), fmt.Sprintf("content %d", n))
			}
		}
	}()
	dir := filepath.Join(t.TempDir(), "backup")
	ctx, c := t.Context(), r.control()
	var first, second v1.BackupReport
	var err error
	if first, err = c.Backup(ctx, v1.BackupOptions{Dir: dir}, nil); err != nil {
		t.Fatal(err)
	}
	if second, err = c.Backup(ctx, v1.BackupOptions{Dir: dir, WithKeys: true}, nil); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if n := <-done; n == 0 {
		t.Error("nothing was pushed meanwhile")
	}
	if first.Blobs == 0 || first.Copied != first.Blobs || second.Copied >= second.Blobs || !second.Keys {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if _, err := c.Backup(ctx, v1.BackupOptions{Dir: filepath.Join(r.data, "backup")}, nil); err == nil {
		t.Error("a backup into the data folder is accepted")
	}
	secret := r.secret(t)

	data := filepath.Join(t.TempDir(), "restored")
	to := load(t, settings{"DATA": data})
	if _, err := serve.Restore(ctx, dir, to, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.Restore(ctx, dir, to, nil); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("restored over a registry: %v", err)
	}
	u, closeUpkeep, err := serve.OpenUpkeep(ctx, to, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	report, err := u.Fsck(ctx, v1.FsckOptions{Rehash: true}, nil)
	if err = errors.Join(err, closeUpkeep()); err != nil || report.Found != 0 || report.Blobs > second.Blobs || report.Blobs < first.Blobs {
		t.Fatalf("fsck of the restored registry: %+v %v", report, err)
	}
	again := launch(t, data, nil)
	if got := again.secret(t); got != secret {
		t.Error("the operator's token is not the one that was backed up")
	}
	res, _ := again.do(t, "GET", "/v2/acme/hello/manifests/before", again.token(t, secret, everything), nil)
	if res.Header.Get("Docker-Content-Digest") != string(before) {
		t.Errorf("what was pushed before the backup: %s", res.Status)
	}
	// The registry tokens of the old server are good, for the keys came along.
	if res, _ := again.do(t, "GET", "/v2/acme/hello/manifests/before", token, nil); res.StatusCode != 200 {
		t.Errorf("a token of the old server: %s", res.Status)
	}
}

// TestBackupWithoutKeys has no secret in it.
func TestBackupWithoutKeys(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	r.pushIndex(t, token, "v1", "content")
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := r.control().Backup(t.Context(), v1.BackupOptions{Dir: dir, WithKeys: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.control().Backup(t.Context(), v1.BackupOptions{Dir: dir}, nil); err != nil {
		t.Fatal(err)
	}
	secrets := snapshot(t, r.data).secrets
	for path, mode := range snapshot(t, dir).modes {
		if mode.Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %s", path, mode)
		}
		if !mode.IsRegular() {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range secrets {
			if strings.Contains(string(b), s) {
				t.Errorf("%s holds the secret %s", path, name)
			}
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.MkdirAll(filepath.Join(other, "precious"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := r.control().Backup(context.Background(), v1.BackupOptions{Dir: other}, nil)
	if err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("a backup into a folder of something else: %v", err)
	}
	if _, err := serve.Restore(t.Context(), other, load(t, settings{"DATA": t.TempDir()}), nil); err == nil || !strings.Contains(err.Error(), "no finished backup") {
		t.Errorf("restored from a folder without a backup: %v", err)
	}
}
