package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestAnErrorThatEndsItsSessionEndsTheStart, where exit_on_error is on and cannot be set through a pooler: at once,
// with the place in the file and who can do what, and not after WAIT. Past the pooler it is off, and the same files
// fail as ever.
func TestAnErrorThatEndsItsSessionEndsTheStart(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	pooled := pgtest.PgBouncer(t, 4, map[string]string{"migrator": db.MigratorConn})["migrator"]
	setForTheRole(t, db, "exit_on_error = on", "backslash_quote = off")
	const reset = "RESET exit_on_error"
	for name, c := range map[string]struct {
		file, code string
		pooled     []string
		direct     string // "" when it works there
	}{
		"a quote": {
			`CREATE TABLE app.t2 (a text DEFAULT E'\'')`, "22P06",
			[]string{"0002_m2.sql", "SET backslash_quote = safe_encoding", reset},
			"",
		},
		"a syntax error": {
			"SELECT 1;\nCREATE TABL app.t2 (a text)", "42601",
			[]string{"0002_m2.sql:2:8", `at or near "TABL"`, reset},
			"0002_m2.sql:2:8",
		},
		"without a transaction": {
			"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY x ON app.t1 (nosuch)", "42703",
			[]string{"0002_m2.sql:2", `column "nosuch" does not exist`, reset},
			"0002_m2.sql:2",
		},
		"in the transaction": {
			"SELECT 1 / 0", "22012",
			[]string{"0002_m2.sql", "division by zero"},
			"division by zero",
		},
	} {
		for _, conn := range []string{pooled, db.MigratorConn} { // one after the other, for a claim stays
			if conn == db.MigratorConn && c.direct == "" {
				continue
			}
			m := migrator(t, db, append(tables(1), c.file)...)
			m.Wait = time.Hour
			_, err := m.Up(t.Context(), conn)
			failed, ok := errors.AsType[*migrate.MigrationError](err)
			if !ok || failed.Err.Code != c.code {
				t.Fatalf("%s: got %v, want a MigrationError with %s", name, err, c.code)
			}
			want := c.pooled
			if conn == db.MigratorConn {
				want = []string{c.direct}
			}
			for _, part := range want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: got %v, want %q", name, err, part)
				}
			}
			if says := strings.Contains(err.Error(), reset); says && conn == db.MigratorConn {
				t.Errorf("%s, past the pooler: %v", name, err)
			}
			// What a file without a transaction leaves is the next start's, once the pooler's session is not taken for
			// its program's.
			pgtest.Exec(t, db.SuperConn, "DELETE FROM app.migrations WHERE duration IS NULL")
		}
	}
}
