package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

const (
	namespaceColumns = `SELECT n.name, n.account_id, n.incarnation, n.public, a.name, n.immutable,
n.created_at, n.created_by, n.removed_at, n.version FROM namespaces n CROSS JOIN accounts a `

	// One there ever was, removed or not.
	namespaceByName = namespaceColumns + `WHERE a.id = n.account_id AND n.name = ?`

	// One statement for what is absent and for what is another's.
	namespaceThere = namespaceColumns + `WHERE a.id = n.account_id AND n.name = ? AND n.removed_at IS NULL
AND (CAST(? AS BIGINT) = 0 OR n.account_id = ?)`

	namespacePage = namespaceColumns + `WHERE a.id = n.account_id AND n.removed_at IS NULL AND n.name > ?
ORDER BY n.name LIMIT ?`

	namespacePageOfAccount = namespaceColumns + `WHERE a.id = n.account_id AND n.account_id = ?
AND n.removed_at IS NULL AND n.name > ? ORDER BY n.name LIMIT ?`

	// With another owner or a new life, or both.
	writeNamespace = `INSERT INTO namespaces
(name, account_id, incarnation, public, immutable, created_at, created_by, version, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (name) DO UPDATE SET account_id = excluded.account_id, incarnation = excluded.incarnation,
public = excluded.public, immutable = excluded.immutable, created_at = excluded.created_at,
created_by = excluded.created_by, removed_at = NULL, version = namespaces.version + 1, changed = excluded.changed`

	setNamespace = `UPDATE namespaces SET public = ?, immutable = ?, version = version + 1, changed = ? WHERE name = ?`

	removeNamespace = `UPDATE namespaces SET removed_at = ?, version = version + 1, changed = ? WHERE name = ?`

	unremoveNamespace = `UPDATE namespaces SET removed_at = NULL, incarnation = ?, version = version + 1, changed = ? WHERE name = ?`

	// What is in the trash of nobody goes to who adopts the rest.
	adoptEntries = `UPDATE trash SET account_id = ?, incarnation = ? WHERE namespace = ? AND account_id = 0`

	namespaceState = `SELECT account_id, removed_at FROM namespaces WHERE name = ?`

	tagsOf = `SELECT name FROM tags WHERE repository_id = ? ORDER BY name`
)

func scanNamespace(scan func(...any) error) (account.Namespace, error) {
	var n account.Namespace
	var public, created int64
	var removed sql.NullInt64
	var rules string
	err := scan(&n.Name, &n.AccountID, &n.Incarnation, &public, &n.Account, &rules, &created, &n.CreatedBy, &removed, &n.Version)
	if err != nil {
		return n, err
	}
	n.Public, n.Created, n.Removed = public != 0, moment(created), orZero(removed)
	if err := json.Unmarshal([]byte(rules), &n.Immutable); err != nil {
		return n, fmt.Errorf("rules of namespace %s: %w", n.Name, err)
	}
	return n, nil
}

// readNamespace gives the one that the statement finds. Error: ErrNotFound.
func readNamespace(ctx context.Context, q Queryer, text string, args ...any) (account.Namespace, error) {
	var n account.Namespace
	found := false
	err := q.Rows(ctx, text, args, func(scan func(...any) error) error {
		var err error
		n, err = scanNamespace(scan)
		found = true
		return err
	})
	if err == nil && !found {
		err = account.ErrNotFound
	}
	return n, err
}

// AddNamespace gives a name to an account that is there.
func (s *Accounts) AddNamespace(ctx context.Context, n account.Namespace, reserved time.Time, operator bool, line audit.Line) (account.Namespace, bool, error) {
	var made account.Namespace
	added := false
	err := s.change(ctx, line, func(c *changing) error {
		var a account.Account
		found, err := readAccount(ctx, c.tx, accountByID, &a, n.AccountID)
		if err != nil {
			return err
		}
		if !found {
			return account.ErrNotFound
		}
		made, err = readNamespace(ctx, c.tx, namespaceByName, n.Name)
		isNew := errors.Is(err, account.ErrNotFound)
		switch {
		case err != nil && !isNew:
			return err
		case !isNew && made.Removed.IsZero() && made.AccountID == n.AccountID:
			return nil // has it already
		case !isNew && !mayTake(made, n.AccountID, reserved, operator):
			return account.ErrTaken
		}
		if err := c.claim(ctx, n, isNew, operator); err != nil {
			return err
		}
		added = true
		made, err = readNamespace(ctx, c.tx, namespaceByName, n.Name)
		return err
	})
	if err != nil {
		return account.Namespace{}, false, failed(err, "add namespace %s", n.Name)
	}
	return made, added, nil
}

