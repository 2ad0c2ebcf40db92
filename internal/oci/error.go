package oci

import (
	"errors"
	"fmt"
)

// Code identifies a kind of failure. It is finer than the code that the
// specification lets onto the wire: several Codes may share a wire code, told
// apart by their HTTP status, so that an error keeps its identity across the
// wire.
type Code string

// The codes. The comment after each is the status it is answered with.
const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"          // 404
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"   // 400
	CodeBlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"   // 404
	CodeDigestInvalid       Code = "DIGEST_INVALID"        // 400
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN" // 404
	CodeManifestInvalid     Code = "MANIFEST_INVALID"      // 400
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"      // 404
	CodeNameInvalid         Code = "NAME_INVALID"          // 400
	CodeNameUnknown         Code = "NAME_UNKNOWN"          // 404
	CodeSizeInvalid         Code = "SIZE_INVALID"          // 400
	CodeUnauthorized        Code = "UNAUTHORIZED"          // 401
	CodeDenied              Code = "DENIED"                // 403
	CodeUnsupported         Code = "UNSUPPORTED"           // 405
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"       // 429

	// CodeRequestInvalid is a request that breaks no narrower rule: a bad
	// query parameter, an unreadable header. On the wire UNSUPPORTED, 400.
	CodeRequestInvalid Code = "REQUEST_INVALID"
	// CodeRouteUnknown is a path that the protocol does not have.
	// On the wire UNSUPPORTED, 404.
	CodeRouteUnknown Code = "ROUTE_UNKNOWN"
	// CodeRangeInvalid is a chunk that does not continue the upload where it
	// stands. On the wire BLOB_UPLOAD_INVALID, 416.
	CodeRangeInvalid Code = "RANGE_INVALID"
	// CodeManifestTooLarge is a manifest above the configured limit.
	// On the wire SIZE_INVALID, 413.
	CodeManifestTooLarge Code = "MANIFEST_TOO_LARGE"
	// CodeBlobTooLarge is a blob above the configured limit.
	// On the wire BLOB_UPLOAD_INVALID, 413.
	CodeBlobTooLarge Code = "BLOB_TOO_LARGE"
	// CodeStorageFull refuses pushes while the disk is too full.
	// On the wire DENIED, 507.
	CodeStorageFull Code = "STORAGE_FULL"
	// CodeUnavailable refuses new work while the server stops or a dependency
	// does not answer. On the wire TOOMANYREQUESTS, 503.
	CodeUnavailable Code = "UNAVAILABLE"
	// CodeTagImmutable refuses to move or delete a tag that a rule of its
	// namespace protects. On the wire DENIED, 409.
	CodeTagImmutable Code = "TAG_IMMUTABLE"

	// Codes of the management API; on the wire of the protocol they never
	// occur.

	// CodeNotFound is an account, namespace or token that is not there, or is
	// somebody else's. 404.
	CodeNotFound Code = "NOT_FOUND"
	// CodeConflict is a name that is taken, or something in the way. 409.
	CodeConflict Code = "CONFLICT"
	// CodeStale is an If-Match that no longer holds. 412.
	CodeStale Code = "STALE"
)

type codeInfo struct {
	wire   string
	status int
	text   string
	spec   string
}

