package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/backup"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/token"
)

// Upkeep looks after an open registry, for the management API and the command
// line: it says what local and backup do in the API's shapes.
type Upkeep struct {
	c        config.Config
	registry *local.Registry
	source   func(ctx context.Context) (backup.Source, error)
	secrets  func() (map[string]string, error)
	house    *house
	// Of a server that runs; nil otherwise.
	values  *account.ValueKeys
	signing *token.FileKeys
	record  func(context.Context, audit.Line)
}

var _ admin.Upkeep = (*Upkeep)(nil)

// OpenUpkeep opens the data folder of a server that does not run. It is
// refused while one does.
func OpenUpkeep(ctx context.Context, c config.Config, log io.Writer) (admin.Upkeep, func() error, error) {
	if _, err := os.Stat(filepath.Join(c.Data, databaseFile)); err != nil {
		return nil, nil, fmt.Errorf("there is no registry in %s: %w; name its folder with --data", c.Data, err)
	}
	s := &server{o: Options{Config: c, Log: log, Out: io.Discard}, c: c}
	s.o.Config.LogLevel = max(s.o.Config.LogLevel, config.LogLevel(slog.LevelWarn)) // a command says by itself what it did
	s.log = newLogger(s.o)
	for _, step := range []func(context.Context) error{s.openFolder, s.openStores} {
		if err := step(ctx); err != nil {
			return nil, nil, errors.Join(err, s.close())
		}
	}
	if err := errors.Join(s.buildRegistry(), s.buildHouse()); err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	s.closers = append(s.closers, func() error {
		s.house.audit.Flush(context.WithoutCancel(ctx))
		return nil
	})
	return admin.Checked(s.upkeep()), s.close, nil
}

// upkeep of the open server.
func (s *server) upkeep() *Upkeep {
	return &Upkeep{
		c: s.c, registry: s.registry, source: s.backupSource, secrets: s.secretFiles,
		house: s.house, values: s.values, signing: s.keys, record: s.recorded,
	}
}

func progress(tell func(v1.Progress)) func(step string, done, total, bytes int64) {
	return func(step string, done, total, bytes int64) {
		if tell != nil {
			tell(v1.Progress{Step: step, Done: done, Total: total, Bytes: bytes})
		}
	}
}

// Sweep runs one now.
func (u *Upkeep) Sweep(ctx context.Context, o v1.SweepOptions, tell func(v1.Progress)) (v1.SweepReport, error) {
	lo := local.SweepOptions{DryRun: o.DryRun, Progress: progress(tell)}
	if o.Untagged {
		lo.UntaggedBefore = time.Now().Add(-o.OlderThan)
	}
	s, err := u.registry.Sweep(registry.WithActor(ctx, "sweep"), lo)
	return v1.SweepReport{
		DryRun: o.DryRun, Uploads: s.Uploads, Links: s.Links, Blobs: s.Blobs, Orphans: s.Orphans,
		Expired: s.Expired, Untagged: s.Untagged, Moves: s.Moves, Bytes: s.Bytes,
	}, err
}

// Trash lists what was deleted, newest first.
func (u *Upkeep) Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error) {
	return u.house.desk.TrashOf(ctx, theOperator, q)
}

// Restore brings back what was deleted.
func (u *Upkeep) Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error) {
	return u.house.desk.RestoreFor(ctx, theOperator, o)
}

// Purge forgets entries for good.
func (u *Upkeep) Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error) {
	return u.house.desk.PurgeFor(ctx, theOperator, o)
}

// Remove moves a repository or a namespace to the trash.
func (u *Upkeep) Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error) {
	var r v1.Removed
	var err error
	if o.Repository != "" {
		r, err = u.house.desk.RemoveRepository(ctx, theOperator, o.Repository, false)
	} else {
		r, err = u.house.desk.RemoveNamespace(ctx, theOperator, o.Namespace, false)
	}
	if err != nil {
		return v1.TrashEntry{}, err
	}
	page, err := u.Trash(ctx, v1.TrashQuery{Next: strconv.FormatInt(r.TrashID+1, 10), Limit: 1})
	if err != nil || len(page.Items) == 0 {
		return v1.TrashEntry{}, err
	}
	return page.Items[0], nil
}

// History lists the moves of tags, newest first.
func (u *Upkeep) History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	return u.house.desk.HistoryOf(ctx, theOperator, q)
}

