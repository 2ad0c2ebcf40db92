package database

import (
	"context"
	"database/sql"
	"time"

	"fairlead.dev/fairlead/internal/account"
)

const (
	counterNow = `SELECT counter FROM directory WHERE id = 1`

	accountsChanged = `SELECT id, name, removed_at IS NOT NULL FROM accounts WHERE changed > ? ORDER BY changed`

	namespacesChanged = namespaceColumns + `WHERE a.id = n.account_id AND n.changed > ? ORDER BY n.changed`

	tokensChanged = `SELECT id, revoked_at IS NOT NULL, generation, former_until FROM tokens WHERE changed > ? ORDER BY changed`

	tokensChangedSince = `SELECT id, revoked_at IS NOT NULL, generation, former_until FROM tokens
WHERE changed_at >= ? ORDER BY changed_at`
)

// Changes reads the counter first: what changes while it reads may be given,
// and is given again by the next call.
func (s *Accounts) Changes(ctx context.Context, since int64, horizon time.Time) (account.Changes, error) {
	var all account.Changes
	_, err := s.db.Row(ctx, counterNow, nil, &all.Counter)
	if err != nil || all.Counter == since && since != 0 {
		return all, failed(err, "read what changed")
	}
	tokens, from := tokensChanged, any(since)
	if since <= 0 || since > all.Counter { // above it: of another database
		since, tokens, from = 0, tokensChangedSince, horizon.UnixMicro()
	}
	for _, read := range []func() error{
		func() error { return s.accountsChanged(ctx, since, &all) },
		func() error { return s.namespacesChanged(ctx, since, &all) },
		func() error { return s.tokensChanged(ctx, tokens, from, &all) },
	} {
		if err := read(); err != nil {
			return account.Changes{}, failed(err, "read what changed")
		}
	}
	return all, nil
}

func (s *Accounts) accountsChanged(ctx context.Context, since int64, into *account.Changes) error {
	return s.db.Rows(ctx, accountsChanged, []any{since}, func(scan func(...any) error) error {
		var a account.AccountChange
		err := scan(&a.ID, &a.Name, &a.Removed)
		if since > 0 || !a.Removed {
			into.Accounts = append(into.Accounts, a)
		}
		return err
	})
}

func (s *Accounts) namespacesChanged(ctx context.Context, since int64, into *account.Changes) error {
	return s.db.Rows(ctx, namespacesChanged, []any{since}, func(scan func(...any) error) error {
		n, err := scanNamespace(scan)
		if since > 0 || n.Removed.IsZero() {
			into.Namespaces = append(into.Namespaces, n)
		}
		return err
	})
}

func (s *Accounts) tokensChanged(ctx context.Context, text string, from any, into *account.Changes) error {
	return s.db.Rows(ctx, text, []any{from}, func(scan func(...any) error) error {
		var t account.TokenChange
		var until sql.NullInt64
		err := scan(&t.ID, &t.Revoked, &t.Generation, &until)
		t.FormerUntil = orZero(until)
		into.Tokens = append(into.Tokens, t)
		return err
	})
}
