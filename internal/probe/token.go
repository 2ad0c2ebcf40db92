package probe

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
)

// token fetches a token at the realm of a challenge and makes the
// Authorization header of it. It gives false if there is none: the attempt
// says why. Source: Docker token authentication specification.
func (s *session) token(ctx context.Context, a *diagnosis.Attempt, c wire.Challenge, scope string, cred Credential) (string, bool) {
	u, err := url.Parse(c.Realm)
	if err != nil {
		u = &url.URL{}
	}
	if why := s.refuses(u); why != "" {
		a.Outcome = diagnosis.Withheld
		a.Exchanges = append(a.Exchanges, diagnosis.Exchange{Method: http.MethodGet, URL: shown(u), Error: "not sent: the token endpoint " + why})
		return "", false
	}
	query := u.Query()
	if c.Service != "" {
		query.Set("service", c.Service)
	}
	for f := range strings.FieldsSeq(scope) {
		query.Add("scope", f)
	}
	u.RawQuery, u.Fragment = query.Encode(), ""
	q := request{method: http.MethodGet, url: u, most: mostWords}
	if !cred.empty() {
		q.authorization = basicAuth(cred)
	}
	r := s.send(ctx, &a.Exchanges, q)
	if a.Outcome = tokenOutcome(r); a.Outcome != "" {
		return "", false
	}
	value, granted := readToken(r.body)
	if value == "" {
		a.Outcome = diagnosis.ServerError
		a.Exchanges[len(a.Exchanges)-1].Error = "the answer holds no token"
		return "", false
	}
	s.secrets.add(value)
	a.Scope = granted
	return "Bearer " + value, true
}

func tokenOutcome(r reply) diagnosis.Outcome {
	if r.outcome != "" {
		return r.outcome
	}
	o := statusOutcome(r.status)
	if o == diagnosis.NotFound { // of the endpoint, not of the image
		return diagnosis.ServerError
	}
	return o
}

// readToken gives the token of an answer and what it opens; "" if there is
// none that can stand in a header.
func readToken(body []byte) (value, scope string) {
	var b struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		Scope       string `json:"scope"`
	}
	if json.Unmarshal(body, &b) != nil {
		return "", ""
	}
	if b.AccessToken != "" {
		b.Token = b.AccessToken
	}
	for i := range len(b.Token) {
		if c := b.Token[i]; c <= ' ' || c > '~' {
			return "", ""
		}
	}
	if s, ok := scopeInside(b.Token); ok {
		return b.Token, s
	}
	return b.Token, b.Scope
}

// scopeInside reads the access claim of a token that is a JWT. The signature
// is the registry's to check.
func scopeInside(token string) (string, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(raw, &claims) != nil || claims["access"] == nil {
		return "", false
	}
	var access []oci.Scope
	if json.Unmarshal(claims["access"], &access) != nil {
		return "", false
	}
	var scopes []string
	for _, g := range access {
		if len(g.Actions) > 0 {
			scopes = append(scopes, g.String())
		}
	}
	if len(scopes) == 0 {
		return diagnosis.ScopeNone, true
	}
	return strings.Join(scopes, " "), true
}