// mayTake tells whether an account may have a name that there was before.
func mayTake(was account.Namespace, accountID int64, reserved time.Time, operator bool) bool {
	if was.Removed.IsZero() {
		return false
	}
	return operator || was.AccountID == accountID && !was.Removed.Before(reserved)
}

// claim writes the row unless images are in the way.
func (c *changing) claim(ctx context.Context, n account.Namespace, isNew, operator bool) error {
	places, err := repositoriesOf(ctx, c.tx, n.Name)
	if err != nil && !errors.Is(err, oci.ErrNameUnknown) {
		return err
	}
	for _, p := range places {
		if string(p.repo) == n.Name || !operator {
			return account.ErrTaken
		}
	}
	rules, err := rulesOf(n)
	if err != nil {
		return err
	}
	counter, err := c.raise(ctx)
	if err != nil {
		return err
	}
	_, err = c.tx.Exec(ctx, writeNamespace, n.Name, n.AccountID, n.Incarnation, oneIf(n.Public), rules, c.at, n.CreatedBy, counter)
	if err != nil || !isNew || len(places) == 0 {
		return err
	}
	_, err = c.tx.Exec(ctx, adoptEntries, n.AccountID, n.Incarnation, n.Name)
	return err
}

func rulesOf(n account.Namespace) (string, error) {
	if len(n.Immutable) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(n.Immutable)
	return string(b), err
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Namespace is one statement whoever asks.
func (s *Accounts) Namespace(ctx context.Context, accountID int64, name string) (account.Namespace, error) {
	n, err := readNamespace(ctx, s.db, namespaceThere, name, accountID, accountID)
	return n, failed(err, "read namespace %s", name)
}

// NamespacePage is a page in the order of names.
func (s *Accounts) NamespacePage(ctx context.Context, accountID int64, after string, n int) ([]account.Namespace, error) {
	if n <= 0 {
		return nil, nil
	}
	text, args := namespacePage, []any{after, n}
	if accountID != 0 {
		text, args = namespacePageOfAccount, []any{accountID, after, n}
	}
	var page []account.Namespace
	err := s.db.Rows(ctx, text, args, func(scan func(...any) error) error {
		n, err := scanNamespace(scan)
		page = append(page, n)
		return err
	})
	return page, failed(err, "list namespaces")
}

// SetNamespace changes what may be changed; n.AccountID 0 is any owner.
func (s *Accounts) SetNamespace(ctx context.Context, n account.Namespace, version int64, line audit.Line) (account.Namespace, error) {
	var set account.Namespace
	err := s.change(ctx, line, func(c *changing) error {
		was, err := readNamespace(ctx, c.tx, namespaceThere, n.Name, n.AccountID, n.AccountID)
		if err != nil {
			return err
		}
		if version != 0 && version != was.Version {
			return account.ErrStale
		}
		rules, err := rulesOf(n)
		if err != nil {
			return err
		}
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		if _, err := c.tx.Exec(ctx, setNamespace, oneIf(n.Public), rules, counter, n.Name); err != nil {
			return err
		}
		set, err = readNamespace(ctx, c.tx, namespaceThere, n.Name, n.AccountID, n.AccountID)
		return err
	})
	return set, failed(err, "change namespace %s", n.Name)
}

// RemoveNamespace hides what the namespace has in one entry and reserves the
// name.
func (s *Accounts) RemoveNamespace(ctx context.Context, accountID int64, name string, keep func(repo, tag string) bool, line audit.Line) (int64, error) {
	var entry int64
	err := s.change(ctx, line, func(c *changing) error {
		if _, err := readNamespace(ctx, c.tx, namespaceThere, name, accountID, accountID); err != nil {
			return err
		}
		places, err := repositoriesOf(ctx, c.tx, name)
		if err != nil && !errors.Is(err, oci.ErrNameUnknown) {
			return err
		}
		for _, p := range places {
			tag, err := keptTag(ctx, c.tx, p, func(r oci.Repo, t oci.Tag) bool { return keep != nil && keep(string(r), string(t)) })
			if err != nil {
				return err
			}
			if tag != "" {
				return fmt.Errorf("%w: %s:%s", account.ErrProtected, p.repo, tag)
			}
		}
		a := actNow(ctx, s.now)
		if a.at = c.at; a.by == "" {
			a.by = line.Actor
		}
		e, err := hide(ctx, c.tx, a, local.TrashEntry{Kind: local.TrashedNamespace, Name: name}, name, places)
		if err != nil {
			return err
		}
		entry = e.ID
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		_, err = c.tx.Exec(ctx, removeNamespace, c.at, counter, name)
		return err
	})
	return entry, failed(err, "remove namespace %s", name)
}

// keptTag is the first tag of a repository that keep names, "" for none.
func keptTag(ctx context.Context, q Queryer, p place, keep local.Keep) (oci.Tag, error) {
	if keep == nil {
		return "", nil
	}
	var kept oci.Tag
	err := q.Rows(ctx, tagsOf, []any{p.id}, func(scan func(...any) error) error {
		var tag oci.Tag
		if err := scan(&tag); err != nil || !keep(p.repo, tag) {
			return err
		}
		kept = tag
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return kept, err
}

// mayMake tells whether a repository of this name may be made: not in a
// namespace that was removed, whoever was let in before, and none that is
// called like a namespace.
func mayMake(ctx context.Context, q Queryer, repo oci.Repo) error {
	namespace := namespaceOf(repo)
	var owner int64
	var removed sql.NullInt64
	found, err := q.Row(ctx, namespaceState, []any{namespace}, &owner, &removed)
	switch {
	case err != nil || !found:
		return err
	case removed.Valid:
		return oci.Errorf(oci.CodeNameUnknown, "the namespace %s was removed: restore it from the trash, or add it again", namespace)
	case !strings.Contains(string(repo), "/"):
		return oci.Errorf(oci.CodeNameInvalid, "%s is a namespace, no repository can have its name: push to %s/NAME", repo, repo)
	}
	return nil
}

// reclaim refuses to bring an entry back to whom it does not belong, and
// brings a removed namespace back with its entry.
func (r *restoring) reclaim(ctx context.Context, e local.TrashEntry) error {
	var namespace, incarnation string
	if _, err := r.tx.Row(ctx, trashedPlace, []any{e.ID}, &namespace, &incarnation); err != nil {
		return err
	}
	var owner int64
	var removed sql.NullInt64
	found, err := r.tx.Row(ctx, namespaceState, []any{namespace}, &owner, &removed)
	switch {
	case err != nil || !found:
		return err
	case owner != e.AccountID:
		return oci.Errorf(oci.CodeConflict, "the namespace %s belonged to somebody else when this was deleted: it cannot be restored there; push the images again, or purge the entry", namespace)
	case !removed.Valid:
		return nil
	case e.Kind != local.TrashedNamespace:
		return oci.Errorf(oci.CodeConflict, "the namespace %s was removed: restore the namespace's own trash entry first, or add the namespace again", namespace)
	}
	var a account.Account
	found, err = readAccount(ctx, r.tx, accountByID, &a, owner)
	if err != nil {
		return err
	}
	if !found {
		return oci.Errorf(oci.CodeConflict, "the account that the namespace %s belonged to was removed: its images cannot be restored; push them again, or purge the entry", namespace)
	}
	c := changing{tx: r.tx, at: r.act.at}
	counter, err := c.raise(ctx)
	if err != nil {
		return err
	}
	_, err = r.tx.Exec(ctx, unremoveNamespace, incarnation, counter, namespace)
	return err
}
