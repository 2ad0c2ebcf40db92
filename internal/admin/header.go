package admin

import (
	"net/http"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// maxRequestKey is the longest Idempotency-Key.
const maxRequestKey = 128

var (
	requestKeyHeader = header{
		"Idempotency-Key", "Names this request, 1 to 128 printable ASCII characters. The same request made again with the same key gives what the first one made.",
		"^[ -~]{1,128}$", "deploy-2026-07-01",
	}
	ifMatchHeader = header{
		"If-Match", "The ETag of the version that the change is based on, or * for whatever there is. When the namespace was changed since, the answer is 412 STALE.",
		`^(\*|"[0-9]+")$`, `"3"`,
	}
)

// requestKey reads the header Idempotency-Key; "" when there is none.
func requestKey(h http.Header) (string, error) {
	given, ok := h["Idempotency-Key"]
	if !ok {
		return "", nil
	}
	if len(given) != 1 || given[0] == "" || len(given[0]) > maxRequestKey ||
		strings.ContainsFunc(given[0], func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", invalid("Idempotency-Key must be 1 to %d printable ASCII characters", maxRequestKey)
	}
	return given[0], nil
}

// ifMatch reads the version that a change is based on; 0 when any is fine.
func ifMatch(h http.Header) (int64, error) {
	given, ok := h["If-Match"]
	if !ok {
		return 0, nil
	}
	if len(given) != 1 {
		return 0, invalid("If-Match is given twice: give one ETag or *")
	}
	text := strings.TrimSpace(given[0])
	if text == "*" {
		return 0, nil
	}
	if strings.HasPrefix(text, "W/") {
		return 0, oci.Errorf(oci.CodeStale, "If-Match has a weak ETag, which matches nothing: give the ETag as it was answered")
	}
	inner, ok := strings.CutPrefix(text, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if !ok || !closed || strings.Contains(inner, `"`) {
		return 0, invalid("If-Match is %s: give one ETag, in its quotation marks, or *", oci.Clip(text))
	}
	version, err := strconv.ParseInt(inner, 10, 64)
	if err != nil || version < 1 || etag(version) != text {
		return 0, oci.Errorf(oci.CodeStale, "If-Match has no ETag that this server made: read the namespace again")
	}
	return version, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// tag answers with a namespace's ETag.
func (x *exchange) tag(n v1.Namespace) { x.w.Header().Set("ETag", etag(n.Version)) }
