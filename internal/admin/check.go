package admin

import (
	"context"
	"path/filepath"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// Pages of lists.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Checked refuses options that make no sense before u sees them, and gives
// pages their default size: behind it names are valid, and exactly one thing
// is chosen where one must be. New puts it before every Upkeep. Errors:
// REQUEST_INVALID, NAME_INVALID, MANIFEST_INVALID, DIGEST_INVALID.
func Checked(u Upkeep) Upkeep { return checked{u} }

type checked struct{ Upkeep }

func invalid(format string, args ...any) error {
	return oci.Errorf(oci.CodeRequestInvalid, format, args...)
}

func (c checked) Sweep(ctx context.Context, o v1.SweepOptions, progress func(v1.Progress)) (v1.SweepReport, error) {
	switch {
	case o.OlderThan < 0:
		return v1.SweepReport{}, invalid("olderThan is negative: give an age")
	case o.Untagged && o.OlderThan == 0:
		return v1.SweepReport{}, invalid("untagged needs olderThan: how long a manifest must have been neither pushed nor pulled")
	case o.OlderThan > 0 && !o.Untagged:
		return v1.SweepReport{}, invalid("olderThan is about untagged manifests: add untagged")
	}
	return c.Upkeep.Sweep(ctx, o, progress)
}

func (c checked) Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error) {
	if err := checkTrash(&q); err != nil {
		return v1.TrashPage{}, err
	}
	return c.Upkeep.Trash(ctx, q)
}

func checkTrash(q *v1.TrashQuery) error {
	if err := checkPlace(q.Repository, q.Namespace); err != nil {
		return err
	}
	if err := checkName(q.Name); err != nil {
		return err
	}
	return checkLimit(&q.Limit)
}

func (c checked) Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error) {
	if err := checkRestore(&o); err != nil {
		return v1.RestoreReport{}, err
	}
	return c.Upkeep.Restore(ctx, o)
}

func checkRestore(o *v1.RestoreOptions) error {
	named := o.Repository != "" || o.Namespace != "" || o.Name != ""
	switch {
	case o.ID < 0:
		return invalid("id %d is no entry of the trash: list them", o.ID)
	case o.ID > 0 && named:
		return invalid("give an entry's id or the name of what is in it, not both")
	case o.ID == 0 && o.Repository == "" && o.Namespace == "":
		return invalid("say what to restore: an entry's id, a repository (with the name of a tag or a digest), or a namespace")
	case o.Namespace != "" && o.Name != "":
		return invalid("the name of a tag or a digest needs its repository, not a namespace")
	}
	if err := checkPlace(o.Repository, o.Namespace); err != nil {
		return err
	}
	return checkName(o.Name)
}

func (c checked) Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error) {
	if err := checkPurge(&o); err != nil {
		return v1.PurgeReport{}, err
	}
	return c.Upkeep.Purge(ctx, o)
}

func checkPurge(o *v1.PurgeOptions) error {
	if o.ID < 0 || (o.ID > 0) == o.All {
		return invalid("say what to purge: an entry's id, or all")
	}
	return nil
}

func (c checked) Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error) {
	if o.Repository == "" && o.Namespace == "" {
		return v1.TrashEntry{}, invalid("say what to remove: a repository or a namespace")
	}
	if err := checkPlace(o.Repository, o.Namespace); err != nil {
		return v1.TrashEntry{}, err
	}
	return c.Upkeep.Remove(ctx, o)
}

func (c checked) History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	if err := checkHistory(&q); err != nil {
		return v1.HistoryPage{}, err
	}
	return c.Upkeep.History(ctx, q)
}

func checkHistory(q *v1.HistoryQuery) error {
	if _, err := oci.ParseRepo(q.Repository); err != nil {
		return err
	}
	if q.Tag != "" {
		if _, err := oci.ParseTag(q.Tag); err != nil {
			return err
		}
	}
	return checkLimit(&q.Limit)
}

func (c checked) Fsck(ctx context.Context, o v1.FsckOptions, progress func(v1.Progress)) (v1.FsckReport, error) {
	switch {
	case o.Rate < 0:
		return v1.FsckReport{}, invalid("rate is negative: give bytes per second, or 0 for no limit")
	case !o.Rehash && o.Restart:
		return v1.FsckReport{}, invalid("restart is about rehash: add rehash")
	case !o.Rehash && o.Rate > 0:
		return v1.FsckReport{}, invalid("rate is about rehash: add rehash")
	}
	return c.Upkeep.Fsck(ctx, o, progress)
}

func (c checked) Backup(ctx context.Context, o v1.BackupOptions, progress func(v1.Progress)) (v1.BackupReport, error) {
	if !filepath.IsAbs(o.Dir) {
		return v1.BackupReport{}, invalid("dir %q is no absolute path: the server has another working folder than you", oci.Clip(o.Dir))
	}
	o.Dir = filepath.Clean(o.Dir)
	return c.Upkeep.Backup(ctx, o, progress)
}

func (c checked) RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error) {
	if o.ID == "" {
		return v1.RetireReport{}, invalid("say which key to retire: give its id")
	}
	return c.Upkeep.RetireKey(ctx, o)
}

// checkListed checks what is listed; all is fine.
func checkListed(q *v1.PlaceQuery) error { return checkPlace(q.Repository, q.Namespace) }

// checkImage checks an image's name.
func checkImage(r *v1.ImageRef) error {
	if _, err := oci.ParseRepo(r.Repository); err != nil {
		return err
	}
	_, err := oci.ParseRef(r.Reference)
	return err
}

func checkDigests(q *v1.DigestQuery) error {
	_, err := oci.ParseRepo(q.Repository)
	return err
}

func checkTag(o *v1.TagOptions) error {
	if err := checkImage(&o.ImageRef); err != nil {
		return err
	}
	_, err := oci.ParseTag(o.Tag)
	return err
}

func checkCopy(o *v1.CopyOptions) error {
	if err := checkImage(&o.From); err != nil {
		return err
	}
	if _, err := oci.ParseRepo(o.To.Repository); err != nil {
		return err
	}
	if o.To.Reference == "" {
		return nil
	}
	_, err := oci.ParseTag(o.To.Reference)
	return err
}

// checkPlace checks a repository or a namespace; neither is fine.
func checkPlace(repository, namespace string) error {
	switch {
	case repository != "" && namespace != "":
		return invalid("give a repository or a namespace, not both")
	case repository != "":
		_, err := oci.ParseRepo(repository)
		return err
	case strings.Contains(namespace, "/"):
		return invalid("the namespace %q has a '/': it is the first part of a repository's name", oci.Clip(namespace))
	case namespace != "":
		_, err := oci.ParseRepo(namespace)
		return err
	}
	return nil
}

// checkName checks a tag or a digest; none is fine.
func checkName(name string) error {
	if name == "" {
		return nil
	}
	_, err := oci.ParseRef(name)
	return err
}

func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = DefaultLimit
	}
	if *limit < 1 || *limit > MaxLimit {
		return invalid("limit is %d: a page has 1 to %d entries", *limit, MaxLimit)
	}
	return nil
}
