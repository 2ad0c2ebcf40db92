package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/credhelper"
	"fairlead.dev/fairlead/internal/oci"
)

// serverTime is how long a server may take: a client waits behind it, and says
// nothing meanwhile.
const serverTime = 10 * time.Second

// useCredHelpers is how a client asks us about our own registries only.
const useCredHelpers = `in the client's config.json write {"credHelpers": {"registry.example.com": "fairlead"}} for each Fairlead registry, and leave credsStore to another helper`

// runCredentialHelper is the program docker-credential-fairlead.
func runCredentialHelper(ctx context.Context, args []string, e env) int {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(e.stderr, programCredential+": give one of get, store, erase, list and version; clients such as docker run it and speak with it over stdin and stdout")
		return exitFailed
	}
	// What the commands would print belongs to the protocol here.
	k := keeper{e}
	k.e.stdout = io.Discard
	s := credhelper.Server{Version: programCredential + " (fairlead) " + build().Version, Keeper: k}
	if s.Serve(ctx, args[0], e.stdin, e.stdout) != nil {
		return exitFailed
	}
	return exitDone
}

// keeper hands out the logins, by host.
type keeper struct{ e env }

// Get gives what a client signs in to a server with: see issuer.
func (k keeper) Get(ctx context.Context, server string) (user, secret string, err error) {
	l, err := readLogins(k.e)
	if err != nil {
		return "", "", spoken(err)
	}
	found := l.of(server)
	if len(found) == 0 {
		return "", "", credhelper.ErrNotFound
	}
	secret, err = issue(ctx, k.e, found[0])
	return tokenUser, secret, spoken(err)
}

// Store makes what a client's own login was given the login of that host.
func (k keeper) Store(ctx context.Context, server, user, secret string) error {
	return spoken(changeLogins(ctx, k.e, func(l *logins) error { return k.store(ctx, l, server, user, secret) }))
}

func (k keeper) store(ctx context.Context, l *logins, server, user, secret string) error {
	value, err := tokenIn(secret, "the password")
	if user != tokenUser || err != nil || len(secret) > maxToken {
		return saidf(useCredHelpers, "%s keeps tokens of Fairlead registries only, with the user %s", programCredential, tokenUser)
	}
	at, err := l.target(server)
	if err != nil {
		return err
	}
	// docker login without a user gives back what it got here: a login must not
	// become its own short-lived token.
	if made, err := newShelf(k.e, at).load(ctx); err == nil && has(made, value) {
		return nil
	}
	s, err := dial(at, func() (string, error) { return value, nil })
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // only idle connections
	asking, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	who, err := greet(asking, s, at)
	if err != nil {
		return withHint(slow(err, at), useCredHelpers)
	}
	// Only the operator may have chosen a value of another form.
	if _, err := account.ParseValue(value); err != nil && who.Kind != "operator" {
		return saidf(useCredHelpers, "%s does not answer as a Fairlead registry", at.Server)
	}
	return l.keep(ctx, k.e, at, value)
}

// target is the login that a client's own login to a server makes, or makes
// anew.
func (l *logins) target(server string) (login, error) {
	if found := l.of(server); len(found) > 0 {
		return found[0], nil
	}
	scheme, host, ok := hostIn(server)
	if !ok {
		return login{}, fmt.Errorf("%q is no host of a registry", shown(oci.Clip(server)))
	}
	if scheme != "" {
		host = scheme + "://" + host
	}
	u, err := client.ParseServer(host)
	if err != nil {
		return login{}, err
	}
	return login{Name: u.Host, Server: u.String()}, nil
}

// Erase signs out of a host: of all its contexts, so that nobody else is
// signed in there afterwards.
func (k keeper) Erase(ctx context.Context, server string) error {
	l, err := readLogins(k.e)
	if err != nil {
		return spoken(err)
	}
	if len(l.of(server)) == 0 { // clients ask about others' registries, too
		return credhelper.ErrNotFound
	}
	return spoken(changeLogins(ctx, k.e, func(l *logins) error {
		for _, c := range l.of(server) {
			if err := l.signOut(ctx, k.e, c); err != nil {
				return err
			}
		}
		return l.write()
	}))
}

// List gives the user by server.
func (k keeper) List(context.Context) (map[string]string, error) {
	l, err := readLogins(k.e)
	if err != nil {
		return nil, spoken(err)
	}
	users := map[string]string{}
	for _, c := range l.Contexts {
		users[c.Server] = tokenUser
	}
	return users, nil
}

// of gives the contexts of a server as a client names it, the current one
// first.
func (l *logins) of(server string) []login {
	scheme, host, ok := hostIn(server)
	if !ok {
		return nil
	}
	var found []login
	for _, c := range l.Contexts {
		u, err := url.Parse(c.Server)
		if err != nil || withPort(u.Scheme, u.Host) != withPort(cmp.Or(scheme, u.Scheme), host) {
			continue
		}
		if c.Name == l.Current {
			found = append([]login{c}, found...)
		} else {
			found = append(found, c)
		}
	}
	return found
}

// hostIn takes scheme and host out of registry.example.com:5000 or
// https://registry.example.com/v2/; the scheme may be missing.
func hostIn(server string) (scheme, host string, ok bool) {
	text := server
	if !strings.Contains(text, "://") {
		text = "//" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Hostname() == "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return "", "", false
	}
	return u.Scheme, strings.ToLower(u.Host), true
}

// withPort is a host with the port that its scheme stands for.
func withPort(scheme, host string) string {
	u := url.URL{Scheme: scheme, Host: host}
	switch {
	case u.Port() != "":
		return host
	case scheme == "http":
		return strings.TrimSuffix(host, ":") + ":80"
	}
	return strings.TrimSuffix(host, ":") + ":443"
}

// spoken is an error as one line, with what to do next: the protocol has no
// second line, and nobody but us tells absent from broken.
func spoken(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if hint := hintOf(err); hint != "" {
		text += "; next: " + hint
	}
	return errors.New(text)
}

// slow says of a server that gave no answer in time that it did not.
func slow(err error, at login) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s gave no answer within %v", at.Server, serverTime)
	}
	return err
}
