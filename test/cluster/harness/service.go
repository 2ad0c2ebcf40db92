package harness

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// There is no kube-proxy: addresses of services are loopback addresses of a
// range of this cluster's own, where a test forwards what it needs. Pods are on
// the machine's network, and so reach them as they would in a cluster.

// serviceRange draws the range, as its first three numbers.
func serviceRange() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // it never fails
	return fmt.Sprintf("127.%d.%d", 64+b[0]%128, b[1])
}

// apiAddress is where pods look for the API server.
func (c *Kubernetes) apiAddress() string { return c.services + ".1" }

// ServeAPI lets pods reach the API server by its service, until the test ends.
func (c *Kubernetes) ServeAPI(t testing.TB) {
	t.Helper()
	at, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Forward(t, net.JoinHostPort(c.apiAddress(), "443"), at.Host)
}

// Ports waits until no other test of this machine runs a controller as a pod,
// and keeps others waiting until the test ends: on the machine's network its
// ports are the same for all clusters.
func Ports(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "fairlead-test-ports.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}

// Forward is what kube-proxy does for one address of a service, until the test
// ends. It gives the address: the port 0 is some free one.
func (c *Kubernetes) Forward(t testing.TB, from, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatalf("forwarding a service: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go relay(conn, to)
			}
		}
	}()
	return l.Addr().String()
}

// hosts is the file that the node has as /etc/hosts, and pods a copy of.
func (c *Kubernetes) hosts() string { return filepath.Join(c.dir, "hosts") }

// Host gives an address a name on the node, and in pods that start from then
// on, until the test ends. RunThere runs who is to know it as well.
func (c *Kubernetes) Host(t testing.TB, name, address string) {
	t.Helper()
	if c.node == nil {
		t.Fatal("Host needs a node")
	}
	before, err := os.ReadFile(c.hosts())
	if err != nil {
		t.Fatal(err)
	}
	// In place: the node sees this very file.
	if err := os.WriteFile(c.hosts(), fmt.Appendf(before, "%s %s\n", address, name), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(c.hosts(), before, 0o600) })
}

// RunThere is Run where names are those of the node.
func (n *Namespace) RunThere(stdin, program string, args ...string) Result {
	n.t.Helper()
	const there = `mount --bind "$0" /etc/hosts && exec "$@"`
	return n.Run(stdin, "unshare", append([]string{"--mount", "sh", "-c", there, n.c.hosts(), program}, args...)...)
}

func relay(conn net.Conn, to string) {
	defer func() { _ = conn.Close() }()
	other, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = other.Close() }()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{conn, other}, {other, conn}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done
}
