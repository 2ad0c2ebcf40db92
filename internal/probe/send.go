package probe

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
)

const (
	// mostWords is how many bytes of errors, tokens and lists are read,
	// mostManifest of manifests and configs.
	mostWords    = 64 << 10
	mostManifest = 4 << 20
	mostHops     = 4
	// longestWait is the largest Retry-After that is believed.
	longestWait = 24 * time.Hour
)

// session is what one Ask knows.
type session struct {
	p      *Prober
	image  diagnosis.Image
	scheme string
	// local says that the registry is on loopback.
	local   bool
	secrets secrets
	// used are the Authorization headers of the attempts, by Index+1.
	used []string
}

type request struct {
	method string
	url    *url.URL
	// authorization is sent to url's own host only.
	authorization string
	accept        string
	most          int64
}

// reply is the last answer to a request.
type reply struct {
	// outcome is "" if an answer came, of whatever status.
	outcome diagnosis.Outcome
	status  int
	header  http.Header
	body    []byte
	// home says that the host that was asked answered, not one that it
	// redirected to.
	home bool
}

// send makes a request and writes it, and what it was redirected to, into the
// log.
func (s *session) send(ctx context.Context, log *[]diagnosis.Exchange, q request) reply {
	asked := q.url
	for hop := range mostHops {
		r, x := s.exchange(ctx, q)
		if x.URL = q.url.String(); hop > 0 {
			x.URL = shown(q.url)
		}
		r.home = hop == 0 || sameHost(asked, q.url)
		next, why := s.redirected(r, q.url)
		if why == "" && next != nil && hop == mostHops-1 {
			why = "it redirects on and on"
		}
		if why != "" {
			x.Error, r.outcome = why, diagnosis.ServerError
		}
		*log = append(*log, x)
		if next == nil || why != "" {
			return r
		}
		if !sameHost(next, q.url) {
			q.authorization = "" // for good: a way back does not restore it
		}
		q.url = next
	}
	return reply{outcome: diagnosis.ServerError} // not reached: the last hop returns
}

// sameHost says whether what one URL is sent may be sent to the other. Go's
// own client would send it to subdomains, too.
func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// redirected gives where an answer leads; nil if nowhere, and why it is not
// followed if it is not.
func (s *session) redirected(r reply, from *url.URL) (next *url.URL, why string) {
	switch r.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, ""
	}
	u, err := from.Parse(r.header.Get("Location"))
	if err != nil || r.header.Get("Location") == "" {
		return nil, "it redirects to nowhere"
	}
	if why := s.refuses(u); why != "" {
		return nil, "it redirects to " + shown(u) + ", which " + why
	}
	return u, ""
}

// shown is a URL that somebody else made, without what may be a secret: the
// signatures of stores stand in the query.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// refuses says why nothing is sent to a URL that the registry named; "" if it
// may be.
func (s *session) refuses(u *url.URL) string {
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return "is not the URL of a server"
	case u.User != nil:
		return "holds a user name"
	case u.Scheme == "http" && (s.scheme != "http" || !loopback(u.Hostname())):
		return "is plain HTTP"
	}
	return ""
}

// exchange makes one request.
func (s *session) exchange(ctx context.Context, q request) (reply, diagnosis.Exchange) {
	x := diagnosis.Exchange{Method: q.method}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.p.o.Timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	r := reply{}
	res, err := s.roundTrip(ctx, q)
	if err == nil {
		defer res.Body.Close()
		r.status, r.header = res.StatusCode, res.Header
		r.body, err = io.ReadAll(io.LimitReader(res.Body, q.most+1))
	}
	x.Took = time.Since(begun)
	if err != nil {
		x.Error, r.outcome = err.Error(), outcomeOf(err, connected.Load())
		x.Status = r.status
		return r, x
	}
	if int64(len(r.body)) > q.most {
		r.body = nil
		r.outcome, x.Error = diagnosis.ServerError, "the answer is longer than "+strconv.FormatInt(q.most, 10)+" bytes"
	}
	s.note(&x, r)
	return r, x
}

func (s *session) roundTrip(ctx context.Context, q request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), http.NoBody)
	if err != nil {
		return nil, errors.New("this URL cannot be asked for") // the error would repeat it
	}
	if s.p.o.UserAgent != "" {
		req.Header.Set("User-Agent", s.p.o.UserAgent)
	}
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	if q.authorization != "" {
		req.Header.Set("Authorization", q.authorization)
	}
	t := s.p.checking
	if s.local && loopback(q.url.Hostname()) {
		t = s.p.trusting
	}
	// The transport itself: a client would follow redirects.
	return t.RoundTrip(req)
}

// note writes down what an answer says.
func (s *session) note(x *diagnosis.Exchange, r reply) {
	x.Status = r.status
	x.Challenge = strings.Join(r.header.Values("WWW-Authenticate"), ", ")
	x.Warning = warnings(r.header.Values("Warning"))
	x.RetryAfter = retryAfter(r.header.Get("Retry-After"), time.Now())
	if r.status >= http.StatusBadRequest {
		x.Code, x.Message = words(r)
	}
}

// words reads the first error of an error body: the protocol's, or the single
// one of some token endpoints.
func words(r reply) (code, message string) {
	var body struct {
		Errors         []struct{ Code, Message string }
		Code, Message  string
		Error, Details any
	}
	t, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	if json.Unmarshal(r.body, &body) != nil {
		if t == "text/plain" {
			return "", strings.TrimSpace(string(r.body))
		}
		return "", ""
	}
	if len(body.Errors) > 0 {
		return body.Errors[0].Code, body.Errors[0].Message
	}
	if d, ok := body.Details.(string); ok && body.Message == "" { // Docker Hub's token endpoint
		body.Message = d
	}
	if e, ok := body.Error.(string); ok && body.Code == "" { // OAuth's
		body.Code = e
	}
	return body.Code, body.Message
}

// warnings gives the texts of Warning headers. Source: RFC 7234 5.5.
func warnings(values []string) string {
	var texts []string
	for _, v := range values {
		if _, text, ok := strings.Cut(v, `"`); ok {
			v = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.TrimSuffix(strings.TrimSpace(text), `"`))
		}
		texts = append(texts, v)
	}
	return strings.Join(texts, "; ")
}

// retryAfter reads seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		d = time.Duration(min(max(n, 0), int64(longestWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now).Round(time.Second)
	}
	return min(max(d, 0), longestWait)
}
