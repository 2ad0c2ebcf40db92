// Package admin is the management API over HTTP: accounts, namespaces, tokens,
// images and records, and on the server's control socket the upkeep.
//
// One table of operations is what requests are dispatched by and what the
// OpenAPI document and its page are made of. A request is authenticated, read
// strictly into the shapes of api/v1, and handed to the Service as the
// principal that asks; the Service alone decides what that one may do.
//
// A short request is answered by JSON. A long job is answered by lines of
// JSON (v1.Line): progress, at most some lines a second, then the result or
// the error; it ends when its client goes away. What fails before the first
// line is answered by its status and a problem (RFC 9457), like everything
// else that fails.
//
// Whoever reaches the socket owns the data folder: its permission is the
// authentication. That is why an internal error is answered there with its
// cause, which elsewhere only the log may have.
package admin