// Fsck checks rows and bytes against each other.
func (u *Upkeep) Fsck(ctx context.Context, o v1.FsckOptions, tell func(v1.Progress)) (v1.FsckReport, error) {
	note := filepath.Join(u.c.Data, "fsck.row")
	lo := local.FsckOptions{Rehash: o.Rehash, Rate: o.Rate, Repair: o.Repair, Progress: progress(tell)}
	if o.Rehash {
		if !o.Restart {
			lo.From = readRow(note)
		}
		lo.Save = func(row int64) error { return saveRow(note, row) }
	}
	r, err := u.registry.Fsck(ctx, lo)
	out := v1.FsckReport{
		Blobs: r.Blobs, Manifests: r.Manifests, Files: r.Files, Rehashed: r.Rehashed, Bytes: r.Bytes,
		Problems: []v1.FsckProblem{}, Found: r.Found, Lost: r.Lost, Repaired: r.Repaired,
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, v1.FsckProblem{
			Kind: string(p.Kind), Repository: string(p.Repo), Digest: string(p.Digest), Key: string(p.Key),
			Detail: p.Detail, Loss: p.Loss, Repaired: p.Repaired,
		})
	}
	return out, err
}

// readRow is where an earlier rehash was stopped; 0 if none was, or if the
// note is not readable: it only saves time.
func readRow(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	row, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || row < 0 {
		return 0
	}
	return row
}

func saveRow(file string, row int64) error {
	if row == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the note of how far the rehash came: %w", err)
		}
		return nil
	}
	if err := os.WriteFile(file, []byte(strconv.FormatInt(row, 10)+"\n"), 0o600); err != nil {
		return fmt.Errorf("note how far the rehash came: %w", err)
	}
	return nil
}

// Backup copies the registry into a folder of this machine.
func (u *Upkeep) Backup(ctx context.Context, o v1.BackupOptions, tell func(v1.Progress)) (v1.BackupReport, error) {
	out := v1.BackupReport{Dir: o.Dir}
	if inside(u.c.Data, o.Dir) {
		return out, oci.Errorf(oci.CodeRequestInvalid, "the folder of the backup lies in the data folder: a backup must be elsewhere, best on another disk")
	}
	var r backup.Report
	err := u.registry.Still(func() error {
		src, err := u.source(ctx)
		if err != nil {
			return err
		}
		if o.WithKeys {
			if src.Secrets, err = u.secrets(); err != nil {
				return err
			}
		}
		r, err = backup.Write(ctx, src, o.Dir, progress(tell))
		return err
	})
	out.Taken, out.Blobs, out.Copied, out.Removed, out.Bytes, out.Keys = r.Taken, r.Blobs, r.Copied, r.Removed, r.Bytes, r.Keys
	return out, err
}

// inside tells whether path lies in dir.
func inside(dir, path string) bool {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(abs, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (s *server) backupSource(ctx context.Context) (backup.Source, error) {
	blobs, _, err := s.database.Inspection.Counts(ctx)
	return backup.Source{
		Snapshot: s.database.Snapshot.Snapshot, Keys: s.database.Snapshot.Keys, Unknown: s.database.Garbage.UnknownKeys,
		Blobs: s.blobs, Total: blobs,
	}, err
}

// secretFiles are the keys and the operator's token, by where they lie in a
// backup.
func (s *server) secretFiles() (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(s.c.Keys, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(s.c.Keys, path)
		files[filepath.Join("keys", rel)] = path
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the keys to back up: %w", err)
	}
	if s.c.OperatorTokenFile == "" {
		files[operatorFile] = filepath.Join(s.c.Data, operatorFile)
	}
	return files, nil
}

// Restore copies a backup into the data folder of the configuration, which
// must not hold a registry.
func Restore(ctx context.Context, dir string, c config.Config, tell func(v1.Progress)) (v1.BackupReport, error) {
	out := v1.BackupReport{Dir: dir}
	if _, err := backup.ReadInfo(dir); err != nil { // before anything is made
		return out, err
	}
	unlock, err := openData(c.Data)
	if err != nil {
		return out, err
	}
	r, err := backup.Restore(ctx, dir, backup.Target{
		Catalog: filepath.Join(c.Data, databaseFile), Blobs: filepath.Join(c.Data, blobFolder),
		Secrets: func(name string) string {
			if rel, ok := strings.CutPrefix(name, "keys"+string(filepath.Separator)); ok {
				return filepath.Join(c.Keys, rel)
			}
			return filepath.Join(c.Data, name)
		},
	}, progress(tell))
	out.Taken, out.Blobs, out.Copied, out.Bytes, out.Keys = r.Taken, r.Blobs, r.Copied, r.Bytes, r.Keys
	return out, errors.Join(err, unlock())
}
