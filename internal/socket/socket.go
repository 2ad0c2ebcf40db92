package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
)

// mode lets only the owner connect.
const mode = 0o600

// Listen makes the socket and listens. What an ended process left at path is
// replaced, so the caller must hold the lock of the folder; any other kind of
// file is an error. Close removes the socket. log hears of refused peers.
func Listen(ctx context.Context, path string, log *slog.Logger) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	address, release, err := short(path)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	lc := net.ListenConfig{Control: restrict}
	inner, err := lc.Listen(ctx, "unix", address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the control socket %s: %w", path, err), release())
	}
	l := &listener{Listener: inner, release: sync.OnceValue(release), log: log}
	if err := os.Chmod(path, mode); err != nil { // where restrict has no effect
		return nil, errors.Join(fmt.Errorf("make the control socket: %w", err), l.Close())
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is no socket: move it away", path)
	}
	return os.Remove(path)
}

// restrict sets the mode that the file will be born with, where the kernel
// takes it from the socket (Linux): there is no moment at which others could
// connect, and no change of the process's umask.
func restrict(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = fchmod(fd) }), err)
}

type listener struct {
	net.Listener
	release func() error // once: a number of a file is used again
	log     *slog.Logger
}

// Accept gives the next connection of a peer that may connect.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err = admit(conn); err == nil {
			return conn, nil
		}
		l.log.Warn("refused a connection to the control socket", "error", err)
		if err := conn.Close(); err != nil {
			l.log.Debug("a refused connection does not close", "error", err)
		}
	}
}

func (l *listener) Close() error {
	return errors.Join(l.Listener.Close(), l.release())
}

// Dial connects to the socket at path. fs.ErrNotExist: there is none;
// syscall.ECONNREFUSED: nobody listens any more; fs.ErrPermission: it belongs
// to another user.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	address, release, err := short(path)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", address)
	if err := errors.Join(err, release()); err != nil {
		if conn != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return nil, err
	}
	return conn, nil
}
