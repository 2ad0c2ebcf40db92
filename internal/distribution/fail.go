package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
)

// retryAfter is what a client is asked to wait, in seconds.
const retryAfter = 5

// errorBody is the specification's JSON.
type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// fail ends an error: the one place of this surface that answers with a status
// of 400 or more. What it does not know is an internal error, whose cause goes
// to the log only, under the request's id.
func (x *exchange) fail(err error) {
	if x.record.Error == nil {
		x.record.Error = err
	}
	var e *oci.Error
	if !errors.As(err, &e) {
		e = &oci.Error{Message: "internal error: tell the operator the request id " + x.record.ID}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			e = &oci.Error{Code: oci.CodeUnavailable}
		}
	}
	x.failHeaders(err, e)
	status := e.Code.Status()
	body, merr := json.Marshal(errorBody{[]errorItem{{e.Code.Wire(), e.Error(), e.Detail}}})
	if merr != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN"}]}`)
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	x.limitAnswer()
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // the client may be gone; there is nobody left to tell
	}
}

// Panicked answers a request whose handler panicked before it answered: an
// internal error like any other.
func (h *Handler) Panicked(w http.ResponseWriter, r *http.Request) {
	x := &exchange{h: h, w: w, r: r, record: observe.FromContext(r.Context())}
	x.fail(errors.New("a handler panicked"))
}

func (x *exchange) failHeaders(err error, e *oci.Error) {
	h := x.w.Header()
	for _, name := range []string{"ETag", "Docker-Content-Digest", "Accept-Ranges", "Content-Range", "Location"} {
		h.Del(name)
	}
	var method *wire.MethodError
	if errors.As(err, &method) {
		h.Set("Allow", strings.Join(method.Allow, ", "))
	}
	var offset *registry.OffsetError
	if errors.As(err, &offset) {
		x.uploadHeaders(offset.ID, offset.Offset)
	}
	var outside *rangeError
	if errors.As(err, &outside) {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(outside.size, 10))
	}
	if x.req.Kind == wire.BlobDelete && e.Code == oci.CodeUnsupported {
		h.Set("Allow", "GET, HEAD") // a manifest needs the blob
	}
	switch e.Code {
	case oci.CodeUnauthorized:
		h.Set("WWW-Authenticate", x.challenge(err))
	case oci.CodeTooManyRequests, oci.CodeUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
}

// challenge names the token endpoint and the scope that would help.
func (x *exchange) challenge(err error) string {
	if x.record.Route == "token" {
		return `Basic realm="` + x.h.o.Service + `"`
	}
	c := wire.Challenge{Realm: x.h.hosts.base(x.r) + "/token", Service: x.h.o.Service, Scope: x.needed()}
	var refused *access.Error
	lacks := errors.As(err, &refused) && len(refused.Need) > 0
	if lacks {
		scopes := make([]string, len(refused.Need))
		for i, s := range refused.Need {
			scopes[i] = s.String()
		}
		c.Scope = strings.Join(scopes, " ")
	}
	var bad *badToken
	switch {
	case errors.As(err, &bad), x.viewer.Expired:
		c.Error = "invalid_token"
	case lacks && x.credential != "":
		c.Error = "insufficient_scope"
	}
	return c.String()
}

// needed is the scope of the request, for a client without a good token.
func (x *exchange) needed() string {
	switch k := x.req.Kind; {
	case k == wire.Catalog:
		return oci.CatalogScope().String()
	case x.req.Repo == "":
		return ""
	case k == wire.BlobDelete || k == wire.ManifestDelete:
		return oci.RepoScope(x.req.Repo, oci.ActionDelete).String()
	case isPush[k]:
		s := oci.RepoScope(x.req.Repo, oci.ActionPull, oci.ActionPush).String()
		if x.req.From != "" {
			s += " " + oci.RepoScope(x.req.From, oci.ActionPull).String()
		}
		return s
	}
	return oci.RepoScope(x.req.Repo, oci.ActionPull).String()
}

// json answers with a value.
func (x *exchange) json(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.bytes(status, "application/json", body)
}

// bytes answers with a body that lies in memory.
func (x *exchange) bytes(status int, contentType string, body []byte) error {
	h := x.w.Header()
	v := &[2]string{contentType, strconv.Itoa(len(body))} // one allocation for both
	h["Content-Type"], h["Content-Length"] = v[0:1:1], v[1:2:2]
	x.limitAnswer()
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	if _, err := x.w.Write(body); err != nil {
		x.record.Error = err // the answer is out; the line says that it broke
	}
	return nil
}

// empty answers without a body.
func (x *exchange) empty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		x.w.Header().Set("Content-Length", "0")
	}
	x.limitAnswer()
	x.w.WriteHeader(status)
	return nil
}

// warnOfEnd warns a puller whose token ends soon; nobody else pays for it.
func (x *exchange) warnOfEnd() {
	if !x.viewer.Principal.WarnFrom.IsZero() {
		x.warn(false)
	}
}

// warn adds what the client's user should be told. Source: dist, "Warnings".
func (x *exchange) warn(write bool) {
	if x.h.o.Warn == nil {
		return
	}
	const most = 4096 // bytes of all warnings together
	size := 0
	for _, text := range x.h.o.Warn(x.r.Context(), x.viewer.Principal, write) {
		text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", " ", "\n", " ").Replace(text)
		value := `299 - "` + text + `"`
		if size += len(value); size > most {
			return
		}
		x.w.Header().Add("Warning", value)
	}
}
