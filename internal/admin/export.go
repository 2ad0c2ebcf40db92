package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
)

// exportType is the usual name of JSON lines; LinesType is the older one.
const exportType = "application/jsonl"

// auditAction answers a page of the audit trail, or exports it.
func auditAction() action {
	page := ask(func(x *exchange, q v1.AuditQuery) (v1.AuditPage, error) {
		return x.o.Service.Audit(x.r.Context(), x.who, q)
	})
	return action{
		query: page.query, body: page.body, answer: page.answer, statuses: page.statuses,
		serve: func(x *exchange) error {
			x.w.Header().Set("Vary", "Accept")
			if t := wantsLines(x.r.Header.Values("Accept")); t != "" {
				return x.export(t)
			}
			return page.serve(x)
		},
	}
}

// export sends every line of the filter, a page at a time. The answer begins
// with the first page, so that what is wrong at once has its status.
func (x *exchange) export(contentType string) error {
	q, err := readQuery[v1.AuditQuery](x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if values, err := url.ParseQuery(x.r.URL.RawQuery); err != nil || values.Has("next") || values.Has("limit") {
		return invalid("an export has all lines: leave out next and limit")
	}
	q.Limit = MaxLimit
	for {
		page, err := x.o.Service.Audit(x.r.Context(), x.who, q)
		if err != nil {
			return err
		}
		x.begin(contentType)
		if x.r.Method == http.MethodHead {
			return nil
		}
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for _, l := range page.Items {
			if err := encoder.Encode(l); err != nil {
				return fmt.Errorf("write a line: %w", err)
			}
		}
		if err := x.put(lines.Bytes()); err != nil {
			x.broken, x.err = true, fmt.Errorf("send a page: %w", err)
			return nil
		}
		if page.Next == "" {
			return nil
		}
		if page.Next == q.Next {
			return errors.New("the audit trail's pages do not end")
		}
		q.Next = page.Next
	}
}

// wantsLines gives the type of JSON lines that is accepted; "" when JSON is
// as good.
func wantsLines(accept []string) string {
	for _, a := range strings.Split(strings.Join(accept, ","), ",") {
		t, params, err := mime.ParseMediaType(a)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		switch t {
		case exportType, v1.LinesType:
			return t
		case "application/json", "application/*", "*/*":
			return ""
		}
	}
	return ""
}
