// Package probe asks a registry about one image as a node would: GET /v2/,
// the token endpoint that its challenge names, HEAD of the manifest, once per
// credential and once without. It sends a credential to no host but the one
// that it is for (and the realm that this host names), follows no redirect
// with one, reads little and waits little. What it saw is a diagnosis.Answer;
// it judges nothing.
//
// It does as containerd does. A loopback host whose port is neither 80 nor
// 443 is tried by TLS whose certificate nobody checks, and by plain HTTP if it
// speaks no TLS. A credential without a user name or without a password (the
// entry {}, which the kubelet tries as any other) is no credential to it: it
// asks anonymously. A credential is sent only once the registry asks for one.
// It differs in one thing: a token is fetched by GET, as docker and CRI-O do
// it, where containerd tries POST first.
//
// On Docker Hub the attempts count as no pull (HEAD); looking for the image's
// platforms counts as one.
package probe
