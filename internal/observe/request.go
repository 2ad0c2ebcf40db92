package observe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
)

// Request is what is known about one request. The middleware makes it and
// fills ID and Client; the handler, in the request's own goroutine, fills the
// rest before it returns.
type Request struct {
	ID     string     // names the request in the log and in answers of 500
	Client netip.Addr // see Proxies.Client
	Agent  string     // the client's program as it calls itself, clipped

	Route     string // label of the metrics: one of a few constants, never a path
	Principal string // who asked, such as "operator"
	Repo      string
	Error     error // why it failed; its text goes to the log only
	Quiet     bool  // the line is written at debug level: probes, metrics
}

type requestKey struct{}

// FromContext gives the record of the request that ctx belongs to, and outside
// of one a record that nobody reads. It is never nil.
func FromContext(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// ids makes request ids: a random word per process, then a counter. They are
// names, not secrets.
type ids struct {
	prefix string
	next   atomic.Uint64
}

func newIDs() *ids {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return &ids{prefix: hex.EncodeToString(b[:]) + "-"}
}

func (g *ids) New() string {
	var b [40]byte
	return string(strconv.AppendUint(append(b[:0], g.prefix...), g.next.Add(1), 10))
}

// id takes the id that a trusted proxy has given the request, or a new one.
func (o *Observer) id(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && len(o.proxies) > 0 &&
		plainID(given[0]) && o.proxies.Trusted(peer(r.RemoteAddr)) {
		return given[0]
	}
	return o.ids.New()
}

// plainID says whether an id from outside is short and harmless in a log.
func plainID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
