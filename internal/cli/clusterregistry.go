package cli

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/probe"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// clusterRegistry is a registry that a cluster pulls from, and who is signed
// in to it here.
type clusterRegistry struct {
	at  login
	url *url.URL
	s   *session
	// account owns the cluster's tokens.
	account string
	value   string // of the cluster's token
	ca      []byte // see authority
}

// clusterRegistries are several, to be closed together.
type clusterRegistries []*clusterRegistry

func (rs clusterRegistries) close() {
	for _, r := range rs {
		_ = r.s.close() // only idle connections
	}
}

// loginsFor gives one's logins to the registries at these URLs; to all that
// one is signed in to if there is none.
func loginsFor(e env, urls []string, hint string) ([]login, error) {
	l, err := readLogins(e)
	if err != nil {
		return nil, err
	}
	var out []login
	if len(urls) == 0 {
		for _, c := range l.Contexts {
			if at := l.at(c.Server); !slices.ContainsFunc(out, func(o login) bool { return o.Server == c.Server }) {
				out = append(out, *at)
			}
		}
		if len(out) == 0 {
			return nil, errNobody
		}
		return out, nil
	}
	for _, text := range urls {
		u, err := client.ParseServer(text)
		if err != nil {
			return nil, usagef(hint, "--registry: %w", err)
		}
		at := l.at(u.String())
		if at == nil {
			return nil, &hintError{fmt.Errorf("nobody is signed in to %s: %w", u, errSignIn), "fairlead login " + u.String()}
		}
		if slices.ContainsFunc(out, func(o login) bool { return o.Server == at.Server }) {
			return nil, usagef(hint, "--registry %s is given twice", u)
		}
		out = append(out, *at)
	}
	return out, nil
}

// openRegistry asks a registry who is signed in, and so whether it is a
// Fairlead. account is whose tokens are meant where the operator is.
func openRegistry(ctx context.Context, at login, account string) (*clusterRegistry, error) {
	r, err := addressOf(at)
	if err != nil {
		return nil, err
	}
	s, err := dial(at, func() (string, error) { return at.value(ctx) })
	if err != nil {
		return nil, err
	}
	s.login = &at
	r.s, r.account = s, account
	who, err := s.api.Whoami(ctx)
	if err != nil {
		_ = s.close() // only idle connections
		return nil, r.failed(err)
	}
	if who.Kind != "operator" {
		r.account = who.Account
	}
	if account != "" && r.account != account {
		_ = s.close() // only idle connections
		return nil, usagef("fairlead context list", "--account is %q, and you are signed in to %s as %s", account, r.url, r.account)
	}
	return r, nil
}

// openRegistries opens all, or none.
func openRegistries(ctx context.Context, list []login, account string) (clusterRegistries, error) {
	var out clusterRegistries
	for _, at := range list {
		r, err := openRegistry(ctx, at, account)
		if err == nil {
			out = append(out, r)
			err = r.owned()
		}
		if err != nil {
			out.close()
			return nil, err
		}
	}
	return out, nil
}

// owned refuses the operator who does not say whose cluster it is.
func (r *clusterRegistry) owned() error {
	if r.account == "" {
		return usagef("fairlead account list --context "+r.at.Name, "you are the operator of %s: say with --account whose cluster it is", r.url)
	}
	return nil
}

// loopback says whether nodes would look for the registry on themselves.
func (r *clusterRegistry) loopback() bool {
	host := strings.TrimSuffix(r.url.Hostname(), ".")
	ip := net.ParseIP(host)
	return client.Loopback(host) || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsUnspecified()
}

// leadsHere says whether this machine knows the name by loopback addresses
// alone.
func (r *clusterRegistry) leadsHere(ctx context.Context) bool {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", r.url.Hostname())
	return err == nil && len(all) > 0 && !slices.ContainsFunc(all, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() })
}

// untold says whether nodes must be told that the registry is plain http: what
// they take for their own loopback they try so by themselves.
func (r *clusterRegistry) untold() bool {
	return r.url.Scheme == "http" && !client.Loopback(r.url.Hostname())
}

