// Package admin is the management API over HTTP, as the server's control
// socket offers it: the upkeep of a registry.
//
// A short request is answered by JSON. A long job is answered by lines of
// JSON (v1.Line): progress, at most some lines a second, then the result or
// the error; it ends when its client goes away. What fails before the first
// line is answered by its status and a problem (RFC 9457), like everything
// else that fails.
//
// Whoever reaches this surface owns the data folder: the socket's permission
// is the authentication. That is why an internal error is answered with its
// cause, which elsewhere only the log may have.
package admin
