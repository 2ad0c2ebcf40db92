package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	// DefaultLife of a token.
	DefaultLife = 24 * time.Hour
	// DefaultOverlap of the values of a rotated token.
	DefaultOverlap = 24 * time.Hour
	maxRequestKey  = 128
)

// TokenSpec is what is asked for.
type TokenSpec struct {
	Account     string
	Level       access.Level // "" is read-only
	All         bool         // reach
	Paths       []string     // namespaces and repositories, if not All
	Description string
	Cluster     string
	Life        time.Duration // 0 never ends
	// RequestKey makes a repeated request give the same token; "" is none.
	RequestKey string
}

// value of a token as it is now.
func (r *Registrar) value(t Token) (string, error) {
	v, ok := r.o.Keys.value(t.KeyID, t.ID, t.Generation)
	if !ok {
		return "", oci.Errorf(oci.CodeConflict, "the server key %s that made the value of the token %s is retired: rotate the token", t.KeyID, t.ID)
	}
	return v, nil
}

// mints tells whether p may make, rotate and end the token t.
func (r *Registrar) mints(ctx context.Context, p access.Principal, t Token, line audit.Line) error {
	if p.Level == access.Cluster && p.Kind == access.Account && access.May(p, access.MintForCluster, t.AccountID).Allowed {
		if t.Level == access.ReadOnly && t.Cluster == p.Cluster {
			return nil
		}
		line.Outcome, line.Reason = audit.Denied, "a cluster's token makes read-only tokens of its own cluster only"
		r.o.Record(ctx, line)
		return oci.Errorf(oci.CodeDenied, "the token %s makes read-only tokens of the cluster %s only", p.Name, p.Cluster)
	}
	return r.may(ctx, p, access.ManageTokens, t.AccountID, line)
}

// AddToken makes a token. With a RequestKey that was used before it gives the
// token made then, and added is false.
func (r *Registrar) AddToken(ctx context.Context, p access.Principal, s TokenSpec) (t Token, value string, added bool, err error) {
	a, err := r.owner(ctx, p, s.Account)
	if err != nil {
		return t, "", false, err
	}
	if t, err = r.draft(p, a, s); err != nil {
		return t, "", false, err
	}
	line := Line(ctx, p, "token.add")
	line.AccountID, line.Target = a.ID, t.ID
	line.Detail = describe(t)
	if err := r.mints(ctx, p, t, line); err != nil {
		return t, "", false, err
	}
	if t.Reach, err = r.reach(ctx, a.ID, s); err != nil {
		return t, "", false, err
	}
	asked := t
	t, added, err = r.o.Store.AddToken(ctx, t, s.RequestKey, line)
	if errors.Is(err, ErrEnded) {
		return Token{}, "", false, oci.Errorf(oci.CodeUnauthorized, "the token %s ended while the request was under way", p.Name)
	}
	if err != nil {
		return t, "", false, err
	}
	same := t.CreatedBy == p.Name && t.Level == asked.Level && t.Cluster == asked.Cluster &&
		t.Reach.All == asked.Reach.All && slices.Equal(t.Reach.Parts, asked.Reach.Parts)
	if !added && (!same || t.State(r.o.Now()) != Active) {
		return Token{}, "", false, oci.Errorf(oci.CodeConflict, "the Idempotency-Key was used for another token (%s): use a new one", t.ID)
	}
	value, err = r.value(t)
	return t, value, added, err
}

// draft checks what is asked for, but for the reach.
func (r *Registrar) draft(p access.Principal, a Account, s TokenSpec) (Token, error) {
	if s.Level == "" {
		s.Level = access.ReadOnly
	}
	if p.Level == access.Cluster && s.Cluster == "" {
		s.Cluster = p.Cluster
	}
	err := errors.Join(checkText("description", s.Description), checkText("cluster", s.Cluster))
	switch {
	case err != nil:
		return Token{}, err
	case s.Level != access.ReadOnly && s.Level != access.ReadWrite && s.Level != access.Admin && s.Level != access.Cluster:
		return Token{}, oci.Errorf(oci.CodeRequestInvalid, "access is %q: write readonly, readwrite, admin or cluster", oci.Clip(string(s.Level)))
	case !s.All && (s.Level == access.Admin || s.Level == access.Cluster):
		return Token{}, oci.Errorf(oci.CodeRequestInvalid, "reach: a token with %s access reaches the whole account; leave the reach out", s.Level)
	case s.Level == access.Cluster && s.Cluster == "":
		return Token{}, oci.Errorf(oci.CodeRequestInvalid, "cluster is missing: a token with cluster access is of one cluster, name it")
	case len(s.RequestKey) > maxRequestKey:
		return Token{}, oci.Errorf(oci.CodeRequestInvalid, "the Idempotency-Key has %d bytes, %d are allowed", len(s.RequestKey), maxRequestKey)
	}
	t := Token{
		ID: newID(), AccountID: a.ID, Account: a.Name, Level: s.Level, Description: s.Description, Cluster: s.Cluster,
		CreatedBy: p.Name, Generation: 1, KeyID: r.o.Keys.Current(),
	}
	if s.Life > 0 {
		t.Expires = r.o.Now().Add(s.Life)
	}
	return t, nil
}

