package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/credhelper"
	"fairlead.dev/fairlead/internal/keyfile"
)

const (
	// A short-lived token is handed out for its first hour: one for each call
	// would fill the list of tokens, and a push that begins at the end of that
	// hour still has three.
	leaseLife = 4 * time.Hour
	leaseRest = 3 * time.Hour
)

// lease is a short-lived token that was made with a login.
type lease struct {
	// Login is the ID of the login's token.
	Login string `json:"login"`
	Value string `json:"value"`
	// Fresh is until when it is handed out, Ends until when it is good: by the
	// clock of this machine.
	Fresh time.Time `json:"fresh"`
	Ends  time.Time `json:"ends"`
}

// id names the token.
func (l lease) id() string {
	id, _ := account.ParseValue(l.Value) // a server made it
	return id
}

// freshOf gives the newest of a login's leases, if it is to be handed out.
func freshOf(all []lease, login string, now time.Time) (lease, bool) {
	if len(all) == 0 {
		return lease{}, false
	}
	l := all[len(all)-1]
	// A clock that was set back makes a lease fresh for too long.
	return l, login != "" && l.Login == login && now.Before(l.Fresh) && l.Fresh.Sub(now) <= leaseLife
}

func has(all []lease, value string) bool {
	return slices.ContainsFunc(all, func(l lease) bool { return l.Value == value })
}

// shelf keeps the leases of one login, where it keeps its own token: in its
// credential helper, or in a file beside the logins.
type shelf struct {
	login login
	path  string
}

func newShelf(e env, c login) shelf {
	path, _ := loginFile(e) // there is a home: the login was read there
	return shelf{c, filepath.Join(filepath.Dir(path), "short-lived.json")}
}

func (s shelf) key() string { return s.login.key() + "/short-lived" }

// load gives the leases, the newest last.
func (s shelf) load(ctx context.Context) ([]lease, error) {
	if s.login.CredentialHelper == "" {
		all, err := s.file()
		return all[s.key()], err
	}
	h, err := helperOf(s.login.CredentialHelper)
	if err != nil {
		return nil, err
	}
	_, text, err := h.Get(ctx, s.key())
	if errors.Is(err, credhelper.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []lease
	if json.Unmarshal([]byte(text), &list) != nil { // its error may hold a value
		return nil, fmt.Errorf("docker-credential-%s holds no short-lived tokens under %s: erase that", s.login.CredentialHelper, s.key())
	}
	return list, nil
}

// file gives all leases by key.
func (s shelf) file() (map[string][]lease, error) {
	all := map[string][]lease{}
	text, err := keyfile.Read(s.path, 1<<20, keyfile.Private)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case errors.Is(err, keyfile.ErrPermissions):
		return nil, err // it says what to do
	case err != nil:
		return nil, fmt.Errorf("read the short-lived tokens: %w", err)
	}
	if json.Unmarshal(text, &all) != nil { // its error may hold a value
		return nil, &hintError{fmt.Errorf("%s is no list of short-lived tokens", s.path), "rm " + s.path}
	}
	return all, nil
}

// save keeps the leases in the place of those of before. The caller holds the
// lock.
func (s shelf) save(ctx context.Context, list []lease) error {
	if s.login.CredentialHelper != "" {
		return s.saveInHelper(ctx, list)
	}
	all, err := s.file()
	if err != nil {
		return err
	}
	if all[s.key()] = list; len(list) == 0 {
		delete(all, s.key())
	}
	if len(all) == 0 {
		if err := keyfile.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("write the short-lived tokens: %w", err)
	}
	err = keyfile.Replace(s.path, text)
	if errors.Is(err, fs.ErrNotExist) {
		err = keyfile.Create(s.path, text)
	}
	return err
}

func (s shelf) saveInHelper(ctx context.Context, list []lease) error {
	h, err := helperOf(s.login.CredentialHelper)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if err := h.Erase(ctx, s.key()); err != nil && !errors.Is(err, credhelper.ErrNotFound) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("write the short-lived tokens: %w", err)
	}
	return h.Store(ctx, s.key(), tokenUser, string(text))
}

// issuer gives out tokens by a login.
type issuer struct {
	e     env
	login login
	// value of the login's token, and its ID: "" if it has none.
	value, id string
	shelf     shelf
	api       *client.Client
}

// issue gives the token that a client signs in with: a short-lived one, if the
// login may make it, or else the login's own. The server is asked each time,
// with one request, so that what was revoked is not handed out.
func issue(ctx context.Context, e env, c login) (string, error) {
	value, err := c.value(ctx)
	if err != nil {
		return "", err
	}
	s, err := dial(c, func() (string, error) { return value, nil })
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close() }() // only idle connections
	s.login = &c
	id, _ := account.ParseValue(value) // the operator's may have another form
	i := issuer{e: e, login: c, value: value, id: id, shelf: newShelf(e, c), api: s.api}
	token, err := i.token(ctx)
	return token, advised(slow(err, c), s, "token")
}

