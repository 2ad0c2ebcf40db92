package client_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/socket"
)

var _ admin.Upkeep = (*client.Client)(nil)

// listen serves h on a control socket.
func listen(t *testing.T, h http.Handler) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := socket.Listen(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	c := client.Socket(path)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func serve(t *testing.T, r *admintest.Recorder) *client.Client {
	t.Helper()
	return listen(t, admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)}))
}

// TestEveryMethod: options arrive as they were given, answers come back as
// they were made.
func TestEveryMethod(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 30, 0, 5, time.UTC)
	entry := v1.TrashEntry{ID: 4, Kind: "tag", Repository: "acme/web", Name: "1", Deleted: at, Expires: at, Bytes: 1 << 40}
	r := &admintest.Recorder{Answers: admintest.Answers{
		Progress: []v1.Progress{{Step: "a", Done: 1, Total: 2, Bytes: 3}, {Step: "b"}},
		Sweep:    v1.SweepReport{Blobs: 1, Bytes: 1 << 40},
		Trash:    []v1.TrashPage{{Items: []v1.TrashEntry{entry}, Next: "3"}},
		Restore:  v1.RestoreReport{Entry: entry, Tags: 1, Conflicts: []v1.TagConflict{{Tag: "x"}}},
		Purge:    v1.PurgeReport{Entries: 2},
		Remove:   entry,
		History:  []v1.HistoryPage{{Items: []v1.TagMove{{Tag: "1", At: at}}}},
		Fsck:     v1.FsckReport{Blobs: 9, Problems: []v1.FsckProblem{{Kind: "missing-bytes", Loss: true}}, Found: 1},
		Backup:   v1.BackupReport{Taken: at, Blobs: 3},
	}}
	c := serve(t, r)
	var heard []v1.Progress
	progress := func(p v1.Progress) { heard = append(heard, p) }
	ctx := t.Context()
	for _, call := range []struct {
		method  string
		options any
		do      func() (any, error)
		want    any
	}{
		{"Sweep", v1.SweepOptions{Untagged: true, OlderThan: time.Hour}, func() (any, error) {
			return c.Sweep(ctx, v1.SweepOptions{Untagged: true, OlderThan: time.Hour}, progress)
		}, r.Answers.Sweep},
		{"Fsck", v1.FsckOptions{Rehash: true, Restart: true, Rate: 1 << 40, Repair: true}, func() (any, error) {
			return c.Fsck(ctx, v1.FsckOptions{Rehash: true, Restart: true, Rate: 1 << 40, Repair: true}, nil)
		}, r.Answers.Fsck},
		{"Backup", v1.BackupOptions{Dir: "/b", WithKeys: true}, func() (any, error) {
			return c.Backup(ctx, v1.BackupOptions{Dir: "/b", WithKeys: true}, progress)
		}, v1.BackupReport{Dir: "/b", Keys: true, Taken: at, Blobs: 3}},
		{"Trash", v1.TrashQuery{Repository: "acme/web", Name: "1", Limit: 7}, func() (any, error) {
			return c.Trash(ctx, v1.TrashQuery{Repository: "acme/web", Name: "1", Limit: 7})
		}, r.Answers.Trash[0]},
		{"History", v1.HistoryQuery{Repository: "acme/web", Tag: "1", Limit: 7}, func() (any, error) {
			return c.History(ctx, v1.HistoryQuery{Repository: "acme/web", Tag: "1", Limit: 7})
		}, r.Answers.History[0]},
		{"Restore", v1.RestoreOptions{ID: 4, Overwrite: true}, func() (any, error) {
			return c.Restore(ctx, v1.RestoreOptions{ID: 4, Overwrite: true})
		}, r.Answers.Restore},
		{"Purge", v1.PurgeOptions{All: true}, func() (any, error) { return c.Purge(ctx, v1.PurgeOptions{All: true}) }, r.Answers.Purge},
		{"Remove", v1.RemoveOptions{Namespace: "acme"}, func() (any, error) { return c.Remove(ctx, v1.RemoveOptions{Namespace: "acme"}) }, entry},
	} {
		got, err := call.do()
		if diff := cmp.Diff(call.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", call.method, err, diff)
		}
		calls := r.Calls()
		want := admintest.Call{Method: call.method, Options: call.options, Actor: admin.Actor}
		if diff := cmp.Diff(want, calls[len(calls)-1]); diff != "" {
			t.Errorf("%s was asked otherwise:\n%s", call.method, diff)
		}
	}
	twice := append(append([]v1.Progress(nil), r.Answers.Progress...), r.Answers.Progress...)
	if diff := cmp.Diff(twice, heard); diff != "" {
		t.Errorf("progress:\n%s", diff)
	}
}