// own refuses another account than the one whose tokens a secret of attach has:
// those would stay, and nobody would know of them.
func (rs clusterRegistries) own(s pullsecret.Secret) error {
	accounts := strings.Fields(s.Annotations[accountsMark])
	for i, u := range strings.Fields(s.Annotations[registriesMark]) {
		for _, r := range rs {
			if r.url.String() == u && i < len(accounts) && r.account != "" && r.account != accounts[i] {
				return &codedError{&hintError{
					fmt.Errorf("the cluster is attached with the account %s of %s, and you act for %s", shown(accounts[i]), r.url, r.account),
					"fairlead context use NAME, of an admin of that account",
				}, exitConflict}
			}
		}
	}
	return nil
}

// tokens lists the account's; those of one cluster unless that is "".
func (r *clusterRegistry) tokens(ctx context.Context, cluster string, ended bool) ([]v1.Token, error) {
	q := v1.TokenQuery{Account: r.account, Cluster: cluster, Ended: ended, Limit: admin.MaxLimit}
	var out []v1.Token
	for {
		p, err := r.s.api.Tokens(ctx, q)
		if err != nil {
			return nil, r.failed(err)
		}
		for _, t := range p.Items {
			if t.Cluster != "" {
				out = append(out, t)
			}
		}
		if p.Next == "" || p.Next == q.Next {
			return out, nil
		}
		q.Next = p.Next
	}
}

// The accesses of tokens that attach makes: one that pulls, and one that makes
// such for the controller.
const (
	pullAccess    = "readonly"
	clusterAccess = "cluster"
)

// ofAttach says whether attach made a token for the cluster: others of the
// cluster's name are none of its business.
func ofAttach(t v1.Token, cluster string) bool {
	return t.Cluster == cluster && t.Description == cluster && (t.Access == pullAccess || t.Access == clusterAccess) && t.Reach.All && t.Expires == nil
}

// minted says whether one of attach's tokens made a token, for the controller or
// by it. makers are makersOf the cluster's. Of a maker that the registry has
// forgotten nothing is known: what it made of the cluster's name counts, for it
// would outlive the cluster otherwise.
func minted(t v1.Token, cluster string, makers map[string]v1.Token) bool {
	if t.Cluster != cluster || t.Access != pullAccess {
		return false
	}
	by, known := makers[t.CreatedBy]
	if !known {
		return strings.HasPrefix(t.CreatedBy, t.Account+"/")
	}
	return by.Access == clusterAccess && ofAttach(by, cluster)
}

// makersOf gives the tokens that made others of a cluster, by what CreatedBy
// calls them, as far as the registry knows them: it forgets them 30 days after
// their end. all are the cluster's, those that ended as well.
func (r *clusterRegistry) makersOf(ctx context.Context, all []v1.Token) (map[string]v1.Token, error) {
	out := map[string]v1.Token{}
	for _, t := range all {
		out[t.Account+"/"+t.ID] = t
	}
	asked := map[string]bool{}
	for _, t := range all {
		id, is := strings.CutPrefix(t.CreatedBy, t.Account+"/")
		if _, known := out[t.CreatedBy]; known || !is || t.State != "active" || asked[id] {
			continue
		}
		asked[id] = true
		by, err := r.s.api.Token(ctx, id)
		if status, _ := refusal(err); status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return nil, r.failed(err)
		}
		out[t.CreatedBy] = by
	}
	return out, nil
}

// token gives the cluster's token of an access with its value: the one that it
// has, or a new one. known says that those which are there are this cluster's.
//
// The registry keeps the name of a token's cluster, not which cluster that is.
// It does keep under which key the token was asked for, and the key is made of
// the cluster's UID: so an attach that was cut off, or whose secrets are gone,
// finds its token again, and another cluster of the name does not.
func (r *clusterRegistry) token(ctx context.Context, access, cluster, uid string, known bool) (v1.TokenValue, error) {
	all, err := r.tokens(ctx, cluster, true)
	if err != nil {
		return v1.TokenValue{}, err
	}
	var active, ended []v1.Token
	for _, t := range all {
		switch {
		case !ofAttach(t, cluster):
		case t.Access != access:
			if t.State == "active" && !known {
				return v1.TokenValue{}, r.taken(cluster)
			}
		case t.State == "active":
			active = append(active, t)
		default:
			ended = append(ended, t)
		}
	}
	if len(active) > 0 && known {
		v, err := r.s.api.TokenValue(ctx, active[len(active)-1].ID)
		return v, r.failed(err)
	}
	return r.askedFor(ctx, v1.TokenSpec{
		Account: r.account, Access: access, Description: cluster, Cluster: cluster, NonExpiring: true,
	}, uid, active, ended)
}

