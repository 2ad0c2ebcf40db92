package distribution

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

// bearer takes the token out of the only Authorization header.
func bearer(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	scheme, raw, ok := strings.Cut(values[0], " ")
	return raw, ok && strings.EqualFold(scheme, "bearer") && raw != ""
}

// tokenRequest is what both forms of the token endpoint come down to.
type tokenRequest struct {
	username, secret string
	signedIn         bool // credentials were sent
	scopes           []oci.Scope
}

// tokenAnswer is Docker's token response. There is never a refresh token:
// docker would keep it instead of the password, and its config.json could not
// become a pull secret any more.
type tokenAnswer struct {
	Token       string `json:"token,omitempty"`
	AccessToken string `json:"access_token"`
	Scope       string `json:"scope,omitempty"`
	ExpiresIn   int    `json:"expires_in"`
	IssuedAt    string `json:"issued_at"`
}

// token answers GET (Basic) and POST (OAuth2) on /token. What was asked for
// too much is left out of the token; it is no error.
// Source: Docker's token authentication and OAuth2 specifications.
func (x *exchange) token() error {
	x.w.Header().Set("Cache-Control", "no-store")
	var t tokenRequest
	var err error
	switch x.r.Method {
	case http.MethodGet:
		t, err = x.tokenGet()
	case http.MethodPost:
		t, err = x.tokenPost()
	default:
		x.w.Header().Set("Allow", "GET, POST")
		err = oci.Errorf(oci.CodeUnsupported, "ask the token endpoint by GET or POST")
	}
	if err != nil {
		return err
	}
	p, err := x.signIn(t)
	if err != nil {
		return err
	}
	x.viewer.Principal, x.record.Principal = p, p.Name
	raw, claims, err := x.h.o.Minter.Mint(x.r.Context(), p, x.h.o.Policy.Allow(p, t.scopes))
	if err != nil {
		return err
	}
	x.warn(false)
	a := tokenAnswer{
		AccessToken: raw,
		ExpiresIn:   int(claims.Expires.Sub(claims.Issued) / time.Second),
		IssuedAt:    claims.Issued.UTC().Format(time.RFC3339),
	}
	if x.r.Method == http.MethodGet {
		a.Token = raw
	} else {
		names := make([]string, len(claims.Scopes))
		for i, s := range claims.Scopes {
			names[i] = s.String()
		}
		a.Scope = strings.Join(names, " ")
	}
	return x.json(http.StatusOK, a)
}

// signIn finds who asks.
func (x *exchange) signIn(t tokenRequest) (access.Principal, error) {
	if !t.signedIn {
		if x.h.o.Anonymous {
			return anonymous, nil
		}
		return access.Principal{}, &access.Error{Code: oci.CodeUnauthorized, Reason: "sign in first: this registry has no anonymous access (user name token, password a Fairlead token)"}
	}
	p, err := x.h.o.Authenticator.Authenticate(x.r.Context(), t.username, t.secret)
	switch {
	case errors.Is(err, account.ErrBadCredentials):
		err = oci.Errorf(oci.CodeUnauthorized, "%s", account.ErrBadCredentials.Error())
	case errors.Is(err, account.ErrUnavailable):
		err = oci.Errorf(oci.CodeUnavailable, "%s", account.ErrUnavailable.Error())
	}
	return p, err
}

func (x *exchange) tokenGet() (tokenRequest, error) {
	var t tokenRequest
	q, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return t, oci.Errorf(oci.CodeRequestInvalid, "the query is not readable: %s", oci.Clip(err.Error()))
	}
	if t.scopes, err = oci.ParseScopes(q["scope"]); err != nil {
		return t, err
	}
	if n := len(x.r.Header["Authorization"]); n > 0 {
		t.username, t.secret, t.signedIn = x.r.BasicAuth()
		if !t.signedIn || n > 1 {
			return t, oci.Errorf(oci.CodeUnauthorized, "the token endpoint takes one Authorization header with Basic credentials: user name token, password a Fairlead token")
		}
	}
	return t, nil
}

func (x *exchange) tokenPost() (tokenRequest, error) {
	var t tokenRequest
	if mt, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return t, oci.Errorf(oci.CodeRequestInvalid, "the Content-Type must be application/x-www-form-urlencoded")
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxForm)
	if err := x.r.ParseForm(); err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return t, oci.Errorf(oci.CodeRequestInvalid, "the form is longer than %d bytes: ask for fewer scopes at once", maxForm)
		}
		return t, oci.Errorf(oci.CodeRequestInvalid, "the form is not readable: %s", oci.Clip(err.Error()))
	}
	f := x.r.PostForm
	var err error
	if t.scopes, err = oci.ParseScopes(f["scope"]); err != nil {
		return t, err
	}
	switch grant := f.Get("grant_type"); grant {
	case "password":
		t.username, t.secret = f.Get("username"), f.Get("password")
	case "refresh_token":
		t.username, t.secret = "token", f.Get("refresh_token")
	default:
		return t, oci.Errorf(oci.CodeRequestInvalid, "the grant_type is %q: use password or refresh_token", oci.Clip(grant))
	}
	t.signedIn = t.secret != ""
	return t, nil
}

// keySet publishes the keys that registry tokens are signed with.
func (x *exchange) keySet() error {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.w.Header().Set("Allow", "GET, HEAD")
		return oci.Errorf(oci.CodeUnsupported, "the key set can only be read")
	}
	set, err := x.h.o.KeySet(x.r.Context())
	if err != nil {
		return err
	}
	x.w.Header().Set("Cache-Control", "max-age=300")
	return x.bytes(http.StatusOK, "application/jwk-set+json", set)
}