// TestErrors: the error's text is the server's sentence, before the first
// line and after it.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, progress := range map[string][]v1.Progress{"at once": nil, "later": {{Step: "blobs"}}} {
		r := &admintest.Recorder{Answers: admintest.Answers{Progress: progress, Errors: map[string]admintest.Failure{
			"Sweep":  {Text: "the disk is on fire"},
			"Remove": {Code: oci.CodeNameUnknown, Text: "there is no repository acme/web"},
		}}}
		c := serve(t, r)
		_, err := c.Sweep(t.Context(), v1.SweepOptions{}, nil)
		var e *client.Error
		if !errors.As(err, &e) || e.Status != 500 || err.Error() != "the disk is on fire" {
			t.Errorf("%s: %v", name, err)
		}
		_, err = c.Remove(t.Context(), v1.RemoveOptions{Repository: "acme/web"})
		if !errors.As(err, &e) || e.Status != 404 || e.Code != "NAME_UNKNOWN" || err.Error() != "there is no repository acme/web" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{stale, filepath.Join(dir, "absent"), filepath.Join(dir, "no", "folder")} {
		c := client.Socket(path)
		if err := c.Ping(t.Context()); !errors.Is(err, client.ErrNoServer) {
			t.Errorf("Ping %s: %v", path, err)
		}
		if _, err := c.Trash(t.Context(), v1.TrashQuery{}); !errors.Is(err, client.ErrNoServer) || err.Error() != "no server runs on "+path {
			t.Errorf("Trash %s: %v", path, err)
		}
	}
	if err := serve(t, &admintest.Recorder{}).Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if os.Geteuid() != 0 { // root may do everything
		closed := filepath.Join(dir, "closed")
		if err := os.Mkdir(closed, 0); err != nil {
			t.Fatal(err)
		}
		if err := client.Socket(filepath.Join(closed, "s")).Ping(t.Context()); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Ping in a closed folder: %v", err)
		}
	}
}

// TestCutOff: a job without a last line did not succeed.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"nothing": "", "progress only": `{"progress":{"step":"blobs","done":1}}` + "\n", "half a line": `{"result":{"blo`} {
		c := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			_, _ = w.Write([]byte(body))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}))
		if _, err := c.Sweep(t.Context(), v1.SweepOptions{}, nil); !errors.Is(err, client.ErrCutOff) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := listen(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if _, err := c.Purge(t.Context(), v1.PurgeOptions{All: true}); !errors.Is(err, client.ErrCutOff) {
		t.Errorf("no answer: %v", err)
	}
	c = listen(t, http.NotFoundHandler())
	if _, err := c.Purge(t.Context(), v1.PurgeOptions{All: true}); err == nil || err.Error() != "the server answered 404 Not Found" {
		t.Errorf("an answer that is no problem: %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{Answers: admintest.Answers{Hang: true, Progress: []v1.Progress{{Step: "blobs"}}}}
	c := serve(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := c.Sweep(ctx, v1.SweepOptions{}, func(v1.Progress) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep: %v", err)
	}
}