// codes is the one table of the protocol's errors: wire code, HTTP status,
// default text, section of the specification.
var codes = map[Code]codeInfo{
	CodeBlobUnknown:         {"BLOB_UNKNOWN", 404, "blob unknown to registry", "dist code-1"},
	CodeBlobUploadInvalid:   {"BLOB_UPLOAD_INVALID", 400, "blob upload invalid", "dist code-2"},
	CodeBlobUploadUnknown:   {"BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry", "dist code-3"},
	CodeDigestInvalid:       {"DIGEST_INVALID", 400, "provided digest did not match uploaded content", "dist code-4"},
	CodeManifestBlobUnknown: {"MANIFEST_BLOB_UNKNOWN", 404, "manifest references a manifest or blob unknown to this repository", "dist code-5"},
	CodeManifestInvalid:     {"MANIFEST_INVALID", 400, "manifest invalid", "dist code-6"},
	CodeManifestUnknown:     {"MANIFEST_UNKNOWN", 404, "manifest unknown to registry", "dist code-7"},
	CodeNameInvalid:         {"NAME_INVALID", 400, "invalid repository name", "dist code-8"},
	CodeNameUnknown:         {"NAME_UNKNOWN", 404, "repository name not known to registry", "dist code-9"},
	CodeSizeInvalid:         {"SIZE_INVALID", 400, "provided length did not match content length", "dist code-10"},
	CodeUnauthorized:        {"UNAUTHORIZED", 401, "authentication required", "dist code-11"},
	CodeDenied:              {"DENIED", 403, "requested access to the resource is denied", "dist code-12"},
	CodeUnsupported:         {"UNSUPPORTED", 405, "the operation is unsupported", "dist code-13"},
	CodeTooManyRequests:     {"TOOMANYREQUESTS", 429, "too many requests", "dist code-14"},
	CodeRequestInvalid:      {"UNSUPPORTED", 400, "the request is not understood", "dist code-13"},
	CodeRouteUnknown:        {"UNSUPPORTED", 404, "the protocol has no such path", "dist endpoints"},
	CodeRangeInvalid:        {"BLOB_UPLOAD_INVALID", 416, "the chunk does not continue the upload where it stands", "dist pushing-a-blob-in-chunks"},
	CodeManifestTooLarge:    {"SIZE_INVALID", 413, "the manifest is larger than this registry accepts", "dist pushing-manifests"},
	CodeBlobTooLarge:        {"BLOB_UPLOAD_INVALID", 413, "the blob is larger than this registry accepts", "rfc9110 15.5.14"},
	CodeStorageFull:         {"DENIED", 507, "the registry's storage is nearly full: pushes are refused, pulls go on", "rfc4918 11.5"},
	CodeUnavailable:         {"TOOMANYREQUESTS", 503, "the registry is not available at the moment: try again", "rfc9110 15.6.4"},
	CodeTagImmutable:        {"DENIED", 409, "the tag is immutable", "rfc9110 15.5.10"},
	CodeNotFound:            {"NOT_FOUND", 404, "there is no such thing", "rfc9110 15.5.5"},
	CodeConflict:            {"CONFLICT", 409, "something is in the way", "rfc9110 15.5.10"},
	CodeStale:               {"STALE", 412, "it was changed meanwhile: read it again", "rfc9110 15.5.13"},
}

// Status is the HTTP status the code is answered with; 500 for a code that
// is not in the table.
func (c Code) Status() int {
	if i, ok := codes[c]; ok {
		return i.status
	}
	return 500
}

// Wire is the code that the specification lets onto the wire.
func (c Code) Wire() string {
	if i, ok := codes[c]; ok {
		return i.wire
	}
	return "UNKNOWN"
}

// Text is the default text of the code.
func (c Code) Text() string { return codes[c].text }

// CodeOf finds the Code that is answered as the given wire code and status;
// a known wire code with an unexpected status keeps its plain meaning.
func CodeOf(wire string, status int) (Code, bool) {
	for c, i := range codes {
		if i.wire == wire && i.status == status {
			return c, true
		}
	}
	_, ok := codes[Code(wire)]
	return Code(wire), ok
}

// Error is a failure with a meaning in the protocol. Message is read by the
// client's user and says what to do; Detail is JSON for programs. Cause, if
// any, goes to the log only.
type Error struct {
	Code    Code
	Message string
	Detail  any
	Cause   error
}

// Errorf makes an Error with a message for the client's user.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithDetail returns a copy that carries detail.
func (e *Error) WithDetail(detail any) *Error {
	c := *e
	c.Detail = detail
	return &c
}

// WithCause returns a copy that carries the cause for the log.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

// Error is the message, or the code's default text when there is none.
func (e *Error) Error() string {
	if e.Message != "" {
		return e.Message
	}
	if t := e.Code.Text(); t != "" {
		return t
	}
	return string(e.Code)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is compares codes: errors.Is(err, oci.ErrBlobUnknown) holds for every
// BLOB_UNKNOWN, whatever its text.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Sentinels for errors.Is; they carry the default texts.
var (
	ErrBlobUnknown         error = &Error{Code: CodeBlobUnknown}
	ErrBlobUploadUnknown   error = &Error{Code: CodeBlobUploadUnknown}
	ErrDigestInvalid       error = &Error{Code: CodeDigestInvalid}
	ErrManifestBlobUnknown error = &Error{Code: CodeManifestBlobUnknown}
	ErrManifestUnknown     error = &Error{Code: CodeManifestUnknown}
	ErrNameUnknown         error = &Error{Code: CodeNameUnknown}
	ErrDenied              error = &Error{Code: CodeDenied}
	ErrUnauthorized        error = &Error{Code: CodeUnauthorized}
	ErrUnsupported         error = &Error{Code: CodeUnsupported}
	ErrRangeInvalid        error = &Error{Code: CodeRangeInvalid}
)