func (i issuer) token(ctx context.Context) (string, error) {
	held, err := i.shelf.load(ctx)
	if err != nil {
		return "", err
	}
	asking, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	var tried lease
	if l, ok := freshOf(held, i.id, time.Now()); ok {
		tried = l
		good, err := i.good(asking, l)
		if good {
			return l.Value, nil
		}
		if err != nil {
			return "", i.ended(ctx, err)
		}
	}
	who, err := i.api.Whoami(asking)
	if err != nil {
		return "", i.ended(ctx, err)
	}
	spec, life, ok := leaseFor(who, time.Now())
	if !ok {
		if len(held) > 0 {
			i.endAll(ctx)
		}
		return i.value, nil
	}
	return i.mint(ctx, spec, life, tried)
}

// good asks whether a lease still is: it, and the login, which asks.
func (i issuer) good(ctx context.Context, l lease) (bool, error) {
	t, err := i.api.Token(ctx, l.id())
	switch status, _ := refusal(err); {
	case err == nil:
		return t.State == "active" && t.Rotated == nil, nil
	case status == http.StatusForbidden || status == http.StatusNotFound: // it is gone, or the login is another
		return false, nil
	}
	return false, err
}

// ended ends what was made with a login that the server does not take any
// more, and gives err.
func (i issuer) ended(ctx context.Context, err error) error {
	if status, _ := refusal(err); status == http.StatusUnauthorized {
		i.endAll(ctx)
	}
	return err
}

// endAll ends what another login, or one that has ended, left. If it cannot,
// they end by themselves.
func (i issuer) endAll(ctx context.Context) {
	unlock, err := lockLogins(ctx, i.e)
	if err != nil {
		return
	}
	defer unlock()
	_ = endLeases(ctx, i.e, i.login)
}

// leaseFor is what a login may make for clients, and for how long; no lease
// outlives the login.
func leaseFor(who v1.Whoami, now time.Time) (spec v1.TokenSpec, life time.Duration, ok bool) {
	switch {
	case who.Kind != "account":
		return spec, 0, false
	case who.Access == "admin":
		spec.Access = "readwrite"
	case who.Access == "cluster": // its own token pulls nothing
		spec.Access = "readonly"
	default:
		return spec, 0, false
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	spec.Description = programCredential + " on " + host
	spec.Reach = &v1.Reach{All: true}
	life = leaseLife
	if who.Expires != nil {
		// At least a minute: the clocks of the two machines may differ.
		life = max(min(life, who.Expires.Sub(now)), time.Minute).Truncate(time.Second)
	}
	spec.Expires = span(life)
	return spec, life, true
}

// mint makes a lease, unless another process just did. tried is the one that
// is no longer good.
func (i issuer) mint(ctx context.Context, spec v1.TokenSpec, life time.Duration, tried lease) (string, error) {
	unlock, err := lockLogins(ctx, i.e)
	if err != nil {
		return "", err
	}
	defer unlock()
	held, err := i.shelf.load(ctx)
	if err != nil {
		return "", err
	}
	if l, ok := freshOf(held, i.id, time.Now()); ok && l.Value != tried.Value {
		return l.Value, nil
	}
	asking, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	now := time.Now()
	made, err := i.api.AddToken(asking, spec, "")
	if err != nil {
		return "", err
	}
	l := lease{Login: i.id, Value: made.Value, Fresh: now.Add(life), Ends: now.Add(life)}
	if life == leaseLife {
		l.Fresh = l.Ends.Add(-leaseRest)
	}
	// Those of before stay good: a push may be under way with one of them.
	kept := []lease{}
	for _, old := range held {
		if old.Login != i.id {
			i.revoke(asking, old)
		} else if now.Before(old.Ends) {
			kept = append(kept, old)
		}
	}
	if err := i.shelf.save(ctx, append(kept, l)); err != nil {
		i.revoke(asking, l) // nobody else knows of it
		return "", err
	}
	return l.Value, nil
}

func (i issuer) revoke(ctx context.Context, l lease) { _ = revoke(ctx, i.login, l) }

// revoke ends a lease with its own value, so that the login may have ended.
func revoke(ctx context.Context, at login, l lease) error {
	s, err := dial(at, func() (string, error) { return l.Value, nil })
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // only idle connections
	_, err = s.api.RevokeToken(ctx, l.id())
	if status, _ := refusal(err); status == http.StatusUnauthorized { // it has ended
		return nil
	}
	return slow(err, at)
}

// endLeases revokes and forgets what was made with a login. What cannot be
// revoked is warned of, since it ends soon by itself. The caller holds the
// lock.
func endLeases(ctx context.Context, e env, c login) error {
	s := newShelf(e, c)
	list, err := s.load(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	for _, l := range list {
		if !time.Now().Before(l.Ends) {
			continue
		}
		if err := revoke(asking, c, l); err != nil {
			fmt.Fprintf(e.stderr, "warning: the short-lived token %s of %s is not revoked, and ends at %s: %v\n", l.id(), c.Server, moment(l.Ends), err)
		}
	}
	return s.save(ctx, nil)
}
