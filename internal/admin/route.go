package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

// door says who gets through to an operation.
type door int

const (
	signedIn door = iota // who has a token
	either               // as signedIn, or the socket where there is no Service
	socket               // the control socket only
	open                 // everybody
)

// operation is one line of the table that both the handler and the document
// are made of, so that they cannot disagree.
type operation struct {
	method, path string
	id           string // operationId
	group        string
	summary      string
	about        string
	door         door
	headers      []header   // of the request
	codes        []oci.Code // failures that not every operation has
	etag         bool       // the answer has one
	export       bool       // the answer may be JSON lines
	action
}

// header of a request.
type header struct{ name, about, pattern, example string }

// offered tells whether a handler with the options has the operation.
func (op operation) offered(o Options) bool {
	switch op.door {
	case socket:
		return o.Upkeep != nil
	case either:
		return o.Upkeep != nil || o.Service != nil
	case signedIn:
		return o.Service != nil
	default:
		return true
	}
}

// action is how an operation is done, and what goes in and out.
type action struct {
	query, body, answer reflect.Type // nothing where there is none
	statuses            []int
	lines               bool   // the answer is progress, then what it says
	media               string // of the answer, when it is not JSON
	serve               func(*exchange) error
}

// nothing is an empty query, body or answer.
type nothing struct{}

// ask answers a question that the query puts.
func ask[Q, A any](do func(*exchange, Q) (A, error)) action {
	return action{
		query: reflect.TypeFor[Q](), body: reflect.TypeFor[nothing](), answer: reflect.TypeFor[A](), statuses: statuses[A](),
		serve: func(x *exchange) error {
			q, err := readQuery[Q](x.r.URL.RawQuery)
			if err != nil {
				return err
			}
			return reply(x, q, do)
		},
	}
}

// act does what the body says.
func act[B, A any](do func(*exchange, B) (A, error)) action {
	return action{
		query: reflect.TypeFor[nothing](), body: reflect.TypeFor[B](), answer: reflect.TypeFor[A](), statuses: statuses[A](),
		serve: func(x *exchange) error {
			o, err := readAll[B](x)
			if err != nil {
				return err
			}
			return reply(x, o, do)
		},
	}
}

// create is an act that says whether it made something, and where that is.
func create[B, A any](do func(*exchange, B) (A, error), made func(A) (path string, added bool)) action {
	a := act(func(x *exchange, o B) (A, error) {
		answer, err := do(x, o)
		if path, added := made(answer); err == nil && added {
			x.status = http.StatusCreated
			x.w.Header().Set("Location", path)
		}
		return answer, err
	})
	a.statuses = []int{http.StatusCreated, http.StatusOK}
	return a
}

func statuses[A any]() []int {
	if reflect.TypeFor[A]() == reflect.TypeFor[nothing]() {
		return []int{http.StatusNoContent}
	}
	return []int{http.StatusOK}
}

func reply[I, A any](x *exchange, in I, do func(*exchange, I) (A, error)) error {
	answer, err := do(x, in)
	if err != nil {
		return err
	}
	if _, none := any(answer).(nothing); none {
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return x.json(answer)
}

// job serves what takes long.
func job[O, R any](do func(Upkeep, context.Context, O, func(v1.Progress)) (R, error)) action {
	return action{
		query: reflect.TypeFor[nothing](), body: reflect.TypeFor[O](), answer: reflect.TypeFor[R](), statuses: []int{http.StatusOK}, lines: true,
		serve: func(x *exchange) error {
			o, err := readAll[O](x)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancelCause(x.r.Context())
			defer cancel(nil)
			l := &lines{x: x, broken: cancel}
			report, err := do(x.o.Upkeep, ctx, o, l.progress)
			l.flush()
			if err != nil {
				if cause := context.Cause(ctx); cause != nil && x.r.Context().Err() == nil {
					return fmt.Errorf("the client does not take the answer: %w", cause)
				}
				return err
			}
			result, err := json.Marshal(report)
			if err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			x.line(v1.Line{Result: result})
			return nil
		},
	}
}

// service asks the Service as who signed in, after the checks.
func service[I, A any](do func(Service, context.Context, access.Principal, I) (A, error), checks ...func(*I) error) func(*exchange, I) (A, error) {
	return func(x *exchange, in I) (A, error) {
		for _, check := range checks {
			if err := check(&in); err != nil {
				var none A
				return none, err
			}
		}
		return do(x.o.Service, x.r.Context(), x.who, in)
	}
}

// item asks the Service about what the path names.
func item[A any](do func(Service, context.Context, access.Principal, string) (A, error)) func(*exchange, nothing) (A, error) {
	return func(x *exchange, _ nothing) (A, error) { return do(x.o.Service, x.r.Context(), x.who, x.item) }
}

// upkeep asks the Upkeep.
func upkeep[I, A any](do func(Upkeep, context.Context, I) (A, error)) func(*exchange, I) (A, error) {
	return func(x *exchange, in I) (A, error) { return do(x.o.Upkeep, x.r.Context(), in) }
}

// offeredBy asks the Service, or the Upkeep where there is none.
func offeredBy[I, A any](s, u func(*exchange, I) (A, error)) func(*exchange, I) (A, error) {
	return func(x *exchange, in I) (A, error) {
		if x.o.Service != nil {
			return s(x, in)
		}
		return u(x, in)
	}
}

func allowed(methods map[string]operation) string {
	return strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
}

func (x *exchange) json(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	status := x.status
	if status == 0 {
		status = http.StatusOK
	}
	x.answer(status, "application/json", body)
	return nil
}

func (x *exchange) answer(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}
	if _, err := x.w.Write(body); err != nil && x.err == nil {
		x.err = fmt.Errorf("send the answer: %w", err)
	}
}
