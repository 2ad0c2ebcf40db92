package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"fairlead.dev/fairlead/internal/database"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	if classify(nil) != nil {
		t.Error("no error became one")
	}
	if err := classify(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("a foreign error became %v", err)
	}
	conn := raw(t, filepath.Join(t.TempDir(), "x.db"))
	run(t, conn, `CREATE TABLE x (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER NOT NULL, y INTEGER REFERENCES x (id))`)
	run(t, conn, `INSERT INTO x VALUES (1, 'a', 0, NULL)`)
	for text, want := range map[string]error{
		`INSERT INTO x VALUES (1, 'b', 0, NULL)`: database.ErrUnique,
		`INSERT INTO x VALUES (2, 'a', 0, NULL)`: database.ErrUnique,
		`INSERT INTO x VALUES (3, 'c', NULL, 1)`: nil,
		`INSERT INTO x VALUES (4, 'd', 0, 9)`:    nil,
		`SELECT nothing`:                         nil,
	} {
		_, err := conn.ExecContext(t.Context(), text)
		if err == nil {
			t.Fatalf("%s: no error", text)
		}
		got := classify(err)
		if errors.Is(got, database.ErrUnique) != (want != nil) || !errors.Is(got, err) {
			t.Errorf("%s: got %v", text, got)
		}
	}
}
