package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// maxBody is the most that a request may bring, in bytes.
const maxBody = 64 << 10

// readBody reads the options of a request. An empty body is empty options.
func readBody[O any](x *exchange) (O, error) {
	var o O
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return o, &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", maxBody)}
	case err != nil:
		return o, invalid("the request could not be read: %v", err)
	case len(bytes.TrimSpace(body)) == 0:
		return o, nil
	}
	return o, decode(body, &o)
}

// decode is strict: what it would ignore is an error.
func decode(body []byte, to any) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return invalid("the request is no JSON object")
	}
	known := fields(to)
	for name := range given {
		if !slices.Contains(known, name) {
			return invalid("the field %q is unknown: there are %s", oci.Clip(name), strings.Join(known, ", "))
		}
	}
	err := json.Unmarshal(body, to)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return invalid("the field %q must be of type %s, not %s", wrong.Field, wrong.Type.Kind(), wrong.Value)
	}
	if err != nil {
		return invalid("the request is not understood: %v", err)
	}
	return nil
}

// fields gives the JSON names of a struct's fields.
func fields(of any) []string {
	t := reflect.TypeOf(of).Elem()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

// query reads a request's parameters and remembers what was wrong and what
// was not asked for.
type query struct {
	values url.Values
	asked  []string
	err    error
}

func parseQuery(raw string) (*query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("the query is not understood: %v", err)
	}
	return &query{values: values}, nil
}

func (q *query) text(name string) string {
	q.asked = append(q.asked, name)
	v := q.values[name]
	if len(v) > 1 && q.err == nil {
		q.err = invalid("the parameter %q is given twice", name)
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

func (q *query) number(name string) int {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if (err != nil || n < 1) && q.err == nil {
		q.err = invalid("the parameter %q is %q: give a number above 0", name, oci.Clip(text))
	}
	return n
}

// finish gives the first error, or names what nobody asked for.
func (q *query) finish() error {
	for name := range q.values {
		if q.err == nil && !slices.Contains(q.asked, name) {
			q.err = invalid("the parameter %q is unknown: there are %s", oci.Clip(name), strings.Join(q.asked, ", "))
		}
	}
	return q.err
}

func readTrashQuery(q *query) v1.TrashQuery {
	return v1.TrashQuery{
		Repository: q.text("repository"), Namespace: q.text("namespace"), Name: q.text("name"),
		Next: q.text("next"), Limit: q.number("limit"),
	}
}

func readHistoryQuery(q *query) v1.HistoryQuery {
	return v1.HistoryQuery{
		Repository: q.text("repository"), Tag: q.text("tag"), Next: q.text("next"), Limit: q.number("limit"),
	}
}
