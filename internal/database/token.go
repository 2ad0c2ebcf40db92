package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
)

const (
	// CROSS JOIN: the token is looked for, never the account's tokens.
	tokenColumns = `SELECT t.seq, t.id, t.account_id, a.name, t.level, t.reach, t.description, t.cluster,
t.created_at, t.created_by, t.expires_at, t.revoked_at, t.revoked_by, t.generation, t.key_id, t.former_key_id,
t.former_until, t.rotated_at, t.last_used_at, t.last_address, t.last_client, t.pulls, t.last_pull_at
FROM tokens t CROSS JOIN accounts a WHERE a.id = t.account_id AND `

	// One statement for what is absent and for what is another's.
	tokenByID = tokenColumns + `t.id = ? AND (CAST(? AS BIGINT) = 0 OR t.account_id = ?)`

	tokenByRequest = tokenColumns + `t.account_id = ? AND t.request_key = ? AND t.request_key <> ''`

	addToken = `INSERT INTO tokens (id, account_id, level, reach, description, cluster, created_at, created_by,
expires_at, revoked_by, ended_at, generation, key_id, former_key_id, request_key, last_address, last_client, pulls)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, '', ?, '', '', 0)`

	rotateToken = `UPDATE tokens SET former_key_id = key_id, former_until = ?, generation = generation + 1, key_id = ?,
rotated_at = ?, changed = ?, changed_at = ? WHERE id = ? AND generation = ? AND revoked_at IS NULL`

	revokeTokens = `UPDATE tokens SET revoked_at = ?, revoked_by = ?, ended_at = ?, changed = ?, changed_at = ? WHERE `

	stillGood = ` AND revoked_at IS NULL AND (ended_at IS NULL OR ended_at > ?)`

	// An expired one is marked, too, but ended when it did.
	revokeToken = `UPDATE tokens SET revoked_at = ?, revoked_by = ?,
ended_at = CASE WHEN ended_at < ? THEN ended_at ELSE ? END, changed = ?, changed_at = ? WHERE id = ?`

	revokeTokensOf    = revokeTokens + `account_id = ?` + stillGood
	revokeTokensOfKey = revokeTokens + `key_id = ?` + stillGood

	endFormerOfKey = `UPDATE tokens SET former_until = ?, changed = ?, changed_at = ?
WHERE former_key_id = ? AND former_key_id <> '' AND former_until > ?` + stillGood

	tokensOfKey = `SELECT COUNT(*) FROM tokens WHERE key_id = ?` + stillGood

	formerOfKey = `SELECT COUNT(*) FROM tokens WHERE former_key_id = ? AND former_key_id <> '' AND key_id <> ?
AND former_until > ?` + stillGood

	forgetTokens = `DELETE FROM tokens WHERE seq IN (SELECT seq FROM tokens WHERE ended_at < ? ORDER BY ended_at LIMIT ?)`
)

func newTokenSearch(where string) search {
	return search{
		floor: `SELECT COUNT(*), COALESCE(MIN(seq), 0) FROM
	(SELECT t.seq FROM tokens t WHERE ` + where + `t.seq < ? AND t.seq >= ? ORDER BY t.seq DESC LIMIT ?) AS bounded`,
		page: tokenColumns + where + `t.seq < ? AND t.seq >= ?
AND (CAST(? AS BIGINT) < 0 OR t.account_id = ?) AND (CAST(? AS TEXT) = '' OR t.cluster = ?)
AND (CAST(? AS TEXT) = '' OR t.key_id = ?) AND (CAST(? AS BIGINT) = 1 OR t.ended_at IS NULL OR t.ended_at > ?)
ORDER BY t.seq DESC LIMIT ?`,
	}
}

var (
	allTokens       = newTokenSearch(``)
	tokensByAccount = newTokenSearch(`t.account_id = ? AND `)
	tokensByCluster = newTokenSearch(`t.cluster = ? AND t.cluster <> '' AND `)
	tokensByKey     = newTokenSearch(`t.key_id = ? AND `)
)

