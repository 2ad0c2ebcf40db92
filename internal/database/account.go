package database

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
)

// Accounts is account.Store in SQL.
type Accounts struct {
	db  Engine
	now func() time.Time
}

var _ account.Store = (*Accounts)(nil)

// NewAccounts keeps accounts in db; now is the clock it dates rows by.
func NewAccounts(db Engine, now func() time.Time) *Accounts {
	return &Accounts{db: db, now: now}
}

const (
	raiseCounter = `UPDATE directory SET counter = counter + 1 WHERE id = 1 RETURNING counter`

	accountColumns = `SELECT id, name, description, created_at, created_by FROM accounts `

	accountByName = accountColumns + `WHERE name = ? AND removed_at IS NULL`

	accountByID = accountColumns + `WHERE id = ? AND removed_at IS NULL`

	accountPage = accountColumns + `WHERE name > ? AND removed_at IS NULL ORDER BY name LIMIT ?`

	addAccount = `INSERT INTO accounts (name, description, created_at, created_by, changed) VALUES (?, ?, ?, ?, ?) RETURNING id`

	anyNamespaceOf = `SELECT name FROM namespaces WHERE account_id = ? AND removed_at IS NULL LIMIT 1`

	removeAccount = `UPDATE accounts SET removed_at = ?, changed = ? WHERE id = ?`
)

// changing is one change of the directory inside its transaction.
type changing struct {
	tx      Queryer
	at      int64 // microseconds since 1970
	counter int64 // 0 until it is raised
}

// change runs fn in a durable transaction. If fn changed anything, for which
// it must raise the counter, the line is written, too.
func (s *Accounts) change(ctx context.Context, line audit.Line, fn func(c *changing) error) error {
	return s.db.Write(ctx, Durable, func(tx Queryer) error {
		c := changing{tx: tx, at: s.now().UnixMicro()}
		if err := fn(&c); err != nil || c.counter == 0 {
			return err
		}
		line.At = moment(c.at)
		return writeLine(ctx, tx, line)
	})
}

// raise gives the counter's new value, the same in all of a transaction.
func (c *changing) raise(ctx context.Context) (int64, error) {
	if c.counter != 0 {
		return c.counter, nil
	}
	found, err := c.tx.Row(ctx, raiseCounter, nil, &c.counter)
	if err == nil && !found {
		err = errors.New("the counter of changes is missing")
	}
	return c.counter, err
}

// AddAccount makes the account and its first token.
func (s *Accounts) AddAccount(ctx context.Context, a account.Account, first account.Token, line audit.Line) (account.Account, error) {
	made := a
	err := s.change(ctx, line, func(c *changing) error {
		made = a
		var other account.Account
		found, err := readAccount(ctx, c.tx, accountByName, &other, a.Name)
		if err != nil {
			return err
		}
		if found {
			return account.ErrTaken
		}
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		if _, err := c.tx.Row(ctx, addAccount, []any{a.Name, a.Description, c.at, a.CreatedBy, counter}, &made.ID); err != nil {
			return err
		}
		made.Created = moment(c.at)
		first.AccountID = made.ID
		_, err = c.addToken(ctx, first, "")
		return err
	})
	return made, failed(err, "add account %s", a.Name)
}

// Account by name.
func (s *Accounts) Account(ctx context.Context, name string) (account.Account, error) {
	var a account.Account
	found, err := readAccount(ctx, s.db, accountByName, &a, name)
	if err == nil && !found {
		err = account.ErrNotFound
	}
	return a, failed(err, "read account %s", name)
}

func readAccount(ctx context.Context, q Queryer, text string, a *account.Account, key any) (bool, error) {
	var at int64
	found, err := q.Row(ctx, text, []any{key}, &a.ID, &a.Name, &a.Description, &at, &a.CreatedBy)
	if found {
		a.Created = moment(at)
	}
	return found, err
}

// AccountPage is a page in the order of names.
func (s *Accounts) AccountPage(ctx context.Context, after string, n int) ([]account.Account, error) {
	if n <= 0 {
		return nil, nil
	}
	var page []account.Account
	err := s.db.Rows(ctx, accountPage, []any{after, n}, func(scan func(...any) error) error {
		var a account.Account
		var at int64
		err := scan(&a.ID, &a.Name, &a.Description, &at, &a.CreatedBy)
		a.Created = moment(at)
		page = append(page, a)
		return err
	})
	return page, failed(err, "list accounts")
}

// RemoveAccount ends the account and its tokens.
func (s *Accounts) RemoveAccount(ctx context.Context, name string, line audit.Line) error {
	err := s.change(ctx, line, func(c *changing) error {
		var a account.Account
		found, err := readAccount(ctx, c.tx, accountByName, &a, name)
		if err != nil {
			return err
		}
		if !found {
			return account.ErrNotFound
		}
		var namespace string
		if found, err = c.tx.Row(ctx, anyNamespaceOf, []any{a.ID}, &namespace); err != nil {
			return err
		}
		if found {
			return account.ErrNotEmpty
		}
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		if _, err := c.tx.Exec(ctx, revokeTokensOf, c.at, line.Actor, c.at, counter, c.at, a.ID, c.at); err != nil {
			return err
		}
		_, err = c.tx.Exec(ctx, removeAccount, c.at, counter, a.ID)
		return err
	})
	return failed(err, "remove account %s", name)
}

// orNull is a time in a row; the zero time is NULL.
func orNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// orZero is the time of a row, zero for NULL.
func orZero(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return moment(n.Int64)
}
