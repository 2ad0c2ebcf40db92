// Package socket is the two ends of a server's control socket: a file in the
// data folder that only the folder's owner may connect to. The file's
// permission is the authentication. Where the kernel tells who connects
// (Linux), the listener also refuses everybody but its own user and root, so
// that a socket whose mode was changed by accident stays closed.
//
// A path of any length works on Linux, although the kernel's own limit is
// 108 bytes.
package socket
