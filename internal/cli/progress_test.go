package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/socket"
)

// TestProgressInALog: a line every five seconds, and none of a short job.
func TestProgressInALog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := newMeter(env{stderr: &out}, "sweep")
	now := m.last
	m.now = func() time.Time { return now }
	for i := range 121 {
		m.show(v1.Progress{Step: "blobs", Done: int64(i), Total: 110, Bytes: int64(i) << 20})
		now = now.Add(100 * time.Millisecond)
	}
	m.end()
	want := "sweep: blobs 50 of 110 (45%), 50.0 MiB\nsweep: blobs 100 of 110 (90%), 100.0 MiB\n"
	if out.String() != want {
		t.Errorf("the log says\n%s", &out)
	}
	for p, want := range map[v1.Progress]string{
		{Step: "files", Done: 7}:                "files 7",
		{Step: "files", Done: 7, Total: 5}:      "files 7 of 5 (100%)", // counted while others write
		{Step: "hash", Done: 1, Bytes: 1024}:    "hash 1, 1.0 KiB",
		{Step: "wait", Done: 0, Total: 1 << 60}: "wait 0 of 1152921504606846976 (0%)",
	} {
		if got := progressText(p); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}

// TestBar: a person sees the step, the share and the bytes; at the end the
// line is clean.
func TestBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := newBar(&out, "fsck")
	steps := []v1.Progress{
		{Step: "blobs", Done: 1, Total: 4},
		{Step: "blobs", Done: 2, Total: 4, Bytes: 1 << 20},
		{Step: "blobs", Done: 5, Total: 4}, // counted while others write
		{Step: "blobs", Done: 6, Total: 8},
		{Step: "files", Done: 3},
		{Step: "files", Done: 300},
		{Step: "files", Done: 301, Total: 400},
		{Step: "nothing", Done: 0, Total: 0},
	}
	for _, p := range steps {
		b.show(p)
		time.Sleep(110 * time.Millisecond) // the library draws ten times a second
	}
	b.end()
	b.end()
	text := out.String()
	for _, want := range []string{"fsck: blobs", "25%", "(1/4)", "fsck: blobs (1.0 MiB)", "fsck: files", "fsck: nothing"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bar never says %q:\n%q", want, text)
		}
	}
	if last := text[strings.LastIndex(text, "\r")+1:]; last != "" || strings.Contains(text, "\n") {
		t.Errorf("the bar leaves %q of\n%q", last, text)
	}
}

// TestInterrupt: what a person stops is no failure of the server.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := &admintest.Recorder{Answers: admintest.Answers{Hang: true, Progress: []v1.Progress{{Step: "blobs"}}}}
	l, err := socket.Listen(t.Context(), filepath.Join(data, controlSocket), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)}), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	defer func() { _ = s.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // once it runs, however busy the machine is
		for len(r.Calls()) == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"fsck", "--rehash", "--data", data}, env{stdout: &out, stderr: &errs, upkeep: serverOr(offline(&errs))})
	want := "fairlead: fsck: interrupted\nNext: fairlead fsck --rehash, which goes on where this one stopped\n"
	if code != exitFailed || errs.String() != want || out.Len() > 0 {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
}

// TestOffline: without a server the data folder is opened, but none is made.
func TestOffline(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{Answers: admintest.Answers{Purge: v1.PurgeReport{Entries: 3}}}
	closed := 0
	open := serverOr(func(_ context.Context, c config.Config) (admin.Upkeep, func() error, error) {
		if !filepath.IsAbs(c.Data) {
			t.Errorf("opened %s", c.Data)
		}
		return r, func() error { closed++; return nil }, nil
	})
	var out, errs bytes.Buffer
	e := env{stdout: &out, stderr: &errs, upkeep: open}
	data := t.TempDir()
	if code := run(t.Context(), []string{"trash", "purge", "--all", "--force", "--data", data}, e); code != exitDone || closed != 1 || out.String() != "Purged 3 entries. The next sweeps free the space.\n" {
		t.Errorf("exit %d, closed %d times: %s%s", code, closed, &out, &errs)
	}
	if code := run(t.Context(), []string{"trash", "purge", "--all", "--force", "--data", filepath.Join(data, "no")}, e); code != exitFailed || closed != 1 {
		t.Errorf("exit %d, closed %d times: %s", code, closed, &errs)
	}
	if _, err := os.Stat(filepath.Join(data, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
	errs.Reset()
	if code := run(t.Context(), []string{"trash", "list", "--name", "!", "--data", data}, e); code != exitFailed || !strings.Contains(errs.String(), `the tag "!" is not valid`) {
		t.Errorf("a bad name: exit %d: %s", code, &errs)
	}
	errs.Reset()
	e.upkeep = serverOr(func(context.Context, config.Config) (admin.Upkeep, func() error, error) {
		return r, func() error { return errors.New("the disk is on fire") }, nil
	})
	if code := run(t.Context(), []string{"trash", "list", "--data", data}, e); code != exitFailed || !strings.Contains(errs.String(), "the disk is on fire") {
		t.Errorf("an error of closing: exit %d: %s", code, &errs)
	}
}

// TestRestoreIsGivenItsFolders: a backup is restored without a server.
func TestRestoreIsGivenItsFolders(t *testing.T) {
	t.Parallel()
	dir, data := t.TempDir(), filepath.Join(t.TempDir(), "new")
	var out, errs bytes.Buffer
	e := env{stdout: &out, stderr: &errs, restore: func(_ context.Context, from string, c config.Config, progress func(v1.Progress)) (v1.BackupReport, error) {
		progress(v1.Progress{Step: "blobs", Done: 1})
		if from != dir || c.Data != data || c.Keys != filepath.Join(data, "keys") {
			t.Errorf("restored %s into %s with keys in %s", from, c.Data, c.Keys)
		}
		return v1.BackupReport{Blobs: 2, Bytes: 2048}, nil
	}}
	code := run(t.Context(), []string{"restore", dir, "--data", data}, e)
	if code != exitDone || !strings.Contains(out.String(), "2 blobs, 2.0 KiB") || !strings.Contains(out.String(), "It has no keys") || !strings.HasSuffix(out.String(), "Next: fairlead fsck --data "+data+"\n") {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
	e.restore = func(context.Context, string, config.Config, func(v1.Progress)) (v1.BackupReport, error) {
		return v1.BackupReport{}, errors.New("the folder is not empty")
	}
	if code := run(t.Context(), []string{"restore", dir, "--data", data}, e); code != exitFailed || !strings.Contains(errs.String(), "fairlead: restore: the folder is not empty\nNext: ") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}
