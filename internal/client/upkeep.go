package client

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
)

// Sweep removes what nobody needs.
func (c *Client) Sweep(ctx context.Context, o v1.SweepOptions, progress func(v1.Progress)) (v1.SweepReport, error) {
	return run[v1.SweepReport](ctx, c, "/api/v1/upkeep/sweep", o, progress)
}

// Fsck holds the catalog and the store against each other.
func (c *Client) Fsck(ctx context.Context, o v1.FsckOptions, progress func(v1.Progress)) (v1.FsckReport, error) {
	return run[v1.FsckReport](ctx, c, "/api/v1/upkeep/fsck", o, progress)
}

// Backup copies the registry into a folder of the server's machine.
func (c *Client) Backup(ctx context.Context, o v1.BackupOptions, progress func(v1.Progress)) (v1.BackupReport, error) {
	return run[v1.BackupReport](ctx, c, "/api/v1/upkeep/backup", o, progress)
}

// Trash lists what was deleted.
func (c *Client) Trash(ctx context.Context, q v1.TrashQuery) (v1.TrashPage, error) {
	return read[v1.TrashPage](ctx, c, "/api/v1/trash", values(
		"repository", q.Repository, "namespace", q.Namespace, "name", q.Name, "next", q.Next, "limit", number(q.Limit)))
}

// History lists what tags named.
func (c *Client) History(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	return read[v1.HistoryPage](ctx, c, "/api/v1/history", values(
		"repository", q.Repository, "tag", q.Tag, "next", q.Next, "limit", number(q.Limit)))
}

// Restore brings something back from the trash.
func (c *Client) Restore(ctx context.Context, o v1.RestoreOptions) (v1.RestoreReport, error) {
	return post[v1.RestoreReport](ctx, c, "/api/v1/trash/restore", o)
}

// Purge empties the trash, or forgets one entry.
func (c *Client) Purge(ctx context.Context, o v1.PurgeOptions) (v1.PurgeReport, error) {
	return post[v1.PurgeReport](ctx, c, "/api/v1/trash/purge", o)
}

// Remove moves a repository or a namespace to the trash.
func (c *Client) Remove(ctx context.Context, o v1.RemoveOptions) (v1.TrashEntry, error) {
	return post[v1.TrashEntry](ctx, c, "/api/v1/upkeep/remove", o)
}

// Keys lists the server's keys. It is answered on the control socket only.
func (c *Client) Keys(ctx context.Context) (v1.ServerKeys, error) {
	return read[v1.ServerKeys](ctx, c, "/api/v1/upkeep/keys", nil)
}

// RotateKeys makes new keys, which are the current ones from then on. It is
// answered on the control socket only.
func (c *Client) RotateKeys(ctx context.Context) (v1.ServerKeys, error) {
	return post[v1.ServerKeys](ctx, c, "/api/v1/upkeep/keys/rotate", nil)
}

// RetireKey ends a key. It is answered on the control socket only. Errors:
// NOT_FOUND; CONFLICT when tokens need it and Revoke is not set.
func (c *Client) RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error) {
	return post[v1.RetireReport](ctx, c, "/api/v1/upkeep/keys/retire", o)
}