// describe a token for the audit trail.
func describe(t Token) string {
	d := string(t.Level)
	if t.Cluster != "" {
		d += ", cluster " + t.Cluster
	}
	if t.Expires.IsZero() {
		return d + ", never expires"
	}
	return d + ", expires " + day(t.Expires)
}

// reach binds the paths to the present lives of their namespaces.
func (r *Registrar) reach(ctx context.Context, accountID int64, s TokenSpec) (access.Reach, error) {
	if s.All {
		return access.Reach{All: true}, nil
	}
	if len(s.Paths) == 0 || len(s.Paths) > access.MaxParts {
		return access.Reach{}, oci.Errorf(oci.CodeRequestInvalid, "reach names %d namespaces and repositories: name 1 to %d, or all", len(s.Paths), access.MaxParts)
	}
	var out access.Reach
	for _, path := range s.Paths {
		if _, err := oci.ParseRepo(path); err != nil {
			return access.Reach{}, oci.Errorf(oci.CodeRequestInvalid, "reach: %q is no namespace and no repository: write acme or acme/web", oci.Clip(path))
		}
		part := access.Part{Path: path}
		n, err := r.o.Store.Namespace(ctx, accountID, part.Namespace())
		if err != nil {
			return access.Reach{}, known(err, fmt.Sprintf("namespace %s of the account, which the reach names,", part.Namespace()))
		}
		part.Incarnation = n.Incarnation
		out.Parts = append(out.Parts, part)
	}
	return out, nil
}

// find a token that p may see: an admin those of the account, a cluster's
// token those of its cluster, everybody its own.
func (r *Registrar) find(ctx context.Context, p access.Principal, id string) (Token, error) {
	account := p.AccountID
	if p.Kind == access.Operator {
		account = 0
	} else if p.Kind != access.Account {
		return Token{}, known(ErrNotFound, "token "+oci.Clip(id))
	}
	t, err := r.o.Store.Token(ctx, account, id)
	if err == nil && !sees(p, t) {
		err = ErrNotFound
	}
	return t, known(err, "token "+oci.Clip(id))
}

func sees(p access.Principal, t Token) bool {
	return access.May(p, access.ManageTokens, t.AccountID).Allowed || t.ID == p.TokenID ||
		access.May(p, access.MintForCluster, t.AccountID).Allowed && t.Cluster == p.Cluster && t.Level == access.ReadOnly
}

// Token by id.
func (r *Registrar) Token(ctx context.Context, p access.Principal, id string) (Token, error) {
	return r.find(ctx, p, id)
}

// TokenValue shows a token's value again, and records that.
func (r *Registrar) TokenValue(ctx context.Context, p access.Principal, id string) (Token, string, error) {
	t, err := r.find(ctx, p, id)
	if err != nil {
		return t, "", err
	}
	line := Line(ctx, p, "token.show")
	line.AccountID, line.Target = t.AccountID, t.ID
	if err := r.may(ctx, p, access.ShowTokens, t.AccountID, line); err != nil {
		return t, "", err
	}
	if s := t.State(r.o.Now()); s != Active {
		return t, "", oci.Errorf(oci.CodeConflict, "the token %s is %s: its value is no longer good; make a new one", id, s)
	}
	value, err := r.value(t)
	if err == nil {
		r.o.Record(ctx, line)
	}
	return t, value, err
}

