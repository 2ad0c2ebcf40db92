package management

import (
	"context"
	"strconv"
	"strings"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// cursor reads where a page that goes down by ID begins.
func cursor(next string) (before int64, err error) {
	if next == "" {
		return 0, nil
	}
	before, err = strconv.ParseInt(next, 10, 64)
	if err != nil || before <= 0 {
		return 0, invalid("next is %q: it must be the next of the page before", oci.Clip(next))
	}
	return before, nil
}

// filter selects entries of the trash that p may see: the operator all, an
// account those of its own, as it was when they were deleted.
func filter(p access.Principal, repository, namespace, name string) local.TrashFilter {
	return local.TrashFilter{
		Repo: oci.Repo(repository), Namespace: namespace, Name: name,
		AccountID: p.AccountID, Scoped: p.Kind != access.Operator,
	}
}

// handles tells whether p may restore the entry: who may push to its
// repository; a namespace is its admins'.
func (d *Desk) handles(p access.Principal, e local.TrashEntry) bool {
	if p.Kind == access.Operator {
		return true
	}
	if p.Kind != access.Account || e.AccountID != p.AccountID {
		return false
	}
	if e.Kind == local.TrashedNamespace || p.Level == access.Admin {
		return access.May(p, access.ManageNamespaces, p.AccountID).Allowed
	}
	return d.o.Policy.Explain(p, oci.RepoScope(e.Repo, oci.ActionPush)).Allowed
}

func (d *Desk) entry(e local.TrashEntry) v1.TrashEntry {
	return v1.TrashEntry{
		ID: e.ID, Kind: string(e.Kind), Repository: string(e.Repo), Name: e.Name, Deleted: e.Deleted.UTC(), DeletedBy: e.By,
		Expires: d.o.Registry.Expires(e).UTC(), Manifests: e.Manifests, Tags: e.Tags, Bytes: e.Bytes,
	}
}

// TrashOf lists what p can bring back, newest first.
func (d *Desk) TrashOf(ctx context.Context, p access.Principal, q v1.TrashQuery) (v1.TrashPage, error) {
	out := v1.TrashPage{Items: []v1.TrashEntry{}}
	before, err := cursor(q.Next)
	if err != nil {
		return out, err
	}
	f := filter(p, q.Repository, q.Namespace, q.Name)
	items, more, err := page(q.Limit, func(n int) ([]local.TrashEntry, error) {
		return d.o.Registry.Trash(ctx, f, before, n)
	})
	for _, e := range items {
		if d.handles(p, e) {
			out.Items = append(out.Items, d.entry(e))
		}
	}
	if more {
		out.Next = strconv.FormatInt(items[len(items)-1].ID, 10)
	}
	return out, err
}

// trashEntry finds an entry that p may handle: by its ID, or the newest of what
// is named.
func (d *Desk) trashEntry(ctx context.Context, p access.Principal, id int64, f local.TrashFilter) (local.TrashEntry, error) {
	before := int64(0)
	if id != 0 {
		f, before = filter(p, "", "", ""), id+1
	}
	entries, err := d.o.Registry.Trash(ctx, f, before, 1)
	if err != nil {
		return local.TrashEntry{}, err
	}
	if len(entries) == 0 || id != 0 && entries[0].ID != id || !d.handles(p, entries[0]) {
		return local.TrashEntry{}, oci.Errorf(oci.CodeNotFound, "the trash holds nothing of that: fairlead trash list shows what it holds")
	}
	return entries[0], nil
}

// line begins an audit line about an entry of the trash.
func line(ctx context.Context, p access.Principal, action string, e local.TrashEntry) audit.Line {
	l := account.Line(ctx, p, action)
	l.AccountID, l.Repository, l.Target = e.AccountID, string(e.Repo), e.Name
	l.Namespace = e.Repo.Namespace()
	if e.Kind == local.TrashedNamespace {
		l.Namespace = e.Name
	}
	l.Detail = "entry " + strconv.FormatInt(e.ID, 10)
	return l
}

func (d *Desk) record(ctx context.Context, l audit.Line, err error) {
	if err != nil {
		l.Outcome, l.Reason = audit.Failed, err.Error()
	}
	d.o.Record(ctx, l)
}

// RestoreFor brings back what was deleted.
func (d *Desk) RestoreFor(ctx context.Context, p access.Principal, o v1.RestoreOptions) (v1.RestoreReport, error) {
	e, err := d.trashEntry(ctx, p, o.ID, filter(p, o.Repository, o.Namespace, o.Name))
	if err != nil {
		return v1.RestoreReport{}, err
	}
	r, err := d.o.Registry.Restore(registry.WithActor(ctx, p.Name), e.ID, o.Overwrite)
	d.record(ctx, line(ctx, p, "trash.restore", e), err)
	if err != nil {
		return v1.RestoreReport{}, err
	}
	out := v1.RestoreReport{Entry: d.entry(e), Manifests: r.Manifests, Tags: r.Tags}
	for _, c := range r.Conflicts {
		out.Conflicts = append(out.Conflicts, v1.TagConflict{
			Repository: string(c.Repo), Tag: string(c.Tag), Trashed: string(c.Trashed), Current: string(c.Current),
		})
	}
	return out, d.o.Directory.Refresh(ctx) // a namespace may be there again
}

// PurgeFor forgets entries for good: admins only, as it cannot be undone.
func (d *Desk) PurgeFor(ctx context.Context, p access.Principal, o v1.PurgeOptions) (v1.PurgeReport, error) {
	if v := access.May(p, access.ManageNamespaces, p.AccountID); !v.Allowed {
		return v1.PurgeReport{}, oci.Errorf(oci.CodeDenied, "%s", v.Reason)
	}
	if !o.All {
		e, err := d.trashEntry(ctx, p, o.ID, local.TrashFilter{})
		if err != nil {
			return v1.PurgeReport{}, err
		}
		err = d.o.Registry.Purge(ctx, e.ID)
		d.record(ctx, line(ctx, p, "trash.purge", e), err)
		return v1.PurgeReport{Entries: 1}, err
	}
	var out v1.PurgeReport
	for {
		entries, err := d.o.Registry.Trash(ctx, filter(p, "", "", ""), 0, 100)
		if err != nil || len(entries) == 0 {
			return out, err
		}
		for _, e := range entries {
			err := d.o.Registry.Purge(ctx, e.ID)
			d.record(ctx, line(ctx, p, "trash.purge", e), err)
			if err != nil {
				return out, err
			}
			out.Entries++
		}
	}
}

// HistoryOf a repository's tags, newest first. An account sees what happened
// in the present life of its namespace.
func (d *Desk) HistoryOf(ctx context.Context, p access.Principal, q v1.HistoryQuery) (v1.HistoryPage, error) {
	out := v1.HistoryPage{Items: []v1.TagMove{}}
	before, err := cursor(q.Next)
	if err != nil {
		return out, err
	}
	repo := oci.Repo(q.Repository)
	var since time.Time
	if p.Kind != access.Operator {
		n, err := d.o.Registrar.Namespace(ctx, p, repo.Namespace())
		if err != nil || !d.o.Policy.Visible(p, repo) {
			return out, oci.Errorf(oci.CodeNameUnknown, "there is no repository %s here: list them (fairlead image list)", repo)
		}
		since = n.Created
	}
	items, more, err := page(q.Limit, func(n int) ([]local.TagMove, error) {
		return d.o.Registry.TagMoves(ctx, repo, oci.Tag(q.Tag), before, n)
	})
	for _, m := range items {
		if m.At.Before(since) {
			return out, err
		}
		out.Items = append(out.Items, v1.TagMove{
			Repository: string(m.Repo), Tag: string(m.Tag), At: m.At.UTC(), By: m.By, From: string(m.From), To: string(m.To),
		})
	}
	if more {
		out.Next = strconv.FormatInt(items[len(items)-1].ID, 10)
	}
	return out, err
}

// Audit lists who did what, newest first.
func (d *Desk) Audit(ctx context.Context, p access.Principal, q v1.AuditQuery) (v1.AuditPage, error) {
	out := v1.AuditPage{Items: []v1.AuditLine{}}
	before, err := cursor(q.Next)
	if err != nil {
		return out, err
	}
	f := audit.Filter{
		AccountID: p.AccountID, Scoped: p.Kind != access.Operator, TokenID: q.TokenID, Action: q.Action,
		Namespace: q.Namespace, Repository: q.Repository, Outcome: audit.Outcome(q.Outcome), Since: q.Since, Until: q.Until,
	}
	if strings.HasSuffix(q.Action, ".") {
		f.Action, f.ActionPrefix = "", q.Action
	}
	switch f.Outcome {
	case "", audit.Allowed, audit.Denied, audit.Failed:
	default:
		return out, invalid("outcome is %q: write allowed, denied or failed", oci.Clip(q.Outcome))
	}
	if v := access.May(p, access.ReadAudit, p.AccountID); !v.Allowed {
		return out, oci.Errorf(oci.CodeDenied, "%s", v.Reason)
	}
	if q.Account != "" {
		a, err := d.o.Registrar.Account(ctx, p, q.Account)
		if err != nil {
			return out, err
		}
		f.AccountID, f.Scoped = a.ID, true
	}
	lines, next, err := d.o.Lines.Lines(ctx, f, before, q.Limit)
	for _, l := range lines {
		out.Items = append(out.Items, v1.AuditLine{
			ID: l.ID, At: l.At.UTC(), Account: d.o.Directory.AccountName(l.AccountID), Actor: l.Actor, TokenID: l.TokenID,
			Action: l.Action, Namespace: l.Namespace, Repository: l.Repository, Target: l.Target, Outcome: string(l.Outcome),
			Reason: l.Reason, Detail: l.Detail, Address: l.Address, Client: l.Client, Request: l.Request, Count: l.Count,
		})
	}
	if next != 0 {
		out.Next = strconv.FormatInt(next, 10)
	}
	return out, err
}

// Usage by namespace.
func (d *Desk) Usage(ctx context.Context, p access.Principal, q v1.UsageQuery) (v1.UsagePage, error) {
	out := v1.UsagePage{Items: []v1.Usage{}}
	if q.Namespace != "" {
		n, err := d.o.Registrar.Namespace(ctx, p, q.Namespace)
		if err != nil {
			return out, err
		}
		u, err := d.usage(ctx, n)
		out.Items = append(out.Items, u)
		return out, err
	}
	items, more, err := page(q.Limit, func(n int) ([]account.Namespace, error) {
		return d.o.Registrar.NamespacePage(ctx, p, q.Account, q.Next, n)
	})
	if err != nil {
		return out, err
	}
	for _, n := range items {
		u, err := d.usage(ctx, n)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, u)
	}
	if more {
		out.Next = items[len(items)-1].Name
	}
	return out, nil
}

func (d *Desk) usage(ctx context.Context, n account.Namespace) (v1.Usage, error) {
	u, err := d.o.Overview.Usage(ctx, n.Name)
	return v1.Usage{
		Namespace: n.Name, Account: n.Account, Repositories: u.Repositories, Tags: u.Tags, Manifests: u.Manifests,
		Bytes: u.Bytes, TrashBytes: u.Trash, Pulls: u.Pulls, LastPull: optional(u.LastPull),
	}, err
}
