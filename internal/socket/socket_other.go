//go:build !linux

package socket

import (
	"fmt"
	"net"
)

// longest path that every other system accepts.
const longest = 103

func fchmod(uintptr) error { return nil } // refused there; Listen's chmod does it

func short(path string) (address string, release func() error, err error) {
	if len(path) > longest {
		return "", nil, fmt.Errorf("the path %s has %d bytes, a socket's may have %d: choose a shorter data folder", path, len(path), longest)
	}
	return path, func() error { return nil }, nil
}

// admit leaves it to the file's permission.
func admit(net.Conn) error { return nil }
