// Package probe asks a registry about one image as a node would: GET /v2/,
// the token endpoint that its challenge names, HEAD of the manifest, once per
// credential and once without. It sends a credential to no host but the one
// that it is for (and the realm that this host names), follows no redirect
// with one, reads little and waits little. What it saw is a diagnosis.Answer;
// it judges nothing.
package probe
