package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairlead.dev/fairlead/internal/oci"
)

// maxBody is the most that a request may bring, in bytes.
const maxBody = 64 << 10

// readAll reads a request that has a body and no parameters.
func readAll[O any](x *exchange) (O, error) {
	if _, err := readQuery[nothing](x.r.URL.RawQuery); err != nil {
		var none O
		return none, err
	}
	return readBody[O](x.w, x.r)
}

// readBody reads the options of a request. An empty body is empty options.
func readBody[O any](w http.ResponseWriter, r *http.Request) (O, error) {
	var o O
	tooLarge := &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", maxBody)}
	if r.ContentLength > maxBody { // who waits to be asked for it hears this, and no broken connection
		return o, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return o, tooLarge
	case err != nil:
		return o, invalid("the request could not be read: %v", err)
	case len(bytes.TrimSpace(body)) == 0:
		return o, nil
	}
	return o, decode(body, &o)
}

// decode is strict: what it would ignore or guess is an error.
func decode(body []byte, to any) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return invalid("the request is no JSON object")
	}
	if !utf8.Valid(body) {
		return invalid("the request is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := walk(d, reflect.TypeOf(to).Elem(), ""); err != nil {
		return err
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

// walk reads one value that is for a t and refuses what encoding/json would
// let pass: unknown fields, fields that come twice, null. Wrong types it
// leaves to encoding/json: t is nil in them.
func walk(d *json.Decoder, t reflect.Type, at string) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := d.Token()
	if err != nil {
		return invalid("the request is not understood: %v", err)
	}
	switch token := token.(type) {
	case nil:
		return invalid("the field %q is null: leave it out, or give a value", at)
	case string:
		if !plain(token) {
			return invalid("the field %q has a NUL character", at)
		}
	case json.Delim:
		if token == '{' {
			return walkObject(d, t, at)
		}
		if t != nil && t.Kind() == reflect.Slice {
			t = t.Elem()
		} else {
			t = nil
		}
		for d.More() {
			if err := walk(d, t, at); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func walkObject(d *json.Decoder, t reflect.Type, at string) error {
	var known map[string]reflect.Type
	var order []string
	if t != nil && t.Kind() == reflect.Struct {
		known, order = members(t)
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return invalid("the request is not understood: %v", err)
		}
		name, _ := token.(string)
		path := strings.TrimPrefix(at+"."+name, ".")
		field, ok := known[name]
		switch {
		case known != nil && !ok:
			return invalid("the field %q is unknown: there are %s", oci.Clip(path), names(order))
		case seen[name]:
			return invalid("the field %q is given twice", oci.Clip(path))
		}
		seen[name] = true
		if err := walk(d, field, oci.Clip(path)); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func names(of []string) string {
	if len(of) == 0 {
		return "none"
	}
	return strings.Join(of, ", ")
}

// members gives the fields of a struct by their JSON names, with those of
// embedded structs, and the names in order.
func members(t reflect.Type) (map[string]reflect.Type, []string) {
	by, order := map[string]reflect.Type{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" || name == "" || name == "-" {
			continue
		}
		by[name] = f.Type
		order = append(order, name)
	}
	return by, order
}

// plain text is UTF-8 without NUL, which no database takes.
func plain(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// readQuery reads a request's parameters into a struct of strings, numbers,
// switches and times, by their JSON names. A limit that is absent is
// DefaultLimit.
func readQuery[Q any](raw string) (Q, error) {
	var q Q
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, invalid("the query is not understood: %v", err)
	}
	to := reflect.ValueOf(&q).Elem()
	_, order := members(to.Type())
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(order, name) {
			return q, invalid("the parameter %q is unknown: there are %s", oci.Clip(name), names(order))
		}
	}
	for _, f := range reflect.VisibleFields(to.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		given := values[name]
		if len(given) > 1 {
			return q, invalid("the parameter %q is given twice", name)
		}
		if len(given) == 1 && given[0] != "" {
			if err := setParameter(to.FieldByIndex(f.Index).Addr().Interface(), name, given[0]); err != nil {
				return q, err
			}
		}
	}
	if limit := to.FieldByName("Limit"); limit.IsValid() {
		n := int(limit.Int())
		if err := checkLimit(&n); err != nil {
			return q, err
		}
		limit.SetInt(int64(n))
	}
	return q, nil
}

func setParameter(to any, name, text string) error {
	var err error
	switch to := to.(type) {
	case *string:
		if !plain(text) {
			return invalid("the parameter %q is no text", name)
		}
		*to = text
	case *int:
		if *to, err = strconv.Atoi(text); err != nil || *to < 1 {
			return invalid("the parameter %q is %q: give a number above 0", name, oci.Clip(text))
		}
	case *bool:
		if text != "true" && text != "false" {
			return invalid("the parameter %q is %q: give true or false", name, oci.Clip(text))
		}
		*to = text == "true"
	case *time.Time:
		if *to, err = time.Parse(time.RFC3339, text); err != nil {
			return invalid("the parameter %q is %q: give a time such as 2026-07-01T00:00:00Z", name, oci.Clip(text))
		}
	default:
		return fmt.Errorf("the parameter %q is of type %T, which is not read", name, to)
	}
	return nil
}
