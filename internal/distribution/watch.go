package distribution

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

// lookAgain is how often a token is looked at while a body is under way: a
// push or pull of hours must not outlive the revocation of its token. With
// the second that another replica may need to hear of it that is within two.
const lookAgain = 500 * time.Millisecond

// watch looks at the token while a body is under way, also while the client
// sends or takes nothing.
type watch struct {
	x     *exchange
	wake  func() // ends what waits for the client
	mu    sync.Mutex
	timer *time.Timer
	over  bool  // the request has been answered: its connection may serve another
	cause error // why the body must end
}

// watchBody begins to look, once; unwatch ends it.
func (x *exchange) watchBody(wake func()) {
	if x.watch != nil || x.credential == "" {
		return
	}
	w := &watch{x: x, wake: wake}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(lookAgain, w.look)
	x.watch = w
}

func (x *exchange) unwatch() {
	if x.watch == nil {
		return
	}
	x.watch.mu.Lock()
	defer x.watch.mu.Unlock()
	x.watch.over = true
	x.watch.timer.Stop()
}

func (w *watch) look() {
	err := w.x.lost()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case err != nil:
		w.cause = err
		w.wake()
	default:
		w.timer.Reset(lookAgain)
	}
}

// ended is why the body must end, nil if it may go on.
func (x *exchange) ended() error {
	if x.watch == nil {
		return nil
	}
	x.watch.mu.Lock()
	defer x.watch.mu.Unlock()
	return x.watch.cause
}

// until sets a deadline, unless the body must end.
func (x *exchange) until(set func(time.Time) error, t time.Time) {
	if x.watch != nil {
		x.watch.mu.Lock()
		defer x.watch.mu.Unlock()
		if x.watch.cause != nil {
			return
		}
	}
	_ = set(t) // not every writer has one
}

// lost says why the request's principal may no longer do what it has begun:
// the token was revoked, or a namespace is gone. That the token has expired
// meanwhile does not matter. It changes nothing of the exchange, which goes on
// beside it.
func (x *exchange) lost() error {
	if _, _, err := x.verify(x.credential); err != nil {
		return err
	}
	action := oci.ActionPull
	if isPush[x.req.Kind] {
		action = oci.ActionPush
	}
	if d := x.viewer.Policy.Explain(x.viewer.Principal, oci.RepoScope(x.req.Repo, action)); !d.Allowed {
		return &access.Error{Code: oci.CodeDenied, Reason: d.Reason}
	}
	return nil
}

// past wakes what has it as its deadline.
var past = time.Unix(1, 0)

// stopReading ends the wait for more of the request's body.
func (x *exchange) stopReading() {
	_ = http.NewResponseController(x.w).SetReadDeadline(past) // not every writer has deadlines; then a look after each read must do
}

// stopSending ends the answer's body. The connection goes at once: what waits
// in the kernel for a slow reader, which may be minutes' worth, is not sent any
// more. A connection of HTTP/2 has other streams; of this one no more is sent
// than its window.
func (x *exchange) stopSending() {
	c, ok := x.r.Context().Value(connKey{}).(*net.TCPConn)
	if !ok || x.r.ProtoMajor > 1 {
		_ = http.NewResponseController(x.w).SetWriteDeadline(past) // as above
		return
	}
	_ = c.SetLinger(0)
	_ = c.Close()
}

type connKey struct{}

// ConnContext is for the http.Server that serves a Handler: it lets an answer
// be cut off.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}
