package management

import (
	"context"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
)

func tokenOf(t account.Token) v1.Token {
	out := v1.Token{
		ID: t.ID, Account: t.Account, Access: string(t.Level), Reach: reachOf(t.Reach), Description: t.Description,
		Cluster: t.Cluster, Created: t.Created.UTC(), CreatedBy: t.CreatedBy, Expires: optional(t.Expires),
		State: string(t.State(time.Now())), Revoked: optional(t.Revoked), RevokedBy: t.RevokedBy,
		Rotated: optional(t.Rotated), FormerUntil: optional(t.FormerUntil), KeyID: t.KeyID,
		Pulls: t.Pulls, LastPull: optional(t.LastPull),
	}
	if !t.LastUsed.IsZero() {
		out.LastUsed = &v1.TokenUse{At: t.LastUsed.UTC(), Address: t.LastAddress, Client: t.LastClient}
	}
	return out
}

// AddToken makes a token.
func (d *Desk) AddToken(ctx context.Context, p access.Principal, s v1.TokenSpec, requestKey string) (v1.TokenValue, error) {
	spec := account.TokenSpec{
		Account: s.Account, Level: access.Level(s.Access), Description: s.Description, Cluster: s.Cluster,
		All: true, Life: account.DefaultLife, RequestKey: requestKey,
	}
	if r := s.Reach; r != nil {
		spec.All = r.All
		spec.Paths = append(append([]string{}, r.Namespaces...), r.Repositories...)
		if r.All && len(spec.Paths) > 0 {
			return v1.TokenValue{}, invalid("reach: give all, or namespaces and repositories, not both")
		}
	}
	switch {
	case s.NonExpiring && s.Expires != "":
		return v1.TokenValue{}, invalid("expires and nonExpiring exclude each other: give one")
	case s.NonExpiring:
		spec.Life = 0
	case s.Expires != "":
		life, err := account.ParseLife("expires", s.Expires)
		if err != nil {
			return v1.TokenValue{}, err
		}
		if life == 0 {
			return v1.TokenValue{}, invalid("expires is %q: a token that ends at once is of no use", s.Expires)
		}
		spec.Life = life
	}
	t, value, added, err := d.o.Registrar.AddToken(ctx, p, spec)
	if err != nil {
		return v1.TokenValue{}, err
	}
	return v1.TokenValue{Token: tokenOf(t), Value: value, Added: added}, nil
}

// Token by id.
func (d *Desk) Token(ctx context.Context, p access.Principal, id string) (v1.Token, error) {
	t, err := d.o.Registrar.Token(ctx, p, id)
	if err != nil {
		return v1.Token{}, err
	}
	return tokenOf(t), nil
}

// TokenValue shows a value again.
func (d *Desk) TokenValue(ctx context.Context, p access.Principal, id string) (v1.TokenValue, error) {
	t, value, err := d.o.Registrar.TokenValue(ctx, p, id)
	if err != nil {
		return v1.TokenValue{}, err
	}
	return v1.TokenValue{Token: tokenOf(t), Value: value}, nil
}

// Tokens, newest first.
func (d *Desk) Tokens(ctx context.Context, p access.Principal, q v1.TokenQuery) (v1.TokenPage, error) {
	out := v1.TokenPage{Items: []v1.Token{}}
	items, next, err := d.o.Registrar.TokenPage(ctx, p, q.Account, account.TokenFilter{Cluster: q.Cluster, Ended: q.Ended}, q.Next, q.Limit)
	for _, t := range items {
		out.Items = append(out.Items, tokenOf(t))
	}
	out.Next = next
	return out, err
}

// RotateToken gives a token another value.
func (d *Desk) RotateToken(ctx context.Context, p access.Principal, id string, o v1.RotateOptions) (v1.TokenValue, error) {
	overlap := account.DefaultOverlap
	if o.Overlap != "" {
		var err error
		if overlap, err = account.ParseLife("overlap", o.Overlap); err != nil {
			return v1.TokenValue{}, err
		}
	}
	t, value, err := d.o.Registrar.RotateToken(ctx, p, id, overlap)
	if err != nil {
		return v1.TokenValue{}, err
	}
	return v1.TokenValue{Token: tokenOf(t), Value: value}, nil
}

// RevokeToken ends a token.
func (d *Desk) RevokeToken(ctx context.Context, p access.Principal, id string) (v1.Token, error) {
	t, err := d.o.Registrar.RevokeToken(ctx, p, id)
	if err != nil {
		return v1.Token{}, err
	}
	return tokenOf(t), nil
}
