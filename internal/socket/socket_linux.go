package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// longest path that fits sockaddr_un, with its final zero.
const longest = 107

func fchmod(fd uintptr) error {
	if err := unix.Fchmod(int(fd), mode); err != nil {
		return fmt.Errorf("restrict the socket: %w", err)
	}
	return nil
}

// short gives a name of the path that the kernel accepts, good until release.
func short(path string) (address string, release func() error, err error) {
	if len(path) <= longest {
		return path, func() error { return nil }, nil
	}
	dir, base := filepath.Split(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + base, func() error { return unix.Close(fd) }, nil
}

// admit asks the kernel who the peer is.
func admit(conn net.Conn) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("a connection of type %T", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var perr error
	err = raw.Control(func(fd uintptr) {
		peer, perr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, perr); err != nil {
		return fmt.Errorf("ask who connects: %w", err)
	}
	return allowed(peer.Uid, uint32(os.Geteuid()))
}

func allowed(peer, self uint32) error {
	if peer == self || peer == 0 {
		return nil
	}
	return fmt.Errorf("user %d may not control the server of user %d", peer, self)
}
