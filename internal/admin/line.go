package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
)

const (
	// pace is the shortest time between two lines of progress of one step.
	pace = 200 * time.Millisecond
	// patience is how long a client may take to accept a line. A stopped
	// client must not stop the job for longer.
	patience = 30 * time.Second
)

// lines throttles a job's progress. A step's first and last word are never
// left out.
type lines struct {
	x      *exchange
	broken func(error) // told when the client takes no more

	mu      sync.Mutex
	step    string
	sent    time.Time
	pending *v1.Progress
}

func (l *lines) progress(p v1.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if p.Step != l.step {
		l.send()
	} else if now.Sub(l.sent) < pace {
		l.pending = &p
		return
	}
	l.pending = &p
	l.send()
	l.step, l.sent = p.Step, now
}

// flush sends what was held back.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.send()
}

func (l *lines) send() {
	if l.pending == nil {
		return
	}
	l.x.line(v1.Line{Progress: l.pending})
	l.pending = nil
	if l.x.broken {
		l.broken(l.x.err)
	}
}

// line sends one line; the first one begins the answer. After one that could
// not be sent there are no more.
func (x *exchange) line(v v1.Line) {
	if x.broken {
		return
	}
	if err := x.send(v); err != nil {
		x.broken = true
		if x.err == nil {
			x.err = fmt.Errorf("send a line: %w", err)
		}
	}
}

func (x *exchange) send(v v1.Line) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	x.begin(v1.LinesType)
	return x.put(append(body, '\n'))
}

// begin sends the head of an answer of lines, once.
func (x *exchange) begin(contentType string) {
	if !x.started {
		x.started = true
		x.w.Header().Set("Content-Type", contentType)
		x.w.WriteHeader(http.StatusOK)
	}
}

// put sends whole lines within patience.
func (x *exchange) put(some []byte) error {
	c := http.NewResponseController(x.w)
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := x.w.Write(some); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{}) // the connection serves other requests, too
}
