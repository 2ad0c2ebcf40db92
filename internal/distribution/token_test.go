package distribution_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci/wire"
)

// challenge reads the only WWW-Authenticate header of an answer.
func challenge(t testing.TB, a answer) wire.Challenge {
	t.Helper()
	values := a.header.Values("WWW-Authenticate")
	if len(values) != 1 {
		t.Fatalf("%d challenges: %q", len(values), values)
	}
	c, err := wire.ParseChallenge(values[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChallengeNamesTheScope: 401 says where to get which token.
func TestChallengeNamesTheScope(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	d := sum([]byte("x"))
	expired := s.full(t, "a", "b")
	weak := func() string { return s.tokenFor(t, "repository:other:pull") }
	for _, c := range []struct{ method, target, scope string }{
		{"GET", "/v2/", ""},
		{"HEAD", "/v2/", ""},
		{"GET", "/v2/a/blobs/" + d, "repository:a:pull"},
		{"HEAD", "/v2/a/blobs/" + d, "repository:a:pull"},
		{"DELETE", "/v2/a/blobs/" + d, "repository:a:delete"},
		{"GET", "/v2/a/manifests/t", "repository:a:pull"},
		{"PUT", "/v2/a/manifests/t", "repository:a:pull,push"},
		{"DELETE", "/v2/a/manifests/t", "repository:a:delete"},
		{"POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"},
		{"POST", "/v2/a/blobs/uploads/?digest=" + d, "repository:a:pull,push"},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d + "&from=b", "repository:a:pull,push repository:b:pull"},
		{"GET", "/v2/a/blobs/uploads/X", "repository:a:pull,push"},
		{"PATCH", "/v2/a/blobs/uploads/X", "repository:a:pull,push"},
		{"PUT", "/v2/a/blobs/uploads/X?digest=" + d, "repository:a:pull,push"},
		{"DELETE", "/v2/a/blobs/uploads/X", "repository:a:pull,push"},
		{"GET", "/v2/a/tags/list", "repository:a:pull"},
		{"GET", "/v2/a/referrers/" + d, "repository:a:pull"},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
	} {
		for _, with := range []struct{ name, authorization, err string }{
			{"nothing", "", ""},
			{"a weak token", "Bearer " + weak(), "insufficient_scope"},
			{"garbage", "Bearer garbage", "invalid_token"},
			{"Basic", "Basic dG9rZW46eA==", ""},
		} {
			if c.target == "/v2/" && with.name == "a weak token" {
				continue
			}
			t.Run(c.method+" "+c.target+" with "+with.name, func(t *testing.T) {
				header := map[string]string{}
				if with.authorization != "" {
					header["Authorization"] = with.authorization
				}
				a := s.do(t, c.method, c.target, call{header: header})
				if c.method == "HEAD" {
					want(t, a, http.StatusUnauthorized)
				} else {
					failed(t, a, http.StatusUnauthorized, "UNAUTHORIZED")
				}
				got := challenge(t, a)
				if diff := cmp.Diff(wire.Challenge{Realm: "http://" + s.host + "/token", Service: service, Scope: c.scope, Error: with.err}, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	s.clock.advance(lifetime * 2)
	for _, target := range []string{"/v2/", "/v2/a/manifests/t", "/v2/_catalog"} {
		a := s.do(t, "GET", target, call{token: expired})
		failed(t, a, http.StatusUnauthorized, "UNAUTHORIZED")
		if c := challenge(t, a); c.Error != "invalid_token" || (c.Scope == "") != (target == "/v2/") {
			t.Errorf("%s with an expired token: %+v", target, c)
		}
	}
}

// TestTokenAnswers: both forms of the endpoint give an access token and never
// a refresh token; what is asked for too much is left out.
func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	scopes := []string{"repository:a:pull,push,admin", "repository:b:* plugin:x:pull", "registry:catalog:*", "repository:a:delete"}
	granted := "repository:a:delete,pull,push repository:b:delete,pull,push registry:catalog:*"
	get := s.signIn(t, "token", s.secret, scopes...)
	want(t, get, http.StatusOK, "Content-Type", "application/json", "Cache-Control", "no-store")
	form := func(v url.Values) answer {
		return s.do(t, "POST", "/token", call{body: []byte(v.Encode()), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}})
	}
	password := form(url.Values{"grant_type": {"password"}, "service": {service}, "client_id": {"docker"}, "access_type": {"offline"}, "username": {"token"}, "password": {s.secret}, "scope": scopes})
	refresh := form(url.Values{"grant_type": {"refresh_token"}, "service": {service}, "client_id": {"docker"}, "refresh_token": {s.secret}, "scope": {strings.Join(scopes, " ")}})
	for name, a := range map[string]answer{"GET": get, "password": password, "refresh_token": refresh} {
		want(t, a, http.StatusOK)
		got := decode[tokenJSON](t, a)
		if got.AccessToken == "" || got.ExpiresIn != int(lifetime.Seconds()) || got.IssuedAt == "" || got.RefreshToken != "" || strings.Contains(string(a.body), "refresh") {
			t.Errorf("%s: %s", name, a.body)
		}
		if name == "GET" && got.Token != got.AccessToken {
			t.Errorf("GET: token is not access_token")
		}
		if name != "GET" && got.Scope != granted {
			t.Errorf("%s: granted %q", name, got.Scope)
		}
		want(t, s.do(t, "GET", "/v2/_catalog", call{token: got.AccessToken}), http.StatusOK)
		want(t, s.do(t, "GET", "/v2/", call{token: got.AccessToken}), http.StatusOK, "Docker-Distribution-Api-Version", "registry/2.0")
	}
	if a := s.signIn(t, "token", s.secret); a.status != http.StatusOK {
		t.Errorf("docker login asks for no scope: %d %s", a.status, a.body)
	}
}

// TestTokenRefusals: each with its status and a sentence, and nothing tells a
// wrong user from a wrong secret.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	basic := func(user, secret string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))}
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	texts := map[string]string{}
	for _, c := range []struct {
		name, method, target string
		header               map[string]string
		body                 string
		status               int
		code                 string
	}{
		{"no credentials", "GET", "/token", nil, "", 401, "UNAUTHORIZED"},
		{"wrong secret", "GET", "/token", basic("token", "wrong"), "", 401, "UNAUTHORIZED"},
		{"wrong user", "GET", "/token", basic("operator", s.secret), "", 401, "UNAUTHORIZED"},
		{"empty secret", "GET", "/token", basic("token", ""), "", 401, "UNAUTHORIZED"},
		{"megabyte of secret", "POST", "/token", form, "grant_type=password&username=token&password=" + strings.Repeat("x", 60<<10), 401, "UNAUTHORIZED"},
		{"Bearer", "GET", "/token", map[string]string{"Authorization": "Bearer x"}, "", 401, "UNAUTHORIZED"},
		{"garbage", "GET", "/token", map[string]string{"Authorization": "!!!"}, "", 401, "UNAUTHORIZED"},
		{"Basic that is no base64", "GET", "/token", map[string]string{"Authorization": "Basic ???"}, "", 401, "UNAUTHORIZED"},
		{"bad scope", "GET", "/token?scope=repository:UPPER:pull", basic("token", s.secret), "", 400, "NAME_INVALID"},
		{"scope that is none", "GET", "/token?scope=x", basic("token", s.secret), "", 400, "UNSUPPORTED"},
		{"too many scopes", "GET", "/token?scope=" + strings.Repeat("repository:a:pull+", 101), basic("token", s.secret), "", 400, "UNSUPPORTED"},
		{"broken query", "GET", "/token?scope=%zz", basic("token", s.secret), "", 400, "UNSUPPORTED"},
		{"POST, wrong secret", "POST", "/token", form, "grant_type=password&username=token&password=wrong", 401, "UNAUTHORIZED"},
		{"POST, wrong user", "POST", "/token", form, "grant_type=password&username=root&password=" + s.secret, 401, "UNAUTHORIZED"},
		{"POST, wrong refresh token", "POST", "/token", form, "grant_type=refresh_token&refresh_token=wrong", 401, "UNAUTHORIZED"},
		{"POST without credentials", "POST", "/token", form, "grant_type=password", 401, "UNAUTHORIZED"},
		{"POST without a grant type", "POST", "/token", form, "username=token&password=" + s.secret, 400, "UNSUPPORTED"},
		{"POST of another grant type", "POST", "/token", form, "grant_type=client_credentials", 400, "UNSUPPORTED"},
		{"POST of JSON", "POST", "/token", map[string]string{"Content-Type": "application/json"}, "{}", 400, "UNSUPPORTED"},
		{"form over the limit", "POST", "/token", form, "grant_type=password&username=token&password=" + s.secret + "&x=" + strings.Repeat("x", 64<<10), 400, "UNSUPPORTED"},
		{"broken form", "POST", "/token", form, "grant_type=%zz", 400, "UNSUPPORTED"},
		{"PUT", "PUT", "/token", nil, "", 405, "UNSUPPORTED"},
		{"DELETE", "DELETE", "/token", nil, "", 405, "UNSUPPORTED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, c.method, c.target, call{header: c.header, body: []byte(c.body)})
			f := failed(t, a, c.status, c.code)
			texts[c.name] = f.Message
			if got := a.header.Get("WWW-Authenticate"); (c.status == 401) != (got == `Basic realm="fairlead"`) {
				t.Errorf("challenge %q", got)
			}
			if got := a.header.Get("Allow"); (c.status == 405) != (got == "GET, POST") {
				t.Errorf("Allow %q", got)
			}
		})
	}
	for _, name := range []string{"wrong user", "empty secret", "megabyte of secret", "POST, wrong secret", "POST, wrong user", "POST, wrong refresh token"} {
		if name != "empty secret" && texts[name] != texts["wrong secret"] {
			t.Errorf("%s is told %q, a wrong secret %q", name, texts[name], texts["wrong secret"])
		}
	}
}

// TestTwoAuthorizationHeaders: which of them counts is not guessed.
func TestTwoAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	for _, values := range [][]string{
		{"Bearer " + tok, "Bearer " + tok},
		{"Basic eDp5", "Bearer " + tok},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = values
		failed(t, s.send(t, r), http.StatusUnauthorized, "UNAUTHORIZED")
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("token", s.secret)
	r.Header.Add("Authorization", "Basic eDp5")
	failed(t, s.send(t, r), http.StatusUnauthorized, "UNAUTHORIZED")
}

// TestGarbageAuthorization never lets anybody in, and never fails inside.
func TestGarbageAuthorization(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	tok := s.full(t, "a")
	parts := strings.Split(tok, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	jwk := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}}`))
	for _, v := range []string{
		"", " ", "Bearer", "Bearer ", "bearer", "Negotiate x", "Bearer a b c", "Bearer " + strings.Repeat(".", 1<<15), "Bearer " + strings.Repeat("x", 40<<10),
		"Bearer " + none + "." + parts[1] + ".", "Bearer " + jwk + "." + parts[1] + "." + parts[2],
		"Bearer " + tok + "x", "Bearer " + tok + ".", "Bearer " + parts[0] + "." + parts[1], "Bearer " + s.secret,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("token:"+s.secret)),
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v2/a/tags/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{v}
		failed(t, s.send(t, r), http.StatusUnauthorized, "UNAUTHORIZED")
	}
	// The scheme's letter case is the client's choice (RFC 9110 11.1).
	want(t, s.do(t, "GET", "/v2/", call{header: map[string]string{"Authorization": "bEARER " + tok}}), http.StatusOK)
}

// TestKeySetVerifiesTokens: whoever reads the published keys can check a
// registry token.
func TestKeySetVerifiesTokens(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	old := s.full(t, "a")
	if _, err := s.keys.Add(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tok := range []string{old, s.full(t, "a")} {
		a := s.do(t, "GET", "/.well-known/jwks.json", call{})
		want(t, a, http.StatusOK, "Content-Type", "application/jwk-set+json")
		set := decode[struct {
			Keys []struct{ Kty, Crv, X, Kid, Alg string }
		}](t, a)
		parts := strings.Split(tok, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		var header struct{ Alg, Kid string }
		if err := json.Unmarshal(raw, &header); err != nil || header.Alg != "EdDSA" {
			t.Fatalf("header %s: %v", raw, err)
		}
		found := false
		for _, k := range set.Keys {
			if k.Kid != header.Kid {
				continue
			}
			x, err := base64.RawURLEncoding.DecodeString(k.X)
			if err != nil || k.Kty != "OKP" || k.Crv != "Ed25519" {
				t.Fatalf("key %+v: %v", k, err)
			}
			sig, err := base64.RawURLEncoding.DecodeString(parts[2])
			found = err == nil && ed25519.Verify(x, []byte(parts[0]+"."+parts[1]), sig)
		}
		if !found {
			t.Error("no published key verifies the token")
		}
	}
	want(t, s.do(t, "HEAD", "/.well-known/jwks.json", call{}), http.StatusOK)
	failed(t, s.do(t, "POST", "/.well-known/jwks.json", call{}), http.StatusMethodNotAllowed, "UNSUPPORTED")
}
