package diagnosis

import (
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// Image is what a registry is asked for. Host is as the node dials it, with
// its port (registry-1.docker.io for Docker Hub).
type Image struct {
	Host       string
	Repository string
	Reference  oci.Ref
}

// Platform is what a node runs; the zero asks for none.
type Platform struct{ OS, Architecture, Variant string }

// Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	Pulls        Outcome = "pulls"
	Unauthorized Outcome = "unauthorized" // 401, from the registry or the token endpoint
	Forbidden    Outcome = "forbidden"    // 403, or a token without the scope
	NotFound     Outcome = "not-found"    // 404
	RateLimited  Outcome = "rate-limited" // 429
	NoPlatform   Outcome = "no-platform"  // it is there, and not for this platform; see Attempt.List
	ServerError  Outcome = "server-error" // 5xx, or an answer that is none of a registry
	UnknownCA    Outcome = "unknown-ca"   // the certificate's signer is not trusted here
	BadTLS       Outcome = "bad-tls"      // expired, other name, no TLS at all
	PlainHTTP    Outcome = "plain-http"   // speaks HTTP where HTTPS is expected
	NoHost       Outcome = "no-such-host"
	Refused      Outcome = "refused"
	Timeout      Outcome = "timeout"
	Unreachable  Outcome = "unreachable" // any other error of the network
	Skipped      Outcome = "skipped"     // not asked, since the host does not answer
	// Withheld says that the registry names a token endpoint that nothing
	// secret is sent to, such as one over plain HTTP; the last exchange names
	// it in URL and Error.
	Withheld Outcome = "withheld"
)

// ScopeNone is the Scope of a token that opens nothing.
const ScopeNone = "none"

// Exchange is one request and its answer; nothing secret stands in it, and
// nothing that a terminal would obey.
type Exchange struct {
	Method, URL string
	Status      int // 0 if no answer came
	// Challenge is the WWW-Authenticate header, Error the error of the
	// network or why the answer cannot be used, Code and Message the
	// registry's own (the OCI error body).
	Challenge, Error, Code, Message string
	Warning                         string
	RetryAfter                      time.Duration
	Took                            time.Duration
}

// Attempt is one try with one credential, or without.
type Attempt struct {
	// Index is the credential's place; -1 without.
	Index     int
	Username  string
	Outcome   Outcome
	Exchanges []Exchange
	// Digest and Platforms are the image's, where it answered; a single
	// manifest has the platform of its config.
	Digest    oci.Digest
	Platforms []Platform
	// List says that the image is an index or a manifest list. A node looks for its
	// platform there; a single manifest it pulls whatever the platform, and
	// fails to run it ("exec format error").
	List bool
	// Scope is what the token endpoint granted, where it or the token says
	// so (the token's signature is not verified), scopes separated by spaces;
	// ScopeNone, or "" where nobody says.
	Scope string
}

// Answer is all that a registry said about one image.
type Answer struct {
	Image Image
	// Scheme is https; http only for a host on loopback that does not speak
	// TLS, as container runtimes have it.
	Scheme string
	// Ping is GET /v2/. If the host did not answer it, Anonymous.Outcome says
	// how, and the attempts are Skipped.
	Ping Exchange
	// Server is the Server header, or the product where it is known.
	Server string
	// Fairlead says that the registry calls itself one of ours; anybody can,
	// so nothing secret may be sent for it.
	Fairlead bool
	// Attempts are those with credentials, in the kubelet's order; Anonymous
	// is the one without.
	Attempts  []Attempt
	Anonymous Attempt
	// Tags are the repository's nearest to the one that was not found, the
	// nearest first.
	Tags []string
	// RepositoryUnknown says that the repository itself was not found.
	RepositoryUnknown bool
}

// String is os/architecture/variant.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}
