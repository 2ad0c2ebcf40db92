package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// tokenUser is the user that tokens sign in with.
const tokenUser = "token"

// tokenSource are tokens of our own registry.
type tokenSource struct {
	ids         []string
	fresh       bool
	expires     age
	description string
	registry    *connection
}

func (t *tokenSource) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&t.ids, "token", nil, "`ID` of a token of the registry that you are signed in to; may be repeated")
	f.BoolVar(&t.fresh, "new-token", false, "make a token that may only pull, from --scope or from all namespaces of the account")
	f.Var(&t.expires, "expires", "let --new-token be good for this `time`, such as 90d (default 24h)")
	f.StringVar(&t.description, "description", "", "`text` that says whose --new-token is (default pull secret NAME)")
	complete(cmd, "expires", "30d", "90d", "365d")
	complete(cmd, "description")
}

// connect adds the flags of the registry, whose names are not the cluster's.
func (t *tokenSource) connect(cmd *cobra.Command, e env) {
	t.registry = addPrefixedConnection(cmd, e, "token", "registry-")
	t.registry.completeFlag(e, "token", tokenIDs)
}

func (t *tokenSource) given() bool { return len(t.ids) > 0 || t.fresh }

func (t *tokenSource) read(cmd *cobra.Command) error {
	hint := cmd.CommandPath() + " --help"
	expires := cmd.Flags().Changed("expires")
	switch {
	case len(t.ids) > 0 && t.fresh:
		return usagef(hint, "give --token or --new-token, not both")
	case !t.fresh && (expires || t.description != ""):
		return usagef(hint, "--expires and --description are for --new-token")
	case expires && t.expires <= 0:
		return usagef(hint, "--expires must be above 0")
	case slices.Contains(t.ids, ""):
		return usagef("fairlead token list", "--token is empty: name a token by its ID")
	}
	return nil
}

// entries fetches the tokens' values, or makes a token. host is how nodes
// call the registry, "" for as it is called here.
func (t *tokenSource) entries(ctx context.Context, e env, name, host string, scopes []string) ([]dockerconfig.Entry, error) {
	s, err := t.registry.open(ctx, e, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.close() }() // only idle connections
	if host == "" {
		if host, err = pullHost(e, s); err != nil {
			return nil, err
		}
	}
	if t.fresh {
		v, err := t.make(ctx, e, s, name, scopes)
		return entriesOf(v, host, scopes, false), err
	}
	var out []dockerconfig.Entry
	for _, id := range t.ids {
		v, err := s.api.TokenValue(ctx, id)
		if err != nil {
			return nil, advised(err, s, "token")
		}
		caution(e, v, time.Now())
		out = append(out, entriesOf(v, host, scopes, len(t.ids) > 1)...)
	}
	return out, nil
}

// make makes a token that may only pull.
func (t *tokenSource) make(ctx context.Context, e env, s *session, name string, scopes []string) (v1.TokenValue, error) {
	spec := v1.TokenSpec{Access: "readonly", Description: t.description}
	if spec.Description == "" {
		spec.Description = "pull secret " + name
	}
	if t.expires > 0 {
		spec.Expires = span(time.Duration(t.expires))
	}
	if len(scopes) > 0 {
		spec.Reach = &v1.Reach{Namespaces: scopes}
	}
	v, err := s.api.AddToken(ctx, spec, "")
	if err != nil {
		return v, advised(err, s, "token")
	}
	expires := "never expires"
	if v.Expires != nil {
		expires = "expires at " + moment(*v.Expires)
	}
	fmt.Fprintf(e.stderr, "The token %s is made; it may pull from %s and %s.\n", v.ID, reachText(v.Reach), expires)
	return v, nil
}

// caution warns of a token that opens too much, or not for long. One that
// ended has no value that the server gives.
func caution(e env, v v1.TokenValue, now time.Time) {
	if v.Access != "readonly" {
		fmt.Fprintf(e.stderr, "warning: the token %s has the access %s: whoever reads the secret may do more than pull\n", v.ID, v.Access)
	}
	if v.Expires != nil && v.Expires.Sub(now) < 48*time.Hour {
		fmt.Fprintf(e.stderr, "warning: the token %s expires at %s; pods cannot pull from then on\n", v.ID, moment(*v.Expires))
	}
}

// entriesOf are a token's: one for the registry, or, where it shares the
// secret with others, one for each thing that it reaches.
func entriesOf(v v1.TokenValue, host string, scopes []string, shared bool) []dockerconfig.Entry {
	var keys []string
	switch {
	case len(scopes) > 0:
		for _, s := range scopes {
			keys = append(keys, pullsecret.KeyFor(host, s))
		}
	case !shared || v.Reach.All:
		keys = []string{host}
	default:
		for _, n := range v.Reach.Namespaces {
			keys = append(keys, pullsecret.KeyFor(host, n))
		}
		for _, r := range v.Reach.Repositories {
			keys = append(keys, host+"/"+r)
		}
	}
	out := make([]dockerconfig.Entry, len(keys))
	for i, k := range keys {
		out[i] = dockerconfig.Entry{Key: k, Username: tokenUser, Password: v.Value}
	}
	return out
}

// pullHost is how the registry is called by those who reach it: its public
// name before a loopback address, which is another machine's own on a node.
func pullHost(e env, s *session) (string, error) {
	local := ""
	for _, h := range s.hosts {
		name, _, err := net.SplitHostPort(h)
		if err != nil {
			name = h
		}
		ip := net.ParseIP(name)
		switch {
		case name == "" || ip != nil && ip.IsUnspecified(): // where it listens is no name
		case client.Loopback(name):
			if local == "" {
				local = h
			}
		default:
			return h, nil
		}
	}
	if local == "" {
		return "", usagef("fairlead secret create NAME --token ID --server HOST", "%s has no name that others call it by: give it with --server", s.name)
	}
	fmt.Fprintf(e.stderr, "warning: %s is this machine's alone: if nodes call the registry otherwise, give its name with --server\n", local)
	return local, nil
}
