package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"fairlead.dev/fairlead/internal/database"
)

// reader runs statements on the pool of reading connections and keeps them
// prepared.
//
// A context that can end costs database/sql and the driver a goroutine each,
// several times the cost of the query itself; the statements are searches of
// an index that end by themselves. So the context is looked at before, and
// not passed on.
type reader struct {
	pool      *sql.DB
	stmts     sync.Map // text -> *sql.Stmt; closed with the pool
	preparing sync.Mutex
	seen      func(text string) // for tests; may be nil
}

var _ database.Queryer = (*reader)(nil)

func newReader(pool *sql.DB) *reader { return &reader{pool: pool} }

func (r *reader) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if r.seen != nil {
		r.seen(text)
	}
	if s, ok := r.stmts.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	r.preparing.Lock()
	defer r.preparing.Unlock()
	if s, ok := r.stmts.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.pool.PrepareContext(ctx, text) //nolint:sqlclosecheck // kept prepared; it is closed with the pool
	if err != nil {
		return nil, err
	}
	r.stmts.Store(text, s)
	return s, nil
}

func (r *reader) Row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx)
	s, err := r.stmt(ctx, text)
	if err != nil {
		return false, classify(err)
	}
	return row(ctx, s, args, dest, false)
}

func (r *reader) Rows(ctx context.Context, text string, args []any, each func(scan func(dest ...any) error) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	s, err := r.stmt(ctx, text)
	if err != nil {
		return classify(err)
	}
	return rows(ctx, s, args, each)
}

func (r *reader) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := r.stmt(ctx, text)
	if err != nil {
		return 0, classify(err)
	}
	return change(context.WithoutCancel(ctx), s, args)
}

// transaction runs statements on the writing connection. Only the leader of
// the writer touches it.
type transaction struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	seen  func(text string) // for tests; may be nil
}

var _ database.Queryer = (*transaction)(nil)

func (t *transaction) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if t.seen != nil {
		t.seen(text)
	}
	if s, ok := t.stmts[text]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, classify(err)
	}
	t.stmts[text] = s
	return s, nil
}

func (t *transaction) Row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := t.stmt(ctx, text)
	if err != nil {
		return false, err
	}
	return row(ctx, s, args, dest, true)
}

func (t *transaction) Rows(ctx context.Context, text string, args []any, each func(scan func(dest ...any) error) error) error {
	ctx = context.WithoutCancel(ctx)
	s, err := t.stmt(ctx, text)
	if err != nil {
		return err
	}
	return rows(ctx, s, args, each)
}

func (t *transaction) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := t.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	return change(ctx, s, args)
}

func (t *transaction) close() error {
	for _, s := range t.stmts {
		_ = s.Close() // the connection goes next
	}
	return t.conn.Close()
}

// row reads the first row. drain runs the statement to its end, which one
// that writes must come to.
func row(ctx context.Context, s *sql.Stmt, args, dest []any, drain bool) (bool, error) {
	rs, err := s.QueryContext(ctx, args...)
	if err != nil {
		return false, classify(err)
	}
	defer func() { _ = rs.Close() }() // rs.Err has said what went wrong
	if !rs.Next() {
		return false, classify(rs.Err())
	}
	if err := rs.Scan(dest...); err != nil {
		return false, err
	}
	for drain && rs.Next() {
		continue
	}
	return true, classify(rs.Err())
}

func rows(ctx context.Context, s *sql.Stmt, args []any, each func(scan func(dest ...any) error) error) error {
	rs, err := s.QueryContext(ctx, args...)
	if err != nil {
		return classify(err)
	}
	defer func() { _ = rs.Close() }() // rs.Err has said what went wrong
	for rs.Next() {
		if err := each(rs.Scan); err != nil {
			return err
		}
	}
	return classify(rs.Err())
}

func change(ctx context.Context, s *sql.Stmt, args []any) (int64, error) {
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, classify(err)
	}
	return result.RowsAffected()
}