// scanToken reads a row of tokenColumns.
func scanToken(scan func(...any) error) (t account.Token, seq int64, err error) {
	var reach string
	var created int64
	var expires, revoked, until, rotated, used, pulled sql.NullInt64
	err = scan(&seq, &t.ID, &t.AccountID, &t.Account, &t.Level, &reach, &t.Description, &t.Cluster,
		&created, &t.CreatedBy, &expires, &revoked, &t.RevokedBy, &t.Generation, &t.KeyID, &t.FormerKeyID,
		&until, &rotated, &used, &t.LastAddress, &t.LastClient, &t.Pulls, &pulled)
	if err != nil {
		return t, 0, err
	}
	t.Created, t.Expires, t.Revoked, t.FormerUntil = moment(created), orZero(expires), orZero(revoked), orZero(until)
	t.Rotated, t.LastUsed, t.LastPull = orZero(rotated), orZero(used), orZero(pulled)
	if err := json.Unmarshal([]byte(reach), &t.Reach); err != nil {
		return t, 0, fmt.Errorf("reach of token %s: %w", t.ID, err)
	}
	return t, seq, nil
}

// readToken gives the one that the statement finds. Error: ErrNotFound.
func readToken(ctx context.Context, q Queryer, text string, args ...any) (account.Token, error) {
	var t account.Token
	found := false
	err := q.Rows(ctx, text, args, func(scan func(...any) error) error {
		var err error
		t, _, err = scanToken(scan)
		found = true
		return err
	})
	if err == nil && !found {
		err = account.ErrNotFound
	}
	return t, err
}

func tokenOf(ctx context.Context, q Queryer, accountID int64, id string) (account.Token, error) {
	return readToken(ctx, q, tokenByID, id, accountID, accountID)
}

// AddToken makes a token of an account that is there.
func (s *Accounts) AddToken(ctx context.Context, t account.Token, requestKey string, line audit.Line) (account.Token, bool, error) {
	var made account.Token
	added := false
	err := s.change(ctx, line, func(c *changing) error {
		var a account.Account
		found, err := readAccount(ctx, c.tx, accountByID, &a, t.AccountID)
		if err != nil {
			return err
		}
		if !found {
			return account.ErrNotFound
		}
		if requestKey != "" {
			made, err = readToken(ctx, c.tx, tokenByRequest, t.AccountID, requestKey)
			if !errors.Is(err, account.ErrNotFound) {
				return err
			}
		}
		if _, err := c.raise(ctx); err != nil {
			return err
		}
		// Who asks was let in before: it may have been revoked since then. The
		// counter is ours by now, so nobody revokes it any more until this ends.
		maker, err := tokenOf(ctx, c.tx, t.AccountID, line.TokenID)
		if err == nil && maker.State(moment(c.at)) != account.Active {
			return account.ErrEnded
		}
		if err != nil && !errors.Is(err, account.ErrNotFound) { // the operator is none of these
			return err
		}
		added = true
		made, err = c.addToken(ctx, t, requestKey)
		return err
	})
	if err != nil {
		return account.Token{}, false, failed(err, "add a token")
	}
	return made, added, nil
}

func (c *changing) addToken(ctx context.Context, t account.Token, requestKey string) (account.Token, error) {
	reach, err := json.Marshal(t.Reach)
	if err != nil {
		return t, fmt.Errorf("encode the reach: %w", err)
	}
	expires := orNull(t.Expires)
	_, err = c.tx.Exec(ctx, addToken, t.ID, t.AccountID, string(t.Level), string(reach), t.Description, t.Cluster,
		c.at, t.CreatedBy, expires, expires, t.Generation, t.KeyID, requestKey)
	if err != nil {
		return t, err
	}
	return tokenOf(ctx, c.tx, t.AccountID, t.ID)
}

// Token is one statement whoever asks.
func (s *Accounts) Token(ctx context.Context, accountID int64, id string) (account.Token, error) {
	t, err := tokenOf(ctx, s.db, accountID, id)
	return t, failed(err, "read token %s", id)
}

// TokenPage reads along the index that leaves the least.
func (s *Accounts) TokenPage(ctx context.Context, f account.TokenFilter, cursor string, n int) ([]account.Token, string, error) {
	top, bottom := orNewest(0), int64(1)
	if cursor != "" {
		var err error
		if top, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, "", fmt.Errorf("the cursor %q is none of a list of tokens", cursor)
		}
	}
	if n <= 0 {
		return nil, cursor, nil
	}
	search, key, exact := tokenSearchFor(f)
	low, more := bottom, false
	if !exact {
		var err error
		if low, more, err = lowest(ctx, s.db, search, key, top, bottom); err != nil {
			return nil, "", failed(err, "list tokens")
		}
	}
	var page []account.Token
	var seq int64
	args := append(append(key, top, low), tokenFilters(f, s.now(), n)...)
	err := s.db.Rows(ctx, search.page, args, func(scan func(...any) error) error {
		var t account.Token
		var err error
		t, seq, err = scanToken(scan)
		page = append(page, t)
		return err
	})
	switch {
	case err != nil:
		return nil, "", failed(err, "list tokens")
	case len(page) == n:
		return page, strconv.FormatInt(seq, 10), nil
	case more:
		return page, strconv.FormatInt(low, 10), nil
	}
	return page, "", nil
}

