package distribution

import (
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
// sends or takes nothing: what waits for it then is woken by a deadline that
// has passed.
type watch struct {
	x     *exchange
	wake  func(time.Time) error
	mu    sync.Mutex
	timer *time.Timer
	over  bool  // the request has been answered: its connection may serve another
	cause error // why the body must end
}

// watchBody begins to look, once; unwatch ends it. wake sets the deadline of
// what the body waits for.
func (x *exchange) watchBody(wake func(time.Time) error) {
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
		_ = w.wake(time.Unix(1, 0)) // not every writer has deadlines; then a look after each step must do
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

// cut ends the connection at once: what still waits in the kernel for a slow
// reader, which may be minutes' worth, is not sent any more. A connection of
// HTTP/2 has other streams; there only the flow window is sent.
func (x *exchange) cut() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn() // TLS would take leave of the reader first
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}
