// Package admintest has an Upkeep and a Service that do nothing: they answer
// what they are told to and remember what they were asked. They stand in for a
// registry where the surface, the client or the command line is tested, behind
// a real handler on a real socket.
package admintest

import (
	"context"
	"errors"
	"sync"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// Answers are what a Recorder says. They are JSON in scripts.
type Answers struct {
	// Progress that each long job makes before it ends.
	Progress []v1.Progress `json:"progress"`
	// Hang makes long jobs wait for the end of their context after that.
	Hang bool `json:"hang"`
	// Errors by method, such as "Sweep".
	Errors map[string]Failure `json:"errors"`

	Sweep   v1.SweepReport   `json:"sweep"`
	Trash   []v1.TrashPage   `json:"trash"`
	Restore v1.RestoreReport `json:"restore"`
	Purge   v1.PurgeReport   `json:"purge"`
	Remove  v1.TrashEntry    `json:"remove"`
	History []v1.HistoryPage `json:"history"`
	Fsck    v1.FsckReport    `json:"fsck"`
	Backup  v1.BackupReport  `json:"backup"`
	Keys    v1.ServerKeys    `json:"keys"`
	Retire  v1.RetireReport  `json:"retire"`
}

// Failure is an oci.Error, or any error when it has no code.
type Failure struct {
	Code oci.Code `json:"code"`
	Text string   `json:"text"`
}

func (f Failure) err() error {
	if f.Code == "" {
		return errors.New(f.Text)
	}
	return oci.Errorf(f.Code, "%s", f.Text)
}

// Call is one call of a Recorder.
type Call struct {
	Method  string
	Options any
	Actor   string
}

// Recorder is an admin.Upkeep. The zero value answers zero values.
type Recorder struct {
	Answers Answers

	mu    sync.Mutex
	calls []Call
	ended int
}

// Calls gives what was asked so far.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call(nil), r.calls...)
}

// Ended counts the long jobs that ended because their context did.
func (r *Recorder) Ended() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func (r *Recorder) note(ctx context.Context, method string, options any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, Call{method, options, registry.Actor(ctx)})
	if f, ok := r.Answers.Errors[method]; ok {
		return f.err()
	}
	return nil
}

// work is a long job. It fails after its progress.
func (r *Recorder) work(ctx context.Context, method string, options any, progress func(v1.Progress)) error {
	err := r.note(ctx, method, options)
	for _, p := range r.Answers.Progress {
		if ctx.Err() == nil && progress != nil {
			progress(p)
		}
	}
	if r.Answers.Hang {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended++
		return ctx.Err()
	}
	return err
}

// Sweep is admin.Upkeep's.
func (r *Recorder) Sweep(ctx context.Context, o v1.SweepOptions, progress func(v1.Progress)) (v1.SweepReport, error) {
	err := r.work(ctx, "Sweep", o, progress)
	report := r.Answers.Sweep
	report.DryRun = o.DryRun
	return report, err
}

// Fsck is admin.Upkeep's.
func (r *Recorder) Fsck(ctx context.Context, o v1.FsckOptions, progress func(v1.Progress)) (v1.FsckReport, error) {
	err := r.work(ctx, "Fsck", o, progress)
	return r.Answers.Fsck, err
}

// Backup is admin.Upkeep's.
func (r *Recorder) Backup(ctx context.Context, o v1.BackupOptions, progress func(v1.Progress)) (v1.BackupReport, error) {
	err := r.work(ctx, "Backup", o, progress)
	report := r.Answers.Backup
	report.Dir, report.Keys = o.Dir, o.WithKeys
	return report, err
}

// Trash is admin.Upkeep's; a page follows the one whose Next is asked for.
func (r *Recorder) Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error) {
	err := r.note(ctx, "Trash", q)
	next := ""
	for _, p := range r.Answers.Trash {
		if next == q.Next {
			return p, err
		}
		next = p.Next
	}
	return v1.TrashPage{}, err
}

// History is admin.Upkeep's; pages are as Trash's.
func (r *Recorder) History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	err := r.note(ctx, "History", q)
	next := ""
	for _, p := range r.Answers.History {
		if next == q.Next {
			return p, err
		}
		next = p.Next
	}
	return v1.HistoryPage{}, err
}

// Restore is admin.Upkeep's.
func (r *Recorder) Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error) {
	return r.Answers.Restore, r.note(ctx, "Restore", o)
}

// Purge is admin.Upkeep's.
func (r *Recorder) Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error) {
	return r.Answers.Purge, r.note(ctx, "Purge", o)
}

// Remove is admin.Upkeep's.
func (r *Recorder) Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error) {
	return r.Answers.Remove, r.note(ctx, "Remove", o)
}

// Keys is admin.Upkeep's.
func (r *Recorder) Keys(ctx context.Context) (v1.ServerKeys, error) {
	return r.Answers.Keys, r.note(ctx, "Keys", nil)
}

// RotateKeys is admin.Upkeep's.
func (r *Recorder) RotateKeys(ctx context.Context) (v1.ServerKeys, error) {
	return r.Answers.Keys, r.note(ctx, "RotateKeys", nil)
}

// RetireKey is admin.Upkeep's.
func (r *Recorder) RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error) {
	return r.Answers.Retire, r.note(ctx, "RetireKey", o)
}
