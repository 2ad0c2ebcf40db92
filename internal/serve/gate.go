package serve

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/tally"
)

const (
	// An address may fail to sign in failBurst times at once, and then once
	// every failEvery. What is right is let in all the same, at once.
	failBurst = 20
	failEvery = 3 * time.Second
	// addresses whose failures are remembered.
	addresses = 65_536
)

// gate lets people and programs in, for every surface: it limits failures per
// address, records them, and notes the use of tokens.
type gate struct {
	signIn *account.SignIn
	record func(context.Context, audit.Line)
	used   func(tally.Use)
	fails  *lru.Cache[netip.Addr, *rate.Limiter]
	now    func() time.Time
}

func newGate(s *account.SignIn, record func(context.Context, audit.Line), used func(tally.Use)) *gate {
	fails, _ := lru.New[netip.Addr, *rate.Limiter](addresses) // fails for sizes < 1 only
	return &gate{signIn: s, record: record, used: used, fails: fails, now: time.Now}
}

// Authenticate implements distribution.Authenticator. Errors beside those of
// account.SignIn: TOOMANYREQUESTS.
func (g *gate) Authenticate(ctx context.Context, username, secret string) (access.Principal, error) {
	p, err := g.signIn.Authenticate(ctx, username, secret)
	req := observe.FromContext(ctx)
	if err == nil {
		if p.Kind == access.Account {
			g.used(tally.Use{Token: p.TokenID, At: g.now(), Address: req.Client, Client: req.Agent})
		}
		return p, nil
	}
	var ended *account.EndedError
	if !errors.Is(err, account.ErrBadCredentials) && !errors.As(err, &ended) {
		return access.Principal{}, err
	}
	l := account.Line(ctx, access.Principal{}, "signin")
	if ended != nil {
		l = account.Line(ctx, ended.Principal, "signin")
	}
	l.Outcome, l.Reason = audit.Denied, err.Error()
	g.record(ctx, l)
	// Who has the value of a token that ended guesses nothing, and should read
	// why, from however many machines behind one address.
	if ended == nil && !g.allow(req.Client) {
		return access.Principal{}, oci.Errorf(oci.CodeTooManyRequests, "too many failed sign-ins from this address: wait a minute; a correct token is let in at once")
	}
	return access.Principal{}, err
}

// allow counts a failure of the address; those of one IPv6 network count
// together.
func (g *gate) allow(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			a = p.Addr()
		}
	}
	l, ok := g.fails.Get(a)
	if !ok {
		l = rate.NewLimiter(rate.Every(failEvery), failBurst)
		g.fails.Add(a, l)
	}
	return l.AllowN(g.now(), 1)
}

// Request finds who sends a request of the management API: Basic with the user
// name token, or Bearer with a token's value.
func (g *gate) Request(r *http.Request) (access.Principal, error) {
	values := r.Header["Authorization"]
	username, secret, ok := r.BasicAuth()
	if !ok && len(values) == 1 {
		scheme, value, _ := strings.Cut(values[0], " ")
		username, secret, ok = access.UserName, value, strings.EqualFold(scheme, "bearer")
	}
	if !ok || len(values) != 1 {
		return access.Principal{}, oci.Errorf(oci.CodeUnauthorized, "sign in: the user name is token, the password a Fairlead token (fairlead login)")
	}
	p, err := g.Authenticate(r.Context(), username, secret)
	switch {
	case errors.Is(err, account.ErrBadCredentials):
		err = oci.Errorf(oci.CodeUnauthorized, "%s", account.ErrBadCredentials.Error())
	case errors.Is(err, account.ErrUnavailable):
		err = oci.Errorf(oci.CodeUnavailable, "%s", account.ErrUnavailable.Error())
	}
	if err == nil {
		observe.FromContext(r.Context()).Principal = p.Name
	}
	return p, err
}
