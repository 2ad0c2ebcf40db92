package database

import (
	"context"

	"fairlead.dev/fairlead/internal/tally"
)

// Tally is tally.Store in SQL.
type Tally struct {
	db Engine
}

var _ tally.Store = (*Tally)(nil)

// NewTally keeps counts in db.
func NewTally(db Engine) *Tally { return &Tally{db: db} }

// Counts are of what is there: the SELECTs find nothing else.
const (
	insertPulls = `INSERT INTO pulls (repository, kind, name, total, last_at)
SELECT r.name, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT) FROM repositories r `

	orAddPulls = ` ON CONFLICT (repository, kind, name) DO UPDATE SET total = pulls.total + excluded.total,
last_at = CASE WHEN pulls.last_at < excluded.last_at THEN excluded.last_at ELSE pulls.last_at END`

	countRepository = insertPulls + `WHERE r.name = ?` + orAddPulls

	countTag = insertPulls + `JOIN tags t ON t.repository_id = r.id AND t.name = ? WHERE r.name = ?` + orAddPulls

	countDigest = insertPulls + `JOIN manifest_contents c ON c.digest = ?
JOIN manifests m ON m.content_id = c.id AND m.repository_id = r.id WHERE r.name = ?` + orAddPulls

	countToken = `UPDATE tokens SET pulls = pulls + ?,
last_pull_at = CASE WHEN last_pull_at > ? THEN last_pull_at ELSE ? END WHERE id = ?`

	noteUse = `UPDATE tokens SET last_used_at = ?, last_address = ?, last_client = ?
WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)`

	dropTagCount = `DELETE FROM pulls WHERE repository = ? AND kind = 'tag' AND name = ?`

	dropCounts = `DELETE FROM pulls WHERE repository = ?`
)

// Add adds to the counts, which a power cut may take.
func (t *Tally) Add(ctx context.Context, b tally.Batch) error {
	if len(b.Counts)+len(b.Tokens)+len(b.Uses) == 0 {
		return nil
	}
	err := t.db.Write(ctx, Relaxed, func(tx Queryer) error {
		for k, c := range b.Counts {
			if err := count(ctx, tx, k, c); err != nil {
				return err
			}
		}
		for id, c := range b.Tokens {
			at := c.Last.UnixMicro()
			if _, err := tx.Exec(ctx, countToken, c.Total, at, at, id); err != nil {
				return err
			}
		}
		for id, u := range b.Uses {
			address := ""
			if u.Address.IsValid() {
				address = u.Address.String()
			}
			at := u.At.UnixMicro()
			if _, err := tx.Exec(ctx, noteUse, at, address, u.Client, id, at); err != nil {
				return err
			}
		}
		return nil
	})
	return failed(err, "count pulls")
}

func count(ctx context.Context, tx Queryer, k tally.Key, c tally.Count) error {
	text, args := countRepository, []any{string(k.Kind), k.Name, c.Total, c.Last.UnixMicro()}
	switch k.Kind {
	case tally.OfTag:
		text, args = countTag, append(args, k.Name)
	case tally.OfDigest:
		text, args = countDigest, append(args, k.Name)
	}
	_, err := tx.Exec(ctx, text, append(args, string(k.Repo))...)
	return err
}
