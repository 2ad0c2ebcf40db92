package sqlite

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/database"
)

// counting notes which statements run.
type counting struct {
	database.Engine
	texts []string
}

func (c *counting) Row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	c.texts = append(c.texts, text)
	return c.Engine.Row(ctx, text, args, dest...)
}

func (c *counting) Rows(ctx context.Context, text string, args []any, each func(scan func(dest ...any) error) error) error {
	c.texts = append(c.texts, text)
	return c.Engine.Rows(ctx, text, args, each)
}

// Write notes those of transactions, too.
func (c *counting) Write(ctx context.Context, d database.Durability, fn func(tx database.Queryer) error) error {
	return c.Engine.Write(ctx, d, func(tx database.Queryer) error {
		in := &counting{Engine: inside{tx}}
		defer func() { c.texts = append(c.texts, in.texts...) }()
		return fn(in)
	})
}

// TestForeignIsAbsent: what is another account's costs the same statements as
// what is not there, and says the same.
func TestForeignIsAbsent(t *testing.T) {
	t.Parallel()
	db := open(t, Options{})
	counted := &counting{Engine: db}
	s := database.NewAccounts(counted, time.Now)
	ctx := t.Context()
	a, err := s.AddAccount(ctx, account.Account{Name: "acme"}, account.Token{ID: "theirs"}, audit.Line{})
	if err != nil {
		t.Fatal(err)
	}
	n := account.Namespace{Namespace: access.Namespace{Name: "theirs", AccountID: a.ID}}
	if _, _, err := s.AddNamespace(ctx, n, time.Time{}, false, audit.Line{}); err != nil {
		t.Fatal(err)
	}
	stranger := a.ID + 1
	for what, ask := range map[string]func(name string) error{
		"token":     func(name string) error { _, err := s.Token(ctx, stranger, name); return err },
		"namespace": func(name string) error { _, err := s.Namespace(ctx, stranger, name); return err },
		"rotate": func(name string) error {
			_, err := s.RotateToken(ctx, account.Token{ID: name, AccountID: stranger}, "k", time.Time{}, audit.Line{})
			return err
		},
		"revoke": func(name string) error { return s.RevokeToken(ctx, stranger, name, audit.Line{}) },
		"set": func(name string) error {
			n := account.Namespace{Namespace: access.Namespace{Name: name, AccountID: stranger}}
			_, err := s.SetNamespace(ctx, n, 0, audit.Line{})
			return err
		},
		"remove": func(name string) error {
			_, err := s.RemoveNamespace(ctx, stranger, name, nil, audit.Line{})
			return err
		},
	} {
		run := func(name string) []string {
			counted.texts = nil
			if err := ask(name); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%s of %s: %v", what, name, err)
			}
			return counted.texts
		}
		foreign, absent := run("theirs"), run("absent")
		if len(foreign) != 1 || len(absent) != 1 || foreign[0] != absent[0] {
			t.Errorf("%s: another's runs %q, what is absent %q", what, foreign, absent)
		}
	}
}
