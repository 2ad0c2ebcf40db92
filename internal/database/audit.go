package database

import (
	"context"
	"math"
	"time"

	"fairlead.dev/fairlead/internal/audit"
)

// Audit is audit.Store in SQL.
type Audit struct {
	db Engine
}

var _ audit.Store = (*Audit)(nil)

// NewAudit keeps lines in db.
func NewAudit(db Engine) *Audit { return &Audit{db: db} }

const (
	addLine = `INSERT INTO audit (happened_at, account_id, actor, token_id, action, namespace, repository, target,
outcome, reason, detail, address, client, request, times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	pruneLines = `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE happened_at < ? ORDER BY happened_at, id LIMIT ?)`

	// Ids follow the times but for what was gathered in between: the lowest of
	// the first thousand is far enough. Where a clock was set back by more
	// lines than that, the last of the time that came twice are passed over.
	firstLineSince = `SELECT COALESCE(MIN(id), 0) FROM
	(SELECT id FROM audit WHERE happened_at >= ? ORDER BY happened_at, id LIMIT 1000) AS bounded`
	lastLineUntil = `SELECT COALESCE(MAX(id), 0) FROM
	(SELECT id FROM audit WHERE happened_at < ? ORDER BY happened_at DESC, id DESC LIMIT 1000) AS bounded`
)

// search is an index that a list is read along, newest first. Filters that
// the index does not answer could make a page walk over all there is: floor
// tells how many rows there are to look at, up to a limit, and where the
// last of them is; page then looks no further.
type search struct{ floor, page string }

// looked is how many rows a page may look at: each may lie on a page of its
// own in the file, and all of them together should take a few milliseconds.
const looked = 500

func newLineSearch(where string) search {
	return search{
		floor: `SELECT COUNT(*), COALESCE(MIN(id), 0) FROM
	(SELECT id FROM audit WHERE ` + where + `id < ? AND id >= ? ORDER BY id DESC LIMIT ?) AS bounded`,
		page: `SELECT id, happened_at, account_id, actor, token_id, action, namespace, repository, target,
