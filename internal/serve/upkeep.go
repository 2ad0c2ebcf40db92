package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
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
	// Of a server that runs; nil otherwise.
	house   *house
	values  *account.ValueKeys
	signing *token.FileKeys
	record  func(context.Context, audit.Line)
}

// operator acts by the control socket.
func (u *Upkeep) operator() access.Principal {
	p, _ := operatorAsks(nil)
	return p
}

var _ admin.Upkeep = (*Upkeep)(nil)

// OpenUpkeep opens the data folder of a server that does not run. It is
// refused while one does.
func OpenUpkeep(ctx context.Context, c config.Config, log io.Writer) (admin.Upkeep, func() error, error) {
	if _, err := os.Stat(filepath.Join(c.Data, databaseFile)); err != nil {
		return nil, nil, fmt.Errorf("there is no registry in %s: %w; name its folder with --data", c.Data, err)
	}
	s := &server{o: Options{Config: c, Log: log, Out: io.Discard}, c: c}
	s.log = newLogger(s.o)
	for _, step := range []func(context.Context) error{s.openFolder, s.openStores} {
		if err := step(ctx); err != nil {
			return nil, nil, errors.Join(err, s.close())
		}
	}
	if err := s.buildRegistry(); err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return admin.Checked(s.upkeep()), s.close, nil
}

// upkeep of the open server.
func (s *server) upkeep() *Upkeep {
	return &Upkeep{
		c: s.c, registry: s.registry, source: s.backupSource, secrets: s.secretFiles,
		house: s.house, values: s.values, signing: s.keys, record: s.recorded,
	}
}

// operatorActs notes the operator as who acts.
func operatorActs(ctx context.Context) context.Context {
	return registry.WithActor(ctx, admin.Actor)
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

// cursor reads where a page that goes down by ID begins.
func cursor(next string) (before int64, err error) {
	if next == "" {
		return 0, nil
	}
	before, err = strconv.ParseInt(next, 10, 64)
	if err != nil || before <= 0 {
		return 0, oci.Errorf(oci.CodeRequestInvalid, "next is %q: it must be the next of the page before", oci.Clip(next))
	}
	return before, nil
}

// Trash lists what was deleted, newest first.
func (u *Upkeep) Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error) {
	out := v1.TrashPage{Items: []v1.TrashEntry{}}
	before, err := cursor(q.Next)
	if err != nil {
		return out, err
	}
	f, n := local.TrashFilter{Repo: oci.Repo(q.Repository), Namespace: q.Namespace, Name: q.Name}, q.Limit
	entries, err := u.registry.Trash(ctx, f, before, n+1)
	if err != nil {
		return out, err
	}
	if len(entries) > n {
		entries = entries[:n]
		out.Next = strconv.FormatInt(entries[n-1].ID, 10)
	}
	for _, e := range entries {
		out.Items = append(out.Items, u.entry(e))
	}
	return out, nil
}

func (u *Upkeep) entry(e local.TrashEntry) v1.TrashEntry {
	return v1.TrashEntry{
		ID: e.ID, Kind: string(e.Kind), Repository: string(e.Repo), Name: e.Name,
		Deleted: e.Deleted.UTC(), DeletedBy: e.By, Expires: u.registry.Expires(e).UTC(),
		Manifests: e.Manifests, Tags: e.Tags, Bytes: e.Bytes,
	}
}

// find is the entry by its ID, or the newest one that holds what is named.
func (u *Upkeep) find(ctx context.Context, o v1.RestoreOptions) (local.TrashEntry, error) {
	f, before := local.TrashFilter{Repo: oci.Repo(o.Repository), Namespace: o.Namespace, Name: o.Name}, int64(0)
	if o.ID != 0 {
		f, before = local.TrashFilter{}, o.ID+1
	}
	entries, err := u.registry.Trash(ctx, f, before, 1)
	if err != nil {
		return local.TrashEntry{}, err
	}
	if len(entries) == 0 || o.ID != 0 && entries[0].ID != o.ID {
		return local.TrashEntry{}, oci.Errorf(oci.CodeManifestUnknown, "the trash holds nothing of that: fairlead trash list shows what it holds")
	}
	return entries[0], nil
}

// Restore brings back what was deleted.
func (u *Upkeep) Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error) {
	e, err := u.find(ctx, o)
	if err != nil {
		return v1.RestoreReport{}, err
	}
	r, err := u.registry.Restore(operatorActs(ctx), e.ID, o.Overwrite)
	if err != nil {
		return v1.RestoreReport{}, err
	}
	out := v1.RestoreReport{Entry: u.entry(e), Manifests: r.Manifests, Tags: r.Tags}
	for _, c := range r.Conflicts {
		out.Conflicts = append(out.Conflicts, v1.TagConflict{
			Repository: string(c.Repo), Tag: string(c.Tag), Trashed: string(c.Trashed), Current: string(c.Current),
		})
	}
	return out, nil
}

// Purge forgets entries for good.
func (u *Upkeep) Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error) {
	if o.All {
		n, err := u.registry.PurgeAll(ctx)
		return v1.PurgeReport{Entries: n}, err
	}
	return v1.PurgeReport{Entries: 1}, u.registry.Purge(ctx, o.ID)
}

// Remove moves a repository or a namespace to the trash.
func (u *Upkeep) Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error) {
	var e local.TrashEntry
	var err error
	if o.Repository != "" {
		e, err = u.registry.DeleteRepository(operatorActs(ctx), oci.Repo(o.Repository))
	} else {
		e, err = u.registry.DeleteNamespace(operatorActs(ctx), o.Namespace)
	}
	return u.entry(e), err
}

// History lists the moves of tags, newest first.
func (u *Upkeep) History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	out := v1.HistoryPage{Items: []v1.TagMove{}}
	before, err := cursor(q.Next)
	if err != nil {
		return out, err
	}
	n := q.Limit
	moves, err := u.registry.TagMoves(ctx, oci.Repo(q.Repository), oci.Tag(q.Tag), before, n+1)
	if err != nil {
		return out, err
	}
	if len(moves) > n {
		moves = moves[:n]
		out.Next = strconv.FormatInt(moves[n-1].ID, 10)
	}
	for _, m := range moves {
		out.Items = append(out.Items, v1.TagMove{
			Repository: string(m.Repo), Tag: string(m.Tag), At: m.At.UTC(), By: m.By, From: string(m.From), To: string(m.To),
		})
	}
	return out, nil
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
