package probe

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
)

// accepted are the manifests that nodes know.
var accepted = strings.Join([]string{
	oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, oci.MediaTypeDockerList, oci.MediaTypeDockerManifest,
}, ", ")

// scheme of a challenge.
type scheme int

const (
	noScheme  scheme = iota // nobody asks, or for what nobody knows
	basic                   // the credential itself
	bearer                  // a token
	malformed               // a Bearer challenge that cannot be read
)

type challenge struct {
	scheme scheme
	bearer wire.Challenge
}

// mostChallenges are looked at.
const mostChallenges = 16

// challengeIn chooses among the challenges of a 401, as containerd does: one
// per header, Bearer before Basic. One that came from another host than was
// asked counts for nothing: it would draw the credential there.
func challengeIn(r reply) challenge {
	var c challenge
	if r.status != http.StatusUnauthorized || !r.home {
		return c
	}
	values := r.header.Values("WWW-Authenticate")
	for _, v := range values[:min(len(values), mostChallenges)] {
		name, _, _ := strings.Cut(strings.TrimSpace(v), " ")
		switch {
		case strings.EqualFold(name, "bearer"):
			b, err := wire.ParseChallenge(strings.TrimSpace(v))
			if err != nil {
				return challenge{scheme: malformed}
			}
			return challenge{scheme: bearer, bearer: b}
		case strings.EqualFold(name, "basic"):
			c.scheme = basic
		}
	}
	return c
}

// attempt asks for the manifest with one credential; an empty one sends
// nothing. start is what the registry asked for before.
func (s *session) attempt(ctx context.Context, a *diagnosis.Attempt, start challenge, c Credential) {
	want, scope := start, s.scope()
	var authorization string
	var r reply
	for try := range 2 {
		var ok bool
		if authorization, ok = s.authorize(ctx, a, want, scope, c); !ok {
			return
		}
		r = s.send(ctx, &a.Exchanges, request{
			method: http.MethodHead, url: s.manifestURL(), authorization: authorization, accept: accepted, most: mostWords,
		})
		next := challengeIn(r)
		if try > 0 || !news(want, scope, next) {
			break
		}
		want = next
		if next.bearer.Scope != "" {
			scope = next.bearer.Scope
		}
	}
	s.used[a.Index+1] = authorization
	s.conclude(ctx, a, r, authorization, want.scheme)
}

// news says that another try could end otherwise: the manifest's own
// challenge asks for what was not tried.
func news(had challenge, scope string, next challenge) bool {
	switch next.scheme {
	case bearer:
		return had.scheme != bearer || had.bearer.Realm != next.bearer.Realm || had.bearer.Service != next.bearer.Service ||
			next.bearer.Scope != "" && next.bearer.Scope != scope
	case basic, malformed:
		return had.scheme == noScheme
	}
	return false
}

// authorize makes the Authorization header; "" for none. It gives false if
// there is no use in going on: the attempt says why.
func (s *session) authorize(ctx context.Context, a *diagnosis.Attempt, want challenge, scope string, c Credential) (string, bool) {
	switch want.scheme {
	case basic:
		if c.empty() {
			return "", true
		}
		return basicAuth(c), true
	case bearer:
		return s.token(ctx, a, want.bearer, scope, c)
	case malformed:
		a.Outcome = diagnosis.ServerError
		a.Exchanges = append(a.Exchanges, diagnosis.Exchange{
			Method: http.MethodGet, URL: s.url("").String(),
			Error: "its challenge cannot be read, or names no token endpoint",
		})
		return "", false
	}
	return "", true
}

func basicAuth(c Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// conclude finds the outcome of an attempt from the answer to HEAD, asking
// once more for what HEAD does not say.
func (s *session) conclude(ctx context.Context, a *diagnosis.Attempt, r reply, authorization string, how scheme) {
	if a.Outcome = r.outcome; a.Outcome != "" {
		return
	}
	last := &a.Exchanges[len(a.Exchanges)-1]
	switch a.Outcome = statusOutcome(r.status); {
	case a.Outcome == "":
		d, err := oci.ParseDigest(r.header.Get("Docker-Content-Digest"))
		if err != nil {
			s.byGet(ctx, a, authorization)
			return
		}
		if why := s.mismatch(d); why != "" {
			a.Outcome, last.Error = diagnosis.ServerError, why
			return
		}
		a.Outcome, a.Digest = diagnosis.Pulls, d
	case r.status == http.StatusMethodNotAllowed:
		s.byGet(ctx, a, authorization)
	case a.Outcome == diagnosis.Unauthorized && (challengeIn(r).bearer.Error == "insufficient_scope" || a.Scope != "" && !s.opens(a.Scope)):
		a.Outcome = diagnosis.Forbidden
		fallthrough
	case a.Outcome == diagnosis.Unauthorized && how == bearer, a.Outcome == diagnosis.Forbidden, a.Outcome == diagnosis.NotFound:
		// HEAD has no body: the words come with GET. A wrong password is not
		// sent twice for them.
		s.send(ctx, &a.Exchanges, request{
			method: http.MethodGet, url: s.manifestURL(), authorization: authorization, accept: accepted, most: mostWords,
		})
	}
}

// byGet is for registries whose HEAD says too little.
func (s *session) byGet(ctx context.Context, a *diagnosis.Attempt, authorization string) {
	m, outcome := s.manifest(ctx, a, authorization)
	if a.Outcome = outcome; outcome == "" {
		a.Outcome, a.Digest = diagnosis.Pulls, m.digest
	}
}

// opens says whether scopes allow the pull.
func (s *session) opens(scopes string) bool {
	if scopes == diagnosis.ScopeNone {
		return false
	}
	have, err := oci.ParseScopes([]string{scopes})
	if err != nil {
		return true // of what cannot be read nothing follows
	}
	want := oci.RepoScope(oci.Repo(s.image.Repository), oci.ActionPull)
	for _, h := range have {
		if h.Covers(want) || h.Covers(oci.RepoScope(oci.Repo(s.image.Repository), oci.ActionAll)) {
			return true
		}
	}
	return false
}
