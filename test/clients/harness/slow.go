package harness

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// StartSlow runs a server to which clients send no more than so many bytes a
// second per connection.
func StartSlow(t testing.TB, rate int) *Server {
	t.Helper()
	s, l := startBehind(t, nil)
	target := s.Host
	var lines sync.WaitGroup
	lines.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			// Idle ones, too, end with the test.
			context.AfterFunc(t.Context(), func() { _ = client.Close() })
			lines.Go(func() { relay(client, target, rate) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		lines.Wait()
	})
	s.reachedBy(l)
	return s
}

// relay carries one connection until either end is gone.
func relay(client net.Conn, target string, rate int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	const steps = 20
	for piece := make([]byte, max(rate/steps, 1)); ; time.Sleep(time.Second / steps) {
		n, err := client.Read(piece)
		if _, werr := server.Write(piece[:n]); errors.Join(err, werr) != nil {
			break
		}
	}
	_ = server.Close()
	<-answered
}
