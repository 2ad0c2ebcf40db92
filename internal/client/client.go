// Package client speaks the management API to a running server, over the
// control socket in its data folder. A Client's methods are those that a
// server's own upkeep has, so the command line need not know which of the two
// it holds.
package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/socket"
)

// ErrNoServer says that no server listens on the socket.
var ErrNoServer = errors.New("no server runs")

// dialTime is how long a server may take to accept a connection.
const dialTime = 10 * time.Second

// Error is what a server answered instead of what was asked for. Its text is
// the server's sentence.
type Error struct{ v1.Problem }

func (e *Error) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	return "the server answered " + strconv.Itoa(e.Status) + " " + e.Title
}

// Client is safe for use by several goroutines. Errors of its methods:
// *Error, ErrNoServer, and those of the context.
type Client struct {
	path string
	http *http.Client
}

// Socket makes a client of the server that listens on the socket at path. It
// touches nothing.
func Socket(path string) *Client {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}}
	return c
}

// Ping says whether a server listens. Errors: ErrNoServer; fs.ErrPermission
// when the socket is another user's.
func (c *Client) Ping(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := socket.Dial(ctx, c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	case err != nil:
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	return conn, nil
}

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

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// values makes a query of names and values, without the empty ones.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
