package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// statusError is a refusal of this surface that the protocol has no code for.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// problem says what an error means to the client.
func problem(err error) v1.Problem {
	p := v1.Problem{Status: http.StatusInternalServerError, Detail: err.Error()}
	var known *oci.Error
	var refused *statusError
	switch {
	case errors.As(err, &known):
		p.Status, p.Detail, p.Code = known.Code.Status(), known.Error(), string(known.Code)
	case errors.As(err, &refused):
		p.Status = refused.status
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Code = http.StatusServiceUnavailable, string(oci.CodeUnavailable)
		p.Detail = "the server is stopping and has ended the job: start it again when the server is back"
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// fail ends an error: the one place of this surface that answers with a
// status of 400 or more.
func (x *exchange) fail(err error) {
	x.err = err
	p := problem(err)
	if x.started { // the status is out: the error is the last line
		x.line(v1.Line{Error: &p})
		return
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte(`{"status":500,"title":"Internal Server Error"}`)
	}
	x.answer(p.Status, v1.ProblemType, body)
}