// TokenPage lists tokens of an account ("" is one's own, or all for the
// operator), newest first.
func (r *Registrar) TokenPage(ctx context.Context, p access.Principal, account string, f TokenFilter, cursor string, n int) ([]Token, string, error) {
	if account != "" || p.Kind != access.Operator {
		a, err := r.owner(ctx, p, account)
		if err != nil {
			return nil, "", err
		}
		f.AccountID, f.Scoped = a.ID, true
		if p.Level == access.Cluster && access.May(p, access.MintForCluster, a.ID).Allowed {
			f.Cluster = p.Cluster
		} else if err := r.may(ctx, p, access.ManageTokens, a.ID, Line(ctx, p, "token.list")); err != nil {
			return nil, "", err
		}
	}
	page, next, err := r.o.Store.TokenPage(ctx, f, cursor, n)
	if p.Level != access.Cluster || err != nil {
		return page, next, err
	}
	own := page[:0]
	for _, t := range page {
		if sees(p, t) {
			own = append(own, t)
		}
	}
	return own, next, nil
}

// RotateToken gives a token another value; the present one stays good for the
// overlap.
func (r *Registrar) RotateToken(ctx context.Context, p access.Principal, id string, overlap time.Duration) (Token, string, error) {
	t, err := r.find(ctx, p, id)
	if err != nil {
		return t, "", err
	}
	line := Line(ctx, p, "token.rotate")
	line.AccountID, line.Target = t.AccountID, t.ID
	line.Detail = "the former value is good for " + strings.TrimSuffix(overlap.String(), "0s")
	if err := r.mints(ctx, p, t, line); err != nil {
		return t, "", err
	}
	if s := t.State(r.o.Now()); s != Active {
		return t, "", oci.Errorf(oci.CodeConflict, "the token %s is %s: make a new one", id, s)
	}
	t, err = r.o.Store.RotateToken(ctx, t, r.o.Keys.Current(), r.o.Now().Add(overlap), line)
	if err := r.done(ctx, err); err != nil {
		return t, "", known(err, "token "+id)
	}
	value, err := r.value(t)
	return t, value, err
}

// RevokeToken ends a token at once. One that has ended is fine.
func (r *Registrar) RevokeToken(ctx context.Context, p access.Principal, id string) (Token, error) {
	t, err := r.find(ctx, p, id)
	if err != nil {
		return t, err
	}
	line := Line(ctx, p, "token.revoke")
	line.AccountID, line.Target = t.AccountID, t.ID
	if t.ID != p.TokenID { // everybody may give up its own
		if err := r.mints(ctx, p, t, line); err != nil {
			return t, err
		}
	}
	if err := r.done(ctx, r.o.Store.RevokeToken(ctx, t.AccountID, id, line)); err != nil {
		return t, known(err, "token "+id)
	}
	t, err = r.o.Store.Token(ctx, t.AccountID, id)
	return t, known(err, "token "+id)
}

// KeyUse counts the tokens whose values a server key makes.
func (r *Registrar) KeyUse(ctx context.Context, id string) (int, error) {
	return r.o.Store.KeyUse(ctx, id, r.o.Now())
}

// RetireKey forgets a server key. Tokens whose values it makes must be ended
// with it, if revoke says so; how many is returned.
func (r *Registrar) RetireKey(ctx context.Context, p access.Principal, id string, revoke bool) (int, error) {
	line := Line(ctx, p, "key.retire")
	line.Target = oci.Clip(id)
	if err := r.may(ctx, p, access.ManageAccounts, 0, line); err != nil {
		return 0, err
	}
	if id == r.o.Keys.Current() {
		return 0, oci.Errorf(oci.CodeConflict, "the key %s makes new token values: rotate first (fairlead key rotate)", id)
	}
	if !slices.ContainsFunc(r.o.Keys.List(), func(k KeyInfo) bool { return k.ID == id }) {
		return 0, oci.Errorf(oci.CodeNotFound, "there is no key %s of token values: list them (fairlead key list)", oci.Clip(id))
	}
	used, err := r.o.Store.KeyUse(ctx, id, r.o.Now())
	if err != nil {
		return 0, err
	}
	if used > 0 && !revoke {
		return 0, oci.Errorf(oci.CodeConflict, "the key %s makes the values of %d tokens, which would end: rotate them, or retire the key with --revoke", id, used)
	}
	ended, err := r.o.Store.RevokeKey(ctx, id, line)
	if err := r.done(ctx, err); err != nil {
		return 0, err
	}
	if err := r.o.Keys.Retire(id); err != nil {
		return ended, fmt.Errorf("retire the key %s: %w", id, err)
	}
	return ended, nil
}
