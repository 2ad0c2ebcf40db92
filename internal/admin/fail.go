package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	// challenge asks for a token as the password, whatever the name.
	challenge = `Basic realm="fairlead", charset="UTF-8"`
	// retryAfter is what a client is asked to wait, in seconds.
	retryAfter = "5"
)

// statusError is a refusal of this surface that the protocol has no code for.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// problem says what an error means to the client. The cause of an internal
// one is for who owns the data folder; others get the request's id.
func (x *exchange) problem(err error) v1.Problem {
	p := v1.Problem{Status: http.StatusInternalServerError}
	var known *oci.Error
	var refused *statusError
	switch {
	case errors.As(err, &known):
		p.Status, p.Detail, p.Code = known.Code.Status(), known.Error(), string(known.Code)
	case errors.As(err, &refused):
		p.Status, p.Detail = refused.status, refused.text
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Code = http.StatusServiceUnavailable, string(oci.CodeUnavailable)
		p.Detail = "the server is stopping and has ended the job: start it again when the server is back"
	case x.o.Upkeep != nil:
		p.Detail = err.Error()
	default:
		p.Detail = "internal error: tell the operator the request id " + observe.FromContext(x.r.Context()).ID
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// fail ends an error: the one place of this surface that answers with a
// status of 400 or more.
func (x *exchange) fail(err error) {
	x.err = err
	p := x.problem(err)
	if x.started { // the status is out: the error is the last line
		x.line(v1.Line{Error: &p})
		return
	}
	h := x.w.Header()
	h.Del("ETag")
	h.Del("Location")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", challenge)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte(`{"status":500,"title":"Internal Server Error"}`)
	}
	x.answer(p.Status, v1.ProblemType, body)
}
