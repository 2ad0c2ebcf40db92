package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/socket"
)

// controls are the recorders that scripts talk to, by data folder.
type controls struct {
	mu sync.Mutex
	by map[string]*admintest.Recorder
}

// start is "control DATA ANSWERS": it listens where the server of the folder
// DATA would, and answers as the file ANSWERS says.
func (c *controls) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: control DATA ANSWERS")
	}
	r := &admintest.Recorder{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &r.Answers))
	data := ts.MkAbs(args[0])
	l, err := socket.Listen(context.Background(), filepath.Join(data, "control.sock"), slog.New(slog.DiscardHandler))
	ts.Check(err)
	s := &http.Server{
		Handler:           admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)}),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = s.Serve(l) }()
	ts.Defer(func() { _ = s.Close() })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[data] = r
}

// asked is "asked DATA METHOD OPTIONS": the last call was this one. OPTIONS
// is JSON. "! asked DATA": nothing was asked at all.
func (c *controls) asked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || !neg && len(args) != 3 {
		ts.Fatalf("usage: asked DATA METHOD OPTIONS, or ! asked DATA")
	}
	c.mu.Lock()
	r := c.by[ts.MkAbs(args[0])]
	c.mu.Unlock()
	calls := r.Calls()
	if neg {
		if len(calls) > 0 {
			ts.Fatalf("it was asked %+v", calls)
		}
		return
	}
	if len(calls) == 0 {
		ts.Fatalf("nothing was asked")
	}
	last := calls[len(calls)-1]
	text, err := json.Marshal(last.Options)
	ts.Check(err)
	var got, want any
	ts.Check(json.Unmarshal(text, &got))
	ts.Check(json.Unmarshal([]byte(args[2]), &want))
	if diff := cmp.Diff(want, got); last.Method != args[1] || diff != "" {
		ts.Fatalf("asked %s %s, want %s %s", last.Method, text, args[1], args[2])
	}
}
