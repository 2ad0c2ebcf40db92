// Package observe is how the server is watched: structured logs, metrics and
// one access line per request.
//
// Nothing in it is global. New makes an Observer with a registry of its own;
// its Middleware goes around everything that is served, gives each request an
// id and a Request record in its context, and writes one line when the request
// has ended. Handlers fill the record with what only they know (route,
// principal, repository, the error's cause), so no other package logs requests.
//
// What is never logged: headers (but the user agent), queries, bodies. A
// client's address is taken from X-Forwarded-For only over trusted proxies.
package observe