// tokenSearchFor chooses the index; exact tells that it answers all of the
// filter.
func tokenSearchFor(f account.TokenFilter) (s search, key []any, exact bool) {
	asked := 0
	for _, is := range []bool{f.Scoped, f.Cluster != "", f.KeyID != "", !f.Ended} {
		if is {
			asked++
		}
	}
	switch {
	case f.Cluster != "":
		return tokensByCluster, []any{f.Cluster}, asked == 1
	case f.Scoped:
		return tokensByAccount, []any{f.AccountID}, asked == 1
	case f.KeyID != "":
		return tokensByKey, []any{f.KeyID}, asked == 1
	}
	return allTokens, nil, asked == 0
}

// tokenFilters are the arguments of a page that follow the places.
func tokenFilters(f account.TokenFilter, now time.Time, n int) []any {
	accountID, ended := int64(-1), 0
	if f.Scoped {
		accountID = f.AccountID
	}
	if f.Ended {
		ended = 1
	}
	return []any{accountID, accountID, f.Cluster, f.Cluster, f.KeyID, f.KeyID, ended, now.UnixMicro(), n}
}

// RotateToken keeps the value before in force for a while.
func (s *Accounts) RotateToken(ctx context.Context, t account.Token, keyID string, formerUntil time.Time, line audit.Line) (account.Token, error) {
	var rotated account.Token
	err := s.change(ctx, line, func(c *changing) error {
		if _, err := tokenOf(ctx, c.tx, t.AccountID, t.ID); err != nil {
			return err
		}
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		n, err := c.tx.Exec(ctx, rotateToken, orNull(formerUntil), keyID, c.at, counter, c.at, t.ID, t.Generation)
		if err != nil {
			return err
		}
		if n == 0 {
			return account.ErrStale
		}
		rotated, err = tokenOf(ctx, c.tx, t.AccountID, t.ID)
		return err
	})
	return rotated, failed(err, "rotate token %s", t.ID)
}

// RevokeToken ends one; a revoked one stays as it is.
func (s *Accounts) RevokeToken(ctx context.Context, accountID int64, id string, line audit.Line) error {
	err := s.change(ctx, line, func(c *changing) error {
		t, err := tokenOf(ctx, c.tx, accountID, id)
		if err != nil || !t.Revoked.IsZero() {
			return err
		}
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		_, err = c.tx.Exec(ctx, revokeToken, c.at, line.Actor, c.at, c.at, counter, c.at, id)
		return err
	})
	return failed(err, "revoke token %s", id)
}

// RevokeKey ends what a key makes. It counts tokens, and former values of
// those that go on.
func (s *Accounts) RevokeKey(ctx context.Context, keyID string, line audit.Line) (int, error) {
	var tokens, former int64
	err := s.change(ctx, line, func(c *changing) error {
		counter, err := c.raise(ctx)
		if err != nil {
			return err
		}
		if tokens, err = c.tx.Exec(ctx, revokeTokensOfKey, c.at, line.Actor, c.at, counter, c.at, keyID, c.at); err != nil {
			return err
		}
		former, err = c.tx.Exec(ctx, endFormerOfKey, c.at, counter, c.at, keyID, c.at, c.at)
		return err
	})
	return int(tokens + former), failed(err, "revoke the tokens of key %s", keyID)
}

// KeyUse counts each token once.
func (s *Accounts) KeyUse(ctx context.Context, keyID string, now time.Time) (int, error) {
	var tokens, former int
	at := now.UnixMicro()
	_, err := s.db.Row(ctx, tokensOfKey, []any{keyID, at}, &tokens)
	if err == nil {
		_, err = s.db.Row(ctx, formerOfKey, []any{keyID, keyID, at, at}, &former)
	}
	return tokens + former, failed(err, "count the tokens of key %s", keyID)
}

// ForgetTokens forgets those first that ended first.
func (s *Accounts) ForgetTokens(ctx context.Context, before time.Time, n int) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	var gone int64
	err := s.db.Write(ctx, Durable, func(tx Queryer) error {
		var err error
		gone, err = tx.Exec(ctx, forgetTokens, before.UnixMicro(), n)
		return err
	})
	return int(gone), failed(err, "forget ended tokens")
}
