package serve

import (
	"context"
	"errors"
	"fmt"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/token"
)

// What server keys are for.
const (
	forValues = "token-values"
	forTokens = "registry-tokens"
)

// noServer is why keys cannot be changed without a server: it holds them in
// memory, and must hear of the change.
func noServer() error {
	return oci.Errorf(oci.CodeUnavailable, "keys are listed and changed while the server runs: start it (fairlead serve)")
}

// Keys lists the server keys, the current ones first.
func (u *Upkeep) Keys(ctx context.Context) (v1.ServerKeys, error) {
	out := v1.ServerKeys{Items: []v1.ServerKey{}}
	if u.signing == nil {
		return out, noServer()
	}
	for _, k := range u.values.List() {
		n, err := u.house.registrar.KeyUse(ctx, k.ID)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, v1.ServerKey{ID: k.ID, Purpose: forValues, Current: k.Current, Made: k.Made.UTC(), Tokens: n})
	}
	signing, err := u.signing.Signing(ctx)
	if err != nil {
		return out, err
	}
	trusted, err := u.signing.Trusted(ctx)
	for i := len(trusted) - 1; i >= 0; i-- {
		out.Items = append(out.Items, v1.ServerKey{ID: trusted[i].ID, Purpose: forTokens, Current: trusted[i].ID == signing.ID, Made: trusted[i].Made.UTC()})
	}
	return out, err
}

// RotateKeys makes a new key of each purpose. The former ones stay good until
// they are retired.
func (u *Upkeep) RotateKeys(ctx context.Context) (v1.ServerKeys, error) {
	if u.signing == nil {
		return v1.ServerKeys{}, noServer()
	}
	value, err := u.values.Add()
	if err != nil {
		return v1.ServerKeys{}, err
	}
	signing, err := u.signing.Add(ctx)
	if err != nil {
		return v1.ServerKeys{}, err
	}
	l := account.Line(ctx, theOperator, "key.rotate")
	l.Target, l.Detail = value.ID, "registry tokens are signed with "+signing.ID
	u.record(ctx, l)
	return u.Keys(ctx)
}

// RetireKey ends the trust in a key of either purpose.
func (u *Upkeep) RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error) {
	if u.signing == nil {
		return v1.RetireReport{}, noServer()
	}
	err := u.signing.Retire(ctx, o.ID)
	switch {
	case err == nil:
		l := account.Line(ctx, theOperator, "key.retire")
		l.Target = o.ID
		u.record(ctx, l)
		return v1.RetireReport{ID: o.ID, Purpose: forTokens}, nil
	case errors.Is(err, token.ErrKeyInUse):
		return v1.RetireReport{}, oci.Errorf(oci.CodeConflict, "the key %s signs registry tokens: rotate first (fairlead key rotate)", o.ID)
	case !errors.Is(err, token.ErrNoKey):
		return v1.RetireReport{}, err
	}
	n, err := u.house.registrar.RetireKey(ctx, theOperator, o.ID, o.Revoke)
	if err != nil {
		return v1.RetireReport{}, fmt.Errorf("retire a key: %w", err)
	}
	return v1.RetireReport{ID: o.ID, Purpose: forValues, Revoked: n}, nil
}