// vain is how many tokens are made, and revoked at once, to find one of ours
// among the active ones.
const vain = 3

// askedFor asks for a token by this cluster's keys: the first, and, as the key
// of a token that ended makes none again, the next. The active ones are another
// cluster's if no key finds one of them. There may be one behind a key that is
// free: the registry has forgotten the token that this one made.
func (r *clusterRegistry) askedFor(ctx context.Context, spec v1.TokenSpec, uid string, active, ended []v1.Token) (v1.TokenValue, error) {
	for n, made := 0, 0; made < vain; n++ {
		v, err := r.s.api.AddToken(ctx, spec, requestKey(spec.Access, uid, spec.Cluster, strconv.Itoa(n)))
		if status, _ := refusal(err); status == http.StatusConflict {
			of := func(t v1.Token) bool { return strings.Contains(err.Error(), t.ID) } // it says which token the key made
			if i := slices.IndexFunc(active, of); i >= 0 {                             // for somebody else of the account
				v, err = r.s.api.TokenValue(ctx, active[i].ID)
				return v, r.failed(err)
			}
			if slices.ContainsFunc(ended, of) {
				continue
			}
		}
		if err != nil || len(active) == 0 || !v.Added {
			return v, r.failed(err)
		}
		made++
		if _, err := r.s.api.RevokeToken(ctx, v.ID); err != nil {
			return v1.TokenValue{}, errors.Join(r.taken(spec.Cluster), r.failed(err))
		}
	}
	return v1.TokenValue{}, r.taken(spec.Cluster)
}

// requestKey is short, whatever the names are: a key has 128 bytes at most.
func requestKey(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, " ")))
	return "attach " + hex.EncodeToString(sum[:])
}

func (r *clusterRegistry) taken(cluster string) error {
	return &codedError{&hintError{
		fmt.Errorf("%s has tokens of another cluster with the name %s", r.url, cluster),
		fmt.Sprintf("attach it by another name; or, if that cluster is no more: fairlead cluster detach %s --registry-only --registry %s", cluster, r.url),
	}, exitConflict}
}

func (r *clusterRegistry) failed(err error) error {
	if err == nil {
		return nil
	}
	return advised(fmt.Errorf("%s: %w", r.url, err), r.s, "token")
}

// authority gives the certificates that nodes and pods must be told to trust:
// those that one signed in with, or that of the authority by which this machine
// alone trusts the registry. Nil for a public one, and for plain http.
func (r *clusterRegistry) authority(ctx context.Context) ([]byte, error) {
	if r.at.CAFile != "" {
		return readCA(r.at.CAFile)
	}
	if r.ca == nil {
		var err error
		if r.ca, err = r.s.api.Authority(ctx); err != nil {
			return nil, r.failed(err)
		}
	}
	return r.ca, nil
}

// entry is what nodes pull with.
func (r *clusterRegistry) entry(value string) dockerconfig.Entry {
	return dockerconfig.Entry{Key: r.url.Host, Username: tokenUser, Password: value}
}

// pulls signs in with a token as a node would, or says why not.
func (r *clusterRegistry) pulls(ctx context.Context, value string) error {
	ca, err := readCA(r.at.CAFile)
	if err != nil {
		return err
	}
	if r.untold() {
		return r.takes(ctx, value)
	}
	o := probe.Options{UserAgent: "fairlead/" + build().Version}
	if len(ca) > 0 {
		o.CA = x509.NewCertPool()
		o.CA.AppendCertsFromPEM(ca)
	}
	p := probe.New(o)
	defer p.Close()
	return trySignIn(ctx, p, r.entry(value), "fairlead cluster attach again, when that is mended")
}

// takes is pulls where nodes are told to speak plain http, which a probe does
// not: the API says whether the token is good.
func (r *clusterRegistry) takes(ctx context.Context, value string) error {
	c, err := client.New(client.Options{Server: r.url.String(), Token: func() (string, error) { return value, nil }, InsecureHTTP: true, Version: build().Version})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // only idle connections
	_, err = c.Whoami(ctx)
	return r.failed(err)
}

// addressOf is a registry that nobody has talked to.
func addressOf(at login) (*clusterRegistry, error) {
	u, err := client.ParseServer(at.Server)
	return &clusterRegistry{at: at, url: u}, err
}