outcome, reason, detail, address, client, request, times FROM audit WHERE ` + where + `id < ? AND id >= ?
AND (CAST(? AS BIGINT) < 0 OR account_id = ?) AND (CAST(? AS TEXT) = '' OR token_id = ?)
AND (CAST(? AS TEXT) = '' OR repository = ?) AND (CAST(? AS TEXT) = '' OR namespace = ?)
AND (CAST(? AS TEXT) = '' OR action = ?) AND (CAST(? AS TEXT) = '' OR outcome = ?)
AND action >= ? AND action < ? AND happened_at >= ? AND happened_at < ? ORDER BY id DESC LIMIT ?`,
	}
}

var (
	allLines          = newLineSearch(``)
	linesOfAccount    = newLineSearch(`account_id = ? AND `)
	linesOfToken      = newLineSearch(`token_id = ? AND token_id <> '' AND `)
	linesOfRepository = newLineSearch(`repository = ? AND repository <> '' AND `)
	linesOfNamespace  = newLineSearch(`namespace = ? AND namespace <> '' AND `)
	linesOfAction     = newLineSearch(`action = ? AND `)
)

// writeLine adds one.
func writeLine(ctx context.Context, tx Queryer, l audit.Line) error {
	_, err := tx.Exec(ctx, addLine, l.At.UnixMicro(), l.AccountID, l.Actor, l.TokenID, l.Action, l.Namespace, l.Repository,
		l.Target, string(l.Outcome), l.Reason, l.Detail, l.Address, l.Client, l.Request, max(l.Count, 1))
	return err
}

// Add writes lines, which a power cut may take.
func (a *Audit) Add(ctx context.Context, lines []audit.Line) error {
	if len(lines) == 0 {
		return nil
	}
	err := a.db.Write(ctx, Relaxed, func(tx Queryer) error {
		for _, l := range lines {
			if err := writeLine(ctx, tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	return failed(err, "write %d audit lines", len(lines))
}

// Lines reads along the index of the filter that leaves the least.
func (a *Audit) Lines(ctx context.Context, f audit.Filter, before int64, n int) ([]audit.Line, int64, error) {
	if n <= 0 {
		return nil, before, nil
	}
	top, bottom, err := a.within(ctx, f, orNewest(before))
	if err != nil {
		return nil, 0, failed(err, "read the audit")
	}
	s, key, exact := lineSearchFor(f)
	low, more := bottom, false
	if !exact {
		low, more, err = lowest(ctx, a.db, s, key, top, bottom)
		if err != nil {
			return nil, 0, failed(err, "read the audit")
		}
	}
	lines, err := a.page(ctx, s.page, append(append(key, top, low), lineFilters(f, n)...))
	if err != nil {
		return nil, 0, failed(err, "read the audit")
	}
	switch {
	case len(lines) == n:
		return lines, lines[n-1].ID, nil
	case more:
		return lines, low, nil
	}
	return lines, 0, nil
}

// lowest is how far down a page may look, and whether there may be more
// below.
func lowest(ctx context.Context, q Queryer, s search, key []any, top, bottom int64) (low int64, more bool, err error) {
	var rows int
	args := append(append(make([]any, 0, len(key)+3), key...), top, bottom, looked)
	_, err = q.Row(ctx, s.floor, args, &rows, &low)
	return max(low, bottom), rows == looked, err
}

// within narrows the ids by the times: below top, from bottom on.
func (a *Audit) within(ctx context.Context, f audit.Filter, before int64) (top, bottom int64, err error) {
	top, bottom = before, 1
	if !f.Since.IsZero() {
		if _, err := a.db.Row(ctx, firstLineSince, []any{f.Since.UnixMicro()}, &bottom); err != nil {
			return 0, 0, err
		}
		if bottom == 0 {
			bottom = top // nothing is that young
		}
	}
	if !f.Until.IsZero() {
		var last int64
		if _, err := a.db.Row(ctx, lastLineUntil, []any{f.Until.UnixMicro()}, &last); err != nil {
			return 0, 0, err
		}
		top = min(top, last+1)
	}
	return top, bottom, nil
}

// lineSearchFor chooses the index; exact tells that it answers all of the
// filter but the times, which lie in its order.
func lineSearchFor(f audit.Filter) (s search, key []any, exact bool) {
	asked := 0
	for _, is := range []bool{f.Scoped, f.TokenID != "", f.Action != "", f.Namespace != "", f.Repository != ""} {
		if is {
			asked++
		}
	}
	exact = asked <= 1 && f.ActionPrefix == "" && f.Outcome == ""
	switch {
	case f.TokenID != "":
		return linesOfToken, []any{f.TokenID}, exact
	case f.Repository != "":
		return linesOfRepository, []any{f.Repository}, exact
	case f.Namespace != "":
		return linesOfNamespace, []any{f.Namespace}, exact
	case f.Scoped:
		return linesOfAccount, []any{f.AccountID}, exact
	case f.Action != "":
		return linesOfAction, []any{f.Action}, exact
	}
	return allLines, nil, exact
}

// lineFilters are the arguments of a page that follow the ids.
func lineFilters(f audit.Filter, n int) []any {
	accountID := int64(-1)
	if f.Scoped {
		accountID = f.AccountID
	}
	since, until := int64(0), int64(math.MaxInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	if !f.Until.IsZero() {
		until = f.Until.UnixMicro()
	}
	return []any{
		accountID, accountID, f.TokenID, f.TokenID, f.Repository, f.Repository, f.Namespace, f.Namespace,
		f.Action, f.Action, string(f.Outcome), string(f.Outcome), f.ActionPrefix, f.ActionPrefix + last, since, until, n,
	}
}

// last is above every text that begins as names here may go on.
const last = "\U0010FFFF"

func (a *Audit) page(ctx context.Context, text string, args []any) ([]audit.Line, error) {
	var lines []audit.Line
	err := a.db.Rows(ctx, text, args, func(scan func(...any) error) error {
		var l audit.Line
		var at int64
		err := scan(&l.ID, &at, &l.AccountID, &l.Actor, &l.TokenID, &l.Action, &l.Namespace, &l.Repository, &l.Target,
			&l.Outcome, &l.Reason, &l.Detail, &l.Address, &l.Client, &l.Request, &l.Count)
		l.At = moment(at)
		lines = append(lines, l)
		return err
	})
	return lines, err
}

// Prune forgets the oldest first.
func (a *Audit) Prune(ctx context.Context, before time.Time, n int) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	var gone int64
	err := a.db.Write(ctx, Relaxed, func(tx Queryer) error {
		var err error
		gone, err = tx.Exec(ctx, pruneLines, before.UnixMicro(), n)
		return err
	})
	return int(gone), failed(err, "prune the audit")
}
